package link_test

import (
	"math"
	"testing"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/link"
)

func TestValidate(t *testing.T) {
	for name, test := range map[string]struct {
		opts link.Options
		want string // the error; empty for none
	}{
		"defaults":         {link.Options{}, ""},
		"smallest":         {link.Options{Window: 1, Backlog: 1, Resend: ms, Longest: ms}, ""},
		"negative window":  {link.Options{Window: -1}, "link: Window is -1 bytes; it must be between 1 and 1073741824"},
		"huge backlog":     {link.Options{Backlog: 1 << 40}, "link: Backlog is 1099511627776 bytes; it must be between 1 and 1073741824"},
		"eternal":          {link.Options{Longest: 2 * time.Hour}, "link: Longest is 2h0m0s; it must be between 0 and 1h0m0s"},
		"resend too late":  {link.Options{Resend: 2 * time.Second}, "link: Resend is 2s; it must be between 1ms and Longest = 1s"},
		"negative resend":  {link.Options{Resend: -1}, "link: Resend is -1ns; it must be between 1ms and Longest = 1s"},
		"negative longest": {link.Options{Longest: -1}, "link: Longest is -1ns; it must be between 0 and 1h0m0s"},
		"impatient":        {link.Options{Patience: -1}, "link: Patience is -1ns; it must be between 0 and 24h0m0s"},
		"mistake":          {link.Options{Mistake: 99}, "link: there is no mistake 99"},
	} {
		got := ""
		if err := test.opts.Validate(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// A stack whose layer counts on links is refused without one.
func TestStackWithoutLink(t *testing.T) {
	self := protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1}}
	_, err := protocol.NewStack(self, &talker{Name: "talk", Needs: reliable})
	want := "protocol: talk needs FIFO order, no loss, and no layer below it gives that"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// one makes node 1's stack of a group of two, over a link, that knows node 2 by a packet.
func one(tb testing.TB, opts link.Options) (*protocol.Stack, *protocol.Out) {
	tb.Helper()
	self := protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1, 2}}
	s, err := protocol.NewStack(self, link.New(opts), &talker{Name: "gossip"}, &talker{Name: "talk", Needs: reliable})
	if err != nil {
		tb.Fatal(err)
	}
	o := &protocol.Out{}
	s.Start(protocol.Inputs{}, o)
	s.Receive(2, 1, protocol.Packet{Channel: 1, Body: Word{"psst"}}, protocol.Inputs{}, o)
	return s, o
}

// refusals are the reasons of what a step refused.
func refusals(o *protocol.Out) (reasons []string) {
	for _, e := range o.Effects() {
		if d, ok := e.Body.(link.Dropped); ok {
			reasons = append(reasons, d.Reason)
		}
	}
	return reasons
}

// What no honest peer sends is refused by name and changes nothing, whatever its numbers.
func TestRefusesWhatMakesNoSense(t *testing.T) {
	word := protocol.Packet{Channel: 2, Body: Word{"x"}}
	for name, test := range map[string]struct {
		channel uint8
		body    protocol.Message
		want    string
	}{
		"data beyond the window":       {0, link.Data{To: 1, Seq: 1 << 20, Packet: word}, "window"},
		"data beyond all numbers":      {0, link.Data{To: 1, Seq: math.MaxUint64, Packet: word}, "window"},
		"an ack of what was not sent":  {0, link.Ack{To: 1, Upto: 1}, "ceiling"},
		"an ack beyond all numbers":    {0, link.Ack{To: 1, Upto: math.MaxUint64}, "ceiling"},
		"data with nothing in them":    {0, link.Data{To: 1, Seq: 1}, "channel"},
		"data in data":                 {0, link.Data{To: 1, Seq: 1, Packet: protocol.Packet{Body: link.Ask{}}}, "channel"},
		"data for no layer":            {0, link.Data{To: 1, Seq: 1, Packet: protocol.Packet{Channel: 9, Body: Word{}}}, "channel"},
		"data that need no link":       {0, link.Data{To: 1, Seq: 1, Packet: protocol.Packet{Channel: 1, Body: Word{}}}, "channel"},
		"a packet that evades a link":  {2, Word{"x"}, "channel"},
		"data for a life yet to come":  {0, link.Data{To: 7, Seq: 1, Packet: word}, "not-me"},
		"data for no life":             {0, link.Data{Seq: 1, Packet: word}, "not-me"},
		"an ack for another life":      {0, link.Ack{To: 7, Upto: 1}, ""},
		"data with a lie in their ack": {0, link.Data{To: 1, Upto: 5, Packet: word}, "ceiling"},
	} {
		s, o := one(t, link.Options{})
		before := status(s)
		s.Receive(2, 1, protocol.Packet{Channel: test.channel, Body: test.body}, protocol.Inputs{}, o)
		got := refusals(o)
		if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || got[0] != test.want) {
			t.Errorf("%s: refused for %q, want %q", name, got, test.want)
		}
		if after := status(s); after != before {
			t.Errorf("%s: %+v becomes %+v", name, before, after)
		}
	}
}

