package api

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// Limits of a port.
const (
	maxConnections = 256                 // at a time, for each port
	maxStrangers   = 64                  // of them, those that have not shown the token
	strangerBytes  = maxRequest + 64<<10 // what such a one may send; a large first request fits
	firstBytes     = 5 * time.Second     // how long a connection may take to say what it is
	tlsHandshake   = 0x16                // the first byte of a TLS connection
)

// A guard is a listener that turns away what does not speak the port's protocol, counts it and names it in the log.
// Each connection is looked at by itself, so that a silent one keeps nobody waiting. Until it shows the token it is a
// stranger: it may not send much, and where there are too many of them the oldest makes room for the next.
type guard struct {
	net.Listener
	begins  [][]byte    // a connection begins with one of these
	tls     *tls.Config // or with a handshake for this; nil: not
	what    string      // what is expected, for the log
	log     *slog.Logger
	refused *atomic.Uint64

	once  sync.Once
	ready chan net.Conn
	done  chan struct{}
	err   error // of Accept, once done is closed
	stop  sync.Once

	mu        sync.Mutex
	open      int        // connections
	strangers []*guarded // of them, oldest first
}

func newGuard(l net.Listener, what string, log *slog.Logger, refused *atomic.Uint64, begins ...string) *guard {
	g := &guard{Listener: l, what: what, log: log, refused: refused, ready: make(chan net.Conn), done: make(chan struct{})}
	for _, b := range begins {
		g.begins = append(g.begins, []byte(b))
	}
	return g
}

// guardGRPC takes what begins as HTTP/2, or as TLS of somebody who has the token.
func guardGRPC(l net.Listener, t Token, log *slog.Logger, refused *atomic.Uint64) *guard {
	g := newGuard(l, "gRPC", log, refused, http2.ClientPreface)
	g.tls = t.serverTLS()
	return g
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
		nc, err := g.Listener.Accept()
		if err != nil {
			g.finish(err)
			return
		}
		c := &guarded{Conn: nc, guard: g}
		oldest, ok := g.admit(c)
		if oldest != nil {
			g.turnAway(oldest, "others came, and it had not shown the token")
		}
		if !ok {
			g.turnAway(c, "too many connections")
			continue
		}
		go g.look(c)
	}
}

// admit counts a connection, as a stranger. It gives the one that must go for it, and says whether there is room.
func (g *guard) admit(c *guarded) (oldest *guarded, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.strangers); n > 0 && (n == maxStrangers || g.open == maxConnections) {
		oldest = g.strangers[0]
	}
	ok = g.open < maxConnections || oldest != nil
	g.open++
	g.strangers = append(g.strangers, c)
	return oldest, ok
}

// known says that a connection has shown the token.
func (g *guard) known(c *guarded) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.strangers, c); i >= 0 {
		g.strangers = slices.Delete(g.strangers, i, i+1)
	}
}

// left says that a connection is over.
func (g *guard) left(c *guarded) {
	g.known(c)
	g.mu.Lock()
	g.open--
	g.mu.Unlock()
}

// look reads the first bytes of a connection and hands it on with them.
func (g *guard) look(c *guarded) {
	c.SetDeadline(time.Now().Add(firstBytes))
	conn, why := g.begin(c)
	if why != "" {
		g.turnAway(c, why)
		return
	}
	if conn == nil { // a probe that only connects is no offence
		c.Close()
		return
	}
	c.SetDeadline(time.Time{})
	select {
	case g.ready <- conn:
	case <-g.done:
		c.Close()
	}
}

// begin reads until the connection has begun in one of the ways expected, or says why it cannot any more. Of one that
// said nothing it gives neither.
func (g *guard) begin(c *guarded) (conn net.Conn, why string) {
	var head []byte
	buffer := make([]byte, 64)
	for {
		n, err := c.Read(buffer)
		if head = append(head, buffer[:n]...); len(head) == 0 && err != nil {
			return nil, ""
		}
		if len(head) > 0 && head[0] == tlsHandshake && g.tls != nil {
			return g.secure(&headed{c, head})
		}
		open := false
		for _, b := range g.begins {
			if bytes.HasPrefix(head, b) {
				return &headed{c, head}, ""
			}
			open = open || bytes.HasPrefix(b, head)
		}
		if !open || err != nil {
			return nil, "it does not speak " + g.what
		}
	}
}

// secure makes the handshake of TLS, which shows that the other end has the token.
func (g *guard) secure(c *headed) (net.Conn, string) {
	secured := tls.Server(c, g.tls)
	if err := secured.Handshake(); err != nil {
		return nil, err.Error()
	}
	g.known(c.guarded)
	c.trusted.Store(true)
	return secured, ""
}

func (g *guard) turnAway(c *guarded, why string) {
	if !c.over.Swap(true) {
		g.left(c)
		g.refused.Add(1)
		g.log.Warn("connection turned away", "port", g.what, "from", c.Conn.RemoteAddr().String(), "why", why)
	}
	c.Conn.Close()
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

// guarded is a connection under guard.
type guarded struct {
	net.Conn
	guard   *guard
	trusted atomic.Bool  // it has shown the token
	spent   atomic.Int64 // bytes that it sent before
	over    atomic.Bool
}

func (c *guarded) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if !c.trusted.Load() && c.spent.Add(int64(n)) > strangerBytes {
		c.guard.turnAway(c, "it sent too much without the token")
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *guarded) Close() error {
	if !c.over.Swap(true) {
		c.guard.left(c)
	}
	return c.Conn.Close()
}

// RemoteAddr is where the connection comes from. Servers pass it on with each call, and the connection with it.
func (c *guarded) RemoteAddr() net.Addr { return caller{c.Conn.RemoteAddr(), c} }

// A caller is the address of a connection, and the connection.
type caller struct {
	net.Addr
	connection *guarded
}

// trust says that the caller at an address has shown the token.
func trust(a net.Addr) {
	if from, ok := a.(caller); ok && !from.connection.trusted.Swap(true) {
		from.connection.guard.known(from.connection)
	}
}

// forgive forgets what a stranger has sent so far: it was of use.
func forgive(a net.Addr) {
	if from, ok := a.(caller); ok {
		from.connection.spent.Store(0)
	}
}

// headed is a connection whose first bytes have been read already.
type headed struct {
	*guarded
	head []byte
}

func (c *headed) Read(b []byte) (int, error) {
	if len(c.head) > 0 {
		n := copy(b, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	return c.guarded.Read(b)
}

// closed says whether an error is only that of a server that was told to stop.
func closed(err error) bool { return err == nil || errors.Is(err, net.ErrClosed) }
