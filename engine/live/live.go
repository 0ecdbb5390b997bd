// Package live runs one node's [protocol.Stack] in real time, over a transport and a disk. Start from [Open].
//
// One goroutine owns the node's state. It takes one input after another: a batch of messages, a timer that is due, a
// client's call, news of a connection or of the disk. What a step sends and says waits in order at the gate until
// all that was persisted up to it is on the disk, so nobody ever sees a state that a crash takes back. The node goes
// on with its steps meanwhile, and what a handler ungates leaves at once: a heartbeat does not wait for a disk.
// A timer is compared with the clock in that one goroutine: one that was cancelled cannot expire.
//
// Every message carries its number and a Lamport stamp; a later life goes on with the clock where the last one may
// have ended. What happened is told to a [trace.Sink], each event once its state is safe; inputs and timers, which
// promise nothing, at once.
//
// Faults can be injected while it runs: links that are cut or lose, delay and double messages, a node that stands
// still or is slow, a disk that stalls, a clock that jumps. They act above the transport, in the sending node, and
// for cuts in the receiving one too.
//
// What it does not promise: that a message arrives; that time passes evenly; the same run twice. A panic of a handler
// ends the node, with its state in the error.
//
// The gate is the group commit of databases (J. Gray, A. Reuter, Transaction Processing, 1993) put before a network,
// as "external synchrony" does it (E. Nightingale et al., Rethink the Sync, OSDI 2006).
package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"ciranda.dev/engine/live/disk"
	"ciranda.dev/engine/network"
	"ciranda.dev/engine/wire"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/clock"
	"ciranda.dev/trace"
	"ciranda.dev/transport"
)

// A Config says what a node is made of. Cluster, ID, Group, Build and Transport are needed.
type Config struct {
	Cluster string        // the cluster's name
	Stack   string        // what the nodes must agree on, in words; compared at the handshake
	ID      protocol.ID   // the node
	Group   []protocol.ID // all nodes, this one too, ascending
	API     string        // the address of its gRPC port, told to the peers; may be empty

	// Build makes the layers.
	Build func(self protocol.Self) (*protocol.Stack, error)
	// Transport opens the transport. Hello is what the node says at the beginning of each connection; it changes.
	Transport func(h transport.Handler, hello func() transport.Hello) (transport.Transport, error)

	// Disk is where the node persists. The caller opens it and closes it, after the node. Nil: the node forgets.
	Disk *disk.Store
	// Incarnation is the number of this life of a node without a disk. Zero means the time in seconds since 1970, which
	// is greater than before unless the node restarts within a second.
	Incarnation protocol.Incarnation

	Sink  trace.Sink  // takes the trace, from one goroutine; nil: none is recorded
	Level trace.Level // how much is recorded; zero means trace.Protocol
	// Leave is told of what leaves the top of the stack and is no reply, and the node's Lamport time then: that of the
	// event before it. It is called in the node's goroutine, so it must not wait for the node. May be nil.
	Leave func(e protocol.Event, lamport uint64)
	Log   *slog.Logger // for operators; nil: nothing is logged

	Seed    uint64 // of what the node draws
	Options Options
}

// Options bound what a node holds, and say when a disk has stalled.
type Options struct {
	// DiskLimit is how old a write may be before the disk counts as stalled. At least 1ms. Zero means 1s.
	DiskLimit time.Duration
	// Inbox is how many batches of messages may wait; then the peers feel it. At least 1. Zero means 64.
	Inbox int
	// Waiting is how many outputs, events of the trace among them, may wait for the disk before the node takes no more
	// messages and calls. Of four times as many it dies. At least 1. Zero means 262144, which is some 40 MB.
	Waiting int
}

func (o Options) withDefaults() Options {
	if o.DiskLimit == 0 {
		o.DiskLimit = time.Second
	}
	if o.Inbox == 0 {
		o.Inbox = 64
	}
	if o.Waiting == 0 {
		o.Waiting = 1 << 18
	}
	return o
}

func (o Options) validate() error {
	switch {
	case o.DiskLimit < time.Millisecond:
		return fmt.Errorf("the option DiskLimit is %s; expected at least 1ms", o.DiskLimit)
	case o.Inbox < 1:
		return fmt.Errorf("the option Inbox is %d; expected at least 1", o.Inbox)
	case o.Waiting < 1:
		return fmt.Errorf("the option Waiting is %d; expected at least 1", o.Waiting)
	}
	return nil
}

func (c *Config) validate() error {
	switch {
	case c.Build == nil:
		return errors.New("there is no Build")
	case c.Transport == nil:
		return errors.New("there is no Transport")
	case !slices.Contains(c.Group, c.ID):
		return fmt.Errorf("node %d is not in the group %v", c.ID, c.Group)
	}
	return c.Options.validate()
}

// Errors of a node's methods.
var (
	// ErrStopped says that the node has ended.
	ErrStopped = errors.New("live: the node has stopped")
	// ErrMaybe says that a call was begun and no reply came: it may have happened or not.
	ErrMaybe = errors.New("live: no reply; the call may have happened")
	// ErrKilled is why a node ended that was killed.
	ErrKilled = errors.New("live: the node was killed")
)

// lamportBlock is how far the Lamport clock's limit on the disk is ahead.
const lamportBlock = 1 << 16

