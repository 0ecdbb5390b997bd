package check

import (
	"fmt"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/trace"
)

// suspicionsAlternate is FD-W.
type suspicionsAlternate struct {
	base
	opinions
}

func (p *suspicionsAlternate) Kinds() Kinds { return KindsOf(trace.Told) }

func (p *suspicionsAlternate) Step(e *trace.Event) {
	q, told, ok := readOpinion(e)
	if !ok {
		return
	}
	p.examined++
	before, known := p.last(e.Node, q, e.Inc)
	if known && answers(told, before) {
		return
	}
	known = known && before.about == told.about
	switch suspected := known && before.suspected; {
	case told.suspected && suspected:
		p.violate(fmt.Sprintf("node %d suspects node %d again, which it suspects already (life %d)", e.Node, q, told.about), before.event, e)
	case !told.suspected && !suspected:
		p.violate(fmt.Sprintf("node %d restores node %d, which it does not suspect (life %d)", e.Node, q, told.about), before.event, e)
	}
	p.set(e, q, told)
}

func (p *suspicionsAlternate) Result(int64) Result { return p.result("nobody was suspected") }

// detectorLives is FD-I. Where messages are recorded it also sees lives that were heard of and never told of.
type detectorLives struct {
	base
	opinions
	delays delays
	heard  map[pair]contact
	due    []due         // by node: what its present step must still tell
	from   []protocol.ID // by node: whose message its present step is about
}

// A contact is the last life of q that a life of p received something of.
type contact struct {
	of, about protocol.Incarnation
}

// due is a life that a node has just heard the successor of, and must suspect within the step.
type due struct {
	open  bool
	q     protocol.ID
	life  protocol.Incarnation
	event *trace.Event `layer:"const"`
}

func (p *detectorLives) Kinds() Kinds { return KindsOf(trace.Told, trace.Fault) | inputKinds }

func (p *detectorLives) Step(e *trace.Event) {
	p.due, p.from = reach(p.due, e.Node), reach(p.from, e.Node)
	switch {
	case e.Kind == trace.Fault:
		p.delays.step(e)
	case e.Kind == trace.Told:
		p.told(e)
	case begins(e) || ends(e):
		p.due[e.Node], p.from[e.Node] = due{}, protocol.None // a crash may cut a step short
	default:
		p.overdue(e.Node)
		p.from[e.Node] = e.Peer
		if e.Kind == trace.Receive {
			p.receive(e)
		}
	}
}

// told judges what a detector tells.
func (p *detectorLives) told(e *trace.Event) {
	q, now, ok := readOpinion(e)
	if !ok {
		return
	}
	p.examined++
	if d := &p.due[e.Node]; d.open && d.q == q && now.suspected && now.about == d.life {
		d.open = false
	}
	before, known := p.last(e.Node, q, e.Inc)
	switch {
	case !known:
	case answers(now, before) && p.from[e.Node] != q:
		return
	case answers(now, before):
		p.violate(fmt.Sprintf("node %d goes back to life %d of node %d, which is over", e.Node, now.about, q), before.event, e)
	case now.about < before.about:
		p.violate(fmt.Sprintf("node %d tells of life %d of node %d after it told of life %d", e.Node, now.about, q, before.about), before.event, e)
	case before.about == 0 && !before.suspected:
		// trusted was the life that was not known yet
	case now.about > before.about && !before.suspected:
		p.violate(fmt.Sprintf("node %d tells of life %d of node %d, and never suspected life %d, which it trusted",
			e.Node, now.about, q, before.about), before.event, e)
	}
	p.set(e, q, now)
}

// receive notes which life a node hears of. If that is a new one, the old one must be suspected in this step.
func (p *detectorLives) receive(e *trace.Event) {
	k := pair{e.Node, e.Peer}
	before := p.heard[k]
	if before == (contact{e.Inc, e.PeerInc}) {
		return
	}
	if p.heard == nil {
		p.heard = map[pair]contact{}
	}
	if before.of == e.Inc && before.about > e.PeerInc {
		return // a late message of an older life, which the detector drops
	}
	p.heard[k] = contact{e.Inc, e.PeerInc}
	if before.of != e.Inc || p.suspects(e, before.about) || p.delays.odd(e.Node) {
		return
	}
	p.due[e.Node] = due{true, e.Peer, before.about, keep(e)}
}

// suspects says that the node of e has told that a life of its peer is over.
func (p *detectorLives) suspects(e *trace.Event, life protocol.Incarnation) bool {
	told, known := p.last(e.Node, e.Peer, e.Inc)
	return known && (told.about > life || told.about == life && told.suspected)
}

func (p *detectorLives) overdue(id protocol.ID) {
	if d := &p.due[id]; d.open {
		d.open = false
		p.violate(fmt.Sprintf("node %d hears of a new life of node %d, and does not tell that life %d is over", id, d.q, d.life), d.event)
	}
}

func (p *detectorLives) Result(int64) Result { return p.result("nobody was suspected") }

// answers says that a suspicion is the answer to the reset of a life that is known to be over. It changes nothing.
func answers(now, before opinion) bool {
	return now.suspected && now.why == detector.Restarted &&
		(now.about < before.about || now.about == before.about && before.suspected)
}
