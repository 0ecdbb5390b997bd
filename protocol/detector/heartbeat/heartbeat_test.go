package heartbeat_test

import (
	"testing"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/detector/detectortest"
	"ciranda.dev/protocol/detector/heartbeat"
)

func TestValidate(t *testing.T) {
	const ms = time.Millisecond
	tests := map[string]struct {
		opts heartbeat.Options
		want string // the error; empty for none
	}{
		"defaults":      {heartbeat.Options{}, ""},
		"just enough":   {heartbeat.Options{Interval: 100 * ms, Timeout: 210 * ms, Verify: 20 * ms, Delay: 10 * ms}, ""},
		"short timeout": {heartbeat.Options{Timeout: 200 * ms}, "heartbeat: timeout 200ms is below 2·interval + delay = 2·100ms + 10ms = 210ms"},
		"slow network":  {heartbeat.Options{Delay: 20 * ms}, "heartbeat: verify 30ms is below 2·delay = 2·20ms = 40ms"},
		"negative":      {heartbeat.Options{Interval: -ms}, "heartbeat: the interval -1ms and the delay 10ms must not be negative"},
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

func TestNeedsNoClockWhenUntimed(t *testing.T) {
	if !heartbeat.New(heartbeat.Options{}).Traits().UsesNow {
		t.Error("the check for a standstill reads the clock, but the traits do not say so")
	}
	if heartbeat.New(heartbeat.Options{Untimed: true}).Traits().UsesNow {
		t.Error("untimed, but the traits say that the clock is read")
	}
}

// five makes node 1's stack of a group of five and gives it a first beat of each peer.
func five(tb testing.TB) (s *protocol.Stack, beat func(from protocol.ID), o *protocol.Out) {
	self := protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1, 2, 3, 4, 5}}
	s, err := protocol.NewStack(self, heartbeat.New(heartbeat.Options{}), &detectortest.Watcher{})
	if err != nil {
		tb.Fatal(err)
	}
	o = &protocol.Out{}
	s.Start(protocol.Inputs{Draw: func(int) int { return 0 }}, o)
	packet := protocol.Packet{Body: detector.NewBeat(false)}
	beat = func(from protocol.ID) { s.Receive(from, 1, packet, protocol.Inputs{}, o) }
	for id := protocol.ID(2); id <= 5; id++ {
		beat(id)
	}
	return s, beat, o
}

func TestBeatsAllocateNothing(t *testing.T) {
	s, beat, o := five(t)
	if n := testing.AllocsPerRun(100, func() { beat(3) }); n != 0 {
		t.Errorf("the receipt of a beat allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { s.Expire(0, protocol.Timer{}, protocol.Inputs{}, o) }); n != 0 {
		t.Errorf("sending beats allocates %v times", n)
	}
}

func BenchmarkReceiveBeat(b *testing.B) {
	_, beat, _ := five(b)
	b.ReportAllocs()
	for i := range b.N {
		beat(protocol.ID(2 + i%4))
	}
}

func BenchmarkSendBeats(b *testing.B) {
	s, _, o := five(b)
	b.ReportAllocs()
	for range b.N {
		s.Expire(0, protocol.Timer{}, protocol.Inputs{}, o)
	}
}
