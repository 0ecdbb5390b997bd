package check

import (
	"fmt"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/trace"
)

// hintsVerified is FD-H.
type hintsVerified struct {
	base
	delays delays
	hints  map[pair]hint
}

// A hint is that of a closed connection from q that a life of p was given and has not heard of q since.
type hint struct {
	of, about protocol.Incarnation
	times     int
	first     int64
	event     *trace.Event `layer:"const"`
}

func (p *hintsVerified) Kinds() Kinds {
	return KindsOf(trace.Told, trace.Noted, trace.Receive, trace.Fault)
}

func (p *hintsVerified) Step(e *trace.Event) {
	switch e.Kind {
	case trace.Receive:
		if len(p.hints) > 0 {
			p.heard(e)
		}
	case trace.Fault:
		p.delays.step(e)
	case trace.Noted:
		if h, ok := e.Data.(detector.Hint); ok {
			p.hinted(e, h)
		}
	case trace.Told:
		if s, ok := e.Data.(detector.Suspect); ok && s.Why == detector.Link {
			p.suspected(e, s)
		}
	}
}

func (p *hintsVerified) heard(e *trace.Event) {
	k := pair{e.Node, e.Peer}
	if h, ok := p.hints[k]; ok && h.about == e.PeerInc {
		delete(p.hints, k)
	}
}

func (p *hintsVerified) hinted(e *trace.Event, d detector.Hint) {
	if p.hints == nil {
		p.hints = map[pair]hint{}
	}
	k := pair{e.Node, d.Node}
	h := p.hints[k]
	if h.of != e.Inc || h.about != d.Incarnation {
		h = hint{of: e.Inc, about: d.Incarnation, first: e.T, event: keep(e)}
	}
	h.times++
	p.hints[k] = h
}

func (p *hintsVerified) suspected(e *trace.Event, s detector.Suspect) {
	if p.delays.odd(e.Node) {
		return // it may have made up its mind long ago
	}
	p.examined++
	h, ok := p.hints[pair{e.Node, s.Node}]
	passed := e.T - h.first
	switch {
	case !ok || h.of != e.Inc || h.about != s.Incarnation:
		p.violate(fmt.Sprintf("node %d suspects life %d of node %d for its connection, without a hint about that life that was not yet answered",
			e.Node, s.Incarnation, s.Node), h.event, e)
	case h.times < 2 && passed+p.setup.slack() < int64(p.setup.Detector.Verify):
		p.violate(fmt.Sprintf("node %d suspects node %d %s after the hint, and should have verified it for %s", e.Node, s.Node,
			span(passed), p.setup.Detector.Verify), h.event, e)
	}
	delete(p.hints, pair{e.Node, s.Node})
}

func (p *hintsVerified) Result(int64) Result {
	return p.result("nobody was suspected for a closed connection")
}

// resetAnswered is FD-R, as far as a trace shows resets: by the restoration of a suspected node in a step that is not
// the detector's own.
type resetAnswered struct {
	base
	delays  delays
	within  int64 `layer:"const"`
	waiting map[pair]restored
	inputs  []contactAt // by node
}

// restored is a life that is trusted again and has not been heard of.
type restored struct {
	of, about protocol.Incarnation
	since     int64
	event     *trace.Event `layer:"const"`
}

// contactAt is the message that a node's present step is about.
type contactAt struct {
	from  protocol.ID
	n     uint64
	layer uint8
}

func (p *resetAnswered) Kinds() Kinds {
	return toldKinds | KindsOf(trace.Receive, trace.TimerSet, trace.Fault)
}

func (p *resetAnswered) Step(e *trace.Event) {
	switch e.Kind {
	case trace.Receive:
		p.inputs = reach(p.inputs, e.Node)
		p.inputs[e.Node] = contactAt{e.Peer, e.N, e.Layer}
		if len(p.waiting) > 0 {
			p.answered(e, e.Peer, e.PeerInc)
		}
	case trace.TimerSet:
		p.timed(e)
	case trace.Fault:
		p.delays.step(e)
	case trace.Told:
		p.told(e)
	default:
		for k := range p.waiting {
			if k.p == e.Node {
				delete(p.waiting, k) // who stood still may be late
			}
		}
	}
}

func (p *resetAnswered) told(e *trace.Event) {
	q, now, ok := readOpinion(e)
	if !ok {
		return
	}
	p.inputs = reach(p.inputs, e.Node)
	in := p.inputs[e.Node]
	switch {
	case now.suspected:
		p.answered(e, q, now.about)
	case in.n == e.Cause && in.from == q:
		p.examined++ // a message of it is the reason
	case in.n == e.Cause && in.layer == 0:
		// no reset, but the word of another node's detector
	default:
		if p.waiting == nil {
			p.waiting = map[pair]restored{}
		}
		p.waiting[pair{e.Node, q}] = restored{e.Inc, now.about, e.T, keep(e)}
	}
}

// timed notes that a node is given a fresh timeout, as it is when it is reset once more.
func (p *resetAnswered) timed(e *trace.Event) {
	if len(p.waiting) == 0 || e.Layer != 0 {
		return
	}
	k := pair{e.Node, protocol.ID(e.Timer.Arg)}
	if r, ok := p.waiting[k]; ok {
		r.since = e.T
		p.waiting[k] = r
	}
}

// answered ends the wait for a node, and judges it.
func (p *resetAnswered) answered(e *trace.Event, q protocol.ID, life protocol.Incarnation) {
	k := pair{e.Node, q}
	r, ok := p.waiting[k]
	if !ok || r.of != e.Inc || life < r.about {
		return
	}
	p.examined++
	if f := p.overdue(k, r, e.T); f != nil && !p.failed {
		p.failed, p.found = true, f
	}
	delete(p.waiting, k)
}

func (p *resetAnswered) overdue(k pair, r restored, now int64) *finding {
	if now-r.since <= p.within+p.setup.slack() || p.delays.odd(k.p) {
		return nil
	}
	return newFinding(fmt.Sprintf("node %d trusts node %d again at %s, and for %s neither hears of it nor suspects it; %s are allowed",
		k.p, k.q, at(r.since), span(now-r.since), span(p.within)), []*trace.Event{r.event})
}

func (p *resetAnswered) Result(end int64) Result {
	if p.failed {
		return p.violated(p.found)
	}
	for _, k := range ordered(p.waiting) {
		if f := p.overdue(k, p.waiting[k], end); f != nil {
			return p.violated(f)
		}
	}
	return p.result("no suspicion was taken back")
}
