// Package transporttest has the tests that every transport passes. [Run] runs them.
//
// They ask for what package transport promises: order, no harm, bounded queues, and news of a peer that mean what they
// say. A transport over a stream of bytes also meets bytes that nobody honest sends. They do not measure, and they do
// not ask for delivery over a connection that broke.
package transporttest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ciranda.dev/protocol"
	"ciranda.dev/transport"
)

// A Setup is what a transport is opened with.
type Setup struct {
	Hello   transport.Hello
	Handler transport.Handler
	Secret  []byte // of the cluster

	// TLS and Identify are given in some of the tests with certificates. See tcp.Config.
	TLS      *tls.Config
	Identify func(tls.ConnectionState) (protocol.ID, error)
}

// A Transport under test can be told later where its peers are, for they do not know it when they are opened.
type Transport interface {
	transport.Transport
	// SetPeer changes a peer's address; empty if it has none.
	SetPeer(id protocol.ID, address string)
}

// A Kit says how to make the transports to test.
type Kit struct {
	// Open opens a transport on a free port, or ends the test.
	Open func(t testing.TB, s Setup) Transport
	// Dial connects to a transport's address as a stranger. Nil if the transport is not made of streams of bytes.
	Dial func(address string) (net.Conn, error)
}

// Run runs the tests.
func Run(t *testing.T, kit Kit) {
	for _, test := range []struct {
		name   string
		run    func(*testing.T, Kit)
		stream bool
	}{
		{"order", testOrder, false},
		{"sizes", testSizes, false},
		{"full and room", testFull, false},
		{"a slow receiver can send", testDuplex, false},
		{"disagreement", testDisagreement, false},
		{"secret", testSecret, false},
		{"older life", testOlderLife, false},
		{"duplicate", testDuplicate, false},
		{"down", testDown, false},
		{"refused redial", testRefusedRedial, false},
		{"restart", testRestart, false},
		{"overtaken by its next life", testOvertaken, false},
		{"reset", testReset, false},
		{"both dial", testBothDial, false},
		{"close writes the queue", testCloseWrites, false},
		{"close does not wait for ever", testCloseEnds, false},
		{"garbage", testGarbage, true},
		{"flipped bits", testFlips, true},
		{"cut short", testCuts, true},
		{"replay", testReplay, true},
		{"certificates", testCertificates, true},
		{"another node's certificate", testAnothersCertificate, true},
		{"a stranger's certificate", testStrangersCertificate, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.stream && kit.Dial == nil {
				t.Skip("not made of streams of bytes")
			}
			ignore := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, ignore) }) // after the nodes have closed
			test.run(t, kit)
		})
	}
}

// A queue is what a test waits on.
type queue[T any] struct {
	mu    sync.Mutex
	items []T
	more  chan struct{}
}

func newQueue[T any]() *queue[T] { return &queue[T]{more: make(chan struct{}, 1)} }

func (q *queue[T]) push(item T) {
	q.mu.Lock()
	q.items = append(q.items, item)
	q.mu.Unlock()
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// all takes everything.
func (q *queue[T]) all() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items = nil
	return items
}

