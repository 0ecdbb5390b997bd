package ring_test

import (
	"testing"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/detector/detectortest"
	"ciranda.dev/protocol/detector/ring"
)

func TestValidate(t *testing.T) {
	tests := map[string]struct {
		opts ring.Options
		want string // the error; empty for none
	}{
		"defaults":      {ring.Options{}, ""},
		"k":             {ring.Options{K: 101}, "ring: found k 101; expected a number of neighbours from 1 to 100"},
		"short timeout": {ring.Options{Timeout: 200 * time.Millisecond}, "ring: timeout 200ms is below 2·interval + delay = 2·100ms + 10ms = 210ms"},
		"slow network":  {ring.Options{Delay: 20 * time.Millisecond}, "ring: verify 30ms is below 2·delay = 2·20ms = 40ms"},
		"negative":      {ring.Options{Delay: -1}, "ring: the interval 100ms and the delay -1ns must not be negative"},
	}
	for name, test := range tests {
		got := ""
		if err := test.opts.Validate(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// middle is the stack of the middle node of a group, which watches all.
func middle(tb testing.TB, size int) (*protocol.Stack, *protocol.Out) {
	self := protocol.Self{ID: protocol.ID(size / 2), Incarnation: 1}
	for id := 1; id <= size; id++ {
		self.Group = append(self.Group, protocol.ID(id))
	}
	s, err := protocol.NewStack(self, ring.New(ring.Options{}), &detectortest.Watcher{})
	if err != nil {
		tb.Fatal(err)
	}
	o := &protocol.Out{}
	s.Start(protocol.Inputs{Draw: func(int) int { return 0 }}, o)
	return s, o
}

func sends(o *protocol.Out) int {
	n := 0
	for _, e := range o.Effects() {
		if e.Kind == protocol.Send {
			n++
		}
	}
	return n
}

// In a group of 10,000 a node sends what it sends in one of ten, and keeps little more.
func TestLargeGroup(t *testing.T) {
	const k = 2
	s, o := middle(t, 10_000)
	me := s.Self().ID
	for _, pred := range []protocol.ID{me - 1, me - 2} {
		s.Receive(pred, 1, protocol.Packet{Body: detector.NewBeat(false)}, protocol.Inputs{}, o)
	}
	for range 100 {
		s.Expire(0, protocol.Timer{}, protocol.Inputs{}, o)
		if n := sends(o); n != k {
			t.Fatalf("an interval costs %d messages, want %d", n, k)
		}
	}
	if n := len(s.AppendState(nil)); n > 2000 {
		t.Errorf("the state takes %d bytes; a bit for each watched node should be most of it", n)
	}
}

// A crash costs news to all from the one that finds it, and news to the successors from everybody else.
func TestNewsOfACrash(t *testing.T) {
	const size, k = 100, 2
	s, o := middle(t, size)
	me := s.Self().ID
	s.Expire(0, protocol.Timer{Kind: detector.TimerDead, Arg: uint32(me - 1)}, protocol.Inputs{}, o)
	if n := sends(o); n != size-1+1 { // and SendMe to the next predecessor
		t.Errorf("the node that suspects sends %d messages, want %d", n, size)
	}
	news := protocol.Packet{Body: ring.News{Node: me + 20, Incarnation: 1, Down: true, Origin: me + 21}}
	s.Receive(me+21, 1, news, protocol.Inputs{}, o)
	if n := sends(o); n != k {
		t.Errorf("a node that hears news sends %d messages, want %d", n, k)
	}
	s.Receive(me+40, 1, news, protocol.Inputs{}, o)
	if n := sends(o); n != 0 {
		t.Errorf("old news is sent on %d times", n)
	}
}

// What cannot be true is dropped and noted: a round that no node reaches, a node outside the group.
func TestRefusesImpossibleNews(t *testing.T) {
	s, o := middle(t, 10)
	for _, n := range []ring.News{{Node: 3, Round: 1 << 31, Down: true}, {Node: 11, Down: true}, {Down: true}} {
		s.Receive(4, 1, protocol.Packet{Body: n}, protocol.Inputs{}, o)
		s.Receive(4, 1, protocol.Packet{Body: n}, protocol.Inputs{}, o)
		dropped := false
		for _, e := range o.Effects() {
			_, isDrop := e.Body.(detector.Dropped)
			dropped = dropped || isDrop
		}
		if !dropped || sends(o) > 0 {
			t.Errorf("%+v was not dropped", n)
		}
		if answer, _ := s.Answer(detector.Query{}); len(answer.(detector.Opinion).Suspects) > 0 {
			t.Errorf("%+v made the node suspect %v", n, answer)
		}
	}
}

func BenchmarkBeatOfTen(b *testing.B)         { benchmarkBeat(b, 10) }
func BenchmarkBeatOfTenThousand(b *testing.B) { benchmarkBeat(b, 10_000) }

// benchmarkBeat is one interval of a node: its beats leave, those of its predecessors come.
func benchmarkBeat(b *testing.B, size int) {
	s, o := middle(b, size)
	me := s.Self().ID
	p := protocol.Packet{Body: detector.NewBeat(false)}
	b.ReportAllocs()
	for range b.N {
		s.Expire(0, protocol.Timer{}, protocol.Inputs{}, o)
		s.Receive(me-1, 1, p, protocol.Inputs{}, o)
		s.Receive(me-2, 1, p, protocol.Inputs{}, o)
	}
}
