package bully_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector/oracle"
	"ciranda.dev/protocol/election"
	"ciranda.dev/protocol/election/bully"
)

func TestValidate(t *testing.T) {
	second := time.Second
	for _, c := range []struct {
		opts  bully.Options
		delay time.Duration
		want  string // a part of the error; "": none
	}{
		{bully.Options{}, 10 * ms, ""},
		{bully.Options{Stable: true, Quorum: true}, 25 * ms, ""},
		{bully.Options{}, 26 * ms, "Answer >= 2*delay does not hold: 50ms < 52ms"},
		{bully.Options{Answer: 90 * ms}, 10 * ms, "Coordinator >= Answer + 2*delay does not hold: 100ms < 110ms"},
		{bully.Options{Answer: 70 * ms, Coordinator: second, Ask: 60 * ms}, 31 * ms, ""},
		{bully.Options{Answer: 70 * ms, Coordinator: second, Ask: 60 * ms, Stable: true}, 31 * ms, "Ask >= 2*delay"},
		{bully.Options{Answer: 70 * ms, Coordinator: second, Quorum: true}, 31 * ms, "Grant >= 2*delay"},
		{bully.Options{Silence: 3}, 10 * ms, "Silence*Beat >= the detector's timeout does not hold: 300ms < 350ms"},
		{bully.Options{Silence: 3, Classic: true}, 10 * ms, ""},
		{bully.Options{Classic: true, Quorum: true}, 10 * ms, "Classic stands alone"},
		{bully.Options{Beat: -1}, 10 * ms, "Beat is -1ns; it must be between 0 and 1h0m0s"},
		{bully.Options{Silence: -1}, 10 * ms, "Silence is -1"},
		{bully.Options{Mistake: 200}, 10 * ms, "no mistake 200"},
	} {
		err := c.opts.Validate(c.delay, timeout)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: got %v, want %q", c.opts, err, c.want)
		}
	}
}

// What a message says too much of is refused before it can change anything.
func TestRefusedMessagesChangeNothing(t *testing.T) {
	const most = 1 + 1<<20 // the node knows counter 1
	for _, c := range []struct {
		m    protocol.Message
		opts bully.Options
		why  string // "": it is taken
	}{
		{bully.Coordinator{Counter: most}, bully.Options{}, ""},
		{bully.Coordinator{Counter: most + 1}, bully.Options{}, "ceiling"},
		{bully.Coordinator{Counter: 1, Round: 1<<62 + 1}, bully.Options{}, "ceiling"},
		{bully.Info{Term: election.Term{Counter: 1<<64 - 1, Leader: 2}, Vacant: true}, bully.Options{}, "ceiling"},
		{bully.Info{Term: election.Term{Counter: 2, Leader: 21}}, bully.Options{}, "unknown node"},
		{bully.Info{Term: election.Term{Counter: 2}}, bully.Options{}, "options differ"},
		{bully.Stand{Counter: 1 << 63}, bully.Options{}, "ceiling"},
		{bully.Who{}, bully.Options{}, "options differ"},
		{bully.Ask{Counter: 2}, bully.Options{}, "options differ"},
		{bully.Ask{Counter: most + 1}, bully.Options{Quorum: true}, "ceiling"},
		{bully.Nay{Counter: most + 1}, bully.Options{Quorum: true}, "ceiling"},
		{bully.Nay{Counter: most}, bully.Options{Quorum: true}, ""},
	} {
		s := settled(t, 1, c.opts)
		before := s.AppendState(nil)
		var o protocol.Out
		s.Receive(20, 1, protocol.Packet{Channel: 1, Body: c.m}, protocol.Inputs{}, &o)
		why := ""
		for _, e := range o.Effects() {
			if d, ok := e.Body.(bully.Dropped); ok && e.Kind == protocol.Note {
				why = d.Reason
			}
		}
		if why != c.why {
			t.Errorf("%#v: refused for %q, want %q", c.m, why, c.why)
		}
		if same := bytes.Equal(before, s.AppendState(nil)); same != (c.why != "") {
			t.Errorf("%#v: the state is the same: %v", c.m, same)
		}
	}
}

// A node whose counter is used up does not stand, and says so.
func TestExhausted(t *testing.T) {
	b := make([]byte, 8)
	binary.BigEndian.PutUint64(b, 1<<61)
	s := over("oracle", bully.Options{})(protocol.Self{ID: 1, Incarnation: 2, Group: []protocol.ID{1, 2}})
	var o protocol.Out
	stored := func(key string) ([]byte, bool) { return b, key == "bully/seen" }
	s.Recover(stored, protocol.Inputs{Draw: func(int) int { return 0 }}, &o)
	said := false
	for _, e := range o.Effects() {
		if e.Kind == protocol.Send {
			t.Errorf("it sends %#v", e.Body)
		}
		said = said || e.Body == bully.Exhausted{Counter: 1 << 61}
	}
	if !said {
		t.Error("it does not say so")
	}
	s.Call(protocol.Call{ID: 1, Body: election.Campaign{}}, protocol.Inputs{}, &o)
	leaves := o.Effects()[len(o.Effects())-1].Body.(protocol.Reply)
	if _, refused := leaves.Body.(protocol.Refused); !refused {
		t.Errorf("it answers %v to a client", leaves)
	}
}

