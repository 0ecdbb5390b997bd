// Package udp lets nodes broadcast: one datagram to an IP multicast group reaches all of them.
//
// [Open] puts it beside a transport with connections, such as package tcp, which carries everything else. Each time that the
// members of the nodes' group change, [Transport.View] says so: the node draws a key and sends it to the members over its
// connections with them, which have told each other who they are. Its datagrams are sealed with that key (AES-256-GCM), so
// that nobody else can read, make or change one, nor somebody who was a member before; each is taken once. With
// Config.Insecure they are in the clear.
//
// A network may carry no multicast, and does not say so. Therefore a node sends probes, and each member that gets one
// says so over its connection. Only when all have done that are broadcasts offered ([Transport.Carries]). A node goes on
// probing as long as somebody does not hear it.
//
// It does not give: delivery, order, or news of losses; whoever broadcasts must count, and repair what is missing. A datagram
// has at most 1,400 bytes unless told otherwise, and what is larger is refused, not cut. It gets no further than the network
// that the interface is on: its hop limit is 1. There is IPv4 only. Anybody on that network sees who sends how much and
// when, can hold datagrams up, and can have this node look at others in vain; all that costs it is the look.
//
// Datagrams of a machine's own nodes reach its other nodes, and their sender, who drops them.
//
// The window that finds replays is from X. Zhang, T. Tsou, IPsec Anti-Replay Algorithm without Bit Shifting, RFC 6479, 2012.
package udp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/transport"
)

// A Config says where datagrams go. Group must be given.
type Config struct {
	// Group is the multicast group and its port, such as "239.7.7.7:7946", the same at all nodes.
	Group string
	// Interface is the name of the network interface on which the node joins. Empty means the only one that can.
	Interface string
	// Insecure leaves datagrams in the clear. It must be the same at all nodes.
	Insecure bool
	// Size is how many bytes a datagram has at most, without the headers of UDP and IP: 256 to 8,900. It is cut to what the
	// interface carries in one piece. Zero means 1,400.
	Size int
	// Log is for operators; nil: nothing is logged.
	Log *slog.Logger
	// Join takes the place of the system's sockets. Nil means these.
	Join func() (Conn, error)
}

const (
	usualSize = 1400
	leastSize = 256
	mostSize  = 8900
	outside   = 28 // headers of IP and UDP
)

func (c *Config) validate() (place, error) {
	if c.Size == 0 {
		c.Size = usualSize
	}
	if c.Size < leastSize || c.Size > mostSize {
		return place{}, fmt.Errorf("transport/udp: Size is %d bytes; expected %d to %d", c.Size, leastSize, mostSize)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	group, err := ParseGroup(c.Group)
	if err != nil {
		return place{}, fmt.Errorf("transport/udp: %w", err)
	}
	return place{group, c.Interface}, nil
}

// A Member is one of those who are to get what this node broadcasts.
type Member struct {
	Node        protocol.ID
	Incarnation protocol.Incarnation
}

// A Transport is a transport that can broadcast too. Its methods may be called from any goroutine.
type Transport struct {
	transport.Transport // carries all else; there once opened is closed
	opened              chan struct{}
	config              Config
	place               place
	handler             transport.Hearer
	self                life
	cluster             tag
	group               map[protocol.ID]bool // the others
	stats               counters
	sending             atomic.Pointer[outgoing]

	context context.Context // until it closes
	cancel  context.CancelFunc
	work    sync.WaitGroup
	wake    chan struct{} // there is something to tend to

	mu      sync.Mutex
	conn    Conn
	size    int    // of a datagram
	trouble string // why there is no Conn, or nothing can be sent
	view    uint64
	began   time.Time // of the view
	due     time.Time // when those who do not hear are to be told again
	pause   time.Duration
	members map[protocol.ID]*member // the others of the view
	lives   map[protocol.ID]protocol.Incarnation
	keys    map[protocol.ID][]*key
	told    protocol.Carries
	log     logbook
}

// Outgoing is what this node's datagrams of a view are made with.
type outgoing struct {
	view    uint64
	lock    lock
	key     []byte
	counter atomic.Uint64
}

// Open opens a transport with open, which is to use the handler that it is given, and puts datagrams beside it. It fails as
// open does, or for what is wrong in the Config. A group that cannot be joined is no failure: it may be later.
func Open(c Config, h transport.Hearer, hello transport.Hello, open func(transport.Handler) (transport.Transport, error)) (*Transport, error) {
	p, err := c.validate()
	if err != nil {
		return nil, err
	}
	t := &Transport{config: c, place: p, handler: h, self: life{hello.ID, hello.Incarnation}, cluster: tagOf(hello.Cluster),
		group: map[protocol.ID]bool{}, opened: make(chan struct{}), wake: make(chan struct{}, 1),
		lives: map[protocol.ID]protocol.Incarnation{}, keys: map[protocol.ID][]*key{}}
	for _, id := range hello.Group {
		if id != hello.ID {
			t.group[id] = true
		}
	}
	t.context, t.cancel = context.WithCancel(context.Background())
	if t.Transport, err = open(ears{h, t}); err != nil {
		t.cancel()
		return nil, err
	}
	close(t.opened)
	t.work.Go(t.tend)
	return t, nil
}

// Broadcast sends a message to the members of the view with one datagram. The error is transport.ErrTooLarge, or
// transport.ErrDown if there is no view, or the datagram could not be sent.
func (t *Transport) Broadcast(content []byte) error {
	out := t.sending.Load()
	t.mu.Lock()
	conn, size := t.conn, t.size
	t.mu.Unlock()
	switch {
	case out == nil || conn == nil:
		return transport.ErrDown
	case len(content) > size-overhead:
		return transport.ErrTooLarge
	}
	if err := t.send(conn, out, message, content); err != nil {
		return transport.ErrDown
	}
	t.stats.sent.Add(1)
	return nil
}

// send seals and sends a datagram.
func (t *Transport) send(conn Conn, out *outgoing, kind byte, content []byte) error {
	h := header{kind: kind, cluster: t.cluster, from: t.self, view: out.view, counter: out.counter.Add(1)}
	b := out.lock.seal(make([]byte, 0, overhead+len(content)), h, content)
	_, err := conn.Write(b)
	if err != nil && t.context.Err() == nil {
		t.stats.failed.Add(1)
		t.fail(fmt.Sprintf("a datagram cannot be sent: %v", err))
	}
	return err
}

// fail notes that nothing can be sent. All must be probed again.
func (t *Transport) fail(why string) {
	t.mu.Lock()
	t.trouble = why
	for _, m := range t.members {
		m.heard = false
	}
	t.mu.Unlock()
	t.rouse()
}

// Carries says whether all members hear what this node broadcasts.
func (t *Transport) Carries() protocol.Carries {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.told
}

// Close closes the transport with the connections, and leaves the group.
func (t *Transport) Close(ctx context.Context) error {
	err := t.Transport.Close(ctx)
	t.cancel()
	t.mu.Lock()
	if t.conn != nil {
		err = errors.Join(err, t.conn.Close())
		t.conn = nil
	}
	t.mu.Unlock()
	t.work.Wait()
	return err
}

// rouse has the node tended to now.
func (t *Transport) rouse() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}
