package rmi

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"ciranda.dev/pki"
)

// Protocol is the name of what is spoken, for TLS (ALPN).
const Protocol = "ciranda-rmi/1"

// Preface is what a connection begins with.
const Preface = "RMI/1\n"

const (
	introTime = 5 * time.Second // how long both ends may take to say who they are
	firstWait = 50 * time.Millisecond
	mostWait  = 2 * time.Second // between two attempts to connect
	nonceSize = 16
)

// Connect connects to the node at an address, and says who that is. The node goes on to know the address: it connects again when it
// needs to.
func (n *Node) Connect(ctx context.Context, address string) (*Peer, error) {
	p, err := n.dial(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("rmi: %s: %w", address, err)
	}
	p.mu.Lock()
	p.address = address
	p.mu.Unlock()
	p.dialedAt.Store(address)
	n.mu.Lock()
	defer n.mu.Unlock()
	if !slices.Contains(n.dialed, p.id) {
		n.dialed = append(n.dialed, p.id)
	}
	return p, nil
}

// Reach gives the node at an address: over the connection that there is, or a new one.
func (n *Node) Reach(ctx context.Context, address string) (*Peer, error) {
	n.mu.Lock()
	for _, id := range n.dialed {
		if p := n.peers[id]; p != nil && p.current() != nil && p.dialedAt.Load() == address {
			n.mu.Unlock()
			return p, nil
		}
	}
	n.mu.Unlock()
	return n.Connect(ctx, address)
}

// Serve takes connections of a listener, until that or the node is closed.
func (n *Node) Serve(l net.Listener) {
	n.mu.Lock()
	n.listeners[l] = true
	over := n.over
	n.mu.Unlock()
	if over || !n.goes(func() { n.accept(l) }) {
		l.Close()
	}
}

func (n *Node) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			n.log.Warn("no connection can be taken", "error", err)
			select {
			case <-time.After(firstWait):
			case <-n.ctx.Done():
				return
			}
			continue
		}
		n.goes(func() {
			from := c.RemoteAddr()
			if err := n.greet(c); err != nil {
				n.log.Warn("connection turned away", "from", from.String(), "why", err)
			}
		})
	}
}

// greet finds out who connected.
func (n *Node) greet(c net.Conn) error {
	var who pki.Identity
	c.SetDeadline(time.Now().Add(introTime))
	if n.opts.Credentials != nil {
		config := n.opts.Credentials.Server()
		config.NextProtos = []string{Protocol}
		secured := tls.Server(c, config)
		err := secured.Handshake()
		if err == nil {
			who, err = pki.IdentityOf(secured.ConnectionState())
		}
		if err != nil {
			return errors.Join(err, c.Close())
		}
		c = secured
	}
	serve, err := n.Accept(c, who)
	if err == nil {
		serve()
	}
	return err
}

// Accept takes a connection that was made elsewhere, of the party that its certificate names; where connections are plain the party is
// nobody and shows the secret. The other end has said who it is when Accept returns. What it gives begins to serve the connection, and
// must be called. After an error the connection is closed.
func (n *Node) Accept(c net.Conn, who pki.Identity) (serve func(), err error) {
	if !n.keep(c) {
		return nil, errors.Join(errClosed, c.Close())
	}
	nc, p, err := n.introduce(c, who, false)
	if err != nil {
		n.drop(c)
		return nil, err
	}
	p.attach(nc)
	return func() { n.serve(nc) }, nil
}

// serve begins to serve a connection.
func (n *Node) serve(c *conn) error {
	if n.hand(job{conn: c}) {
		return nil
	}
	n.lost(c, errClosed)
	return errClosed
}

// keep notes an open connection, for Close.
func (n *Node) keep(c net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.over {
		n.open[c] = true
	}
	return !n.over
}

func (n *Node) drop(c net.Conn) {
	c.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.open, c)
}

