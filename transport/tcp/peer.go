package tcp

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/transport"
)

// A life is one incarnation of a node, and the process that it is.
type life struct {
	incarnation protocol.Incarnation
	process     [16]byte
}

// A peer is another node of the group.
//
// Of two nodes that dial each other at once, the one with the higher number decides which connection they use. It
// counts its decisions: the epoch. The other end takes the connection of the highest epoch that it has heard of, and
// when it dials it says which epoch it last had. So the one who decides can tell a node that has lost the present
// connection from one that has not heard of it yet. Nothing is sent on a connection before both ends agree on it.
type peer struct {
	t  *Transport
	id protocol.ID

	wake    chan struct{} // something changed for the goroutine that dials
	calls   sync.Mutex    // held while the handler is called about this peer
	hasRoom atomic.Bool   // the handler should be told of room

	mu       sync.Mutex
	address  string
	life     life // the newest that proved itself
	conn     *conn
	last     *conn // the newest connection, even if it is over
	epoch    uint64
	since    time.Time     // of the last epoch decided here
	proposal bool          // a connection of that epoch was proposed, and is not answered yet
	over     time.Duration // how long the connection lasted that has just ended
	lost     bool          // a connection ended, and no redial has been refused since
	asked    bool          // Redial was called
}

// arbiter says whether this end decides.
func (p *peer) arbiter() bool { return p.t.self > p.id }

// judge says why a life must not be talked to, if it must not.
func (p *peer) judge(g greeting) error {
	known := p.life
	switch {
	case known.incarnation == 0:
		return nil
	case g.Incarnation < known.incarnation:
		return fmt.Errorf("node %d comes in incarnation %d, and %d has been seen", p.id, g.Incarnation, known.incarnation)
	case g.Incarnation == known.incarnation && g.process != known.process:
		return fmt.Errorf("another process is node %d in its incarnation %d: a duplicate id, or a restart without a new incarnation", p.id, g.Incarnation)
	}
	return nil
}

// adopt takes a life that has proved itself as the present one.
func (p *peer) adopt(g greeting) error {
	if p.t.closing.Load() {
		return net.ErrClosed
	}
	if err := p.judge(g); err != nil {
		return refuse(err)
	}
	if p.life.incarnation == g.Incarnation {
		return nil
	}
	p.life = life{g.Incarnation, g.process}
	p.epoch = 0
	if p.conn != nil {
		p.conn.supersede()
		p.conn = nil
	}
	return nil
}

// propose gives the epoch that a dialer's proof names: its decision, or the last that it had.
func (p *peer) propose(g greeting) (uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.adopt(g); err != nil {
		return 0, err
	}
	if p.conn != nil {
		return 0, errDuplicate
	}
	if p.arbiter() {
		p.decided()
		p.proposal = true
	}
	return p.epoch, nil
}

// proposed ends a proposal, whatever became of it.
func (p *peer) proposed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.proposal = false
}

func (p *peer) decided() {
	p.epoch++
	p.since = time.Now()
}

// agree takes a connection that this end dialed and the other end has welcomed.
func (p *peer) agree(c *conn, epoch uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.adopt(c.theirs); err != nil {
		return err
	}
	if p.arbiter() && epoch != p.epoch || !p.arbiter() && epoch <= p.epoch {
		return errDuplicate
	}
	p.use(c, epoch)
	return nil
}

// decide takes a connection that the other end dialed.
func (p *peer) decide(c *conn, epoch uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.adopt(c.theirs); err != nil {
		return err
	}
	if !p.arbiter() {
		if epoch <= p.epoch {
			return errDuplicate
		}
		p.use(c, epoch)
		return nil
	}
	busy := p.conn != nil || p.proposal
	if busy && epoch < p.epoch && time.Since(p.since) < p.t.options.HandshakeTimeout {
		return errDuplicate
	}
	p.decided()
	p.use(c, p.epoch)
	return nil
}

// use makes c the connection.
func (p *peer) use(c *conn, epoch uint64) {
	if p.conn != nil {
		p.conn.supersede()
	}
	c.epoch, c.previous = epoch, p.last
	p.conn, p.last, p.epoch = c, c, epoch
	p.rouse()
}

// ended says that c is over.
func (p *peer) ended(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == c {
		p.conn = nil
		p.lost = true
		p.over = max(1, time.Since(c.began))
	}
}

