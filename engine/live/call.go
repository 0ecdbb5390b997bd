package live

import (
	"context"
	"fmt"
	"time"

	"ciranda.dev/engine/live/disk"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
	"ciranda.dev/transport"
)

// A Refused is the error of a call that the stack refused. It did not happen.
type Refused struct{ Why string }

func (r Refused) Error() string { return "live: refused: " + r.Why }

type call struct {
	body  any
	id    uint64   // once it has entered
	reply chan any // takes one
}

type ask struct {
	question, answer any
	ok               bool
	done             chan struct{}
}

// Call lets a request enter the stack at the top, once the stack is ready for it, and waits for the reply. The error
// is Refused; or ErrMaybe, wrapped, if the call had entered when ctx or the node ended; else it has not entered, and
// the error wraps that of ctx, or is ErrStopped.
func (n *Node) Call(ctx context.Context, body any) (any, error) {
	wait, err := n.Begin(ctx, body)
	if err != nil {
		return nil, err
	}
	return wait(ctx)
}

// Begin is the first half of Call: it returns when the request has entered, and gives the other half, which is called
// once. So requests can enter in an order, and none has to wait for the reply to the one before.
func (n *Node) Begin(ctx context.Context, body any) (wait func(context.Context) (any, error), err error) {
	c := &call{body: body, reply: make(chan any, 1)}
	select {
	case n.calls <- c:
		return func(ctx context.Context) (any, error) { return n.await(ctx, c) }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("live: the call was not begun: %w", ctx.Err())
	case <-n.done:
		return nil, ErrStopped
	}
}

// await waits for the reply to a call that has entered.
func (n *Node) await(ctx context.Context, c *call) (any, error) {
	select {
	case r := <-c.reply:
		return result(r)
	case <-ctx.Done():
		n.do(func() { delete(n.replies, c.id) })
	case <-n.done:
	}
	select {
	case r := <-c.reply: // it came meanwhile
		return result(r)
	default:
		return nil, fmt.Errorf("%w: %w", ErrMaybe, orStopped(ctx.Err()))
	}
}

func orStopped(err error) error {
	if err == nil {
		return ErrStopped
	}
	return err
}

func result(r any) (any, error) {
	if refused, ok := r.(protocol.Refused); ok {
		return nil, Refused{refused.Why}
	}
	return r, nil
}

// call is the step of a call.
func (n *Node) call(c *call) {
	now := time.Now()
	n.callID++
	c.id = n.callID
	n.replies[c.id] = c
	n.begin(now, trace.Event{Kind: trace.Call, Data: c.body})
	n.stack.Call(protocol.Call{ID: c.id, Body: c.body}, n.inputs(now), &n.out)
	n.carry()
}

// reply completes a call.
func (n *Node) reply(r protocol.Reply) {
	if c := n.replies[r.ID]; c != nil {
		delete(n.replies, r.ID)
		c.reply <- r.Body
	}
}

// Ask puts a question to the layers, from the top, between two steps. What the answer says may be ahead of the disk.
// A node that stands still does not answer.
func (n *Node) Ask(ctx context.Context, question any) (any, error) {
	a := &ask{question: question, done: make(chan struct{})}
	select {
	case n.asks <- a:
		<-a.done
	case <-ctx.Done():
		return nil, fmt.Errorf("live: node %d does not answer: %w", n.self.ID, ctx.Err())
	case <-n.done:
		return nil, ErrStopped
	}
	if !a.ok {
		return nil, fmt.Errorf("live: no layer of node %d answers %s", n.self.ID, protocol.Name(question))
	}
	return a.answer, nil
}

// do does something in the node's goroutine, between steps, and says whether it did.
func (n *Node) do(f func()) bool {
	finished := make(chan struct{})
	select {
	case n.control <- func() { f(); close(finished) }:
		<-finished
		return true
	case <-n.done:
		return false
	}
}

// Stats count what a node did in this life.
type Stats struct {
	Steps    uint64            // handlers' runs
	Sent     uint64            // messages
	Received uint64            // messages that reached the stack
	Dropped  map[string]uint64 // messages, by the reasons that the trace gives
	Refused  uint64            // connections that the transport turned away
	Fired    uint64            // timers that expired
	Late     time.Duration     // by how much they did so too late, in all
}

// A Status is how a node is now.
type Status struct {
	Self        protocol.Self
	Lamport     uint64
	Waiting     int  // outputs that wait for the disk
	DiskStalled bool // a write is older than the limit
	Frozen      bool // it stands still
	Timers      int  // armed
	Stats       Stats
	Peers       []Peer // by id
	Transport   transport.Stats
	Disk        disk.Stats // zero without a disk
	State       string     // the layers, for people
}

// A Peer is another node as this one's transport sees it.
type Peer struct {
	ID          protocol.ID
	Incarnation protocol.Incarnation // the last known; 0 if none
	Connected   bool
	API         string // its gRPC port
}

// Status says how the node is. A node that stands still answers too.
func (n *Node) Status() (Status, error) {
	var s Status
	if !n.do(func() { s = n.status() }) {
		return Status{}, ErrStopped
	}
	return s, nil
}

func (n *Node) status() Status {
	s := Status{Self: n.self, Lamport: n.lamport.Time(), Waiting: n.gate.len(), DiskStalled: n.stalled, Frozen: n.frozen,
		Timers: len(n.timers.heap), Stats: n.stats, Transport: n.transport.Stats(), State: n.stack.String()}
	s.Stats.Refused = n.refused.Load()
	s.Stats.Dropped = map[string]uint64{}
	for reason, count := range n.stats.Dropped {
		s.Stats.Dropped[reason] = count
	}
	if n.cfg.Disk != nil {
		s.Disk = n.cfg.Disk.Stats()
	}
	for _, id := range n.self.Group {
		if p := n.shim.peers[id]; p != nil {
			s.Peers = append(s.Peers, Peer{ID: id, Incarnation: p.inc, Connected: p.up, API: p.api})
		}
	}
	return s
}
