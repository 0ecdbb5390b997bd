package api

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"ciranda.dev/pki"
	"ciranda.dev/rmi"
)

// Limits of a port.
const (
	strangerBytes = maxRequest + 64<<10 // what a stranger may send; a large first request fits
	firstBytes    = 5 * time.Second     // how long a connection may take to say what it is, and who
	tlsHandshake  = 0x16                // the first byte of a TLS connection
)

// A port is what is spoken at a port of a server, and with how many.
type port struct {
	name        string
	begins      []string // in plain text a connection begins with one of these
	protocols   []string // names of what is spoken over TLS (ALPN)
	connections int      // at a time
	strangers   int      // of them, those that have shown neither a certificate nor the token
	each        int      // of them, those of one certificate's party
}

var (
	grpcPort = port{"gRPC", []string{http2.ClientPreface}, []string{"h2"}, 256, 64, 64}
	// objectsPort is a gRPC port that speaks remote objects too.
	objectsPort = port{"gRPC", []string{http2.ClientPreface, rmi.Preface}, []string{"h2", rmi.Protocol}, 256, 64, 64}
	// httpPort takes what begins as an HTTP/1 request with one of the methods that are served.
	httpPort = port{"HTTP", []string{"GET ", "HEAD ", "POST ", "OPTIONS "}, []string{"h2", "http/1.1"}, 256, 64, 64}
)

// A guard is a listener that turns away what does not speak the port's protocol, counts it and names it in the log.
// Each connection is looked at by itself, so that a silent one keeps nobody waiting. Until it shows its certificate, or
// the token, it is a stranger: it may not send much, and where there are too many of them the oldest makes room for the
// next.
type guard struct {
	net.Listener
	port
	tls     *tls.Config // of a secure cluster
	objects *rmi.Node   // gets connections that speak remote objects; nil: there are none
	log     *slog.Logger
	refused *atomic.Uint64

	once  sync.Once
	ready chan net.Conn
	done  chan struct{}
	err   error // of Accept, once done is closed
	stop  sync.Once

	mu        sync.Mutex
	open      int                  // connections
	strangers []*guarded           // of them, oldest first
	held      map[pki.Identity]int // by parties with certificates
}

func newGuard(l net.Listener, p port, a Access, log *slog.Logger, refused *atomic.Uint64) *guard {
	g := &guard{Listener: l, port: p, log: log, refused: refused, ready: make(chan net.Conn), done: make(chan struct{}),
		held: map[pki.Identity]int{}}
	if !a.Insecure() {
		g.tls = a.Credentials.Server()
		g.tls.NextProtos = p.protocols
	}
	return g
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
		if passes(err) {
			g.log.Warn("no connection can be taken", "port", g.name, "error", err)
			time.Sleep(untilPassed)
			continue
		}
		if err != nil {
			g.finish(err)
			return
		}
		c := &guarded{Conn: nc, guard: g}
		oldest, ok := g.admit(c)
		if oldest != nil {
			g.turnAway(oldest, "others came, and it had not said who it is")
		}
		if !ok {
			g.turnAway(c, "too many connections")
			continue
		}
		go g.look(c)
	}
}

// untilPassed is how long a guard waits when it can take no connection.
const untilPassed = 50 * time.Millisecond

// passes says whether an error of a listener is one that passes by itself, such as that of too many open files.
func passes(err error) bool {
	var passing interface{ Temporary() bool }
	return errors.As(err, &passing) && passing.Temporary()
}

// admit counts a connection, as a stranger. It gives the one that must go for it, and says whether there is room.
func (g *guard) admit(c *guarded) (oldest *guarded, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.strangers); n > 0 && (n >= g.port.strangers || g.open >= g.connections) {
		oldest = g.strangers[0]
	}
	ok = g.open < g.connections || oldest != nil
	g.open++
	g.strangers = append(g.strangers, c)
	return oldest, ok
}

// known says that a connection has shown the token.
func (g *guard) known(c *guarded) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(c)
}

// forget takes a connection from the strangers. The caller holds the lock.
func (g *guard) forget(c *guarded) {
	if i := slices.Index(g.strangers, c); i >= 0 {
		g.strangers = slices.Delete(g.strangers, i, i+1)
	}
}

// introduce says whose connection it is, and gives whether that party may have another one.
func (g *guard) introduce(c *guarded, id pki.Identity) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.over.Load() { // it had to make room meanwhile, and is not counted any more
		return false
	}
	g.forget(c)
	c.identity = id
	g.held[id]++
	c.trusted.Store(true)
	return g.held[id] <= g.each
}

// left says that a connection is over.
func (g *guard) left(c *guarded) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(c)
	g.open--
	if id := c.identity; id.Role != 0 {
		if g.held[id]--; g.held[id] == 0 {
			delete(g.held, id)
		}
	}
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
	if g.objects != nil && speaksObjects(conn) {
		g.serveObjects(c, conn)
		return
	}
	select {
	case g.ready <- conn:
	case <-g.done:
		c.Close()
	}
}

// speaksObjects says whether a connection that began well speaks remote objects.
func speaksObjects(c net.Conn) bool {
	if secured, ok := c.(*tls.Conn); ok {
		return secured.ConnectionState().NegotiatedProtocol == rmi.Protocol
	}
	plain, ok := c.(*headed)
	return ok && strings.HasPrefix(string(plain.head), rmi.Preface)
}

// serveObjects serves a connection that speaks remote objects, until it ends.
func (g *guard) serveObjects(c *guarded, conn net.Conn) {
	serve, err := g.objects.Accept(conn, c.identity)
	if err != nil {
		g.turnAway(c, err.Error())
		return
	}
	trust(c.RemoteAddr())
	serve()
}

func (g *guard) turnAway(c *guarded, why string) {
	if !c.over.Swap(true) {
		g.left(c)
		g.refused.Add(1)
		g.log.Warn("connection turned away", "port", g.name, "from", c.Conn.RemoteAddr().String(), "why", why)
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
	guard    *guard
	identity pki.Identity // of its certificate; written before it is handed on
	trusted  atomic.Bool  // it has shown its certificate, or the token
	spent    atomic.Int64 // bytes that it sent before
	over     atomic.Bool
}

func (c *guarded) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if !c.trusted.Load() && c.spent.Add(int64(n)) > strangerBytes {
		c.guard.turnAway(c, "it sent too much before it said who it is")
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
