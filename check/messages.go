package check

import (
	"fmt"

	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// A sending is what is remembered of a message that was sent.
type sending struct {
	t          int64
	n, lamport uint64
	cause      uint64
	to         protocol.ID
	toInc      protocol.Incarnation
	layer      uint8
	known      bool // there was such a sending
	got        copies
	each       map[protocol.ID]*copies // of a broadcast, what each node got
}

// copies are how many of a message a node has received, and how many there are beside the original.
type copies struct{ received, more uint16 }

// at is what is known of the copies for one node.
func (s *sending) at(id protocol.ID) *copies {
	if s.to != protocol.None {
		return &s.got
	}
	if s.each[id] == nil {
		if s.each == nil {
			s.each = map[protocol.ID]*copies{}
		}
		s.each[id] = &copies{}
	}
	return s.each[id]
}

// event is the Send that a sending was, without the message.
func (s *sending) event(id trace.MessageID) *trace.Event {
	return &trace.Event{Kind: trace.Send, T: s.t, N: s.n, Lamport: s.lamport, Cause: s.cause, Node: id.Node, Inc: id.Inc,
		Seq: id.Seq, Peer: s.to, PeerInc: s.toInc, Layer: s.layer}
}

// An outbox remembers what the nodes sent: of each life the last messages, at least window of them.
type outbox struct {
	nodes []sender
}

type sender struct {
	lives []sentLife
}

type sentLife struct {
	inc  protocol.Incarnation
	base uint64 // the number of the first one remembered
	sent []sending
}

const (
	window = 1 << 16
	gap    = 64 // sendings that may be missing in a row, before what was sent earlier is forgotten
)

// add remembers a Send.
func (o *outbox) add(e *trace.Event) {
	o.nodes = reach(o.nodes, e.Node)
	s := &o.nodes[e.Node]
	if len(s.lives) == 0 || s.lives[len(s.lives)-1].inc != e.Inc {
		s.lives = append(s.lives, sentLife{inc: e.Inc, base: e.Seq})
	}
	l := &s.lives[len(s.lives)-1]
	if e.Seq < l.base || e.Seq-l.base > uint64(len(l.sent)+gap) {
		*l = sentLife{inc: e.Inc, base: e.Seq} // too many are missing: from here on anew
	}
	for uint64(len(l.sent)) <= e.Seq-l.base {
		l.sent = append(l.sent, sending{})
	}
	l.sent[e.Seq-l.base] = sending{t: e.T, n: e.N, lamport: e.Lamport, cause: e.Cause, to: e.Peer, toInc: e.PeerInc,
		layer: e.Layer, known: true}
	if len(l.sent) >= 2*window {
		l.base += window
		l.sent = append(l.sent[:0], l.sent[window:]...)
	}
}

// life finds a life of a sender; nil if it sent nothing.
func (o *outbox) life(node protocol.ID, inc protocol.Incarnation) *sentLife {
	if int(node) >= len(o.nodes) {
		return nil
	}
	lives := o.nodes[node].lives
	for i := len(lives) - 1; i >= 0; i-- {
		if lives[i].inc == inc {
			return &lives[i]
		}
	}
	return nil
}

// get finds the sending of a message; nil if there was none or it is forgotten. Fate tells these apart.
func (o *outbox) get(id trace.MessageID) (s *sending, fate fate) {
	l := o.life(id.Node, id.Inc)
	switch {
	case l == nil:
		return nil, beyond
	case id.Seq < l.base:
		return nil, forgotten
	case id.Seq-l.base >= uint64(len(l.sent)):
		return nil, beyond
	case !l.sent[id.Seq-l.base].known:
		return nil, unsent
	}
	return &l.sent[id.Seq-l.base], found
}

type fate uint8

const (
	found     fate = iota
	forgotten      // too long ago to be judged
	unsent         // later ones were sent, and it was not
	beyond         // its life sent none of that number or later
)

// noCreation is TR-2 and half of TR-3.
type noCreation struct {
	base
	outbox
	lost map[origin]uint64 // lives whose last sendings a real machine failed to record, and the first such number
}

type origin struct {
	node protocol.ID
	inc  protocol.Incarnation
}

func newNoCreation(b base) *noCreation { return &noCreation{base: b} }

func (p *noCreation) Kinds() Kinds { return KindsOf(trace.Send, trace.Receive, trace.Duplicate) }

func (p *noCreation) Step(e *trace.Event) {
	switch e.Kind {
	case trace.Send:
		if len(p.lost) > 0 && p.lost[origin{e.Node, e.Inc}] != 0 && e.Seq >= p.lost[origin{e.Node, e.Inc}] {
			p.violate(fmt.Sprintf("message %s is sent at %s, after it or a later one was received", e.Message(), at(e.T)), e)
		}
		p.add(e)
	case trace.Duplicate:
		if s, fate := p.get(e.Message()); fate == found {
			s.at(e.Peer).more++
		}
	case trace.Receive:
		p.receive(e)
	}
}

func (p *noCreation) receive(e *trace.Event) {
	id := e.Message()
	s, fate := p.get(id)
	switch {
	case fate == forgotten:
		return
	case fate == beyond && p.setup.Engine != Simulated && p.setup.Engine != Untimed:
		p.unrecorded(id)
		return
	case fate != found:
		p.violate(fmt.Sprintf("node %d receives message %s, which was never sent", e.Node, id), e)
		return
	}
	p.examined++
	got := s.at(e.Node)
	got.received++
	switch {
	case s.to != e.Node && s.to != protocol.None:
		p.violate(fmt.Sprintf("node %d receives message %s, which was sent to node %d", e.Node, id, s.to), s.event(id), e)
	case got.received > 1+got.more:
		p.violate(fmt.Sprintf("node %d receives message %s %d times, and %d %s sent", e.Node, id, got.received, 1+got.more,
			plural(int(1+got.more), "copy of it was", "copies of it were")), s.event(id), e)
	}
}

// unrecorded notes a message of a process that was killed before it could record its sending.
func (p *noCreation) unrecorded(id trace.MessageID) {
	if p.lost == nil {
		p.lost = map[origin]uint64{}
	}
	k := origin{id.Node, id.Inc}
	if first := p.lost[k]; first == 0 || id.Seq < first {
		p.lost[k] = id.Seq
	}
}

func (p *noCreation) Result(int64) Result { return p.result("no message was received") }
