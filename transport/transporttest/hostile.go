package transporttest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
)

// Whatever a stranger writes, he is cut off, and the nodes go on.
func testGarbage(t *testing.T, kit Kit) {
	a, b := pair(t, kit)
	noise := make([]byte, 1<<16)
	random := rand.NewChaCha8([32]byte{7})
	random.Read(noise)
	for _, text := range []string{
		"", "\x00", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", strings.Repeat("\xff", 4096), strings.Repeat("\x00", 4096), string(noise),
	} {
		stranger, err := kit.Dial(a.Addr())
		if err != nil {
			t.Fatal(err)
		}
		stranger.Write([]byte(text)) // may fail: he may be cut off before he has written all
		if len(text) > 1 {
			io.Copy(io.Discard, stranger) // until he is cut off
			a.refused.next(t, fmt.Sprintf("the refusal of %.20q", text))
		}
		stranger.Close()
	}
	a.send(2, "all is well")
	b.expect("all is well")
	a.quiet()
}

// A proxy stands between two nodes and changes what passes on the first connection.
type proxy struct {
	listener net.Listener
	change   func(forth bool, at int, b []byte) (kept []byte, more bool)
	work     sync.WaitGroup
	mu       sync.Mutex
	first    bool
	open     []net.Conn
}

func newProxy(t *testing.T, kit Kit, to string, change func(forth bool, at int, b []byte) ([]byte, bool)) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, change: change, first: true}
	p.work.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			there, err := kit.Dial(to)
			if err != nil {
				from.Close()
				continue
			}
			p.join(from, there)
		}
	})
	t.Cleanup(p.close)
	return p
}

func (p *proxy) join(from, there net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change := p.change
	if !p.first {
		change = nil
	}
	p.first = false
	p.open = append(p.open, from, there)
	p.work.Go(func() { pass(from, there, true, change) })
	p.work.Go(func() { pass(there, from, false, change) })
}

// pass copies until either end closes.
func pass(from, to net.Conn, forth bool, change func(bool, int, []byte) ([]byte, bool)) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 4096)
	for at, more := 0, true; more; {
		n, err := from.Read(buffer)
		if n == 0 && err != nil {
			return
		}
		b := buffer[:n]
		if change != nil {
			b, more = change(forth, at, b)
		}
		at += n
		if _, err := to.Write(b); err != nil {
			return
		}
	}
}

func (p *proxy) close() {
	p.listener.Close()
	p.mu.Lock()
	for _, c := range p.open {
		c.Close()
	}
	p.mu.Unlock()
	p.work.Wait()
}

// throughDamage has node 2 send a series to node 1 on every connection, the first of which is damaged. What arrives is
// unharmed and in order, and one whole series does.
func throughDamage(t *testing.T, kit Kit, change func(forth bool, at int, b []byte) ([]byte, bool)) {
	t.Helper()
	const count = 30
	a, b := open(t, kit, hello(1, 1)), open(t, kit, hello(2, 1))
	b.SetPeer(1, newProxy(t, kit, a.Addr(), change).listener.Addr().String())
	stop := make(chan struct{})
	var work sync.WaitGroup
	defer work.Wait()
	defer close(stop)
	work.Go(func() { sendSeries(b, count, stop) })
	const begun = -1 // a connection; it may start in the middle of a series
	for next := begun; next < count; {
		news := a.news.next(t, "a whole series")
		if news == up(b) || news == down(b) {
			next = begun
			continue
		}
		var i int
		fmt.Sscan(news, &i)
		if i < 0 || i >= count || news != series(i) || next != begun && i != next && i != 0 {
			t.Fatalf("got %.60q after %d of a series", news, next)
		}
		if i == next || i == 0 {
			next = i + 1
		}
	}
}

func series(i int) string { return fmt.Sprintf("%d %s", i, strings.Repeat("payload ", i)) }

// sendSeries sends one series after the other until stop, whether there is a connection or not: damage may have swallowed
// the end of what was sent, and only what comes next can tell.
func sendSeries(n *node, count int, stop chan struct{}) {
	for i := 0; ; i = (i + 1) % count {
		for n.Send(1, []byte(series(i)), nil) != nil { // full, or there is no connection
			select {
			case <-n.rooms.more:
			case <-n.news.more:
			case <-stop:
				return
			}
		}
		select {
		case <-stop:
			return
		default:
		}
	}
}

func testFlips(t *testing.T, kit Kit) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 60 {
		way, place, bit := random.IntN(2) == 0, random.IntN(1500), random.IntN(8)
		throughDamage(t, kit, func(forth bool, at int, b []byte) ([]byte, bool) {
			if forth == way && at <= place && place < at+len(b) {
				b[place-at] ^= 1 << bit
			}
			return b, true
		})
	}
}

func testCuts(t *testing.T, kit Kit) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 30 {
		way, place := random.IntN(2) == 0, random.IntN(1500)
		throughDamage(t, kit, func(forth bool, at int, b []byte) ([]byte, bool) {
			if forth == way && at+len(b) > place {
				return b[:max(0, place-at)], false
			}
			return b, true
		})
	}
}

// Who has listened to a whole conversation and says it again gets nowhere.
func testReplay(t *testing.T, kit Kit) {
	var mu sync.Mutex
	var said bytes.Buffer
	a, b := open(t, kit, hello(1, 1)), open(t, kit, hello(2, 1))
	p := newProxy(t, kit, a.Addr(), func(forth bool, _ int, c []byte) ([]byte, bool) {
		mu.Lock()
		defer mu.Unlock()
		if forth {
			said.Write(c)
		}
		return c, true
	})
	b.SetPeer(1, p.listener.Addr().String())
	a.expect(up(b))
	b.expect(up(a))
	b.send(1, "once")
	a.expect("once")
	b.close()
	a.expect(down(b))
	stranger, err := kit.Dial(a.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	mu.Lock()
	defer mu.Unlock()
	if said.Len() == 0 {
		t.Fatal("the conversation was not heard")
	}
	stranger.Write(said.Bytes())
	io.Copy(io.Discard, stranger)
	a.refused.next(t, "the refusal of the replay")
	a.quiet()
}
