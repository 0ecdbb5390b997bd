package member

import (
	"context"
	"errors"
	"sync"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/multicast"
)

// How a listener ends.
var (
	// ErrSlow says that the listener took too little: what follows is not told to it.
	ErrSlow = errors.New("member: the listener is too slow")
	// ErrEnded says that the node has ended, or the listener was closed.
	ErrEnded = errors.New("member: nothing follows")
)

// An Event is what a listener is told: What is a [multicast.Delivery], a [group.Installed], a [group.Excluded] or a
// [group.Blocked]. Nothing of it may be changed.
type Event struct {
	Lamport uint64 // the node's Lamport clock then
	What    protocol.Event
}

// ListenOptions say what a listener wants. The zero ListenOptions are all deliveries, and a buffer of 4 MiB.
type ListenOptions struct {
	Lanes  []multicast.Lane // whose deliveries are told; none: those of all. How the view changes is told to all listeners.
	Deaf   bool             // no deliveries are told, whatever Lanes says
	Buffer int              // in bytes, of what was not yet taken; zero means 4 MiB
}

// A Start is where a listener begins.
type Start struct {
	View    uint64 // that is in force; 0 if the node is no member
	Lamport uint64 // when something was last told
	Next    []Next // by sender and lane; 1 is next for those that are not named
}

// A Next is the number of the next message of a sender in a lane of the view.
type Next struct {
	Sender protocol.ID
	multicast.Lane
	Seq uint64
}

// A Listener is told what happens. One goroutine at a time may call Next.
type Listener struct {
	Start Start

	group *Group
	lanes laneMask
	limit int
	wake  chan struct{} // takes one

	mu     sync.Mutex
	events []Event
	bytes  int
	err    error
}

// Next waits for what happened since the last call, and gives all of it. Its error is ErrSlow, ErrEnded, or that of ctx.
func (l *Listener) Next(ctx context.Context) ([]Event, error) {
	for {
		if events, err := l.take(); len(events) > 0 || err != nil {
			return events, err
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (l *Listener) take() ([]Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	events := l.events
	l.events, l.bytes = nil, 0
	if len(events) > 0 {
		return events, nil
	}
	return nil, l.err
}

// Close ends the listener.
func (l *Listener) Close() {
	l.group.hearing.Lock()
	delete(l.group.listeners, l)
	l.group.hearing.Unlock()
	l.fail(ErrEnded)
}

// add puts an event into the buffer, or says that it has no room. An empty buffer takes anything.
func (l *Listener) add(e Event, size int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.ring()
	if l.bytes > 0 && l.bytes+size > l.limit {
		l.err = ErrSlow
		return false
	}
	l.events = append(l.events, e)
	l.bytes += size
	return true
}

func (l *Listener) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
	l.ring()
}

// ring wakes who waits.
func (l *Listener) ring() {
	select {
	case l.wake <- struct{}{}:
	default: // it is awake already
	}
}

func (l *Listener) hears(lane multicast.Lane) bool { return l.lanes&(1<<laneIndex(lane)) != 0 }

// A laneMask is a set of lanes.
type laneMask uint16

// laneCount is how many lanes there can be, that of no order too.
const laneCount = 2 * (int(multicast.Lamport) + 1)

// laneIndex gives each lane a number; those of no order that is known have 0.
func laneIndex(l multicast.Lane) int {
	if l.Order > multicast.Lamport {
		return 0
	}
	i := 2 * int(l.Order)
	if l.Uniform {
		i++
	}
	return i
}

func (o ListenOptions) mask() laneMask {
	switch {
	case o.Deaf:
		return 0
	case len(o.Lanes) == 0:
		return 1<<laneCount - 1
	}
	m := laneMask(0)
	for _, l := range o.Lanes {
		m |= 1 << laneIndex(l)
	}
	return m
}
