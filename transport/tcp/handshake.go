package tcp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// Both ends begin with the preface: magic, and the version of the protocol. It stays as it is in later versions.
const (
	magic   = "ciranda"
	version = 1
)

func preface() []byte { return append([]byte(magic), version) }

const (
	epochSize = 8
	proofSize = sha256.Size + epochSize
)

// A refusal is the reason for which one end of a connection turned the other away.
type refusal struct {
	why       string
	there     bool // the other end's reason
	duplicate bool // two connections at once: one is enough, and nobody is at fault
}

func (r *refusal) Error() string {
	if r.there {
		return "refused by the other end: " + r.why
	}
	return r.why
}

func refuse(err error) *refusal { return &refusal{why: err.Error()} }

var (
	errDuplicate = &refusal{why: "there is a connection already", duplicate: true}
	errProof     = errors.New("the other end does not have this cluster's secret")
)

// isRefusal says whether a handshake failed for a reason that somebody should hear of: not for a lost connection.
func isRefusal(err error) bool {
	var r *refusal
	if errors.As(err, &r) {
		return !r.duplicate
	}
	return isAlert(err) || errors.Is(err, ErrMalformed)
}

// isAlert says whether the other end has broken TLS off for a reason that it named.
func isAlert(err error) bool {
	var alert *net.OpError
	return errors.As(err, &alert) && alert.Op == "remote error"
}

// A handshake is the beginning of a connection, from one end.
//
//	dialer   -> preface, hello
//	acceptor -> preface, hello, proof
//	dialer   -> proof, epoch
//	acceptor -> welcome, epoch
//
// Instead of its next step either end may send a refusal. The proofs are HMACs, with the cluster's secret as key, of
// both hellos; each hello has a fresh nonce, so no old proof is worth anything.
type handshake struct {
	t            *Transport
	net          net.Conn
	mine, theirs greeting
	hellos       [2][]byte // the dialer's, the acceptor's
	certified    *tls.Conn // the connection, if it has TLS
	answered     net.Conn  // on which the other end was told why it is refused
}

func (t *Transport) handshake(nc net.Conn) *handshake {
	h := &handshake{t: t, net: nc, mine: greeting{Hello: t.config.Hello(), process: t.process}}
	rand.Read(h.mine.nonce[:])
	return h
}

// secure begins TLS, if the connection has it.
func (h *handshake) secure() error {
	c, ok := h.net.(*tls.Conn)
	if !ok {
		return nil
	}
	h.certified = c
	err := c.Handshake()
	if err == nil || isAlert(err) || closedByPeer(err) || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	h.answered = c.NetConn() // with an alert
	return refuse(err)
}

// tunnel begins what Config.Tunnel puts into the connection.
func (h *handshake) tunnel(begin func(net.Conn) (net.Conn, error)) error {
	inner, err := begin(h.net)
	if err != nil {
		return err
	}
	h.net = inner
	return nil
}

// dial begins a connection from this end to p. It ends with the connection in use.
func (h *handshake) dial(p *peer) error {
	if err := h.secure(); err != nil {
		return err
	}
	if t := h.t.config.Tunnel; t != nil {
		if err := h.tunnel(t.Client); err != nil {
			return err
		}
	}
	h.hellos[0] = h.mine.append(nil)
	if err := h.write(appendFrame(preface(), helloFrame, h.hellos[0])); err != nil {
		return err
	}
	if err := h.readPreface(); err != nil {
		return err
	}
	if err := h.readHello(1); err != nil {
		return err
	}
	if err := h.judge(p); err != nil {
		return h.turnAway(refuse(err))
	}
	proof, err := h.read(proofFrame)
	if err != nil {
		return err
	}
	if len(proof) != proofSize || !hmac.Equal(proof[:sha256.Size], h.proof("acceptor")) {
		return h.turnAway(refuse(errProof))
	}
	epoch, err := p.propose(h.theirs)
	if err != nil {
		return h.turnAway(err)
	}
	defer p.proposed()
	if err := h.write(appendFrame(nil, proofFrame, binary.BigEndian.AppendUint64(h.proof("dialer"), epoch))); err != nil {
		return err
	}
	welcome, err := h.read(welcomeFrame)
	if err != nil {
		return err
	}
	if len(welcome) != epochSize {
		return refuse(ErrMalformed)
	}
	h.net.SetDeadline(time.Time{})
	c := newConn(h, p)
	if err := p.agree(c, binary.BigEndian.Uint64(welcome)); err != nil {
		return err // the other end finds out by itself that another connection came before
	}
	c.start()
	return nil
}

// accept answers a connection from the other end.
func (h *handshake) accept() error {
	if err := h.secure(); err != nil {
		return err
	}
	if t := h.t.config.Tunnel; t != nil {
		if err := h.tunnel(t.Server); err != nil {
			return err
		}
	}
	if err := h.readPreface(); err != nil {
		if err == errHTTP2 { // any answer that is not HTTP/2 tells the other end
			return h.turnAwayAfter(preface(), err)
		}
		if r, ok := err.(*refusal); ok && r != errMagic && h.write(preface()) == nil { // so that the other end can say so too
			h.answered = h.net
		}
		return err
	}
	if err := h.readHello(0); err != nil {
		return err
	}
	h.hellos[1] = h.mine.append(nil)
	reply := appendFrame(preface(), helloFrame, h.hellos[1])
	p := h.t.peers[h.theirs.ID]
	if err := h.judge(p); err != nil {
		return h.turnAwayAfter(reply, refuse(err))
	}
	proof := binary.BigEndian.AppendUint64(h.proof("acceptor"), 0)
	if err := h.write(appendFrame(reply, proofFrame, proof)); err != nil {
		return err
	}
	proof, err := h.read(proofFrame)
	if err != nil {
		return err
	}
	if len(proof) != proofSize || !hmac.Equal(proof[:sha256.Size], h.proof("dialer")) {
		return h.turnAway(refuse(errProof))
	}
	h.net.SetDeadline(time.Time{})
	c := newConn(h, p)
	if err := p.decide(c, binary.BigEndian.Uint64(proof[sha256.Size:])); err != nil {
		return h.turnAway(err)
	}
	c.writeOne(appendFrame(nil, welcomeFrame, binary.BigEndian.AppendUint64(nil, c.epoch))) // reading finds out if it fails
	c.start()
	return nil
}

