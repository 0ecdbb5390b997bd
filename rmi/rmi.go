// Package rmi calls objects of other processes as if they were near, and does not hide that they are not.
//
// A remote interface is a Go interface whose methods take a context first and give an error last, marked //rmi:remote. The generator
// in rmigen writes what it takes to call and to serve it. [Interface.Export] lets others call an object of this process,
// [Interface.Lookup] finds one by name, and what it gives is called like any Go value. Data goes by value; a parameter
// whose type is a remote interface goes by reference, and calls to it come back over the same connection.
//
//	node, err := rmi.Dial(ctx, "127.0.0.1:7000", rmi.Options{Secret: secret})
//	account, err := bank.AccountRemote.Lookup(ctx, node, "bank/alice")
//	balance, err := account.Deposit(ctx, 500)
//
// A call that returns without an error was executed once (see [Semantics] for what a contract may choose instead). One that
// fails with an [*Error] says whether it happened: yes, no, or perhaps. Nothing is executed twice because a connection broke
// or a server was restarted. Every call has a deadline, 5 s if its context has none. The error of a method comes back as itself if it
// was registered, else as its text ([RegisterError]). A panic in a method becomes an error of its caller.
//
// What is not promised. Calls that are made at the same time are executed in any order. A reference to an object of a process that
// was restarted is of no use any more. A caller's silence for ten seconds ends its session: what it refers to may be
// collected then, and later calls say so. References that go round between processes are not collected.
//
// A. D. Birrell, G. Nelson, S. Owicki, E. Wobber, Network Objects, SOSP 1993. J. Waldo, G. Wyant, A. Wollrath, S. Kendall, A Note on
// Distributed Computing, 1994, says what must not be hidden.
package rmi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"ciranda.dev/pki"
	"ciranda.dev/protocol/dgc"
	"ciranda.dev/protocol/invocation"
)

// An ID names a node: a member of a cluster, or any program that calls or is called.
type ID = invocation.ClientID

// Options are how a [Node] is. Either Credentials or Secret must be there; the rest may be left out.
type Options struct {
	// Credentials make connections secure: TLS 1.3, with a certificate of the cluster from both ends.
	Credentials *pki.Credentials
	// Secret makes connections plain: both ends prove that they have it, and all that follows can be read and changed on its way.
	Secret []byte

	// ID and Life are the node's, if it is a member of a cluster. Others get an id and a life that nobody had before.
	ID   ID
	Life uint64

	// Timeout is the time of a call whose context has no deadline. Zero means 5 s.
	Timeout time.Duration
	// Resolve gives the address of a node, for references to objects of nodes that there is no connection with. Nil: the node that was
	// dialed is asked.
	Resolve func(context.Context, ID) (address string, err error)
	// Dial makes a connection to an address. Nil: over TCP. What secures it is added by the node.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Names are where names are kept. Nil: at the node that Keeper gives. With either, callers from elsewhere must be operators, gateways
	// or nodes to change names.
	Names Names
	// Keeper says which node keeps names. Nil: one that was dialed and is connected; a node that dialed none keeps its own.
	Keeper func() (ID, error)
	// SessionOver is told that this node ended the session of a caller, in a life of it as references have it. It must not wait. Nil:
	// nobody is told.
	SessionOver func(caller ID, life uint64)
	// Log gets what nobody is told otherwise: panics, connections that are refused. Nil: nothing is logged.
	Log *slog.Logger

	// Session are the figures of sessions and leases; see [invocation.Options].
	Session invocation.Options
}

// A Node is this process's place among those that call each other. It may be used by many goroutines at once.
type Node struct {
	opts  Options
	id    ID
	life  uint64
	start time.Time
	seq   atomic.Uint64
	log   *slog.Logger

	lossy   bool            // connections lose and double frames: tests have it
	manual  bool            // stubs are released by hand alone: tests in bubbles of time have it, which the garbage collector is outside of
	ctx     context.Context // ends when the node is closed
	cancel  context.CancelFunc
	close   sync.Once
	work    sync.WaitGroup // goroutines
	jobs    chan job
	waiters sync.Pool    // of waiters
	idle    atomic.Int64 // goroutines that wait for jobs

	mu        sync.Mutex // of what follows
	peers     map[ID]*Peer
	listeners map[net.Listener]bool
	open      map[net.Conn]bool
	dialed    []ID // nodes whose address a program gave
	names     *localNames
	offers    map[string]Ref
	over      bool

	serving sync.Mutex // of what follows
	server  *invocation.Server
	effects []invocation.ServerEffect
	running map[invocation.RID]*call
	alarm   alarm

	exports exports
}