// dial connects to an address, and has the connection served.
func (n *Node) dial(ctx context.Context, address string) (*Peer, error) {
	ctx, cancel := context.WithTimeout(ctx, introTime)
	defer cancel()
	c, err := n.connect(ctx, address)
	if err != nil {
		return nil, err
	}
	var who pki.Identity
	if secured, ok := c.(*tls.Conn); ok {
		if who, err = pki.IdentityOf(secured.ConnectionState()); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	if !n.keep(c) {
		return nil, errors.Join(errClosed, c.Close())
	}
	nc, p, err := n.introduce(c, who, true)
	if err != nil {
		n.drop(c)
		return nil, err
	}
	p.attach(nc)
	return p, n.serve(nc)
}

func (n *Node) connect(ctx context.Context, address string) (net.Conn, error) {
	dial := n.opts.Dial
	if dial == nil {
		dial = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	c, err := dial(ctx, address)
	if err != nil || n.opts.Credentials == nil {
		return c, err
	}
	config := n.opts.Credentials.Client()
	config.NextProtos = []string{Protocol}
	secured := tls.Client(c, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return secured, nil
}

// introduce has both ends say who they are.
func (n *Node) introduce(c net.Conn, who pki.Identity, dialed bool) (*conn, *Peer, error) {
	c.SetDeadline(time.Now().Add(introTime))
	defer c.SetDeadline(time.Time{})
	nc := newConn(c, bufio.NewReaderSize(c, 2*maxIntro))
	mine := intro{id: n.id, life: n.life}
	rand.Read(mine.nonce[:])
	if dialed {
		if _, err := io.WriteString(c, Preface); err != nil {
			return nil, nil, err
		}
	} else if err := readPreface(nc.in); err != nil {
		return nil, nil, err
	}
	if _, err := c.Write(mine.frame()); err != nil {
		return nil, nil, err
	}
	theirs, err := nc.readIntro()
	if err != nil {
		return nil, nil, err
	}
	if err := n.prove(nc, mine, theirs, dialed); err != nil {
		return nil, nil, err
	}
	p, err := n.admit(theirs, who)
	nc.peer, nc.life = p, theirs.life
	nc.in = bufio.NewReaderSize(nc.in, 64<<10) // no stranger any more
	return nc, p, err
}

func readPreface(in *bufio.Reader) error {
	b, err := in.Peek(len(Preface))
	if err != nil {
		return fmt.Errorf("it said nothing: %w", err)
	}
	if string(b) != Preface {
		return fmt.Errorf("it began with %q; expected %q", b, Preface)
	}
	in.Discard(len(b))
	return nil
}

// secretHolder is whoever has shown the secret, where connections are plain.
var secretHolder = pki.Identity{Role: pki.Operator, Name: "secret"}

// admit gives the peer that says to be a party. A node's certificate names it; other parties keep the id that they came with first.
func (n *Node) admit(i intro, who pki.Identity) (*Peer, error) {
	if i.id == n.id {
		return nil, errors.New("it is this node itself")
	}
	node := i.id.Node()
	switch {
	case n.opts.Credentials == nil:
		who = secretHolder
	case node != 0 && uint16(who.Node()) != node:
		return nil, fmt.Errorf("it says that it is node %d, and its certificate that it is %s", node, who)
	}
	p := n.locked(i.id)
	defer p.mu.Unlock()
	if p.identity.Role != 0 && p.identity != who {
		return nil, fmt.Errorf("it is %s, and says that it is %s, which is %s", who, i.id, p.identity)
	}
	if i.life < p.life {
		return nil, fmt.Errorf("it is a former life of %s", i.id)
	}
	p.identity = who
	p.expected++
	return p, nil
}

// An intro says who an end of a connection is.
type intro struct {
	id    ID
	life  uint64
	nonce [nonceSize]byte
}

func (i *intro) frame() []byte {
	b, at := beginFrame(nil, introFrame)
	b = append(b, i.id[:]...)
	b = binary.AppendUvarint(b, i.life)
	return endFrame(append(b, i.nonce[:]...), at)
}

func (c *conn) readIntro() (i intro, err error) {
	if head, _ := c.in.Peek(headSize); string(head) == "HTTP/" {
		return i, c.told()
	}
	kind, body, err := c.read(maxIntro)
	if err != nil {
		return i, err
	}
	defer body.free()
	d := reader{b: body.b}
	d.bytes(i.id[:])
	i.life = d.number()
	d.bytes(i.nonce[:])
	if kind != introFrame || d.failed || i.life == 0 || i.id == (ID{}) {
		return i, errors.New("it does not say who it is")
	}
	return i, nil
}

// told is the error that a port answers whom it turns away: the last line of what it says in HTTP.
func (c *conn) told() error {
	said, _ := io.ReadAll(io.LimitReader(c.in, 1<<10))
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	return errors.New(strings.TrimPrefix(lines[len(lines)-1], "ciranda: "))
}

// prove shows the other end of a plain connection that this one has the secret, and sees that it has it too. Each proof is of both
// ends' numbers, so none can be used again.
func (n *Node) prove(c *conn, mine, theirs intro, dialed bool) error {
	if n.opts.Credentials != nil {
		return nil
	}
	b, at := beginFrame(nil, proofFrame)
	if _, err := c.Write(endFrame(append(b, n.proof(mine, theirs, dialed)...), at)); err != nil {
		return err
	}
	kind, body, err := c.read(maxIntro)
	if err != nil {
		return fmt.Errorf("the other end does not prove that it has the secret: %w", err)
	}
	defer body.free()
	if kind != proofFrame || !hmac.Equal(body.b, n.proof(theirs, mine, !dialed)) {
		return errors.New("the other end has another secret")
	}
	return nil
}

func (n *Node) proof(of, to intro, dialed bool) []byte {
	mac := hmac.New(sha256.New, n.opts.Secret)
	if dialed {
		io.WriteString(mac, "the one that dialed")
	} else {
		io.WriteString(mac, "the one that was dialed")
	}
	for _, i := range []intro{of, to} {
		mac.Write(i.frame())
	}
	return mac.Sum(nil)
}

// redial connects to the peer, again and again, as long as calls wait for it.
func (p *Peer) redial() {
	for wait := firstWait; ; wait = min(2*wait, mostWait) {
		err := p.reach()
		p.mu.Lock()
		if p.trouble = err; err == nil {
			p.trouble = nil
		}
		p.nowhere = errors.Is(err, errNoAddress)
		if p.current() != nil || !p.needed() || p.nowhere && len(p.waiting) == 0 || p.node.ctx.Err() != nil {
			p.dialing = false
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		select {
		case <-time.After(wait):
		case <-p.node.ctx.Done():
		}
	}
}

// errNoAddress is why a node cannot be dialed: it must connect itself.
var errNoAddress = errors.New("it is not connected, and nobody knows its address")

// reach connects to the peer, if its address can be found.
func (p *Peer) reach() error {
	ctx, cancel := context.WithTimeout(p.node.ctx, introTime)
	defer cancel()
	p.mu.Lock()
	address := p.address
	p.mu.Unlock()
	if address == "" {
		var err error
		if address, err = p.node.resolve(ctx, p.id); err != nil {
			return err
		}
	}
	found, err := p.node.dial(ctx, address)
	if err == nil && found != p {
		return fmt.Errorf("at %s is %s", address, found.id)
	}
	return err
}

// resolve finds the address of a node.
func (n *Node) resolve(ctx context.Context, id ID) (address string, err error) {
	if n.opts.Resolve != nil {
		if address, err = n.opts.Resolve(ctx, id); err == nil && address == "" {
			err = errNoAddress
		}
		return address, err
	}
	n.mu.Lock()
	dialed := slices.Clone(n.dialed)
	n.mu.Unlock()
	for _, at := range dialed {
		if at == id {
			continue
		}
		if address, err := n.rootOf(at).Where(ctx, id); err == nil && address != "" {
			return address, nil
		}
	}
	return "", errNoAddress
}