// call calls the handler. For one peer it is called by one goroutine at a time.
func (p *peer) call(what func(transport.Handler)) {
	p.calls.Lock()
	what(p.t.config.Handler)
	p.calls.Unlock()
	p.tellRoom()
}

// room has the handler told of room: now, or after the call that it is busy with. So the writer never waits for it.
func (p *peer) room() {
	p.hasRoom.Store(true)
	p.tellRoom()
}

func (p *peer) tellRoom() {
	for p.hasRoom.Load() && p.calls.TryLock() {
		if p.hasRoom.Swap(false) && !p.t.closing.Load() {
			p.t.config.Handler.Room(p.id)
		}
		p.calls.Unlock()
	}
}

func (p *peer) rouse() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// dial is the goroutine that sees that there is a connection, if the peer's address is known. A connection that is
// lost is redialed at once, unless it has not even lasted as long as the pause would be.
func (p *peer) dial() {
	pause := backoff{least: p.t.options.RetryMin, most: p.t.options.RetryMax}
	for p.t.context.Err() == nil {
		address, over := p.target()
		switch {
		case address == "":
			p.pause(-1)
		case over > 0 && !pause.forget(over):
			p.pause(pause.next())
		default:
			p.try(address, &pause)
		}
	}
}

// try dials once, and pauses if that fails.
func (p *peer) try(address string, pause *backoff) {
	err := p.attempt(address)
	if err == nil {
		return
	}
	if refusedByPeer(err) {
		p.hint()
	}
	if isRefusal(err) {
		p.t.refused(address, err)
		pause.longest() // it will hardly be mended sooner
	}
	p.pause(pause.next())
}

// A backoff gives pauses that double, with a random half left out.
type backoff struct{ least, most, now time.Duration }

func (b *backoff) next() time.Duration {
	d := max(b.now, b.least)
	b.now = min(2*d, b.most)
	return d/2 + rand.N(d/2+1)
}

func (b *backoff) longest() { b.now = b.most }

// forget begins anew after a connection that has lasted long enough.
func (b *backoff) forget(lasted time.Duration) bool {
	if lasted < max(b.now, b.least) {
		return false
	}
	b.now = 0
	return true
}

// target is where to dial, if that is to be done, and how long the connection lasted if one has just ended.
func (p *peer) target() (address string, over time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil {
		return "", 0
	}
	over, p.over = p.over, 0
	return p.address, over
}

// pause waits until something changes or d has passed; without end if d is negative.
func (p *peer) pause(d time.Duration) {
	var expired <-chan time.Time
	if d >= 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-p.wake:
	case <-expired:
	case <-p.t.context.Done():
	}
}

func (p *peer) attempt(address string) error {
	ctx, cancel := context.WithTimeout(p.t.context, p.t.options.HandshakeTimeout)
	defer cancel()
	nc, err := p.t.dialer(ctx, address)
	if err != nil {
		return err
	}
	defer context.AfterFunc(p.t.context, func() { nc.Close() })()
	nc.SetDeadline(time.Now().Add(p.t.options.HandshakeTimeout))
	h := p.t.handshake(nc)
	if err = h.dial(p); err != nil {
		h.linger()
		h.net.Close()
	}
	return err
}

// hint tells the handler that a redial was refused: the first since a connection was lost, and any that it asked for.
func (p *peer) hint() {
	p.mu.Lock()
	due := (p.lost || p.asked) && p.life.incarnation != 0
	p.lost, p.asked = false, false
	p.mu.Unlock()
	if !due || p.t.closing.Load() {
		return
	}
	p.call(func(h transport.Handler) {
		p.mu.Lock()
		known, connected := p.life.incarnation, p.conn != nil
		p.mu.Unlock()
		if !connected {
			h.Down(p.id, known)
		}
	})
}

// redial has the next attempt made now.
func (p *peer) redial() {
	p.mu.Lock()
	due := p.conn == nil
	p.asked = p.asked || due
	p.mu.Unlock()
	if due {
		p.rouse()
	}
}

func (p *peer) setAddress(address string) {
	p.mu.Lock()
	p.address = address
	p.mu.Unlock()
	p.rouse()
}

// current is the connection, or nil.
func (p *peer) current() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conn
}
