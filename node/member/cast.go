package member

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"ciranda.dev/engine/live"
	"ciranda.dev/protocol/multicast"
)

// ErrUnknown says that messages may have been sent: some or all members may deliver them, now or later.
var ErrUnknown = errors.New("member: the messages may have been sent")

// Cast sends messages to all members of the group, this node included, and waits until this node has delivered them. What
// it gives is where they stand. The payloads must not be changed any more.
//
// The error is [live.Refused], if the node will never send them; wraps ErrUnknown, if they may have been sent; or else
// says why they were not: that of ctx, or [live.ErrStopped].
func (g *Group) Cast(ctx context.Context, lane multicast.Lane, payloads ...[]byte) (multicast.Sent, error) {
	c, err := g.Begin(ctx, lane, payloads)
	if err != nil {
		return multicast.Sent{}, err
	}
	return c.Wait(ctx)
}

// Begin is the first half of Cast: it returns when the messages are in the row of those to be sent, which they keep as
// one. While the row is full it waits. Messages that one goroutine begins to cast in a lane are sent in that order.
func (g *Group) Begin(ctx context.Context, lane multicast.Lane, payloads [][]byte) (*Casting, error) {
	if len(payloads) == 0 {
		return nil, live.Refused{Why: "found no message; expected at least one"}
	}
	c := &Casting{lane: g.lane(lane), payloads: payloads, done: make(chan struct{})}
	for _, p := range payloads {
		c.bytes += len(p)
	}
	c.size = c.bytes + slot*len(payloads)
	select {
	case <-g.attached:
	case <-ctx.Done():
		return nil, notSent(ctx.Err())
	}
	return c, c.lane.enter(ctx, c)
}

func notSent(why error) error { return fmt.Errorf("member: nothing was sent: %w", why) }

// lane gives what is known of a lane.
func (g *Group) lane(id multicast.Lane) *lane {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lanes[id]
	if l == nil {
		l = &lane{group: g, id: id}
		g.lanes[id] = l
	}
	return l
}

// A Casting is messages that one caller casts.
type Casting struct {
	lane     *lane
	payloads [][]byte
	bytes    int // of the payloads
	size     int // what they count for
	done     chan struct{}
	sent     multicast.Sent // once done
	err      error
}

// Wait waits until the messages were delivered here. If ctx ends before they are sent, they are not.
func (c *Casting) Wait(ctx context.Context) (multicast.Sent, error) {
	select {
	case <-c.done:
		return c.sent, c.err
	case <-ctx.Done():
	}
	if c.lane.withdraw(c) {
		return multicast.Sent{}, notSent(ctx.Err())
	}
	select {
	case <-c.done: // it came meanwhile
		return c.sent, c.err
	default:
		return multicast.Sent{}, fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
	}
}

// Bytes are how many the messages have.
func (c *Casting) Bytes() int { return c.bytes }

// Done is closed when Wait would not wait.
func (c *Casting) Done() <-chan struct{} { return c.done }

// A lane is the row of messages to be sent in one order.
type lane struct {
	group *Group
	id    multicast.Lane

	mu      sync.Mutex
	row     []*Casting
	waiting int           // size of the row
	busy    bool          // somebody sends
	room    chan struct{} // closed when the row gets shorter; nil while nobody waits for that
}

// enter puts messages at the end of the row, once there is room.
func (l *lane) enter(ctx context.Context, c *Casting) error {
	for {
		full := l.tryEnter(c)
		if full == nil {
			return nil
		}
		select {
		case <-full:
		case <-l.group.node.Done():
			return notSent(live.ErrStopped)
		case <-ctx.Done():
			return notSent(ctx.Err())
		}
	}
}

// tryEnter gives nil, or what is closed when there may be room.
func (l *lane) tryEnter(c *Casting) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting > 0 && l.waiting+c.size > l.group.opts.Queue {
		if l.room == nil {
			l.room = make(chan struct{})
		}
		return l.room
	}
	l.row = append(l.row, c)
	l.waiting += c.size
	l.start()
	return nil
}

// withdraw takes messages out of the row, if they are still there.
func (l *lane) withdraw(c *Casting) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.row, c)
	if i >= 0 {
		l.row = slices.Delete(l.row, i, i+1)
		l.shrink(c.size)
	}
	return i >= 0
}

