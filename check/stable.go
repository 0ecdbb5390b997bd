package check

import (
	"fmt"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/election"
	"ciranda.dev/trace"
)

// stableReturn is EL-8: a return by itself changes no leader. Whether a leader is silent shows only where messages are
// recorded; without them, only those that stand because they return are judged.
type stableReturn struct {
	base
	views
	delays delays
	lost   map[pair]protocol.Incarnation // the life of p in which it lost faith in q
	stood  []want                        // by node: when it last stood, if it did in this life
	woken  []int64                       // by node: when its life began, or it was last resumed
	born   []int64                       // by node: when its life began
	heard  []int64                       // by node: when it last heard of the leader it holds
	asked  int64                         // when somebody last asked for an election
	first  bool                          // somebody did
}

// A pair is a node and another that it has an opinion of.
type pair struct{ p, q protocol.ID }

func (p *stableReturn) Kinds() Kinds { return toldKinds | KindsOf(trace.Fault, trace.Receive) }

func (p *stableReturn) Step(e *trace.Event) {
	if e.Kind == trace.Receive {
		p.hear(e)
		return
	}
	p.delays.step(e)
	p.stood, p.woken, p.born = reach(p.stood, e.Node), reach(p.woken, e.Node), reach(p.born, e.Node)
	if begins(e) {
		p.stood[e.Node], p.born[e.Node] = want{}, e.T
	}
	if begins(e) || e.Kind == trace.Resume {
		p.woken[e.Node] = e.T
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
		p.hear(e)
		p.doubt(e, d.Leader, false)
	case election.Begun:
		p.begun(e, d)
		p.stood[e.Node] = want{true, e.T}
	}
}

// hear notes a message of the leader that a node holds. Those of the failure detector say nothing of its reign.
func (p *stableReturn) hear(e *trace.Event) {
	if e.Kind == trace.Told || e.Layer > 0 && e.Peer == p.holds(e.Node).leader {
		p.heard = reach(p.heard, e.Node)
		p.heard[e.Node] = e.T
	}
}

// silent says that the leader that the node of e holds may be taken as lost, as far as can be known.
func (p *stableReturn) silent(e *trace.Event, b election.Begun) bool {
	if p.setup.Level < trace.Full || p.setup.Election.Silence == 0 {
		return !returned(b)
	}
	return b.Why == election.Silent || e.T-p.heard[e.Node]+p.setup.slack() >= int64(p.setup.Election.Silence) || p.delays.odd(e.Node)
}

// returned says that a node stands because its life began.
func returned(b election.Begun) bool { return b.Why == election.Started || b.Why == election.Recovered }

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
	if b.Why == election.Requested {
		p.asked, p.first = e.T, true
	}
	if p.first && e.T <= p.asked+int64(p.setup.electionBound()) {
		return // a leader is deposed on purpose
	}
	p.examined++
	held := p.holds(e.Node)
	switch {
	case held.leader == protocol.None:
		p.unasked(e, b)
	case held.leader == e.Node, p.silent(e, b), p.lost[pair{e.Node, held.leader}] == e.Inc:
	case !p.leads(held.leader), p.stands(held.leader, e):
	default:
		p.violate(fmt.Sprintf("node %d stands at %s (%s), though it holds %s, which leads and which it does not suspect",
			e.Node, at(e.T), b.Why, held.view), p.holds(held.leader).event, held.event, e)
	}
}

// stands says that the node of e may just be hearing that q stands: it does, or did so a message's delay ago.
func (p *stableReturn) stands(q protocol.ID, e *trace.Event) bool {
	if int(q) >= len(p.stood) || !p.stood[q].open {
		return false
	}
	sent := p.stood[q].since
	if told := p.holds(q).event; told.T < sent {
		return true // it has not told of a leader since
	}
	return e.T-max(sent, p.woken[e.Node]) <= int64(p.setup.Delay)+p.setup.slack()
}

// unasked finds a node that stands after its return without having asked for long enough.
func (p *stableReturn) unasked(e *trace.Event, b election.Begun) {
	asked := e.T - p.born[e.Node] + p.setup.slack()
	if returned(b) && asked < int64(p.setup.Election.Ask) && !p.delays.odd(e.Node) {
		p.violate(fmt.Sprintf("node %d stands %s after its life began, and should have asked for %s first",
			e.Node, span(e.T-p.born[e.Node]), p.setup.Election.Ask), e)
	}
}

func (p *stableReturn) Result(int64) Result { return p.result("no election began but on request") }
