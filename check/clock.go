package check

import (
	"fmt"

	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// clockCondition is CLK-L1 to L3 of the stamps that the runtime gives.
type clockCondition struct {
	base
	outbox
	last []stamp // by node
}

// A stamp is that of an event, and as much of the event as shows it.
type stamp struct {
	inc        protocol.Incarnation
	kind       trace.Kind
	n, lamport uint64
	t          int64
}

func (s stamp) event(id protocol.ID) *trace.Event {
	return &trace.Event{Kind: s.kind, T: s.t, N: s.n, Lamport: s.lamport, Node: id, Inc: s.inc}
}

func (p *clockCondition) Kinds() Kinds { return KindsOf(trace.Drop) - 2 } // all events of nodes

func (p *clockCondition) Step(e *trace.Event) {
	if e.N == 0 {
		return // others saw it from without: the crash of a process, say. It has no stamp
	}
	p.last = reach(p.last, e.Node)
	before := p.last[e.Node]
	if life, ok := e.Data.(trace.Life); ok && begins(e) && !life.Stored && p.setup.Engine != Simulated {
		before = stamp{} // a clock that was kept on the disk was lost with it
	}
	p.last[e.Node] = stamp{e.Inc, e.Kind, e.N, e.Lamport, e.T}
	least := before.lamport
	if e.Kind == trace.Receive {
		if s, fate := p.get(e.Message()); fate == found {
			least = max(least, p.sent(e, s))
		} else {
			least = e.Lamport - 1 // not to be judged here
		}
	}
	p.compare(e, before, least)
	if e.Kind == trace.Send {
		p.add(e)
	}
}

// sent compares a receipt with the sending.
func (p *clockCondition) sent(e *trace.Event, s *sending) uint64 {
	p.examined++
	if e.Lamport <= s.lamport {
		p.violate(fmt.Sprintf("node %d receives message %s at stamp %d, and it was sent at stamp %d", e.Node, e.Message(), e.Lamport, s.lamport),
			s.event(e.Message()), e)
	}
	return s.lamport
}

// compare compares an event with the one before it at its node. In the simulator nothing lies between.
func (p *clockCondition) compare(e *trace.Event, before stamp, least uint64) {
	switch {
	case e.Lamport <= before.lamport:
		p.violate(fmt.Sprintf("node %d has stamp %d after stamp %d", e.Node, e.Lamport, before.lamport), before.event(e.Node), e)
	case p.setup.Engine == Simulated && p.setup.Level == trace.Full && e.Lamport != least+1:
		p.violate(fmt.Sprintf("node %d has stamp %d, and should have %d", e.Node, e.Lamport, least+1), before.event(e.Node), e)
	}
}

func (p *clockCondition) Result(int64) Result {
	if !p.failed && p.setup.Level < trace.Full {
		return p.unexercised("it needs messages, and trace level protocol leaves them out")
	}
	return p.result("no message was received")
}

// incarnationsRise is INC-1, and where messages are recorded INC-2.
type incarnationsRise struct {
	base
	outbox
	last []stamp // by node: how its present life began
}

func (p *incarnationsRise) Kinds() Kinds {
	return KindsOf(trace.Start, trace.Recover, trace.Send, trace.Receive)
}

func (p *incarnationsRise) Step(e *trace.Event) {
	switch e.Kind {
	case trace.Send:
		p.add(e)
	case trace.Receive:
		p.receive(e)
	default:
		p.begin(e)
	}
}

func (p *incarnationsRise) begin(e *trace.Event) {
	p.last = reach(p.last, e.Node)
	before := p.last[e.Node]
	if before.inc != 0 {
		p.examined++
	}
	if e.Inc <= before.inc {
		p.violate(fmt.Sprintf("node %d begins life %d after life %d", e.Node, e.Inc, before.inc), before.event(e.Node), e)
	}
	p.last[e.Node] = stamp{e.Inc, e.Kind, e.N, e.Lamport, e.T}
}

func (p *incarnationsRise) receive(e *trace.Event) {
	s, fate := p.get(e.Message())
	if fate == found && s.toInc != 0 && s.toInc != e.Inc {
		p.violate(fmt.Sprintf("life %d of node %d receives message %s, which was meant for life %d", e.Inc, e.Node, e.Message(), s.toInc),
			s.event(e.Message()), e)
	}
}

func (p *incarnationsRise) Result(int64) Result { return p.result("no node came back") }