func status(s *protocol.Stack) link.PeerStatus {
	answer, _ := s.Answer(link.Query{})
	return answer.(link.Status).Peers[0]
}

// A receiver keeps no more than its window of what comes too early, and takes what is next all the same.
func TestHoldsNoMoreThanTheWindow(t *testing.T) {
	s, o := one(t, link.Options{Window: 20 * shortWord})
	send := func(seq uint64) {
		data := link.Data{To: 1, Seq: seq, Packet: protocol.Packet{Channel: 2, Body: Word{"x"}}}
		s.Receive(2, 1, protocol.Packet{Body: data}, protocol.Inputs{}, o)
	}
	for seq := uint64(2); seq <= 21; seq++ {
		send(seq)
		send(seq) // twice is as good as once
	}
	send(22)
	if got := refusals(o); len(got) != 1 || got[0] != "window" || status(s).Held != 20 {
		t.Errorf("refused for %v, with %d held; want 20, and one refused for the window", got, status(s).Held)
	}
	send(1)
	if status(s).Held != 0 {
		t.Errorf("%d are held and nothing is missing", status(s).Held)
	}
}

// While the node's own disk does not answer, acknowledgements leave beside the packets that wait for it.
func TestAcknowledgesBesideAStalledDisk(t *testing.T) {
	for _, stalled := range []bool{false, true} {
		s, o := one(t, link.Options{})
		s.Notify(protocol.Disk{Stalled: stalled}, protocol.Inputs{}, o)
		data := link.Data{To: 1, Seq: 1, Packet: protocol.Packet{Channel: 2, Body: Word{"question"}}}
		s.Receive(2, 1, protocol.Packet{Body: data}, protocol.Inputs{}, o)
		acks := 0
		s.Flush(protocol.Inputs{}, o)
		for _, e := range o.Effects() {
			if _, ok := e.Body.(link.Ack); ok && e.Ungated {
				acks++
			}
		}
		if want := map[bool]int{false: 0, true: 1}[stalled]; acks != want {
			t.Errorf("stalled %v: %d acknowledgements beside the answer, want %d", stalled, acks, want)
		}
	}
}

// A long queue keeps its packets in order, and gives its memory back.
func TestLongQueues(t *testing.T) {
	s, o := one(t, link.Options{})
	s.Call(protocol.Call{Body: Say{Talker: "talk", To: 2, Times: 20_000}}, protocol.Inputs{}, o)
	next, acked := uint64(1), 0
	for status(s).Packets > 0 {
		for _, e := range o.Effects() {
			if d, ok := e.Body.(link.Data); ok {
				if d.Seq != next {
					t.Fatalf("number %d follows %d", d.Seq, next-1)
				}
				next++
			}
		}
		acked++
		s.Receive(2, 1, protocol.Packet{Body: link.Ack{To: 1, Upto: next - 1}}, protocol.Inputs{}, o)
	}
	if next != 20_001 || acked < 2 {
		t.Errorf("%d packets in %d windows", next-1, acked)
	}
	if size := len(s.AppendState(nil)); size > 1000 {
		t.Errorf("the state takes %d bytes when all is over", size)
	}
}

// A node that nobody answers comes back to the same states: a search of them ends.
func TestWaitingInVainIsOneState(t *testing.T) {
	for _, patience := range []time.Duration{0, 10 * time.Second} {
		s, o := one(t, link.Options{Patience: patience})
		s.Call(protocol.Call{Body: Say{Talker: "talk", To: 2, Text: "x"}}, protocol.Inputs{}, o)
		states := map[string]bool{}
		for range 100 {
			s.Expire(0, protocol.Timer{Arg: 2}, protocol.Inputs{}, o)
			states[string(s.AppendState(nil))] = true
		}
		if len(states) > 20 {
			t.Errorf("patience %v: %d states", patience, len(states))
		}
	}
}
