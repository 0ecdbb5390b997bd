package check

import (
	"fmt"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/trace"
)

// detectorComplete is FD-C. It takes every node to watch every other.
type detectorComplete struct {
	base
	lives
	opinions
	calm   calm
	within int64    `layer:"const"`
	since  []moment // by node: when its present life, or its being down, began
}

func (p *detectorComplete) Kinds() Kinds { return calmKinds }

func (p *detectorComplete) Step(e *trace.Event) {
	p.calm.step(e)
	if e.Kind <= trace.Resume {
		p.lives.step(e)
		p.since = reach(p.since, e.Node)
		p.since[e.Node] = moment{e.T, keep(e)}
	}
	q, now, ok := readOpinion(e)
	if !ok {
		return
	}
	if before, known := p.last(e.Node, q, e.Inc); known && answers(now, before) {
		return
	}
	if now.suspected {
		p.judge(e.Node, q, e.T)
	}
	p.set(e, q, now)
}

// judge finds that p came to suspect q, or does not yet suspect it, too late.
func (p *detectorComplete) judge(id, q protocol.ID, now int64) {
	if f := p.overdue(id, q, now); f != nil && !p.failed {
		p.failed, p.found = true, f
	}
}

func (p *detectorComplete) overdue(id, q protocol.ID, now int64) *finding {
	if !p.calm.on || id == q || !p.live(id) || p.of(q).state != down {
		return nil
	}
	from := max(p.calm.since, p.since[id].t, p.since[q].t)
	told, known := p.last(id, q, p.of(id).inc)
	if known && !told.suspected {
		from = max(from, told.since)
	}
	if now-from <= p.within+p.setup.slack() || known && p.gone(told, q) {
		return nil
	}
	return newFinding(fmt.Sprintf("node %d does not suspect node %d, which is down since %s, %s after it became calm; %s are allowed",
		id, q, at(p.since[q].t), span(now-p.calm.since), span(p.within)), []*trace.Event{p.since[q].event, told.event})
}

// gone says that an opinion takes the last life of q as over. A suspicion of an older life will do where nothing
// shows that a later one was heard of.
func (p *detectorComplete) gone(o opinion, q protocol.ID) bool {
	last := p.of(q).inc
	return o.suspected && (o.about == last || o.about < last && o.why != detector.Restarted)
}

func (p *detectorComplete) Result(end int64) Result {
	if p.failed {
		return p.violated(p.found)
	}
	if why := p.calm.tooShort(end, p.within, p.setup.slack()); why != "" {
		return p.unexercised(why)
	}
	examined := 0
	for q := range p.nodes {
		if p.nodes[q].state != down {
			continue
		}
		for _, id := range p.living() {
			examined++
			if f := p.overdue(id, protocol.ID(q), end); f != nil {
				return p.violated(f)
			}
		}
	}
	if examined == 0 {
		return p.unexercised("no node was down at the end beside a living one")
	}
	return p.holding(examined)
}

// noFalseSuspicion is FD-A. A life that was not known yet may end unheard of, and the next be suspected for it, so such
// suspicions count only about a first life.
type noFalseSuspicion struct {
	base
	lives
}

func (p *noFalseSuspicion) Kinds() Kinds { return toldKinds }

func (p *noFalseSuspicion) Step(e *trace.Event) {
	p.lives.step(e)
	s, ok := told[detector.Suspect](e)
	if !ok {
		return
	}
	p.examined++
	q := p.of(s.Node)
	known := s.Incarnation == q.inc || s.Incarnation == 0 && q.inc == 1
	if (q.state == up || q.state == paused) && known {
		p.violate(fmt.Sprintf("node %d suspects node %d at %s, which runs", e.Node, s.Node, at(e.T)), e)
	}
}

func (p *noFalseSuspicion) Result(int64) Result { return p.result("nobody was suspected") }

// detectorAccurate is FD-EA.
type detectorAccurate struct {
	base
	lives
	opinions
	calm   calm
	within int64 `layer:"const"`
}

func (p *detectorAccurate) Kinds() Kinds { return calmKinds }

func (p *detectorAccurate) Step(e *trace.Event) {
	p.calm.step(e)
	p.lives.step(e)
	q, now, ok := readOpinion(e)
	if !ok {
		return
	}
	before, known := p.last(e.Node, q, e.Inc)
	if known && answers(now, before) {
		return
	}
	if known && before.suspected {
		p.judge(e.Node, q, before, e.T)
	}
	p.set(e, q, now)
	if now.suspected {
		p.judge(e.Node, q, p.by[pair{e.Node, q}], e.T+1)
	}
}

// judge finds a living node that is, or until now was, suspected when it should no longer be.
func (p *detectorAccurate) judge(id, q protocol.ID, o opinion, until int64) {
	if f := p.wrong(id, q, o, until); f != nil && !p.failed {
		p.failed, p.found = true, f
	}
}

func (p *detectorAccurate) wrong(id, q protocol.ID, o opinion, until int64) *finding {
	if !p.calm.on || !p.live(id) || !p.live(q) || o.about != 0 && o.about != p.of(q).inc {
		return nil
	}
	if until-p.calm.since <= p.within+p.setup.slack() {
		return nil
	}
	return newFinding(fmt.Sprintf("node %d suspects node %d, which runs, %s after it became calm; %s are allowed",
		id, q, span(max(o.since, p.calm.since+p.within)-p.calm.since), span(p.within)), []*trace.Event{o.event})
}

func (p *detectorAccurate) Result(end int64) Result {
	if p.failed {
		return p.violated(p.found)
	}
	if why := p.calm.tooShort(end, p.within, p.setup.slack()); why != "" {
		return p.unexercised(why)
	}
	for _, k := range ordered(p.by) {
		o, present := p.last(k.p, k.q, p.of(k.p).inc)
		if !present || !o.suspected {
			continue
		}
		if f := p.wrong(k.p, k.q, o, end); f != nil {
			return p.violated(f)
		}
	}
	n := len(p.living())
	if n < 2 {
		return p.unexercised("fewer than two nodes run at the end")
	}
	return p.holding(n * (n - 1))
}
