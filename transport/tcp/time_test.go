package tcp

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/transport"
)

// A pipeNet connects transports within a bubble of virtual time. Connections have no buffers at all.
type pipeNet struct {
	mu        sync.Mutex
	listeners map[string]*pipeListener
	open      []net.Conn
	pause     func() // before a dial, and before each write; nil for none
}

type pipeListener struct {
	net     *pipeNet
	address string
	conns   chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

func (n *pipeNet) listen(address string) net.Listener {
	l := &pipeListener{net: n, address: address, conns: make(chan net.Conn), closed: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners[address] = l
	return l
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return pipeAddr(l.address) }

type pipeAddr string

func (pipeAddr) Network() string  { return "pipe" }
func (a pipeAddr) String() string { return string(a) }

var errRefused = &net.OpError{Op: "dial", Net: "pipe", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

func (n *pipeNet) dial(ctx context.Context, address string) (net.Conn, error) {
	if n.pause != nil {
		n.pause()
	}
	n.mu.Lock()
	l := n.listeners[address]
	n.mu.Unlock()
	if l == nil {
		return nil, errRefused
	}
	here, there := net.Pipe()
	select {
	case l.conns <- slowConn{there, n.pause}:
		n.mu.Lock()
		n.open = append(n.open, here, there)
		n.mu.Unlock()
		return slowConn{here, n.pause}, nil
	case <-l.closed:
		return nil, errRefused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Pauses between dials double, with a random half left out, and Redial makes the next one come at once.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		nets := &pipeNet{listeners: map[string]*pipeListener{}}
		l := newListener()
		tr := start(t, 1, l, Config{
			Listener: nets.listen("1"), Peers: map[protocol.ID]string{2: "2"},
			Dial: func(ctx context.Context, address string) (net.Conn, error) {
				times = append(times, time.Now())
				return nets.dial(ctx, address)
			},
		})
		time.Sleep(20 * time.Second)
		synctest.Wait()
		want := 50 * time.Millisecond
		for i := range len(times) - 1 {
			if gap := times[i+1].Sub(times[i]); gap < want/2 || gap > want {
				t.Errorf("pause %d is %s; expected %s to %s", i, gap, want/2, want)
			}
			want = min(2*want, 2*time.Second)
		}
		if len(times) < 10 {
			t.Errorf("only %d dials in 20s", len(times))
		}
		dials := len(times)
		tr.Redial(2)
		synctest.Wait()
		if len(times) != dials+1 {
			t.Error("Redial did not dial")
		}
		if len(l.downs) > 0 {
			t.Error("a node that was never there is told to be down")
		}
		hangUp(tr)
	})
}

// A peer that lets every connection break at once is not dialed in a tight loop.
func TestShortConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nets := &pipeNet{listeners: map[string]*pipeListener{}}
		l, m := newListener(), &breaker{listener: newListener()}
		m.tr = start(t, 1, m, Config{Listener: nets.listen("1")})
		start(t, 2, l, Config{Listener: nets.listen("2"), Dial: nets.dial, Peers: map[protocol.ID]string{1: "1"}})
		time.Sleep(time.Minute)
		if n := len(l.ups); n < 10 || n > 80 {
			t.Errorf("%d connections in a minute", n)
		}
	})
}

// A breaker resets every connection.
type breaker struct {
	*listener
	tr *Transport
}

func (b *breaker) Up(transport.Hello) { b.tr.Reset(2) }

// Nodes dial each other with all sorts of delays, and their connections break at any moment. They always agree on one
// connection in the end, and on each connection nothing is missing in the middle. If nothing breaks there is only one.
func TestCrossingDials(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) { crossing(t, seed, seed%2 == 0) })
	}
}

func crossing(t *testing.T, seed uint64, breaks bool) {
	random := rand.New(rand.NewPCG(seed, 0))
	var mu sync.Mutex
	below := func(d time.Duration) time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return time.Duration(random.Int64N(int64(d)))
	}
	spread := time.Millisecond << random.IntN(8)
	nets := &pipeNet{listeners: map[string]*pipeListener{}, pause: func() { time.Sleep(below(spread)) }}
	var ends [2]*crosser
	for i := range ends {
		ends[i] = &crosser{t: t}
		ends[i].tr = start(t, protocol.ID(i+1), ends[i], Config{
			Listener: nets.listen(fmt.Sprint(i + 1)), Dial: nets.dial,
			Peers: map[protocol.ID]string{protocol.ID(2 - i): fmt.Sprint(2 - i)},
		})
	}
	for range 100 { // breaking, and sending all the time
		time.Sleep(below(10 * time.Millisecond))
		for i, e := range ends {
			e.send(protocol.ID(2 - i))
		}
		if breaks && below(10) == 0 {
			nets.breakOne(int(below(100)))
		}
	}
	time.Sleep(10 * time.Second)
	one, two := ends[0].tr.peers[2].current(), ends[1].tr.peers[1].current()
	if one == nil || two == nil || one.epoch != two.epoch {
		t.Fatalf("seed %d: the ends do not agree on a connection: %v, %v", seed, one != nil, two != nil)
	}
	for i, e := range ends {
		e.send(protocol.ID(2 - i))
	}
	time.Sleep(time.Second)
	synctest.Wait()
	for i, e := range ends {
		if e.last != ends[1-i].sent {
			t.Errorf("seed %d: node %d has got %d of %d", seed, i+1, e.last, ends[1-i].sent)
		}
		if !breaks && (e.ups != 1 || e.downs != 0) {
			t.Errorf("seed %d: node %d was told of %d connections and %d ends, and nothing broke", seed, i+1, e.ups, e.downs)
		}
	}
	hangUp(ends[0].tr)
	hangUp(ends[1].tr)
}

func (n *pipeNet) breakOne(i int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.open) > 0 {
		n.open[len(n.open)-1-i%len(n.open)].Close()
	}
}

// A slowConn takes its time to write.
type slowConn struct {
	net.Conn
	pause func()
}

func (c slowConn) Write(b []byte) (int, error) {
	if c.pause != nil {
		c.pause()
	}
	return c.Conn.Write(b)
}

// A crosser sends numbers, and sees that on each connection they come without gaps.
type crosser struct {
	t          *testing.T
	tr         *Transport
	sent, last uint64
	fresh      bool // a connection began
	ups, downs int
}

func (c *crosser) Up(transport.Hello)                     { c.fresh, c.ups = true, c.ups+1 }
func (c *crosser) Down(protocol.ID, protocol.Incarnation) { c.downs++ }
func (c *crosser) Room(protocol.ID)                       {}
func (c *crosser) Refused(_ string, why error)            { c.t.Errorf("refused: %v", why) }

func (c *crosser) send(to protocol.ID) {
	c.sent++
	if err := c.tr.Send(to, binary.BigEndian.AppendUint64(nil, c.sent), nil); err != nil && err != transport.ErrDown {
		c.t.Error(err)
	}
}

func (c *crosser) Receive(_ protocol.ID, _ protocol.Incarnation, messages [][]byte) {
	for _, m := range messages {
		n := binary.BigEndian.Uint64(m)
		if n <= c.last || n != c.last+1 && !c.fresh {
			c.t.Errorf("got %d after %d", n, c.last)
		}
		c.last, c.fresh = n, false
	}
}