// The disk's word makes a leader resign at once: what it says then does not wait for the disk.
func TestResignationIsNotGated(t *testing.T) {
	s := settled(t, 20, bully.Options{})
	var o protocol.Out
	s.Notify(protocol.Disk{Stalled: true}, protocol.Inputs{}, &o)
	sends := 0
	for _, e := range o.Effects() {
		if e.Kind == protocol.Send {
			sends++
		}
		if !e.Ungated && e.Kind != protocol.Leave || e.Kind == protocol.Persist {
			t.Errorf("%+v waits for the disk", e)
		}
	}
	if sends != 19 {
		t.Errorf("it tells %d nodes, want 19", sends)
	}
}

// Whatever the network and the detector say, a node does not fall over, and its term and its counter never go back.
func FuzzReceive(f *testing.F) {
	f.Add([]byte("2C\x03\x00\x00"), uint8(0))
	f.Add([]byte("3A\x02\x00\x014G\x01\x01\x00t\x03"), uint8(3))
	f.Add([]byte("1I\x09\x03\x002E\x01\x00\x01t\x00t\x04"), uint8(1))
	f.Fuzz(func(t *testing.T, script []byte, rules uint8) {
		opts := bully.Options{Stable: rules&1 != 0, Quorum: rules&2 != 0}
		s := over("oracle", opts)(protocol.Self{ID: 3, Incarnation: 1, Group: []protocol.ID{1, 2, 3, 4, 5}})
		var o protocol.Out
		in := protocol.Inputs{Draw: func(int) int { return 0 }}
		s.Start(in, &o)
		timers := map[uint32]bool{}
		last := election.Term{}
		for len(script) >= 2 {
			arm(timers, &o)
			script = script[feed(s, script, timers, in, &o):]
			answer, _ := s.Answer(election.Query{})
			if term := answer.(election.Opinion).Term; term.Compare(last) < 0 {
				t.Fatalf("the term goes back from %v to %v", last, term)
			} else {
				last = term
			}
		}
	})
}

func arm(timers map[uint32]bool, o *protocol.Out) {
	for _, e := range o.Effects() {
		if e.Kind == protocol.Set || e.Kind == protocol.Cancel {
			timers[e.Timer.Kind] = e.Kind == protocol.Set
		}
	}
}

// feed gives the stack the next input of a script, and says how long that was.
func feed(s *protocol.Stack, script []byte, timers map[uint32]bool, in protocol.Inputs, o *protocol.Out) int {
	peer := []protocol.ID{1, 2, 4, 5}[script[0]%4]
	switch script[0] {
	case 't':
		if kind := uint32(script[1] % 6); timers[kind] {
			timers[kind] = false
			s.Expire(1, protocol.Timer{Kind: kind}, in, o)
		}
		return 2
	case 's', 'r':
		choice := oracle.Suspect
		if script[0] == 'r' {
			choice = oracle.Restore
		}
		s.Notify(oracle.Choose{Node: []protocol.ID{1, 2, 4, 5}[script[1]%4], Choice: choice}, in, o)
		return 2
	case 'd':
		s.Notify(protocol.Disk{Stalled: script[1]%2 == 0}, in, o)
		return 2
	}
	if len(script) < 5 {
		return len(script)
	}
	if m := messageOf(script[1], uint64(script[2]), script[3], script[4]); m != nil {
		s.Receive(peer, 1, protocol.Packet{Channel: 1, Body: m}, in, o)
	}
	return 5
}

func messageOf(name byte, counter uint64, x, y byte) protocol.Message {
	if counter > 250 {
		counter = 1<<64 - 1 - counter
	}
	switch name {
	case 'E':
		return bully.Stand{Counter: counter, Forced: x%2 == 1}
	case 'O':
		return bully.OK{Counter: counter}
	case 'C':
		return bully.Coordinator{Counter: counter, Round: uint64(x)}
	case 'I':
		return bully.Info{Term: election.Term{Counter: counter, Leader: protocol.ID(x % 8)}, Vacant: y%2 == 1, Round: uint64(y)}
	case 'W':
		return bully.Who{}
	case 'A':
		return bully.Ask{Counter: counter, Dry: x%2 == 1, Forced: y%2 == 1}
	case 'w':
		return bully.Would{Counter: counter}
	case 'G':
		return bully.Grant{Counter: counter}
	case 'N':
		return bully.Nay{Counter: counter}
	}
	return nil
}
