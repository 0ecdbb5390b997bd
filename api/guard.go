package api

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// Limits of a port.
const (
	maxConnections = 256             // at a time, for each port
	firstBytes     = 5 * time.Second // how long a connection may take to say what it is
)

// A guard is a listener that turns away what does not speak the port's protocol, counts it and names it in the log.
// Each connection is looked at by itself, so that a silent one keeps nobody waiting.
type guard struct {
	net.Listener
	begins  [][]byte // a connection begins with one of these
	what    string   // what is expected, for the log
	log     *slog.Logger
	refused *atomic.Uint64

	once  sync.Once
	slots chan struct{}
	ready chan net.Conn
	done  chan struct{}
	err   error // of Accept, once done is closed
	stop  sync.Once
}

func newGuard(l net.Listener, what string, log *slog.Logger, refused *atomic.Uint64, begins ...string) *guard {
	g := &guard{Listener: l, what: what, log: log, refused: refused,
		slots: make(chan struct{}, maxConnections), ready: make(chan net.Conn), done: make(chan struct{})}
	for _, b := range begins {
		g.begins = append(g.begins, []byte(b))
	}
	return g
}

// guardGRPC takes what begins as HTTP/2.
func guardGRPC(l net.Listener, log *slog.Logger, refused *atomic.Uint64) *guard {
	return newGuard(l, "gRPC", log, refused, http2.ClientPreface)
}

// guardHTTP takes what begins as an HTTP/1 request with one of the methods that are served.
func guardHTTP(l net.Listener, log *slog.Logger, refused *atomic.Uint64) *guard {
	return newGuard(l, "HTTP", log, refused, "GET ", "HEAD ", "POST ", "OPTIONS ")
}

// Accept gives the next connection that began well.
func (g *guard) Accept() (net.Conn, error) {
	g.once.Do(func() { go g.accept() })
	select {
	case c := <-g.ready:
		return c, nil
	case <-g.done:
		return nil, g.err
	}
}

func (g *guard) accept() {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			g.finish(err)
			return
		}
		select {
		case g.slots <- struct{}{}:
			go g.look(&guarded{Conn: c, leave: g.leave})
		default:
			g.turnAway(c, "too many connections")
		}
	}
}

func (g *guard) leave() { <-g.slots }

// look reads the first bytes of a connection and hands it on with them.
func (g *guard) look(c *guarded) {
	c.SetReadDeadline(time.Now().Add(firstBytes))
	if !g.begin(c) {
		if len(c.head) > 0 { // a probe that only connects is no offence
			g.turnAway(c, "it does not speak "+g.what)
			return
		}
		c.Close()
		return
	}
	c.SetReadDeadline(time.Time{})
	select {
	case g.ready <- c:
	case <-g.done:
		c.Close()
	}
}

// begin reads until the connection has begun in one of the ways expected, or cannot any more.
func (g *guard) begin(c *guarded) bool {
	buffer := make([]byte, 64)
	for {
		n, err := c.Conn.Read(buffer)
		c.head = append(c.head, buffer[:n]...)
		open := false
		for _, b := range g.begins {
			if bytes.HasPrefix(c.head, b) {
				return true
			}
			open = open || bytes.HasPrefix(b, c.head)
		}
		if !open || err != nil {
			return false
		}
	}
}

func (g *guard) turnAway(c net.Conn, why string) {
	g.refused.Add(1)
	g.log.Warn("connection turned away", "port", g.what, "from", c.RemoteAddr().String(), "why", why)
	c.Close()
}

func (g *guard) finish(err error) {
	g.stop.Do(func() {
		g.err = err
		close(g.done)
	})
}

// Close ends the listener. Connections that were handed on stay open.
func (g *guard) Close() error {
	err := g.Listener.Close()
	g.finish(net.ErrClosed)
	return err
}

// guarded is a connection whose first bytes have been read already.
type guarded struct {
	net.Conn
	head  []byte
	leave func()
	once  sync.Once
}

func (c *guarded) Read(b []byte) (int, error) {
	if len(c.head) > 0 {
		n := copy(b, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

func (c *guarded) Close() error {
	c.once.Do(c.leave)
	return c.Conn.Close()
}

// closed says whether an error is only that of a server that was told to stop.
func closed(err error) bool { return err == nil || errors.Is(err, net.ErrClosed) }
