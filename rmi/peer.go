package rmi

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ciranda.dev/pki"
	"ciranda.dev/protocol/dgc"
	"ciranda.dev/protocol/invocation"
)

// A Peer is another node, as this one sees it.
type Peer struct {
	node     *Node
	id       ID
	conn     atomic.Pointer[conn] // the connection in use; nil if there is none
	left     atomic.Bool          // the node knows it no more: another Peer takes its place if it comes back
	working  atomic.Int64         // calls of the peer that are executed here
	carried  atomic.Int64         // the bytes of their requests
	dialedAt atomic.Value         // the address that a program dialed it at
	asking   atomic.Int64         // calls of this node that are executed there

	mu       sync.Mutex // of what follows
	identity pki.Identity
	client   *invocation.Client // nil before the first call
	lives    uint64             // of clients so far
	effects  []invocation.ClientEffect
	waiting  map[uint64]*waiter
	room     chan struct{} // closed when there is room for another call; nil if nobody waits for that
	conns    []*conn
	life     uint64 // the newest of the peer that connected
	address  string // where to dial it; empty if that is not known
	dialing  bool
	expected int   // connections that are about to be there
	session  bool  // it has a session here
	gone     bool  // that ended, and it has not come back
	nowhere  bool  // nobody knows where to dial it
	trouble  error // why there is no connection
	alarm    alarm

	holder   *dgc.Holder // of references to the peer's objects; nil if there never was one
	heldLife uint64      // the life of the peer that they are of
	holds    map[invocation.ObjectID]*hold
	remotes  uint64   // so many were given out so far
	arrived  []uint64 // transfers that the peer is to be thanked for
	tidying  bool     // a goroutine tells the peer of all that
}

// ID is the peer's id.
func (p *Peer) ID() ID { return p.id }

// Identity is whose certificate the peer has shown. Where connections are plain it is an operator named secret; before there was a
// connection it is nobody.
func (p *Peer) Identity() pki.Identity {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.identity
}

// Echo has the peer give back some bytes, to see whether and how fast it answers.
func (p *Peer) Echo(ctx context.Context, payload []byte) ([]byte, error) {
	return p.node.rootOf(p.id).Echo(ctx, payload)
}

// vouches says whether the peer is believed what it says of calls that others began: members of a cluster are, since what they say can have
// calls of those others refused. Of other peers the call is taken to be one of their own.
func (p *Peer) vouches() bool {
	return p.node.opts.Credentials == nil || p.id.Node() != 0 || p.Identity().Role >= pki.Gateway
}

// Node is the node that sees it.
func (p *Peer) Node() *Node { return p.node }

// String is like "node 3".
func (p *Peer) String() string { return p.id.String() }

func (p *Peer) current() *conn { return p.conn.Load() }

// Peer is a node by its id. It need not be connected, or exist.
func (n *Node) Peer(id ID) *Peer { return n.peer(id) }

// peer gives the peer of an id.
func (n *Node) peer(id ID) *Peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peers[id]
	if p == nil {
		p = &Peer{node: n, id: id, waiting: map[uint64]*waiter{}}
		p.alarm.ring = p.expire
		n.peers[id] = p
	}
	return p
}

// locked gives the peer of an id, and its lock.
func (n *Node) locked(id ID) *Peer {
	for {
		p := n.peer(id)
		p.mu.Lock()
		if !p.left.Load() {
			return p
		}
		p.mu.Unlock()
	}
}

// A waiter waits for the end of a call.
type waiter struct {
	node    *Node
	done    chan struct{} // gets one value when the call is over
	outcome invocation.Outcome
	body    *buffer // of which the result is part
}

// free gives up the outcome's result.
func (w *waiter) free() {
	if w.body != nil {
		w.body.free()
	}
	w.body, w.outcome = nil, invocation.Outcome{}
	w.node.waiters.Put(w)
}

// call makes a call and waits for its end, or for that of the context. The caller frees the waiter after use. If the session turns out
// to be over before the call was sent, it is made in the next.
func (p *Peer) call(ctx context.Context, c *invocation.Call) *waiter {
	for {
		w := p.callOnce(ctx, c)
		if o := &w.outcome; o.Status != invocation.SessionEnd || o.Knowledge != invocation.NotExecuted || p.node.ctx.Err() != nil || ctx.Err() != nil {
			return w
		}
		w.free()
	}
}

