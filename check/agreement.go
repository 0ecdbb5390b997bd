package check

import (
	"fmt"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/election"
	"ciranda.dev/trace"
)

// tooFew says that a quorum is not to be had among the living; empty if it is, or is not needed.
func (b *base) tooFew(living int) string {
	switch {
	case living == 0:
		return "no node runs at the end"
	case b.setup.Election.Quorum && living < b.setup.majority():
		return fmt.Sprintf("%d of %d nodes %s up at the end, and a leader needs %d", living, len(b.setup.Nodes),
			plural(living, "is", "are"), b.setup.majority())
	}
	return ""
}

// leaderAgreed is EL-3, and with highest also EL-4.
type leaderAgreed struct {
	base
	views
	calm    calm
	within  int64 `layer:"const"`
	highest bool  `layer:"const"`
	since   int64 // since when they agree; never if they do not
}

func (p *leaderAgreed) Kinds() Kinds { return calmKinds }

func (p *leaderAgreed) Step(e *trace.Event) {
	p.calm.step(e)
	if p.views.step(e) == protocol.None {
		return
	}
	switch {
	case !p.right(p.agreed()):
		p.since = never
	case p.since == never:
		p.since = e.T
	}
}

func (p *leaderAgreed) right(leader protocol.ID) bool {
	if leader == protocol.None || !p.highest {
		return leader != protocol.None
	}
	return leader == p.top()
}

// top is the highest live node.
func (p *leaderAgreed) top() protocol.ID {
	for id := len(p.nodes) - 1; id > 0; id-- {
		if p.live(protocol.ID(id)) {
			return protocol.ID(id)
		}
	}
	return protocol.None
}

func (p *leaderAgreed) Result(end int64) Result {
	living := p.living()
	if why := p.calm.tooShort(end, p.within, p.setup.slack()); why != "" {
		return p.unexercised(why)
	}
	if why := p.tooFew(len(living)); why != "" {
		return p.unexercised(why)
	}
	late := p.since - p.calm.since - p.within
	switch {
	case p.since == never:
		text, events := p.opinions()
		if p.highest && p.agreed() != protocol.None {
			text += fmt.Sprintf("; node %d is higher, and runs", p.top())
		}
		return p.violated(newFinding(text, events))
	case late > p.setup.slack():
		text, events := p.opinions()
		return p.violated(newFinding(fmt.Sprintf("%s only %s after it became calm, and %s are allowed",
			text, span(p.since-p.calm.since), span(p.within)), events))
	}
	return p.holding(len(living))
}

// leaderStable is EL-5.
type leaderStable struct {
	base
	views
	calm   calm
	within int64 `layer:"const"`
	since  int64 // since when they agree; never if they do not
}

func (p *leaderStable) Kinds() Kinds { return calmKinds }

func (p *leaderStable) Step(e *trace.Event) {
	b, begun := told[election.Begun](e)
	asked := begun && b.Why == election.Requested
	if (asked || disturbs(e)) && p.settled(e.T) {
		p.examined++
	}
	p.calm.step(e)
	if asked && p.calm.on {
		p.calm.since = e.T
	}
	leader, before := p.agreed(), p.holds(e.Node).event
	agreed := p.holds(leader).event
	changed := p.views.step(e)
	if changed == protocol.None {
		return
	}
	if e.Kind == trace.Told && p.settled(e.T) {
		p.violate(fmt.Sprintf("node %d tells of %s at %s, though all had agreed on leader %d since %s and nothing was done to them",
			e.Node, p.holds(e.Node).view, at(e.T), leader, at(p.since)), agreed, before, e)
	}
	switch {
	case p.agreed() == protocol.None:
		p.since = never
	case p.since == never:
		p.since = e.T
	}
}

// settled says that they agree and have had the time to.
func (p *leaderStable) settled(now int64) bool {
	return p.calm.on && p.since != never && now > p.calm.since+p.within
}

func (p *leaderStable) Result(end int64) Result {
	examined := p.examined
	if p.settled(end + 1) {
		examined++
	}
	switch {
	case p.failed:
		return p.violated(p.found)
	case examined > 0:
		return p.holding(examined)
	}
	if why := p.calm.tooShort(end, p.within, p.setup.slack()); why != "" {
		return p.unexercised(why)
	}
	return p.unexercised("the nodes did not agree on a leader")
}
