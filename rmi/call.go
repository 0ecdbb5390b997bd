package rmi

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ciranda.dev/protocol/invocation"
)

// A call is one that is executed here, and the context of its execution.
type call struct {
	peer   *Peer
	rid    invocation.RID
	root   invocation.RID
	path   []hop       // what led to it, this call last
	copy   *call       // another execution of the same, which may be repeated
	orphan atomic.Bool // its caller is gone: it may call nobody any more
	ends   time.Time   // zero: never

	mu    sync.Mutex
	done  chan struct{}
	err   error
	timer *time.Timer
	after map[*func()]bool // what is to be done once it is over
}

func newCall(p *Peer, r *invocation.Request) *call {
	c := &call{peer: p, rid: r.RID, root: r.Root}
	if r.Budget < 1<<62 {
		c.ends = time.Now().Add(r.Budget)
	}
	return c
}

// A hop is one call of those that led to another.
type hop struct {
	RID  wireRID `cbor:"r"`
	Text string  `cbor:"t"` // such as "Account.Deposit on node 3"
}

type wireRID struct {
	_           struct{} `cbor:",toarray"`
	Client      ID
	Incarnation uint64
	Seq         uint64
}

const maxPath = 64 // calls that led to one another

// callKey is where a context has the call that it is of.
type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// Caller is who made the call that a context is of. Outside of calls, and in calls of an object of this very node, it is nil.
func Caller(ctx context.Context) *Peer {
	if c := callOf(ctx); c != nil {
		return c.peer
	}
	return nil
}

// Request is the id of the call that a context is of, the same for every copy of its request. Outside of calls it is zero. Who does two
// things within one call needs two ids.
func Request(ctx context.Context) invocation.RID {
	if c := callOf(ctx); c != nil {
		return c.rid
	}
	return invocation.RID{}
}

// Deadline is when the caller stops waiting.
func (c *call) Deadline() (time.Time, bool) { return c.ends, !c.ends.IsZero() }

// Done is closed when the caller stops waiting, or is gone.
func (c *call) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watch()
	return c.done
}

// watch sees to it that done is closed. Most calls never ask. The caller holds the lock.
func (c *call) watch() {
	if c.done != nil {
		return
	}
	c.done = make(chan struct{})
	switch {
	case c.err != nil:
		close(c.done)
	case !c.ends.IsZero():
		c.timer = time.AfterFunc(time.Until(c.ends), func() { c.finish(context.DeadlineExceeded) })
	}
}

// Err is why it is over.
func (c *call) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && !c.ends.IsZero() && !time.Now().Before(c.ends) {
		return context.DeadlineExceeded
	}
	return c.err
}

// Value gives the call itself.
func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return nil
}

// AfterFunc has f done in a goroutine of its own once the call is over. Package context asks for it.
func (c *call) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	c.watch()
	if c.after == nil {
		c.after = map[*func()]bool{}
	}
	key := &f
	c.after[key] = true
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		defer delete(c.after, key)
		return c.after[key]
	}
}

// finish ends the context.
func (c *call) finish(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.done != nil {
		close(c.done)
	}
	for f := range c.after {
		go (*f)()
	}
	c.after = nil
}

// leads says whether the call of an id led to this one.
func (c *call) leads(rid invocation.RID) bool {
	return slices.ContainsFunc(c.path, func(h hop) bool {
		return h.RID.Client == rid.Client && h.RID.Incarnation == rid.Incarnation && h.RID.Seq == rid.Seq
	})
}

// invoke calls an object that is elsewhere, with encoded arguments. The caller frees the waiter.
func (r *Remote) invoke(ctx context.Context, op uint32, s Semantics, args []byte) *waiter {
	if r.released.Load() {
		return r.peer.node.released()
	}
	c := invocation.Call{Semantics: s, Op: op}
	within := callOf(ctx)
	var path []hop
	if within != nil {
		if within.orphan.Load() {
			w := r.peer.node.waiters.Get().(*waiter)
			w.outcome = invocation.Outcome{Status: invocation.SessionEnd, Knowledge: invocation.NotExecuted}
			return w
		}
		c.Root, c.Parent, path = within.root, within.rid, within.path
	}
	c.Args = appendTarget(make([]byte, 0, len(args)+32), r.ref, path)
	c.Args = append(c.Args, args...)
	return r.peer.call(ctx, &c)
}

// released is the end of a call by a stub that was released.
func (n *Node) released() *waiter {
	_, why := encodeError(&Error{Kind: NoObject, Happened: No, Text: "the stub was released"})
	w := n.waiters.Get().(*waiter)
	w.outcome = invocation.Outcome{Status: invocation.Refused, Knowledge: invocation.NotExecuted, Result: why}
	return w
}

// appendTarget adds which object is called, and what led to the call.
func appendTarget(b []byte, to Ref, path []hop) []byte {
	b = append(b, to.Object[:]...)
	b = binary.AppendUvarint(b, to.Incarnation)
	if len(path) == 0 {
		return binary.AppendUvarint(b, 0)
	}
	p, err := encMode.Marshal(path)
	if err != nil {
		panic("rmi: " + err.Error()) // a path is numbers and texts
	}
	return append(binary.AppendUvarint(b, uint64(len(p))), p...)
}

// A target is what a request calls.
type target struct {
	object      invocation.ObjectID
	incarnation uint64
	path        []hop
	args        []byte
}

func readTarget(b []byte) (t target, err error) {
	d := reader{b: b}
	d.bytes(t.object[:])
	t.incarnation = d.number()
	size := d.number()
	if d.failed || size > uint64(len(d.b)) {
		return t, errShort
	}
	if size > 0 {
		if err := decMode.Unmarshal(d.b[:size], &t.path); err != nil {
			return t, fmt.Errorf("what led to the call cannot be read: %w", err)
		}
	}
	t.args = d.b[size:]
	return t, nil
}