func (p *Peer) callOnce(ctx context.Context, c *invocation.Call) *waiter {
	p.asking.Add(1)
	defer p.asking.Add(-1)
	w := p.node.waiters.Get().(*waiter)
	var out outbox
	p.mu.Lock()
	if p.left.Load() {
		p.mu.Unlock()
		p.node.waiters.Put(w)
		return p.node.peer(p.id).callOnce(ctx, c)
	}
	if err := p.wait(ctx); err != nil {
		p.mu.Unlock()
		w.outcome = invocation.Outcome{Status: invocation.Deadline, Knowledge: invocation.NotExecuted}
		return w
	}
	c.Seq = p.node.seq.Add(1)
	p.waiting[c.Seq] = w
	now := p.node.now()
	c.Deadline = now + p.node.opts.Timeout
	if end, ok := ctx.Deadline(); ok {
		c.Deadline = max(now+time.Until(end), 1)
	}
	woken := p.apply(now, p.client.Call(now, c, p.effects[:0]), &out)
	p.ensure()
	p.mu.Unlock()
	out.send(true)
	wake(woken)
	select {
	case <-w.done:
	case <-ctx.Done():
		p.cancel(c.Seq)
		<-w.done
	}
	return w
}

// busy says whether several calls are under way, one way or the other.
func (p *Peer) busy() bool { return p.asking.Load() > 1 || p.working.Load() > 1 }

