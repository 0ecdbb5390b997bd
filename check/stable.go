package check

import (
	"fmt"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/election"
	"ciranda.dev/trace"
)

// stableReturn is EL-8: a return by itself changes no leader.
type stableReturn struct {
	base
	views
	clocks clocks
	lost   map[pair]protocol.Incarnation // the life of p in which it lost faith in q
	stood  []bool                        // by node: it has stood since it last told of a leader
	born   []int64                       // by node: when its life began
	asked  bool                          // for an election that has not ended yet
}

// A pair is a node and another that it has an opinion of.
type pair struct{ p, q protocol.ID }

func (p *stableReturn) Kinds() Kinds { return toldKinds | KindsOf(trace.Fault) }

func (p *stableReturn) Step(e *trace.Event) {
	p.clocks.step(e)
	p.stood, p.born = reach(p.stood, e.Node), reach(p.born, e.Node)
	if begins(e) {
		p.stood[e.Node], p.born[e.Node] = false, e.T
	}
	p.views.step(e)
	if e.Kind != trace.Told {
		return
	}
	switch d := e.Data.(type) {
	case detector.Suspect:
		p.doubt(e, d.Node, true)
	case detector.Restore:
		p.doubt(e, d.Node, false)
	case detector.Stalled:
		p.doubt(e, d.Node, d.On)
	case election.Elected:
		p.stood[e.Node] = false
		p.doubt(e, d.Leader, false)
		p.asked = p.asked && d.Leader != e.Node
	case election.Begun:
		p.begun(e, d)
		p.stood[e.Node] = true
	}
}

// doubt notes whether the node of e has lost faith in q in its present life.
func (p *stableReturn) doubt(e *trace.Event, q protocol.ID, lost bool) {
	k := pair{e.Node, q}
	switch {
	case !lost:
		delete(p.lost, k)
	case p.lost == nil:
		p.lost = map[pair]protocol.Incarnation{k: e.Inc}
	default:
		p.lost[k] = e.Inc
	}
}

// begun judges one begin of an election.
func (p *stableReturn) begun(e *trace.Event, b election.Begun) {
	p.asked = p.asked || b.Why == election.Requested
	if p.asked {
		return // then a leader is deposed on purpose
	}
	p.examined++
	held := p.holds(e.Node)
	switch {
	case held.leader == protocol.None:
		p.unasked(e, b)
	case held.leader == e.Node, b.Why == election.Silent, p.lost[pair{e.Node, held.leader}] == e.Inc:
	case !p.leads(held.leader), p.stood[held.leader]:
	default:
		p.violate(fmt.Sprintf("node %d stands at %s (%s), though it holds %s, which leads and which it does not suspect",
			e.Node, at(e.T), b.Why, held.view), p.holds(held.leader).event, held.event, e)
	}
}

// unasked finds a node that stands after its return without having asked for long enough.
func (p *stableReturn) unasked(e *trace.Event, b election.Begun) {
	returned := b.Why == election.Started || b.Why == election.Recovered
	asked := e.T - p.born[e.Node] + p.setup.slack()
	if returned && asked < int64(p.setup.Election.Ask) && !p.clocks.odd(e.Node) {
		p.violate(fmt.Sprintf("node %d stands %s after its life began, and should have asked for %s first",
			e.Node, span(e.T-p.born[e.Node]), p.setup.Election.Ask), e)
	}
}

func (p *stableReturn) Result(int64) Result { return p.result("no election began but on request") }
