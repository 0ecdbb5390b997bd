package live

import (
	"container/heap"
	"errors"
	"fmt"
	"time"

	"ciranda.dev/engine/network"
	"ciranda.dev/engine/wire"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
	"ciranda.dev/transport"
)

// maxUnderway is how many messages may be held back to be late. More are lost, as in a router's queue.
const maxUnderway = 1 << 16

// maxEnvelope is the size of the largest envelope, in bytes.
const maxEnvelope = 35

// A shim stands between the node and its transport and does to messages what the links' faults say.
type shim struct {
	peers    map[protocol.ID]*peer
	underway departures
	order    uint64
	draws    *network.Source
}

// A peer is another node and the links to and from it.
type peer struct {
	id     protocol.ID
	inc    protocol.Incarnation // the last one known
	up     bool                 // connected
	hints  int                  // how often LinkDown was told since it was up
	redial bool                 // its connection was closed, and nothing has been sent to it since
	lossy  bool                 // something to it was lost here, and nothing is known to have mended that
	anew   bool                 // another connection took the place of the one before
	steady protocol.Incarnation // the life for which the stack was told that its link is steady; 0 for none
	api    string
	link   network.Link // to it
	cut    bool         // from it
	last   time.Time    // when what was held back for it last is to leave
}

func newShim(cfg Config) shim {
	s := shim{peers: map[protocol.ID]*peer{}, draws: network.NewSource(cfg.Seed, 1<<32|uint64(cfg.ID))}
	for _, id := range cfg.Group {
		if id != cfg.ID {
			s.peers[id] = &peer{id: id}
		}
	}
	return s
}

// maxHints is how often the stack is told that one connection is gone: when it closes and when a new one is refused.
const maxHints = 2

// A departure is a message that is held back.
type departure struct {
	at      time.Time
	order   uint64
	to      *peer
	event   trace.Event // of its loss, if it is lost
	message message
}

// Departures are a heap by time, then by order.
type departures []departure

func (d departures) Len() int      { return len(d) }
func (d departures) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d departures) Less(i, j int) bool {
	return d[i].at.Before(d[j].at) || d[i].at.Equal(d[j].at) && d[i].order < d[j].order
}
func (d *departures) Push(x any) { *d = append(*d, x.(departure)) }
func (d *departures) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	(*d)[last] = departure{}
	*d = (*d)[:last]
	return x
}

// next is when the next message leaves that is held back.
func (s *shim) next() (time.Time, bool) {
	if len(s.underway) == 0 {
		return time.Time{}, false
	}
	return s.underway[0].at, true
}

// A message is what the transport is given: its bytes, in two pieces. The body, if there is one, may be shared.
type message struct{ head, body []byte }

// encode makes a message of a packet.
func (n *Node) encode(e wire.Envelope, p protocol.Packet) message {
	head, body, err := n.encoder.Encode(p)
	if size, limit := len(head)+len(body), transport.MaxMessage-maxEnvelope; err == nil && size > limit {
		err = fmt.Errorf("%s takes %d bytes; expected at most %d", protocol.Name(p.Body), size, limit)
	}
	if err != nil {
		panic(fmt.Sprintf("a message cannot be sent: %v", err))
	}
	b := wire.AppendEnvelope(make([]byte, 0, maxEnvelope+len(head)), e)
	return message{append(b, head...), body}
}

// send numbers, stamps and encodes a message and puts it on its way.
func (n *Node) send(e *protocol.Effect, step uint64) {
	n.sent++
	n.stats.Sent++
	to := n.shim.peers[e.To]
	if to == nil {
		panic(fmt.Sprintf("%s is sent to node %d, which is not in the group", protocol.Name(e.Body), e.To))
	}
	lost := trace.Event{Node: n.self.ID, Inc: n.self.Incarnation, Peer: e.To, PeerInc: to.inc, Seq: n.sent, Layer: e.Channel}
	if ev := n.count(trace.Send, step); ev != nil {
		ev.Peer, ev.PeerInc, ev.Seq, ev.Layer, ev.Data = e.To, to.inc, n.sent, e.Channel, e.Body
		n.cfg.Sink.Record(ev)
	}
	envelope := wire.Envelope{Seq: n.sent, Lamport: n.lamport.Time(), To: to.inc}
	n.dispatch(to, n.encode(envelope, protocol.Packet{Channel: e.Channel, Body: e.Body}), lost)
}

// dispatch does to a message what the link's faults say.
func (n *Node) dispatch(to *peer, m message, e trace.Event) {
	l := &to.link
	switch {
	case *l == network.Link{}:
		n.give(to, m, e)
		return
	case l.Cut:
		n.drop(&e, "cut")
		return
	case n.shim.draws.Chance(l.Loss):
		n.drop(&e, "loss")
		return
	}
	twice := n.shim.draws.Chance(l.Duplicate)
	n.delay(to, m, e)
	if twice {
		e.Copy = 1
		double := e
		double.Kind = trace.Duplicate
		n.outside(&double)
		n.delay(to, m, e)
	}
}

// delay holds a message back for as long as the link's law draws.
func (n *Node) delay(to *peer, m message, e trace.Event) {
	d := to.link.Delay.Draw(n.shim.draws)
	now := time.Now()
	at := now.Add(d)
	if to.link.FIFO && at.Before(to.last) {
		at = to.last
	}
	switch {
	case !at.After(now):
		n.give(to, m, e)
	case len(n.shim.underway) >= maxUnderway:
		n.drop(&e, "overflow")
	default:
		to.last = at
		n.shim.order++
		heap.Push(&n.shim.underway, departure{at, n.shim.order, to, e, m})
	}
}

// depart hands over what was held back until now.
func (n *Node) depart(now time.Time) {
	for len(n.shim.underway) > 0 && !n.shim.underway[0].at.After(now) {
		d := heap.Pop(&n.shim.underway).(departure)
		n.now = n.clock.trace(now)
		if d.to.link.Cut {
			n.drop(&d.event, "cut")
		} else {
			n.give(d.to, d.message, d.event)
		}
	}
}

// departAll hands over all that is held back: it is on the wire, and outlives its sender.
func (n *Node) departAll() {
	for at, ok := n.shim.next(); ok; at, ok = n.shim.next() {
		n.depart(at)
	}
}

// give gives a message to the transport. The first one after the connection was closed asks for a new one: a detector
// probes so.
func (n *Node) give(to *peer, m message, e trace.Event) {
	err := n.transport.Send(to.id, m.head, m.body)
	switch {
	case err == nil:
		to.redial = false
		return
	case errors.Is(err, transport.ErrFull):
		n.drop(&e, "queue")
	default:
		n.drop(&e, "down")
		if to.redial {
			n.transport.Redial(to.id)
		}
	}
	to.redial, to.lossy, n.doubtful = false, true, true
}

// vouch tells the stack of the links that have become steady, or are no more.
func (n *Node) vouch(now time.Time) {
	for _, id := range n.self.Group {
		p := n.shim.peers[id]
		if p == nil {
			continue
		}
		life := protocol.Incarnation(0)
		if p.up && !p.lossy && !p.cut && p.link == (network.Link{}) {
			life = p.inc
		}
		if p.steady != 0 && (p.steady != life || p.anew) {
			n.notify(now, protocol.Steady{Node: id, Incarnation: p.steady})
			p.steady = 0
		}
		if p.steady != life {
			n.notify(now, protocol.Steady{Node: id, Incarnation: life, Is: true})
		}
		p.steady, p.anew = life, false
	}
}