// New makes a node that has no connections yet.
func New(o Options) (*Node, error) {
	if (o.Credentials == nil) == (len(o.Secret) == 0) {
		return nil, errors.New("rmi: found neither credentials nor a secret, or both; expected one of them")
	}
	if err := o.Session.Validate(); err != nil {
		return nil, err
	}
	if o.Timeout < 0 {
		return nil, fmt.Errorf("rmi: found the timeout %v; expected more than 0", o.Timeout)
	}
	n := &Node{opts: o, id: o.ID, life: o.Life, start: time.Now(), log: o.Log, jobs: make(chan job),
		peers: map[ID]*Peer{}, listeners: map[net.Listener]bool{}, open: map[net.Conn]bool{}, running: map[invocation.RID]*call{}, offers: map[string]Ref{}}
	n.waiters.New = func() any { return &waiter{node: n, done: make(chan struct{}, 1)} }
	n.ctx, n.cancel = context.WithCancel(context.Background())
	if n.opts.Timeout == 0 {
		n.opts.Timeout = 5 * time.Second
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if n.id == (ID{}) {
		rand.Read(n.id[:])
	}
	if n.life == 0 {
		n.life = uint64(time.Now().UnixNano()) >> 20
	}
	if n.opts.Session.Grace == 0 { // no failure of the network that is shorter than a lease ends a session
		n.opts.Session.Grace = o.Session.WithDefaults().Lease/2 + mostWait
	}
	n.server = invocation.NewServer(n.life, n.opts.Session)
	n.alarm.ring = n.expire
	n.exports.objects = map[invocation.ObjectID]*object{}
	n.exports.ids = map[exportedKey]invocation.ObjectID{}
	lease := o.Session.WithDefaults().Lease
	n.exports.owner, n.exports.pins = dgc.NewOwner(dgc.Options{}), dgc.NewPins[pinned](dgc.Options{Pin: 2 * lease})
	n.exports.alarm.ring = n.expirePins
	n.export(invocation.ObjectID{}, &rootInterface.core, newRoot(n))
	return n, nil
}

// Listen makes a node that others can connect to at an address.
func Listen(address string, o Options) (*Node, error) {
	n, err := New(o)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("rmi: %w", err)
	}
	n.Serve(l)
	return n, nil
}

// Dial makes a node that is connected to the one at an address. It looks names up there.
func Dial(ctx context.Context, address string, o Options) (*Node, error) {
	n, err := New(o)
	if err != nil {
		return nil, err
	}
	if _, err := n.Connect(ctx, address); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// ID is the node's id.
func (n *Node) ID() ID { return n.id }

// Life is the number of the node's life. References to its objects carry it.
func (n *Node) Life() uint64 { return n.life }

// Addr is where the node listens; nil if it does not.
func (n *Node) Addr() net.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	for l := range n.listeners {
		return l.Addr()
	}
	return nil
}

// now is the time on the clock of the node's sessions.
func (n *Node) now() time.Duration { return time.Since(n.start) }

// lease is that of sessions.
func (n *Node) lease() time.Duration { return n.opts.Session.WithDefaults().Lease }

// errClosed is why nothing works at a closed node.
var errClosed = errors.New("the node is closed")

// Close ends the node: it says goodbye, closes its connections, cancels what is executed, and waits for the ends of it. Calls under
// way fail.
func (n *Node) Close() {
	n.close.Do(func() {
		n.mu.Lock()
		n.over = true
		n.cancel()
		peers := make([]*Peer, 0, len(n.peers))
		for _, p := range n.peers {
			peers = append(peers, p)
		}
		for l := range n.listeners {
			l.Close()
		}
		n.mu.Unlock()
		for _, p := range peers {
			p.bye()
		}
		n.mu.Lock()
		for c := range n.open {
			c.Close()
		}
		n.mu.Unlock()
		n.serving.Lock()
		for _, c := range n.running {
			for ; c != nil; c = c.copy {
				c.finish(context.Canceled)
			}
		}
		n.alarm.stop()
		n.serving.Unlock()
		n.exports.mu.Lock()
		n.exports.alarm.stop()
		n.exports.mu.Unlock()
	})
	n.work.Wait()
}

