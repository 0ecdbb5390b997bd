package ciranda

import (
	"context"
	"errors"
	"iter"
	"sync"

	"ciranda.dev/app/hosted"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/protocol/snapshot"
	"ciranda.dev/protocol/transfer"
)

// An Event is a [View], a [Message], an [Excluded], a [Blocked] or a [Received].
type Event interface{ event() }

// The events.
type (
	// View says who the members are from here on. Members that go on from one view to the next have had the same messages
	// between the two.
	View struct {
		ID      uint64
		Members []int // the eldest first: it coordinates
		Joined  []int // those of them who were not in the view before
		Gone    []int // those of the view before who are not in this one
	}
	// Message is one that was multicast to the group.
	Message struct {
		From    int
		Payload []byte // not to be changed
		Order   Order
		Uniform bool
		View    uint64
		Seq     uint64 // among those of From in that view and order, uniform or not, from 1
	}
	// Excluded says that this member is not in the group any more: it has left, or the others went on without it. Then it
	// comes back by itself, and loads the state that the others have by then. What follows may have a gap.
	Excluded struct {
		View uint64 // the last that it was in
		Why  string
	}
	// Blocked says that the group stands still here, and why; or, with an empty text, that it goes on.
	Blocked struct{ Why string }
	// Received is what another member sent to this one alone. It may come at any time, also while this member is in no view.
	Received struct {
		From int
		Data []byte // not to be changed
	}
)

func (View) event()     {}
func (Message) event()  {}
func (Excluded) event() {}
func (Blocked) event()  {}
func (Received) event() {}

// Events gives what happens in the group, one after the other and each once, until ctx or the membership ends. Views and
// messages keep their order at all members. Functions of the [Group] are called in between, by the goroutine that reads.
// One goroutine reads at a time; one that stops and begins again goes on where it was. Who reads slowly slows the senders
// down; the last event is the error ErrSlow if that did not suffice.
func (m *Member) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if m.group == nil {
			yield(nil, ErrNoGroup)
			return
		}
		if !m.row.reading.TryLock() {
			yield(nil, errors.New("ciranda: another goroutine reads the events"))
			return
		}
		defer m.row.reading.Unlock()
		for {
			e, err := m.row.next(ctx, m.node.Done())
			if err != nil {
				yield(nil, err)
				return
			}
			if e == nil {
				m.tell()
				return
			}
			if shown := m.show(e); shown != nil && !yield(shown, nil) {
				m.tell()
				return
			}
			if m.eaten.enough() {
				m.tell()
			}
		}
	}
}

// show gives what the program is shown of an event; what is for one of its functions is done.
func (m *Member) show(e any) Event {
	switch e := e.(type) {
	case Message:
		m.eaten.cast += multicast.Weight(e.Payload)
		return e
	case hosted.Received:
		m.eaten.receive(e)
		return Received{int(e.From), e.Data}
	case group.Installed:
		v := View{ID: e.View.ID, Joined: ids(e.Joined), Gone: ids(e.Gone)}
		for _, member := range e.View.Members {
			v.Members = append(v.Members, int(member.Node))
		}
		return v
	case group.Excluded:
		return Excluded{e.View, string(e.Why)}
	case group.Blocked:
		return Blocked{e.Why}
	case transfer.Capture:
		m.begin(transfer.Captured{View: e.View, State: m.save()})
	case transfer.Load:
		if e.State == nil { // even an empty one is not the initial one
			e.State = []byte{}
		}
		m.group.load(e.State)
	case transfer.Anew:
		m.group.load(nil)
	case snapshot.Cut:
		m.begin(hosted.Picture{ID: e.ID, State: m.group.picture()})
	}
	return nil
}

// save gives the state for those who join. One that is too large nobody gets, which operators should know.
func (m *Member) save() []byte {
	state := m.group.save()
	if most := m.spec.Transfer().Largest; len(state) > most {
		m.log.Error("the state of the program is too large: no member can join the group", "bytes", len(state), "most", most)
	}
	return state
}

func (g *Group) save() []byte {
	if g.Save == nil {
		return nil
	}
	return g.Save()
}

// load loads a state; nil is the initial one.
func (g *Group) load(state []byte) {
	if g.Load != nil {
		g.Load(state)
	}
}

func (g *Group) picture() []byte {
	if g.Picture != nil {
		return g.Picture()
	}
	return g.save()
}

