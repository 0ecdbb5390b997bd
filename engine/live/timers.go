package live

import (
	"time"

	"ciranda.dev/protocol"
)

// The armed timers of a node: a heap by deadline, then by the order of arming. A timer that is cancelled or
// moved is not in it any more, so it cannot expire.
type timers struct {
	byName map[timerName]*armed
	heap   []*armed
	count  uint64 // of armings, to break ties
	spare  []*armed
}

type timerName struct {
	layer uint8
	timer protocol.Timer
}

type armed struct {
	name  timerName
	at    time.Duration // on the node's monotonic clock
	order uint64
	place int // in the heap
}

func (a *armed) before(b *armed) bool { return a.at < b.at || a.at == b.at && a.order < b.order }

// set arms a timer, or moves it if it is armed.
func (t *timers) set(name timerName, at time.Duration) {
	a := t.byName[name]
	if a == nil {
		a = t.take()
		a.name, a.place = name, len(t.heap)
		t.byName[name] = a
		t.heap = append(t.heap, a)
	}
	t.count++
	a.at, a.order = at, t.count
	t.fix(a)
}

// cancel disarms a timer. It says whether it was armed.
func (t *timers) cancel(name timerName) bool {
	a := t.byName[name]
	if a != nil {
		t.remove(a)
	}
	return a != nil
}

// next is the earliest deadline.
func (t *timers) next() (at time.Duration, ok bool) {
	if len(t.heap) == 0 {
		return 0, false
	}
	return t.heap[0].at, true
}

// pop disarms the earliest timer, if it is due, and says by how much it is late.
func (t *timers) pop(now time.Duration) (name timerName, late time.Duration, ok bool) {
	if len(t.heap) == 0 || t.heap[0].at > now {
		return timerName{}, 0, false
	}
	a := t.heap[0]
	late = now - a.at
	t.remove(a)
	return a.name, late, true
}

func (t *timers) take() *armed {
	if n := len(t.spare); n > 0 {
		a := t.spare[n-1]
		t.spare = t.spare[:n-1]
		return a
	}
	return &armed{}
}

func (t *timers) remove(a *armed) {
	delete(t.byName, a.name)
	hole, last := a.place, len(t.heap)-1
	t.swap(hole, last)
	t.heap[last] = nil
	t.heap = t.heap[:last]
	if hole < last {
		t.fix(t.heap[hole])
	}
	t.spare = append(t.spare, a)
}

func (t *timers) swap(i, j int) {
	t.heap[i], t.heap[j] = t.heap[j], t.heap[i]
	t.heap[i].place, t.heap[j].place = i, j
}

// fix puts a timer whose deadline changed in its place.
func (t *timers) fix(a *armed) {
	for a.place > 0 && a.before(t.heap[(a.place-1)/2]) {
		t.swap(a.place, (a.place-1)/2)
	}
	for {
		least := 2*a.place + 1
		if least >= len(t.heap) {
			return
		}
		if least+1 < len(t.heap) && t.heap[least+1].before(t.heap[least]) {
			least++
		}
		if !t.heap[least].before(a) {
			return
		}
		t.swap(a.place, least)
	}
}