// served gives the server an input, and does what comes of it.
func (n *Node) served(p *Peer, input func(*invocation.Server, time.Duration, []invocation.ServerEffect) []invocation.ServerEffect, patient bool) {
	var out outbox
	n.serving.Lock()
	now := n.now()
	n.effects = input(n.server, now, n.effects[:0])
	for i := range n.effects {
		n.effect(p, &n.effects[i], &out)
	}
	clear(n.effects)
	n.alarm.set(now, n.server.Next())
	n.serving.Unlock()
	out.send(patient)
}

// effect does what the server wants. The caller holds the lock. What is to be sent goes to the outbox.
func (n *Node) effect(p *Peer, e *invocation.ServerEffect, out *outbox) {
	switch e.Kind {
	case invocation.SendReply:
		if p := n.other(p, e.RID.Client); p != nil {
			out.to(p.current())
			out.b = appendReply(out.b, &e.Reply)
		}
	case invocation.SendSignal:
		if p := n.other(p, e.RID.Client); p != nil {
			out.to(p.current())
			out.b = appendSignal(out.b, &e.Signal)
		}
	case invocation.Kill, invocation.Abandon:
		for c := n.running[e.RID]; c != nil; c = c.copy {
			c.orphan.Store(e.Kind == invocation.Kill)
			c.finish(context.Canceled)
		}
	case invocation.Open:
		if p := n.other(p, e.RID.Client); p != nil {
			p.sessionBegins()
		}
	case invocation.Close:
		n.forgets(dgc.Client{ID: e.RID.Client, Incarnation: e.RID.Incarnation})
		if p := n.other(p, e.RID.Client); p != nil {
			p.sessionOver()
		}
		if n.opts.SessionOver != nil {
			n.opts.SessionOver(e.RID.Client, invocation.Process(e.RID.Incarnation))
		}
	}
}

// other is the peer of an id; it is mostly the one at hand.
func (n *Node) other(p *Peer, id ID) *Peer {
	if p != nil && p.id == id {
		return p
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.peers[id]
}

// expire lets the server see that time has passed.
func (n *Node) expire() {
	n.served(nil, func(s *invocation.Server, now time.Duration, out []invocation.ServerEffect) []invocation.ServerEffect {
		n.alarm.rung()
		return s.Expire(now, out)
	}, false)
}

// An outbox is frames for one connection, or a few, put together under a lock and sent after it.
type outbox struct {
	conn *conn
	b    []byte
	rest []outbox // to other connections
}

// to turns to a connection.
func (o *outbox) to(c *conn) {
	if o.conn != c && len(o.b) > 0 {
		o.rest = append(o.rest, outbox{conn: o.conn, b: o.b})
		o.b = nil
	}
	o.conn = c
}

// send sends all. Frames for a peer without a connection are lost: it asks again when it is back.
func (o *outbox) send(patient bool) {
	for _, r := range o.rest {
		r.send(patient)
	}
	if o.conn != nil {
		o.conn.send(o.b, patient)
	}
}

// An alarm rings at the time that was set last, or earlier. Its methods are called under the lock of what rings, and so is rung.
type alarm struct {
	ring  func()
	at    time.Duration
	armed bool
	timer *time.Timer
}

// set has it ring then.
func (a *alarm) set(now, at time.Duration) {
	if at == 1<<63-1 || a.armed && a.at <= at {
		return
	}
	a.at, a.armed = at, true
	if wait := max(at-now, 0); a.timer == nil {
		a.timer = time.AfterFunc(wait, a.ring)
	} else {
		a.timer.Reset(wait)
	}
}

// rung says that it rang.
func (a *alarm) rung() { a.armed = false }

func (a *alarm) stop() {
	a.ring = func() {}
	if a.timer != nil {
		a.timer.Stop()
	}
}