// next takes the oldest item. It waits as long as the test may run.
func (q *queue[T]) next(t testing.TB, what string) (item T) {
	t.Helper()
	for {
		q.mu.Lock()
		if len(q.items) > 0 {
			item, q.items = q.items[0], q.items[1:]
			q.mu.Unlock()
			return item
		}
		q.mu.Unlock()
		select {
		case <-q.more:
		case <-timeout(t):
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// timeout ends shortly before the test does.
func timeout(t testing.TB) <-chan time.Time {
	if timed, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if deadline, set := timed.Deadline(); set {
			return time.After(time.Until(deadline) - time.Second)
		}
	}
	return nil
}

// A node is a transport under test, and the handler that it tells.
type node struct {
	Transport
	t       testing.TB
	hello   transport.Hello
	news    *queue[string] // "up 2.1", "down 2.1" or a message
	rooms   *queue[protocol.ID]
	refused *queue[string]
	busy    atomic.Bool // a call about the only peer is under way
	closed  atomic.Bool
	gate    chan struct{} // if not nil, Receive waits until it is closed
}

// hello is what a node of the tests says of itself.
func hello(id protocol.ID, incarnation protocol.Incarnation) transport.Hello {
	return transport.Hello{
		Cluster: "kit", Stack: "echo", Group: []protocol.ID{1, 2, 3}, ID: id, Incarnation: incarnation, Lamport: 7, API: "nowhere:1",
	}
}

// open opens a node. It is closed at the test's end.
func open(t testing.TB, kit Kit, h transport.Hello, change ...func(*Setup, *node)) *node {
	t.Helper()
	n := &node{t: t, hello: h, news: newQueue[string](), rooms: newQueue[protocol.ID](), refused: newQueue[string]()}
	s := Setup{Hello: h, Handler: n, Secret: []byte("the kit's secret")}
	for _, f := range change {
		f(&s, n)
	}
	n.Transport = kit.Open(t, s)
	t.Cleanup(func() { n.close() })
	return n
}

// close closes a node at once.
func (n *node) close() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	n.Close(ctx)
	n.closed.Store(true)
}

// connect tells nodes of each other and waits until they have met.
func connect(t testing.TB, a, b *node) {
	t.Helper()
	a.SetPeer(b.hello.ID, b.Addr())
	b.SetPeer(a.hello.ID, a.Addr())
	a.expect(up(b))
	b.expect(up(a))
}

func pair(t testing.TB, kit Kit) (a, b *node) {
	t.Helper()
	a, b = open(t, kit, hello(1, 1)), open(t, kit, hello(2, 1))
	connect(t, a, b)
	return a, b
}

func up(n *node) string   { return fmt.Sprintf("up %d.%d", n.hello.ID, n.hello.Incarnation) }
func down(n *node) string { return fmt.Sprintf("down %d.%d", n.hello.ID, n.hello.Incarnation) }

// expect waits for the next news and compares it.
func (n *node) expect(want string) {
	n.t.Helper()
	if got := n.news.next(n.t, fmt.Sprintf("%.60q at node %d", want, n.hello.ID)); got != want {
		n.t.Fatalf("node %d was told %.60q; expected %.60q", n.hello.ID, got, want)
	}
}

// quiet closes a node and sees that nothing else was told.
func (n *node) quiet() {
	n.t.Helper()
	n.close()
	for _, news := range n.news.all() {
		n.t.Errorf("node %d was told %.60q as well", n.hello.ID, news)
	}
}

// send sends, and waits for room if there is none.
func (n *node) send(to protocol.ID, message string) {
	n.t.Helper()
	for {
		err := n.Send(to, []byte(message), nil)
		if err == nil {
			return
		}
		if err != transport.ErrFull {
			n.t.Fatalf("Send: %v", err)
		}
		n.rooms.next(n.t, "room")
	}
}

// Up, Receive and Down come one at a time for one peer, and not after Close.
func (n *node) call(f func()) {
	if n.busy.Swap(true) {
		n.t.Errorf("node %d: the handler was called twice at once", n.hello.ID)
	}
	if n.closed.Load() {
		n.t.Errorf("node %d: the handler was called after Close", n.hello.ID)
	}
	f()
	n.busy.Store(false)
}

func (n *node) Up(peer transport.Hello) {
	n.call(func() {
		if peer.API != "nowhere:1" || peer.Lamport != 7 || peer.Cluster != n.hello.Cluster {
			n.t.Errorf("node %d was told of a peer that is %+v", n.hello.ID, peer)
		}
		n.news.push(fmt.Sprintf("up %d.%d", peer.ID, peer.Incarnation))
	})
}

func (n *node) Receive(from protocol.ID, inc protocol.Incarnation, messages [][]byte) {
	n.call(func() {
		if n.gate != nil {
			<-n.gate
		}
		for _, m := range messages {
			n.news.push(string(m))
			clear(m) // they are the handler's
		}
	})
}

func (n *node) Down(id protocol.ID, inc protocol.Incarnation) {
	n.call(func() { n.news.push(fmt.Sprintf("down %d.%d", id, inc)) })
}

func (n *node) Room(id protocol.ID) { n.call(func() { n.rooms.push(id) }) }

func (n *node) Refused(remote string, why error) { n.refused.push(why.Error()) }

// expectRefusal waits for a refusal with all of some words.
func (n *node) expectRefusal(words ...string) {
	n.t.Helper()
	why := n.refused.next(n.t, fmt.Sprintf("a refusal with %q at node %d", words, n.hello.ID))
	for _, w := range words {
		if !strings.Contains(why, w) {
			n.t.Errorf("node %d was told of the refusal %q; expected it to say %q", n.hello.ID, why, w)
		}
	}
}