// A Node runs a stack. Its methods may be called from any goroutine.
type Node struct {
	cfg       Config
	self      protocol.Self
	stack     *protocol.Stack
	codec     *wire.Codec
	transport transport.Transport
	log       *slog.Logger

	inbox   chan batch
	calls   chan *call
	asks    chan *ask
	control chan func()   // done between steps, even while the node stands still
	done    chan struct{} // no input is taken any more
	closed  chan struct{} // all is over
	err     error         // why; read after closed
	clockAt atomic.Uint64 // the Lamport clock, for handshakes
	refused atomic.Uint64 // connections that the transport refused

	// The rest belongs to the node's goroutine.
	out     protocol.Out
	clock   nodeClock
	timers  timers
	alarm   *time.Timer // the only one of the runtime
	draw    func(int) int
	pending []arrival // of the batch being handled
	sender  peerLife  // of pending
	aloud   bool      // pending was broadcast
	dirty   bool      // a step was taken since the last Flush
	handled int       // messages since the last Flush
	replies map[uint64]*call
	callID  uint64
	ending  *ending

	gate    gate
	counter *disk.Counter // of the Lamport clock; nil without a disk
	stalled bool          // the disk
	lamport clock.Lamport
	heard   uint64        // the highest Lamport time of a message that was received
	known   uint64        // the highest Lamport time that a handshake told
	now     int64         // when the step began, for the trace
	local   time.Duration // the same on the node's monotonic clock
	records []protocol.Record
	step    uint64 // its number
	cause   uint64 // the recorded input of step causeOf
	causeOf uint64
	counted uint64 // events recorded
	sent    uint64 // messages numbered
	event   trace.Event
	encoder *wire.Encoder

	shim     shim
	air      transport.Broadcaster // the transport, if it can broadcast
	carried  protocol.Carries      // as the stack was told
	vouches  bool                  // a layer of the stack makes links perfect, and wants to know which are steady
	doubtful bool                  // they may have changed

	frozen bool
	disk   disk.Fault
	slow   time.Duration // each step takes so long
	until  time.Time     // no step before
	stats  Stats

	mistake mistake
}

// An ending is how the node is to end.
type ending struct {
	ctx      context.Context
	killed   bool
	stopping bool // the stack has been told
}

// Open starts a node. The stack is built, the transport opened, and the node's life begins.
func Open(cfg Config) (*Node, error) {
	n, err := open(cfg, right)
	if err != nil {
		return nil, fmt.Errorf("live: node %d: %w", cfg.ID, err)
	}
	return n, nil
}

func open(cfg Config, m mistake) (*Node, error) {
	cfg.Options = cfg.Options.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	n := assemble(cfg, m)
	var err error
	if n.stack, err = cfg.Build(n.self); err != nil {
		return nil, err
	}
	n.vouches = slices.ContainsFunc(n.stack.Traits(), func(t protocol.Traits) bool { return t.Gives&protocol.NoLoss != 0 })
	if n.codec, err = wire.New(n.stack.Traits()); err != nil {
		return nil, err
	}
	n.encoder = n.codec.NewEncoder()
	if n.transport, err = cfg.Transport(handler{n}, n.hello); err != nil {
		close(n.done) // so that no call of the handler waits
		return nil, err
	}
	n.air, _ = n.transport.(transport.Broadcaster)
	go n.run()
	return n, nil
}

func assemble(cfg Config, m mistake) *Node {
	n := &Node{
		cfg: cfg, mistake: m, log: cfg.Log,
		self:    protocol.Self{ID: cfg.ID, Incarnation: cfg.Incarnation, Group: cfg.Group},
		inbox:   make(chan batch, cfg.Options.Inbox),
		calls:   make(chan *call),
		asks:    make(chan *ask),
		control: make(chan func()),
		done:    make(chan struct{}),
		closed:  make(chan struct{}),
		clock:   newClock(time.Now()),
		timers:  timers{byName: map[timerName]*armed{}},
		replies: map[uint64]*call{},
		draw:    network.NewSource(cfg.Seed, uint64(cfg.ID)).Intn,
		shim:    newShim(cfg),
		stats:   Stats{Dropped: map[string]uint64{}},
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if cfg.Sink == nil {
		n.cfg.Level = trace.Off
	} else if cfg.Level == trace.Off {
		n.cfg.Level = trace.Protocol
	}
	if cfg.Disk != nil {
		n.self.Incarnation = cfg.Disk.Incarnation()
		n.counter = cfg.Disk.Counter("lamport", lamportBlock)
		_ = n.lamport.Adopt(n.counter.Start()) // below the ceiling for ages; receipts check it
		n.clockAt.Store(n.lamport.Time())
		n.gate.mark = cfg.Disk.Append()
	} else if n.self.Incarnation == 0 {
		n.self.Incarnation = protocol.Incarnation(time.Now().Unix())
	}
	return n
}

func (n *Node) hello() transport.Hello {
	return transport.Hello{Cluster: n.cfg.Cluster, Stack: n.cfg.Stack, Group: n.self.Group, ID: n.self.ID,
		Incarnation: n.self.Incarnation, Lamport: n.clockAt.Load(), API: n.cfg.API}
}

// Self is the node and its life.
func (n *Node) Self() protocol.Self { return n.self }

// Done is closed when the node has ended.
func (n *Node) Done() <-chan struct{} { return n.closed }

// Err is why the node ended; nil if it was closed in good order, or has not ended.
func (n *Node) Err() error {
	select {
	case <-n.closed:
		return n.err
	default:
		return nil
	}
}

// Close ends the node in good order: the stack is told, what it says about that leaves, then the connections close.
// If ctx ends first, what still waits is lost; the error says so.
func (n *Node) Close(ctx context.Context) error {
	n.end(&ending{ctx: ctx})
	return n.err
}

// Kill ends the node without notice, as a crash does. What waits for the disk is lost. It is for tests and lessons;
// the trace does not show it.
func (n *Node) Kill() {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	n.end(&ending{ctx: gone, killed: true})
}

func (n *Node) end(e *ending) {
	select {
	case n.control <- func() { n.beginEnd(e) }:
	case <-n.done:
	}
	<-n.closed
}
