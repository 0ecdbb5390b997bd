package world

import (
	"time"

	"ciranda.dev/protocol"
)

type nodeState uint8

const (
	down nodeState = iota
	up
	paused
)

// noFuse is the fuse of a node that is not about to crash.
const noFuse = -1

// A node is one process and its disk.
type node struct {
	id    protocol.ID
	state nodeState
	begun bool // it has had a life
	inc   protocol.Incarnation
	stack *protocol.Stack

	lamport  uint64 // survives crashes, as live nodes' clocks do by persisting blocks
	sent     uint64 // messages of this life
	recorded uint64 // events of this life
	calls    uint64 // of all lives
	cause    uint64 // the recorded input of the present step
	timers   timers
	disk     disk
	fuse     int // effects of the next step that happen before it crashes

	wall  time.Duration // the wall clock's offset from virtual time
	rate  float64       // how fast its clocks run
	since time.Duration // when the rate last changed
	local time.Duration // the monotonic clock then
}

// monotonic is the node's own monotonic clock.
func (n *node) monotonic(now time.Duration) time.Duration {
	if n.rate == 1 {
		return n.local + (now - n.since)
	}
	return n.local + time.Duration(float64(now-n.since)*n.rate).Round(time.Microsecond)
}

// lasts is how much virtual time passes while d passes on the node's clock.
func (n *node) lasts(d time.Duration) time.Duration {
	if n.rate == 1 {
		return d
	}
	return time.Duration(float64(d) / n.rate).Round(time.Microsecond)
}

// A disk keeps what a node persisted. On an instant one everything is durable at once; on another it waits for Sync,
// and the gated effects of its step and of all later ones wait with it.
type disk struct {
	slow    bool
	stored  map[string][]byte
	waiting []*protocol.Record
	gate    []protocol.Effect
	durable uint64 // the last recorded event before the gate closed
	since   time.Duration
}

func (d *disk) put(r *protocol.Record) {
	if d.stored == nil {
		d.stored = map[string][]byte{}
	}
	d.stored[r.Key] = r.Value
}

func (d *disk) get(key string) ([]byte, bool) {
	v, ok := d.stored[key]
	return v, ok
}

// forget loses what was not synced.
func (d *disk) forget() { d.waiting, d.gate = nil, nil }

// A TimerRef names a timer of a node: it stays the same for all lives of the node.
type TimerRef uint32

// timers are a node's timers. A timer keeps its place once it has been used, so places are few and are found by
// looking at all, or by a map where they are many.
type timers struct {
	slots []slot
	index map[timerKey]TimerRef // nil while there are few
}

type timerKey struct {
	timer protocol.Timer
	layer uint8
}

type slot struct {
	key timerKey
	at  time.Duration // when it expires; unarmed if negative
	// Queued belongs to the policy: when it will next look at the timer.
	queued time.Duration
}

const (
	unarmed   = time.Duration(-1)
	fewTimers = 16
)

func (t *timers) find(layer uint8, timer protocol.Timer) (TimerRef, bool) {
	k := timerKey{timer, layer}
	if t.index != nil {
		ref, ok := t.index[k]
		return ref, ok
	}
	for i := range t.slots {
		if t.slots[i].key == k {
			return TimerRef(i), true
		}
	}
	return 0, false
}

func (t *timers) place(layer uint8, timer protocol.Timer) TimerRef {
	if ref, ok := t.find(layer, timer); ok {
		return ref
	}
	ref := TimerRef(len(t.slots))
	t.slots = append(t.slots, slot{key: timerKey{timer, layer}, at: unarmed, queued: unarmed})
	if t.index != nil {
		t.index[timerKey{timer, layer}] = ref
	} else if len(t.slots) > fewTimers {
		t.index = make(map[timerKey]TimerRef, 2*len(t.slots))
		for i := range t.slots {
			t.index[t.slots[i].key] = TimerRef(i)
		}
	}
	return ref
}

func (t *timers) disarm() {
	for i := range t.slots {
		t.slots[i].at = unarmed
	}
}

// TimerAt is when a timer expires, and whether it is armed.
func (w *World) TimerAt(id protocol.ID, t TimerRef) (at time.Duration, armed bool) {
	at = w.node(id).timers.slots[t].at
	return at, at >= 0
}

// Queued is a place for the policy's own note on a timer: when it will look at it next; negative for never.
func (w *World) Queued(id protocol.ID, t TimerRef) *time.Duration {
	return &w.node(id).timers.slots[t].queued
}
