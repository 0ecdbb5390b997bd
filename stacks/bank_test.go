package stacks

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ciranda.dev/app/bank"
	"ciranda.dev/protocol"
)

// The bank is on top, and only what it and its snapshots send goes over links.
func TestBank(t *testing.T) {
	self := protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1, 2}}
	for _, election := range []string{"bully+stable+quorum", "none"} {
		s, err := Spec{Election: election, App: "bank"}.Build(self)
		if err != nil {
			t.Fatal(err)
		}
		var channels, reliable []string
		for _, tr := range s.Traits() {
			channels = append(channels, tr.Channel)
			if tr.Needs&(protocol.FIFO|protocol.NoLoss) != 0 {
				reliable = append(reliable, tr.Channel)
			}
		}
		if channels[1] != "link" || channels[len(channels)-1] != "bank" || !slices.Equal(reliable, []string{"snapshot", "bank"}) {
			t.Errorf("%s: got the layers %v, over links %v", election, channels, reliable)
		}
		var o protocol.Out
		in := protocol.Inputs{Draw: func(int) int { return 0 }}
		s.Start(in, &o)
		s.Call(protocol.Call{ID: 1, Body: bank.Transfer{To: 2, Amount: 30}}, in, &o)
		c := s.Clone()
		s.Call(protocol.Call{ID: 2, Body: bank.Transfer{To: 2, Amount: 5}}, in, &o)
		for stack, want := range map[*protocol.Stack]int64{s: 65, c: 70} {
			if a, _ := stack.Answer(bank.Query{}); a.(bank.Account).Balance != want {
				t.Errorf("%s: got %+v, want a balance of %d", election, a, want)
			}
		}
	}
}

// What must be agreed on names the application; what does not have one is as it was.
func TestAppIsNamed(t *testing.T) {
	if got := (Spec{App: "bank"}).Text(); got != "heartbeat + bully + bank" {
		t.Errorf("got %s", got)
	}
	if got := (Spec{}).Text(); got != "heartbeat + bully" {
		t.Errorf("got %s", got)
	}
	err := Spec{App: "casino"}.Validate()
	if err == nil || !strings.Contains(err.Error(), `found the app "casino"; expected bank, board, counter, counter-at-least-once, counter-maybe, counter-durable, references, or none`) {
		t.Errorf("got %v", err)
	}
}

// In every profile the options are within their bounds and exceed a round trip.
func TestBankTimes(t *testing.T) {
	for _, p := range profiles {
		s := Spec{Profile: p, App: "bank"}
		if err := s.link().Validate(); err != nil {
			t.Error(err)
		}
		if err := s.Bank().Validate(); err != nil {
			t.Error(err)
		}
		if err := s.Snapshot().Validate(); err != nil {
			t.Error(err)
		}
		if least := 2 * p.Delay; s.link().Resend <= least || s.Bank().Resend <= least || s.Bank().Resend < 500*time.Millisecond {
			t.Errorf("%s: got %s and %s, which should exceed %s", p.Name, s.link().Resend, s.Bank().Resend, least)
		}
	}
}
