package trace

import "sync"

// A Ring is a [Sink] that holds the last events, for those who follow a run while it goes on. Its methods may be
// called from any goroutine.
type Ring struct {
	mu      sync.Mutex
	events  []Event       // event number k is at k modulo the size
	next    uint64        // the number of the next event, from 0
	changed chan struct{} // closed at the next event; nil if nobody waits
}

// NewRing makes a ring for so many events, at least one.
func NewRing(size int) *Ring { return &Ring{events: make([]Event, max(size, 1))} }

// Record keeps a copy of e, in place of the oldest event if the ring is full.
func (r *Ring) Record(e *Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events[r.next%uint64(len(r.events))] = *e
	r.next++
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// Since gives the events from number from on, at most limit of them, and the number after the last of them. It also
// says how many of those asked for are gone.
func (r *Ring) Since(from uint64, limit int) (events []Event, next, missed uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if from >= r.next {
		return nil, r.next, 0
	}
	if size := uint64(len(r.events)); r.next-from > size {
		missed = r.next - size - from
		from += missed
	}
	count := min(r.next-from, uint64(max(limit, 0)))
	events = make([]Event, count)
	for i := range events {
		events[i] = r.events[(from+uint64(i))%uint64(len(r.events))]
	}
	return events, from + count, missed
}

// Next is the number that the next event will have.
func (r *Ring) Next() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next
}

// Changed gives a channel that is closed by the next event, or already if there is one of number next or above.
func (r *Ring) Changed(next uint64) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next > next {
		done := make(chan struct{})
		close(done)
		return done
	}
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.changed
}
