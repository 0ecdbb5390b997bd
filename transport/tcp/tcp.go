// Package tcp carries messages over TCP: one connection for each pair of nodes, kept up by both.
//
// [Open] makes a transport. Messages are bundled: a connection's writer takes all that is queued, up to 64 KiB in one
// frame and one system call, and a lone message leaves at once. Each frame has a CRC32C; one that fails it breaks its
// connection off. A connection begins with a handshake, which compares what the nodes must agree on and proves to both
// that the other has the cluster's secret; with Config.TLS and Config.Identify it sees that each is the node to which
// its certificate was issued, and needs no secret. A broken connection is made again, after growing pauses.
//
// Of one life of a node an Up may follow an Up without a Down between: the connection broke for a reason that is no
// news of the peer, such as a deadline of this end. What was on its way is lost, as at every end of a connection.
//
// It does not give: secrecy or protection against somebody who changes bytes on the way, unless Config.TLS is set
// (the secret is never sent, but only the handshake rests on it); fairness between peers; an order between messages
// to different nodes. A process that is stopped but not dead is no reason for Down: its system keeps the connection.
package tcp

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/transport"
)

// maxHalfOpen is how many connections may be in their handshake; the oldest makes room for one more.
const maxHalfOpen = 64

// A Transport carries messages over TCP.
type Transport struct {
	config   Config
	options  Options
	self     protocol.ID
	process  [16]byte
	listener net.Listener
	peers    map[protocol.ID]*peer // never written again
	stats    counters

	context context.Context // until it closes
	cancel  context.CancelFunc
	closing atomic.Bool
	work    sync.WaitGroup

	mu       sync.Mutex
	halfOpen []*net.Conn // accepted and in their handshake, oldest first
	last     *bodySum    // of the large body that was sent last
}

type counters struct {
	messagesSent, messagesReceived, bytesSent, bytesReceived, writes, refused, full atomic.Uint64
}

// Open begins to listen and to dial.
func Open(config Config) (*Transport, error) {
	t := &Transport{config: config, options: config.Options.withDefaults(), peers: map[protocol.ID]*peer{}}
	if config.Hello == nil || config.Handler == nil {
		return nil, errors.New("transport/tcp: there is no Hello or no Handler")
	}
	hello := config.Hello()
	if err := errors.Join(t.options.validate(), validate(hello, config.Peers)); err != nil {
		return nil, err
	}
	if config.Identify != nil && config.TLS == nil {
		return nil, errors.New("transport/tcp: Identify needs certificates, and there is no TLS")
	}
	if err := t.listen(); err != nil {
		return nil, err
	}
	rand.Read(t.process[:])
	t.context, t.cancel = context.WithCancel(context.Background())
	t.self = hello.ID
	for _, id := range hello.Group {
		if id != t.self {
			t.peers[id] = &peer{t: t, id: id, address: config.Peers[id], wake: make(chan struct{}, 1)}
		}
	}
	t.work.Go(t.accept)
	for _, p := range t.peers {
		t.work.Go(p.dial)
	}
	return t, nil
}

// keepAlive finds machines that are gone, in about half a minute.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

func (t *Transport) listen() (err error) {
	if t.listener = t.config.Listener; t.listener != nil {
		return nil
	}
	address := t.config.Address
	if address == "" {
		address = "127.0.0.1:0"
	}
	config := net.ListenConfig{KeepAliveConfig: keepAlive}
	if t.listener, err = config.Listen(context.Background(), "tcp", address); err != nil {
		return fmt.Errorf("transport/tcp: %w", err)
	}
	return nil
}

// dialer makes a connection to an address.
func (t *Transport) dialer(ctx context.Context, address string) (net.Conn, error) {
	dial := t.config.Dial
	if dial == nil {
		dialer := net.Dialer{KeepAliveConfig: keepAlive}
		dial = func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		}
	}
	nc, err := dial(ctx, address)
	if err != nil || t.config.TLS == nil {
		return nc, err
	}
	config := t.config.TLS
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName, _, _ = net.SplitHostPort(address)
	}
	return tls.Client(nc, config), nil
}

// accept is the goroutine that takes connections from outside.
func (t *Transport) accept() {
	const least, most = 5 * time.Millisecond, time.Second
	wait := least
	for {
		nc, err := t.listener.Accept()
		if err == nil {
			wait = least
			place := t.admit(nc)
			t.work.Go(func() { t.greet(nc); t.settled(place) })
			continue
		}
		if t.closing.Load() || errors.Is(err, net.ErrClosed) {
			return
		}
		select { // too many open files, perhaps: it may pass
		case <-time.After(wait):
		case <-t.context.Done():
		}
		wait = min(2*wait, most)
	}
}

