// Package member is a node's membership in the group, for Go code in the node's own process: it multicasts and listens.
//
// [New] makes a [Group], whose Leave goes into [live.Config]; [Group.Attach] gives it the node once that is open.
// [Group.Cast] sends messages to all members and returns when this node has delivered them. Messages of many callers
// travel together: those of one lane that come while others are on their way are gathered into batches, in their order.
// [Group.Listen] gives what the node delivers and how its view changes, in the order in which it does.
//
// A listener never holds the node up. It has a buffer; one that is too slow for it is told what came before, without a
// gap, and then that it was too slow.
//
// What is promised of a cast: [live.Refused] and every error but [ErrUnknown] say that nothing was sent and nothing will
// be. What it does not promise: that a message of which nothing is known is delivered at all, or that it is not; there
// are no ids by which one could ask again.
package member

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
)

// A Node is what a Group needs of a [live.Node].
type Node interface {
	// Begin lets a request enter the node, and gives what waits for the reply.
	Begin(ctx context.Context, body any) (wait func(context.Context) (any, error), err error)
	// Done is closed when the node has ended.
	Done() <-chan struct{}
}

// Options bound what a Group holds. The zero Options are the defaults.
type Options struct {
	// Batch is how many bytes of messages are sent at once, unless one caller brings more. Zero means 60 KiB.
	Batch int
	// Window is how many bytes may be on their way, cast and not delivered here, of all lanes together; one batch always
	// may. It is less than [multicast.Options].Backlog. Zero means 2 MiB.
	Window int
	// Queue is how many bytes of a lane may wait to be sent before callers wait. Zero means 1 MiB.
	Queue int
}

func (o Options) withDefaults() Options {
	o.Batch = cmp.Or(o.Batch, 60<<10)
	o.Window = cmp.Or(o.Window, 2<<20)
	o.Queue = cmp.Or(o.Queue, 1<<20)
	return o
}

// A Group is the membership of one node. Its methods may be called from any goroutine.
type Group struct {
	opts     Options
	node     Node
	attached chan struct{}

	mu    sync.Mutex // of lanes
	lanes map[multicast.Lane]*lane
	under atomic.Int64 // size of what is on its way

	hearing   sync.Mutex // of what follows
	listeners map[*Listener]struct{}
	view      uint64 // that is in force here; 0 if this node is no member
	next      map[source]uint64
	lamport   uint64 // when something was last told
	ended     bool

	sent, delivered counts
}

// A source is where messages come from that are numbered one after the other.
type source struct {
	sender protocol.ID
	lane   multicast.Lane
}

// New makes a group. Until it is attached to a node, casts wait.
func New(o Options) *Group {
	return &Group{opts: o.withDefaults(), attached: make(chan struct{}), lanes: map[multicast.Lane]*lane{},
		listeners: map[*Listener]struct{}{}, next: map[source]uint64{}}
}

// Attach gives the group its node, once. When the node ends, what waits fails and listeners end.
func (g *Group) Attach(n Node) {
	g.node = n
	close(g.attached)
	go func() {
		<-n.Done()
		g.end()
	}()
}

// end lets the listeners read what there is, and end.
func (g *Group) end() {
	g.hearing.Lock()
	defer g.hearing.Unlock()
	g.ended = true
	for l := range g.listeners {
		l.fail(ErrEnded)
	}
	clear(g.listeners)
}

// Leave takes what leaves the node at the top of its stack, and the Lamport time then. It is for [live.Config].
func (g *Group) Leave(e protocol.Event, lamport uint64) {
	switch e := e.(type) {
	case multicast.Delivery:
		g.deliver(&e, lamport)
	case group.Installed:
		g.hearing.Lock()
		defer g.hearing.Unlock()
		clear(g.next)
		g.view = e.View.ID
		g.tellAll(Event{lamport, e})
	case group.Excluded:
		g.hearing.Lock()
		defer g.hearing.Unlock()
		clear(g.next)
		g.view = 0
		g.tellAll(Event{lamport, e})
	case group.Blocked:
		g.hearing.Lock()
		defer g.hearing.Unlock()
		g.tellAll(Event{lamport, e})
	}
}

// deliver tells those who listen to a lane of a delivery, and counts it.
func (g *Group) deliver(d *multicast.Delivery, lamport uint64) {
	g.hearing.Lock()
	defer g.hearing.Unlock()
	g.next[source{d.Sender, d.Lane}] = d.First + uint64(len(d.Payloads))
	g.lamport = lamport
	size := 0
	for _, p := range d.Payloads {
		size += len(p)
	}
	g.delivered.add(d.Lane, len(d.Payloads), size)
	for l := range g.listeners {
		if l.hears(d.Lane) {
			g.tell(l, Event{lamport, *d}, size+len(d.Payloads)*slot)
		}
	}
}

// slot is what each thing in a buffer costs beside its payload, about, in bytes.
const slot = 64

// tellAll tells all listeners of something but a delivery.
func (g *Group) tellAll(e Event) {
	g.lamport = e.Lamport
	for l := range g.listeners {
		g.tell(l, e, slot)
	}
}

// tell tells a listener; one that has no room for it is left behind.
func (g *Group) tell(l *Listener, e Event, size int) {
	if !l.add(e, size) {
		delete(g.listeners, l)
	}
}

// Listen begins to listen. It misses nothing of what follows its Start.
func (g *Group) Listen(o ListenOptions) *Listener {
	g.hearing.Lock()
	defer g.hearing.Unlock()
	l := &Listener{group: g, lanes: o.mask(), limit: cmp.Or(o.Buffer, 4<<20), wake: make(chan struct{}, 1)}
	l.Start = Start{View: g.view, Lamport: g.lamport}
	for s, n := range g.next {
		if l.hears(s.lane) {
			l.Start.Next = append(l.Start.Next, Next{s.sender, s.lane, n})
		}
	}
	slices.SortFunc(l.Start.Next, compareNext)
	if g.ended {
		l.fail(ErrEnded)
	} else {
		g.listeners[l] = struct{}{}
	}
	return l
}

func compareNext(a, b Next) int {
	return cmp.Or(cmp.Compare(a.Sender, b.Sender), cmp.Compare(laneIndex(a.Lane), laneIndex(b.Lane)))
}

// Listeners is how many there are.
func (g *Group) Listeners() int {
	g.hearing.Lock()
	defer g.hearing.Unlock()
	return len(g.listeners)
}