// wait gives the caller, who holds the lock, a client with room for a call.
func (p *Peer) wait(ctx context.Context) error {
	for {
		if p.client == nil || p.client.Over() {
			p.begin()
		}
		if p.client.Room() {
			return nil
		}
		if p.room == nil {
			p.room = make(chan struct{})
		}
		room := p.room
		p.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
		}
		p.mu.Lock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// begin begins a life as the peer's client. Each has a number above those before it, in former lives of the node too.
func (p *Peer) begin() {
	p.client = invocation.NewClient(p.node.id, invocation.Life(p.node.life, p.lives), p.node.opts.Session)
	p.lives++
	if c := p.current(); c != nil {
		p.linked(c)
	}
}

// linked tells the client of a connection. It says hello once it has something to ask.
func (p *Peer) linked(c *conn) {
	if p.client == nil {
		return
	}
	var out outbox
	now := p.node.now()
	wake(p.apply(now, p.client.Connected(now, !p.node.lossy, p.effects[:0]), &out))
	out.send(false)
}

// apply does what the client wants: frames go to the outbox. It gives those whose calls are over. The caller holds the lock.
func (p *Peer) apply(now time.Duration, effects []invocation.ClientEffect, out *outbox) (woken []*waiter) {
	out.to(p.current())
	for i := range effects {
		switch e := &effects[i]; e.Kind {
		case invocation.SendRequest:
			out.b = appendRequest(out.b, e.Request)
		case invocation.Tell:
			out.b = appendSignal(out.b, &e.Signal)
		case invocation.Return:
			if w := p.waiting[e.Outcome.RID.Seq]; w != nil {
				delete(p.waiting, e.Outcome.RID.Seq)
				w.outcome = e.Outcome
				woken = append(woken, w)
			}
		case invocation.Lost: // the owner has forgotten who holds what
			if p.holder != nil && p.holder.Len() > 0 {
				p.holder.Anew()
				p.tidy()
			}
		}
	}
	clear(effects)
	p.effects = effects
	if p.room != nil && p.client.Room() {
		close(p.room)
		p.room = nil
	}
	p.alarm.set(now, p.client.Next())
	return woken
}

func wake(waiters []*waiter) {
	for _, w := range waiters {
		w.done <- struct{}{}
	}
}

// reply takes a reply that came.
func (p *Peer) reply(r *invocation.Reply, body *buffer) {
	var out outbox
	p.mu.Lock()
	if p.client == nil {
		p.mu.Unlock()
		body.free()
		return
	}
	now := p.node.now()
	woken := p.apply(now, p.client.Reply(now, r, p.effects[:0]), &out)
	p.mu.Unlock()
	if len(woken) == 1 {
		woken[0].body = body
	} else {
		body.free()
	}
	out.send(false)
	wake(woken)
}

// tell gives the client an input, if there is one.
func (p *Peer) tell(input func(c *invocation.Client, now time.Duration, out []invocation.ClientEffect) []invocation.ClientEffect) {
	var out outbox
	p.mu.Lock()
	if p.client == nil {
		p.mu.Unlock()
		return
	}
	now := p.node.now()
	woken := p.apply(now, input(p.client, now, p.effects[:0]), &out)
	p.mu.Unlock()
	out.send(false)
	wake(woken)
}

func (p *Peer) signal(g invocation.Signal) {
	p.tell(func(c *invocation.Client, now time.Duration, out []invocation.ClientEffect) []invocation.ClientEffect {
		return c.Signal(now, g, out)
	})
}

func (p *Peer) cancel(seq uint64) {
	p.tell(func(c *invocation.Client, now time.Duration, out []invocation.ClientEffect) []invocation.ClientEffect {
		return c.Cancel(now, seq, out)
	})
}

func (p *Peer) bye() {
	p.tell((*invocation.Client).Bye)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alarm.stop()
}

// expire lets the client see that time has passed. A connection over which nothing comes, though pings were sent, is given up.
func (p *Peer) expire() {
	if c := p.current(); c != nil && p.silent(c, p.node.lease()/2+answerTime) {
		c.close(errSilent)
	}
	p.tell(func(c *invocation.Client, now time.Duration, out []invocation.ClientEffect) []invocation.ClientEffect {
		p.alarm.rung()
		return c.Expire(now, out)
	})
}

// answerTime is how long the answer to a ping may take.
const answerTime = 3 * time.Second

var errSilent = errors.New("the other end is silent")

// silent says whether nothing came over a connection for so long.
func (p *Peer) silent(c *conn, length time.Duration) bool {
	return p.node.now()-time.Duration(c.heard.Load()) > length
}

// attach adds a connection.
func (p *Peer) attach(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble, p.gone = nil, false
	p.nowhere = false
	p.expected--
	if c.life > p.life {
		p.life = c.life
		if p.holder != nil && p.heldLife < p.life {
			p.turnTo(p.life)
		}
		for _, old := range p.conns {
			old.close(errors.New("the peer has a new life"))
		}
	}
	c.heard.Store(int64(p.node.now()))
	p.conns = append(p.conns, c)
	p.tidy()
	if old := p.current(); old == nil || old.life < c.life {
		p.conn.Store(c)
		p.linked(c)
	}
}

// detach takes away one that ended.
func (p *Peer) detach(c *conn, why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = slices.DeleteFunc(p.conns, func(o *conn) bool { return o == c })
	if p.current() != c {
		return
	}
	p.trouble = why
	if p.client != nil {
		p.client.Disconnected()
	}
	if len(p.conns) > 0 {
		p.conn.Store(p.conns[0])
		p.linked(p.conns[0])
		return
	}
	p.conn.Store(nil)
	p.ensure()
	p.leave()
}

// ensure sees to it that there will be a connection, if one is needed. The caller holds the lock.
func (p *Peer) ensure() {
	if p.current() != nil || p.dialing || !p.needed() {
		return
	}
	p.dialing = p.node.goes(p.redial)
}

// sessionBegins says that the peer has a session here, and sessionOver that it has none any more.
func (p *Peer) sessionBegins() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.session = true
}

func (p *Peer) sessionOver() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.session, p.gone = false, p.current() == nil
	for _, c := range p.conns {
		if p.silent(c, p.node.lease()) {
			go c.close(errSilent)
		}
	}
	p.leave()
}

// leave has the node forget the peer, if there is nothing to remember. The caller holds the lock.
func (p *Peer) leave() {
	if p.session || len(p.conns) > 0 || p.expected > 0 || p.dialing || p.tidying || p.needed() || p.address != "" || p.left.Load() {
		return
	}
	p.left.Store(true)
	p.alarm.stop()
	p.node.mu.Lock()
	defer p.node.mu.Unlock()
	delete(p.node.peers, p.id)
}

// goes starts a goroutine that Close waits for, unless the node is closed.
func (n *Node) goes(f func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over {
		return false
	}
	n.work.Go(f)
	return true
}
