package check

import (
	"fmt"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/election"
	"ciranda.dev/trace"
)

// oneLeaderPerTerm is EL-1. With a quorum, a term is its counter alone.
type oneLeaderPerTerm struct {
	base
	rulers map[election.Term]ruler
}

// A ruler is the life of a node that led in a term, and the event that told it.
type ruler struct {
	node  protocol.ID
	inc   protocol.Incarnation
	event *trace.Event `layer:"const"`
}

func (p *oneLeaderPerTerm) Kinds() Kinds { return KindsOf(trace.Told) }

func (p *oneLeaderPerTerm) Step(e *trace.Event) {
	l, ok := told[election.Elected](e)
	if !ok || l.Leader != e.Node {
		return
	}
	p.examined++
	term := l.Term
	if p.setup.Election.Quorum {
		term.Leader = protocol.None
	}
	first, taken := p.rulers[term]
	if !taken {
		if p.rulers == nil {
			p.rulers = map[election.Term]ruler{}
		}
		p.rulers[term] = ruler{e.Node, e.Inc, keep(e)}
	} else if first.node != e.Node {
		p.violate(fmt.Sprintf("nodes %d and %d both lead in terms of counter %d", first.node, e.Node, term.Counter), first.event, e)
	} else if first.inc != e.Inc {
		p.violate(fmt.Sprintf("two lives of node %d, %d and %d, lead in term %s", e.Node, first.inc, e.Inc, l.Term), first.event, e)
	}
}

func (p *oneLeaderPerTerm) Result(int64) Result { return p.result("nobody came to lead") }

// termsNeverDecrease is EL-6.
type termsNeverDecrease struct {
	base
	last []termTold // by node
}

type termTold struct {
	term  election.Term
	event *trace.Event `layer:"const"`
}

func (p *termsNeverDecrease) Kinds() Kinds { return KindsOf(trace.Told, trace.Recover) }

func (p *termsNeverDecrease) Step(e *trace.Event) {
	p.last = reach(p.last, e.Node)
	if life, ok := e.Data.(trace.Life); ok && e.Kind == trace.Recover && !life.Stored {
		p.last[e.Node] = termTold{} // its disk was lost, and with it what it knew
	}
	l, ok := told[election.Elected](e)
	if !ok || l.Term == (election.Term{}) {
		return
	}
	p.examined++
	if before := p.last[e.Node]; l.Term.Compare(before.term) < 0 {
		p.violate(fmt.Sprintf("node %d tells of term %s after it told of term %s", e.Node, l.Term, before.term), before.event, e)
	}
	p.last[e.Node] = termTold{l.Term, keep(e)}
}

func (p *termsNeverDecrease) Result(int64) Result { return p.result("nobody told of a leader") }
