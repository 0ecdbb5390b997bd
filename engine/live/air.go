package live

import (
	"errors"
	"time"

	"ciranda.dev/engine/network"
	"ciranda.dev/engine/wire"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
	"ciranda.dev/transport"
)

// reconsider tells the stack what has become of its ways to other nodes.
func (n *Node) reconsider(now time.Time) {
	n.doubtful = false
	if n.vouches {
		n.vouch(now)
	}
	if n.air == nil {
		return
	}
	c := n.air.Carries()
	if n.faulty() && c.Broadcasts {
		c = protocol.Carries{Why: "faults are injected on links of this node"}
	}
	if c.Broadcasts {
		c.Size -= maxEnvelope
	}
	if c != n.carried {
		n.carried = c
		n.notify(now, c)
	}
}

// faulty says whether a fault is injected on any link from this node or to it. A broadcast cannot be lost on the way to one
// node alone.
func (n *Node) faulty() bool {
	for _, p := range n.shim.peers {
		if p.cut || p.link != (network.Link{}) {
			return true
		}
	}
	return false
}

// broadcast numbers, stamps and encodes a message and sends it to all.
func (n *Node) broadcast(e *protocol.Effect, step uint64) {
	n.sent++
	n.stats.Sent++
	if ev := n.count(trace.Send, step); ev != nil {
		ev.Seq, ev.Layer, ev.Data = n.sent, e.Channel, e.Body
		n.cfg.Sink.Record(ev)
	}
	reason := ""
	switch {
	case n.air == nil:
		reason = "down"
	case n.faulty():
		reason = "cut"
	default:
		m := n.encode(wire.Envelope{Seq: n.sent, Lamport: n.lamport.Time()}, protocol.Packet{Channel: e.Channel, Body: e.Body})
		switch err := n.air.Broadcast(append(m.head, m.body...)); {
		case errors.Is(err, transport.ErrTooLarge):
			reason = "size"
		case err != nil:
			reason = "down"
		}
	}
	for _, id := range n.self.Group {
		if reason != "" && id != n.self.ID {
			n.drop(&trace.Event{Node: n.self.ID, Inc: n.self.Incarnation, Peer: id, Seq: n.sent, Layer: e.Channel}, reason)
		}
	}
}