// greet makes the handshake of a connection from outside.
func (t *Transport) greet(nc net.Conn) {
	defer context.AfterFunc(t.context, func() { nc.Close() })()
	remote := nc.RemoteAddr().String()
	wrapped := nc
	if t.config.TLS != nil {
		wrapped = tls.Server(nc, t.config.TLS)
	}
	wrapped.SetDeadline(time.Now().Add(t.options.HandshakeTimeout))
	h := t.handshake(wrapped)
	err := h.accept()
	if err == nil {
		return
	}
	defer nc.Close()
	if t.closing.Load() {
		return
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = refuse(fmt.Errorf("no handshake within %s", t.options.HandshakeTimeout))
	case errors.Is(err, net.ErrClosed):
		err = refuse(errors.New("too many connections were in their handshake, and this was the oldest"))
	}
	if isRefusal(err) {
		t.refused(remote, err)
	}
	h.linger()
}

// admit counts a connection among those in their handshake, until it is settled.
func (t *Transport) admit(nc net.Conn) *net.Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.halfOpen) == maxHalfOpen {
		(*t.halfOpen[0]).Close()
		t.halfOpen = slices.Delete(t.halfOpen, 0, 1)
	}
	t.halfOpen = append(t.halfOpen, &nc)
	return &nc
}

func (t *Transport) settled(place *net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.halfOpen, place); i >= 0 {
		t.halfOpen = slices.Delete(t.halfOpen, i, i+1)
	}
}

// refused counts a connection that was turned away or broken off, and tells of it.
func (t *Transport) refused(remote string, why error) {
	t.stats.refused.Add(1)
	if !t.closing.Load() {
		t.config.Handler.Refused(remote, why)
	}
}

// Send queues a message for a node, head and then body, and returns at once. The transport keeps both until they are
// written; they must not be changed. The error is transport.ErrFull, ErrDown, ErrTooLarge or ErrClosed.
func (t *Transport) Send(to protocol.ID, head, body []byte) error {
	m := message{head: head, body: body}
	if m.size() > transport.MaxMessage {
		return transport.ErrTooLarge
	}
	if p := t.peers[to]; p != nil && !t.closing.Load() {
		if c := p.current(); c != nil {
			m.sum = t.sumOf(body)
			return c.send(m)
		}
	}
	return t.down()
}

// sumOf gives the checksum of a large body, the same one if that was sent last.
func (t *Transport) sumOf(body []byte) *bodySum {
	if len(body) < transport.Kept {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.last.is(body) {
		t.last = &bodySum{body: body}
	}
	return t.last
}

// down is why there is no connection.
func (t *Transport) down() error {
	if t.closing.Load() {
		return transport.ErrClosed
	}
	return transport.ErrDown
}

// Redial tries now to connect to a node, if there is no connection. If that is refused the handler hears Down.
func (t *Transport) Redial(to protocol.ID) {
	if p := t.peers[to]; p != nil {
		p.redial()
	}
}

// SetPeer changes the address at which a node is dialed. A connection that there is stays.
func (t *Transport) SetPeer(id protocol.ID, address string) {
	if p := t.peers[id]; p != nil {
		p.setAddress(address)
	}
}

// Reset breaks the connection to a node as its network might: both ends hear Down.
func (t *Transport) Reset(to protocol.ID) {
	if p := t.peers[to]; p != nil {
		if c := p.current(); c != nil {
			c.resetNow()
		}
	}
}

// Addr is where the transport listens.
func (t *Transport) Addr() string { return t.listener.Addr().String() }

// Stats are the counters.
func (t *Transport) Stats() transport.Stats {
	s := &t.stats
	return transport.Stats{
		MessagesSent: s.messagesSent.Load(), MessagesReceived: s.messagesReceived.Load(),
		BytesSent: s.bytesSent.Load(), BytesReceived: s.bytesReceived.Load(),
		Writes: s.writes.Load(), Refused: s.refused.Load(), Full: s.full.Load(),
	}
}

// Close stops listening, writes what is queued until ctx ends, closes all connections and waits for the goroutines. From
// its beginning the handler is not called any more; a call that is under way must return. The error says that
// something queued was not written.
func (t *Transport) Close(ctx context.Context) error {
	if t.closing.Swap(true) {
		t.work.Wait()
		return nil
	}
	t.listener.Close()
	t.cancel()
	var conns []*conn
	for _, p := range t.peers {
		if c := p.current(); c != nil {
			c.leave()
			conns = append(conns, c)
		}
	}
	stop := context.AfterFunc(ctx, func() {
		for _, c := range conns {
			c.kill()
		}
	})
	defer stop()
	left := t.waitWritten(ctx, conns)
	t.work.Wait()
	if t.config.Tunnel != nil {
		t.config.Tunnel.Close()
	}
	return left
}

// waitWritten waits until nothing is queued.
func (t *Transport) waitWritten(ctx context.Context, conns []*conn) error {
	for _, c := range conns {
		select {
		case <-c.done:
		case <-ctx.Done():
		}
		if c.unwritten() {
			return fmt.Errorf("transport/tcp: closed before all was written to node %d", c.p.id)
		}
	}
	return nil
}