// begin makes a call to whose answer nobody listens. If the node is about to end it is lost with it. It does not depend on
// the reader's context: what a reader took from the row is answered for, even if it was the last that it took.
func (m *Member) begin(body any) { _, _ = m.node.Begin(context.Background(), body) }

// quit leaves the group, for a program that is too slow. It may come before Join is done.
func (m *Member) quit() {
	<-m.joined
	if m.node != nil {
		m.begin(group.Leave{})
	}
}

// An eaten is what was read and not yet told of.
type eaten struct {
	cast int // weight of messages
	sent map[protocol.ID]hosted.Consumed
	size int // of those
}

// mouthful is how many bytes are read until the node is told. It is little beside the windows.
const mouthful = 64 << 10

func (e *eaten) receive(r hosted.Received) {
	if e.sent == nil {
		e.sent = map[protocol.ID]hosted.Consumed{}
	}
	was := e.sent[r.From]
	e.sent[r.From] = hosted.Consumed{From: r.From, Messages: was.Messages + 1, Bytes: was.Bytes + len(r.Data)}
	e.size += len(r.Data) + slot
}

func (e *eaten) enough() bool { return e.cast+e.size >= mouthful }

// tell lets the node know what was read, so that senders go on.
func (m *Member) tell() {
	if m.eaten.cast > 0 {
		m.begin(multicast.Consumed{Bytes: m.eaten.cast})
	}
	for _, c := range m.eaten.sent {
		m.begin(c)
	}
	m.eaten = eaten{}
}

// A row holds what has left the stack and was not read.
type row struct {
	reading sync.Mutex
	wake    chan struct{} // takes one

	mu     sync.Mutex
	events []waiting
	at     int // payloads of the first event that were read
	bytes  int
	limit  int
	states int  // that wait to be loaded
	slow   bool // something was left out, after what is there
}

// A waiting event was not read, or not all of it.
type waiting struct {
	event protocol.Event
	size  int // what it counts
}

// slot is what a thing counts beside its bytes.
const slot = 64

// add puts an event at the end, or says that there is no room any more.
func (r *row) add(e protocol.Event) (full bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	size := r.sizeOf(e)
	if r.slow || len(r.events) > 0 && r.bytes+size > r.limit {
		full, r.slow = !r.slow, true
		return full
	}
	r.events = append(r.events, waiting{e, size})
	r.bytes += size
	select {
	case r.wake <- struct{}{}:
	default: // it is awake already
	}
	return false
}

// sizeOf is what an event counts. A state may be larger than the row and does not count, but for a second one and more: a member
// that was excluded and is back has got another, and did not read the one before.
func (r *row) sizeOf(e protocol.Event) int {
	switch e := e.(type) {
	case multicast.Delivery:
		return slot + multicast.Weight(e.Payloads...)
	case hosted.Received:
		return slot + len(e.Data)
	case transfer.Load:
		if r.states++; r.states > 1 {
			return slot + len(e.State)
		}
	}
	return slot
}

// next waits for the next event, a delivery message by message. It gives nil when ctx or the node has ended and, of a
// node, nothing is left.
func (r *row) next(ctx context.Context, ended <-chan struct{}) (any, error) {
	for ctx.Err() == nil {
		if e, err := r.take(); e != nil || err != nil {
			return e, err
		}
		select {
		case <-r.wake:
		case <-ctx.Done():
		case <-ended:
			return r.take()
		}
	}
	return nil, nil
}

func (r *row) take() (any, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.events) == 0 {
		if r.slow {
			return nil, ErrSlow
		}
		return nil, nil
	}
	first := r.events[0].event
	if d, is := first.(multicast.Delivery); is {
		m := Message{int(d.Sender), d.Payloads[r.at], d.Order, d.Uniform, d.View, d.First + uint64(r.at)}
		if r.at++; r.at < len(d.Payloads) {
			return m, nil
		}
		r.at = 0
		r.drop()
		return m, nil
	}
	if _, is := first.(transfer.Load); is {
		r.states--
	}
	r.drop()
	return first, nil
}

// drop takes the first event away. The lock is held.
func (r *row) drop() {
	r.bytes -= r.events[0].size
	r.events[0] = waiting{}
	if r.events = r.events[1:]; len(r.events) == 0 {
		r.events = nil
	}
}
