package live

import (
	"errors"
	"time"

	"ciranda.dev/engine/wire"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/clock"
	"ciranda.dev/trace"
	"ciranda.dev/transport"
)

// A batch is what a transport handed over at once: messages, or news of a connection.
type batch struct {
	peerLife
	messages []arrival
	up       *transport.Hello
	down     bool
	room     bool // in the queue to the peer
	aloud    bool // the messages were broadcast
	carries  bool // whether broadcasts get through may have changed
}

type peerLife struct {
	id  protocol.ID
	inc protocol.Incarnation
}

// An arrival is a message that was read, or why it could not be.
type arrival struct {
	envelope wire.Envelope
	packet   protocol.Packet
	err      error
}

// A handler is a node as its transport sees it. Its methods run in the transport's goroutines: messages are decoded
// there, beside the node's own work.
type handler struct{ *Node }

// Up implements [transport.Handler].
func (h handler) Up(peer transport.Hello) {
	h.put(batch{peerLife: peerLife{peer.ID, peer.Incarnation}, up: &peer})
}

// Receive implements [transport.Handler].
func (h handler) Receive(from protocol.ID, inc protocol.Incarnation, messages [][]byte) {
	h.put(h.read(from, inc, messages))
}

// read decodes messages.
func (h handler) read(from protocol.ID, inc protocol.Incarnation, messages [][]byte) batch {
	b := batch{peerLife: peerLife{from, inc}, messages: make([]arrival, len(messages))}
	for i, m := range messages {
		a := &b.messages[i]
		var body []byte
		if a.envelope, body, a.err = wire.ParseEnvelope(m); a.err == nil {
			a.packet, a.err = h.decode(m, body)
		}
	}
	return b
}

// Hear implements [transport.Hearer].
func (h handler) Hear(from protocol.ID, inc protocol.Incarnation, messages [][]byte) {
	b := h.read(from, inc, messages)
	b.aloud = true
	h.put(b)
}

// Carries implements [transport.Hearer].
func (h handler) Carries() { h.put(batch{peerLife: peerLife{id: h.self.ID}, carries: true}) }

// decode decodes the body of a message: in place if the message need not be given back.
func (n *Node) decode(message, body []byte) (protocol.Packet, error) {
	if len(message) >= transport.Kept {
		return n.codec.DecodeInPlace(body)
	}
	return n.codec.Decode(body)
}

// Down implements [transport.Handler].
func (h handler) Down(id protocol.ID, inc protocol.Incarnation) {
	h.put(batch{peerLife: peerLife{id, inc}, down: true})
}

// Room implements [transport.Handler]. What was refused is lost already: layers that promise more send again.
func (h handler) Room(id protocol.ID) { h.put(batch{peerLife: peerLife{id: id}, room: true}) }

// Refused implements [transport.Handler].
func (h handler) Refused(remote string, why error) {
	h.Node.refused.Add(1)
	h.log.Warn("refused a connection", "node", h.self.ID, "remote", remote, "why", why)
}

func (h handler) put(b batch) {
	select {
	case h.inbox <- b:
	case <-h.done:
	}
}

// believable is the highest clock that a handshake makes this node believe in. The rest, up to the ceiling, is reached
// in steps of clock.MaxJump only: so one lie does not exhaust the clocks of all.
const believable = clock.Ceiling / 2

// take takes a batch from the inbox.
func (n *Node) take(b batch) {
	if b.carries {
		n.doubtful = true
		return
	}
	p := n.shim.peers[b.id]
	if p == nil {
		n.log.Error("the transport named a stranger", "node", n.self.ID, "peer", b.id)
		return
	}
	n.doubtful = n.doubtful || b.up != nil || b.down || b.room
	switch {
	case b.room:
		p.lossy = false
	case b.up != nil:
		p.up, p.inc, p.api, p.hints = true, max(p.inc, b.inc), b.up.API, 0
		p.lossy, p.anew = false, true
		n.known = max(n.known, min(b.up.Lamport, believable))
		n.log.Debug("connected", "node", n.self.ID, "peer", b.id, "incarnation", b.inc)
	case b.down:
		n.hint(time.Now(), p, b.peerLife)
	default:
		n.pending, n.sender, n.aloud = b.messages, b.peerLife, b.aloud
	}
}

// hint passes on that a connection was closed, and the first time after it that a new one was refused. More of the same
// would say nothing new. A cut link would not have told.
func (n *Node) hint(now time.Time, p *peer, who peerLife) {
	if who.inc == p.inc {
		p.up = false
	}
	if p.cut || p.link.Cut || p.hints == maxHints {
		return
	}
	p.hints++
	p.redial = p.hints < maxHints
	n.notify(now, protocol.LinkDown{Node: who.id, Incarnation: who.inc})
}

// receive takes the step of a message, unless it is dropped.
func (n *Node) receive(now time.Time, a *arrival) {
	n.now = n.clock.trace(now)
	p := n.shim.peers[n.sender.id]
	if !n.aloud { // else its connection has not shown it
		p.inc = max(p.inc, n.sender.inc)
	}
	switch {
	case p.cut:
		n.lost(a, "cut")
	case n.aloud && a.err == nil && !n.stack.Hears(a.packet.Channel):
		n.lost(a, "channel")
	case a.err != nil:
		n.bad(a, "corrupt", a.err)
	case a.envelope.To != 0 && a.envelope.To != n.self.Incarnation:
		n.lost(a, "not-me")
	case a.envelope.Seq == 0:
		n.bad(a, "corrupt", errors.New("a message without a number"))
	default:
		if err := n.credible(a.envelope.Lamport); err != nil {
			n.bad(a, "ceiling", err)
			return
		}
		n.deliver(now, a)
	}
}

func (n *Node) deliver(now time.Time, a *arrival) {
	n.stats.Received++
	n.heard = max(n.heard, a.envelope.Lamport)
	n.begin(now, trace.Event{Kind: trace.Receive, Lamport: a.envelope.Lamport, Peer: n.sender.id, PeerInc: n.sender.inc,
		Seq: a.envelope.Seq, Layer: a.packet.Channel, Data: a.packet.Body})
	if n.aloud {
		n.stack.Hear(n.sender.id, n.sender.inc, a.packet, n.inputs(now), &n.out)
	} else {
		n.stack.Receive(n.sender.id, n.sender.inc, a.packet, n.inputs(now), &n.out)
	}
	n.carry()
}

// credible checks a received stamp. What a handshake told is known too, so a node that was away for long is not shut
// out.
func (n *Node) credible(t uint64) error {
	known := n.lamport
	if err := known.Adopt(n.known); err != nil {
		return err
	}
	_, err := known.Receive(t)
	return err
}

// lost records that a message was dropped on its arrival.
func (n *Node) lost(a *arrival, reason string) {
	n.drop(&trace.Event{Node: n.sender.id, Inc: n.sender.inc, Peer: n.self.ID, PeerInc: n.self.Incarnation,
		Seq: a.envelope.Seq, Layer: a.packet.Channel}, reason)
}

// bad is lost, for a message that no honest node of the same making sends. Its connection is broken off, and what came
// with it is lost too. A broadcast came over none, and may be anybody's who can send in that node's name.
func (n *Node) bad(a *arrival, reason string, why error) {
	n.lost(a, reason)
	for i := range n.pending {
		n.lost(&n.pending[i], reason)
	}
	n.pending = nil
	n.refused.Add(1)
	n.log.Warn("refused a message", "node", n.self.ID, "peer", n.sender.id, "why", why)
	if !n.aloud {
		n.transport.Reset(n.sender.id)
	}
}
