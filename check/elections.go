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
	last  []termTold // by node
	wrote []bool     // by node: it has persisted something
}

type termTold struct {
	term  election.Term
	event *trace.Event `layer:"const"`
}

func (p *termsNeverDecrease) Kinds() Kinds {
	return KindsOf(trace.Told, trace.Recover, trace.Persisted)
}

func (p *termsNeverDecrease) Step(e *trace.Event) {
	p.last, p.wrote = reach(p.last, e.Node), reach(p.wrote, e.Node)
	switch e.Kind {
	case trace.Persisted:
		p.wrote[e.Node] = true
	case trace.Recover:
		p.recover(e)
	default:
		p.told(e)
	}
}

// recover forgives a node whose disk was lost, and with it what it knew. One that never wrote lost nothing, as far as
// the trace shows writes.
func (p *termsNeverDecrease) recover(e *trace.Event) {
	life, ok := e.Data.(trace.Life)
	if ok && !life.Stored && (p.wrote[e.Node] || p.setup.Level < trace.Full) {
		p.last[e.Node], p.wrote[e.Node] = termTold{}, false
	}
}

func (p *termsNeverDecrease) told(e *trace.Event) {
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
