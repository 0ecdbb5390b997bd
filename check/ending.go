package check

import (
	"fmt"
	"sort"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/election"
	"ciranda.dev/trace"
)

// electionEnds is EL-7. A node is served while it holds a leader that leads, and at each moment at which it is told of
// one.
type electionEnds struct {
	base
	views
	calm   calm
	within int64    `layer:"const"`
	begun  []moment // the begins of elections, in order
	wants  []want   // by node
}

type moment struct {
	t     int64
	event *trace.Event `layer:"const"`
}

// A want is since when a node has not been served.
type want struct {
	open  bool
	since int64
}

func (p *electionEnds) Kinds() Kinds { return calmKinds }

func (p *electionEnds) Step(e *trace.Event) {
	p.calm.step(e)
	led := p.leads(e.Node)
	changed := p.views.step(e)
	if _, ok := told[election.Begun](e); ok {
		p.begun = append(p.begun, moment{e.T, keep(e)})
	}
	if changed == protocol.None {
		return
	}
	if e.Kind == trace.Told && p.holds(e.Node).leader != protocol.None || begins(e) {
		p.close(e.Node, e.T)
	}
	if led == p.leads(e.Node) {
		p.review(e.Node, e.T)
		return
	}
	for id := range p.held {
		p.review(protocol.ID(id), e.T)
	}
}

// review opens or closes the want of a node.
func (p *electionEnds) review(id protocol.ID, now int64) {
	p.wants = reach(p.wants, id)
	switch w := &p.wants[id]; {
	case !p.live(id):
		*w = want{} // nobody is owed anything
	case p.served(id):
		p.close(id, now)
	case !w.open:
		*w = want{true, now}
	}
}

func (p *electionEnds) served(id protocol.ID) bool {
	leader := p.holds(id).leader
	return leader != protocol.None && p.leads(leader)
}

// close ends the want of a node, and judges it.
func (p *electionEnds) close(id protocol.ID, now int64) {
	p.wants = reach(p.wants, id)
	if f := p.overdue(id, now); f != nil && !p.failed {
		p.failed, p.found = true, f
	}
	p.wants[id] = want{}
}

// overdue finds that a node wants for longer than is allowed after the first election that began meanwhile.
func (p *electionEnds) overdue(id protocol.ID, now int64) *finding {
	w := p.wants[id]
	if !w.open || !p.calm.on {
		return nil
	}
	i := sort.Search(len(p.begun), func(i int) bool { return p.begun[i].t >= w.since })
	if i == len(p.begun) {
		return nil
	}
	from := max(p.begun[i].t, p.calm.since)
	if now-from <= p.within+p.setup.slack() {
		return nil
	}
	held := p.holds(id)
	return newFinding(fmt.Sprintf("node %d has no leader that leads %s after the election that began at %s, and %s are allowed; it holds %s",
		id, span(now-from), at(p.begun[i].t), span(p.within), held.view), []*trace.Event{p.begun[i].event, held.event})
}

func (p *electionEnds) Result(end int64) Result {
	examined := sort.Search(len(p.begun), func(i int) bool { return max(p.begun[i].t, p.calm.since)+p.within > end })
	if p.failed {
		return p.violated(p.found)
	}
	if why := p.calm.tooShort(end, p.within, p.setup.slack()); why != "" {
		return p.unexercised(why)
	}
	if why := p.tooFew(len(p.living())); why != "" {
		return p.unexercised(why)
	}
	for id := range p.wants {
		if f := p.overdue(protocol.ID(id), end); f != nil {
			return p.violated(f)
		}
	}
	if examined == 0 {
		return p.unexercised("no election began early enough before the end")
	}
	return p.holding(examined)
}