// shrink says that the row has become shorter. The lock is held.
func (l *lane) shrink(size int) {
	l.waiting -= size
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
}

// start lets somebody send, if there is something to send, room on the way and nobody does. The lock is held.
func (l *lane) start() {
	if !l.busy && l.may() {
		l.busy = true
		go l.send()
	}
}

// may says whether the next batch may be sent. The lock is held.
func (l *lane) may() bool {
	under := int(l.group.under.Load())
	return len(l.row) > 0 && (under == 0 || under+l.row[0].size <= l.group.opts.Window)
}

// send sends batch after batch as long as it may.
func (l *lane) send() {
	for {
		b := l.take()
		if b == nil {
			return
		}
		wait, err := l.group.node.Begin(context.Background(), multicast.Cast{Order: l.id.Order, Uniform: l.id.Uniform, Payloads: b.payloads})
		if err != nil {
			l.settle(b, nil, notSent(err))
			continue
		}
		go func() {
			reply, err := wait(context.Background())
			l.settle(b, reply, err)
		}()
	}
}

// A batch is messages of several callers that are sent at once.
type batch struct {
	castings []*Casting
	payloads [][]byte
	size     int
}

// take takes the next batch from the row; nil if nothing may be sent now.
func (l *lane) take() *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.may() {
		l.busy = false
		return nil
	}
	n, size, messages := 0, 0, 0
	for _, c := range l.row {
		if n > 0 && size+c.size > l.group.opts.Batch {
			break
		}
		n, size, messages = n+1, size+c.size, messages+len(c.payloads)
	}
	b := &batch{castings: slices.Clone(l.row[:n]), size: size, payloads: l.row[0].payloads}
	if n > 1 {
		b.payloads = make([][]byte, 0, messages)
		for _, c := range b.castings {
			b.payloads = append(b.payloads, c.payloads...)
		}
	}
	clear(l.row[:n])
	if l.row = l.row[n:]; len(l.row) == 0 {
		l.row = nil
	}
	l.group.under.Add(int64(size))
	l.shrink(size)
	return b
}

// settle tells the callers what became of their messages.
func (l *lane) settle(b *batch, reply any, err error) {
	sent, err := outcome(reply, err)
	where := inOrder(sent)
	for _, c := range b.castings {
		if c.err = err; err == nil {
			c.sent = cutOff(&where, len(c.payloads))
			l.group.sent.add(l.id, len(c.payloads), c.bytes)
		}
		close(c.done)
	}
	l.group.under.Add(int64(-b.size))
	l.group.startAll()
}

// inOrder lists where messages stand, the first of them first: in each view that they were sent in there are some.
func inOrder(s multicast.Sent) (parts []multicast.Sent) {
	for p := &s; p != nil; p = p.Before {
		parts = append(parts, multicast.Sent{View: p.View, First: p.First, Count: p.Count})
	}
	slices.Reverse(parts)
	return parts
}

// cutOff takes so many messages off the front of a list, and says where they stand.
func cutOff(parts *[]multicast.Sent, count int) (sent multicast.Sent) {
	for len(*parts) > 0 && count > 0 {
		p := &(*parts)[0]
		n := min(count, p.Count)
		next := multicast.Sent{View: p.View, First: p.First, Count: n}
		if before := sent; before.Count > 0 {
			next.Before = &before
		}
		sent = next
		count -= n
		p.First, p.Count = p.First+uint64(n), p.Count-n
		if p.Count == 0 {
			*parts = (*parts)[1:]
		}
	}
	return sent
}

// startAll lets each lane send that may: there is more room on the way.
func (g *Group) startAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range g.lanes {
		l.mu.Lock()
		l.start()
		l.mu.Unlock()
	}
}

// outcome reads the reply to a Cast.
func outcome(reply any, err error) (multicast.Sent, error) {
	if errors.Is(err, live.ErrMaybe) {
		return multicast.Sent{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if err != nil {
		return multicast.Sent{}, err
	}
	switch r := reply.(type) {
	case multicast.Sent:
		return r, nil
	case multicast.Unknown:
		return multicast.Sent{}, fmt.Errorf("%w: %s", ErrUnknown, r.Why)
	default:
		return multicast.Sent{}, fmt.Errorf("member: the node answers %T", reply)
	}
}