// judge says why the other end must be turned away, if it must. p is the node that should be there.
func (h *handshake) judge(p *peer) error {
	if err := h.identify(); err != nil {
		return err
	}
	if err := differ(&h.mine, &h.theirs); err != nil {
		return err
	}
	if p == nil {
		return fmt.Errorf("node %d is not known here", h.theirs.ID)
	}
	if p.id != h.theirs.ID {
		return fmt.Errorf("at the address of node %d is node %d", p.id, h.theirs.ID)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.judge(h.theirs)
}

// identify sees that the other end is the node whose certificate it has shown.
func (h *handshake) identify() error {
	whose := h.t.config.Identify
	if whose == nil {
		return nil
	}
	id, err := whose(h.certified.ConnectionState())
	if err == nil && id != h.theirs.ID {
		err = fmt.Errorf("the certificate is node %d's, the hello says node %d", id, h.theirs.ID)
	}
	return err
}

// turnAway tells the other end why it is refused.
func (h *handshake) turnAway(why error) error { return h.turnAwayAfter(nil, why) }

func (h *handshake) turnAwayAfter(reply []byte, why error) error {
	r, ok := why.(*refusal)
	if !ok {
		return why
	}
	h.net.SetDeadline(time.Now().Add(h.t.options.HandshakeTimeout))
	payload := []byte{0}
	if r.duplicate {
		payload[0] = 1
	}
	payload = append(payload, r.why[:min(len(r.why), maxRefusal)]...)
	if err := h.write(appendFrame(reply, refusalFrame, payload)); err == nil {
		h.answered = h.net
	}
	return r
}

// linger waits until the other end has closed, so that it can read the answer: a socket that is closed with bytes unread
// is reset, and those on their way may be lost.
func (h *handshake) linger() {
	if half, ok := h.answered.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		io.CopyN(io.Discard, h.answered, maxHello)
	}
}

// proof is the HMAC of one end.
func (h *handshake) proof(role string) []byte {
	mac := hmac.New(sha256.New, h.t.config.Secret)
	fmt.Fprintf(mac, "%s %s %d %d ", magic, role, len(h.hellos[0]), len(h.hellos[1]))
	mac.Write(h.hellos[0])
	mac.Write(h.hellos[1])
	return mac.Sum(nil)
}

func (h *handshake) write(b []byte) error {
	_, err := h.net.Write(b)
	return err
}

var (
	errMagic = &refusal{why: "the other end does not speak this protocol"}
	errHTTP2 = &refusal{why: "the transports differ: the other end speaks HTTP/2, which is not this protocol"}
)

// beginsHTTP2 is how every HTTP/2 client begins, RFC 9113 section 3.4: as much of it as is read of a preface.
const beginsHTTP2 = "PRI * HT"

func (h *handshake) readPreface() error {
	b := make([]byte, len(magic)+1)
	if _, err := io.ReadFull(h.net, b); err != nil {
		return err
	}
	if string(b) == beginsHTTP2 {
		return errHTTP2
	}
	if string(b[:len(magic)]) != magic {
		return errMagic
	}
	if found := b[len(magic)]; found != version {
		return refuse(fmt.Errorf("the versions of the protocol differ: %d here, %d there", version, found))
	}
	return nil
}

// readHello reads the other end's hello.
func (h *handshake) readHello(role int) (err error) {
	if h.hellos[role], err = h.read(helloFrame); err != nil {
		return err
	}
	if h.theirs, err = parseGreeting(h.hellos[role]); err != nil {
		return refuse(err)
	}
	return nil
}

// read reads a frame of a kind, or a refusal instead of it, and not one byte more.
func (h *handshake) read(kind byte) ([]byte, error) {
	frame := make([]byte, headerSize)
	if _, err := io.ReadFull(h.net, frame); err != nil {
		return nil, err
	}
	size, err := frameSize(frame)
	if found := frame[firstSum-1]; err == nil && found != kind && found != refusalFrame {
		err = fmt.Errorf("%w: found kind %d; expected %d", ErrMalformed, found, kind)
	}
	if err != nil {
		return nil, refuse(err)
	}
	frame = append(frame, make([]byte, size-headerSize)...)
	if _, err := io.ReadFull(h.net, frame[headerSize:]); err != nil {
		return nil, err
	}
	found, payload, err := open(frame)
	if err != nil {
		return nil, refuse(err)
	}
	if found == refusalFrame {
		return nil, refused(payload)
	}
	return payload, nil
}

// refused is the other end's refusal.
func refused(payload []byte) error {
	if len(payload) == 0 {
		return refuse(ErrMalformed)
	}
	return &refusal{why: printable(payload[1:]), there: true, duplicate: payload[0] == 1}
}

// printable replaces what would disturb a terminal.
func printable(b []byte) string {
	text := []rune(string(b))
	for i, r := range text {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			text[i] = '?'
		}
	}
	return string(text)
}
