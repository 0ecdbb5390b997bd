package live

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"ciranda.dev/protocol"
)

// A toy is a layer for the tests: a counter that is persisted and told to all, and beats that nothing holds up.
type toy struct {
	protocol.Base
	gives   protocol.Property `layer:"const"`
	Count   uint64
	Heard   map[protocol.ID]uint64 // the highest count that each node told
	Order   []uint64               // of the counts told by node 1
	Beats   map[protocol.ID]int
	Fired   []uint32
	Log     []string
	Flushes int
	Aloud   []int // sizes of what was broadcast
	Now     time.Duration
	Wall    time.Duration
}

type (
	Tell struct{ Count uint64 }
	Beat struct{}
	Bulk struct{ Bytes []byte }
)

// What clients may call.
type (
	write  struct{} // counts, persists, tells all
	read   struct{} // tells all, without a write
	boom   struct{} // panics
	never  struct{} // gives no reply
	arm    struct{ timers []uint32 }
	bulk   struct{ size int }
	shout  struct{ size int } // broadcast
	clocks struct{}
)

const (
	timerBeat = iota
	timerA    // cancels B
	timerB
)

const beatEvery = 100 * time.Millisecond

func (t *toy) Traits() protocol.Traits {
	return protocol.Traits{Channel: "toy", Gives: t.gives, Messages: []protocol.Message{Tell{}, Beat{}, Bulk{}}, Timers: []string{"beat", "a", "b"}, UsesNow: true}
}

func (t *toy) String() string { return fmt.Sprintf("count %d", t.Count) }

func (t *toy) Start(o *protocol.Out) {
	t.Heard, t.Beats = map[protocol.ID]uint64{}, map[protocol.ID]int{}
	o.Set(protocol.Timer{Kind: timerBeat}, beatEvery)
}

func (t *toy) Recover(s protocol.Stored, o *protocol.Out) {
	if b, ok := s("count"); ok {
		t.Count = binary.BigEndian.Uint64(b)
	}
	t.Start(o)
}

func (t *toy) Receive(from protocol.ID, m protocol.Message, o *protocol.Out) {
	switch m := m.(type) {
	case Tell:
		t.Heard[from] = max(t.Heard[from], m.Count)
		if from == 1 {
			t.Order = append(t.Order, m.Count)
		}
	case Beat:
		t.Beats[from]++
	}
}

func (t *toy) Hear(from protocol.ID, m protocol.Message, o *protocol.Out) {
	t.Aloud = append(t.Aloud, len(m.(Bulk).Bytes))
}

func (t *toy) Expire(timer protocol.Timer, o *protocol.Out) {
	switch timer.Kind {
	case timerBeat:
		o.Ungate()
		o.SendAll(Beat{})
		o.Set(timer, beatEvery)
	case timerA:
		t.Fired = append(t.Fired, timer.Kind)
		o.Cancel(protocol.Timer{Kind: timerB})
	case timerB:
		t.Fired = append(t.Fired, timer.Kind)
	}
}

func (t *toy) Request(r any, o *protocol.Out) bool {
	c := r.(protocol.Call)
	switch body := c.Body.(type) {
	case write:
		t.Count++
		o.Persist("count", binary.BigEndian.AppendUint64(nil, t.Count))
		o.SendAll(Tell{t.Count})
	case read:
		o.SendAll(Tell{t.Count})
	case arm:
		for _, kind := range body.timers {
			o.Set(protocol.Timer{Kind: kind}, time.Second)
		}
	case bulk:
		o.SendAll(Bulk{make([]byte, body.size)})
	case shout:
		o.Broadcast(Bulk{make([]byte, body.size)})
	case clocks:
		t.Now, t.Wall = o.Now(), o.Wall()
	case boom:
		panic("boom")
	case never:
		return true
	default:
		return false
	}
	o.Indicate(protocol.Reply{ID: c.ID, Body: t.Count})
	return true
}

func (t *toy) Indicate(e protocol.Event, o *protocol.Out) bool {
	t.Log = append(t.Log, fmt.Sprint(e.Kind(), e))
	if e == (protocol.Stopping{}) {
		o.Ungate()
		o.SendAll(Tell{1000 + t.Count})
	}
	return true
}

func (t *toy) Flush(*protocol.Out) { t.Flushes++ }

// Answer gives a copy of the state.
func (t *toy) Answer(question any) (any, bool) {
	if question != "state" {
		return nil, false
	}
	c := *t
	c.Heard, c.Beats = maps.Clone(t.Heard), maps.Clone(t.Beats)
	c.Order, c.Fired, c.Log = slices.Clone(t.Order), slices.Clone(t.Fired), slices.Clone(t.Log)
	c.Aloud = slices.Clone(t.Aloud)
	return &c, true
}
