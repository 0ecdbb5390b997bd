package check

import (
	"fmt"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/election"
	"ciranda.dev/trace"
)

// A reign is for how long a node holds itself to be the leader, in one term. A paused node reigns on: it does not know
// better.
type reign struct {
	node   protocol.ID
	term   election.Term
	since  int64
	pauses []pause
	began  *trace.Event `layer:"const"`
}

// A pause is for how long a node stood still.
type pause struct{ from, to int64 } // to is negative while it lasts

// paused is for how long the node stood still between two moments.
func (r *reign) paused(from, to int64) int64 {
	total := int64(0)
	for _, s := range r.pauses {
		last := s.to
		if last < 0 {
			last = to
		}
		total += max(0, min(last, to)-max(s.from, from))
	}
	return total
}

// reigns are those that go on, in the order of their begins.
type reigns struct {
	lives
	open []reign
}

// step follows the reigns. It gives the one that e ended, or nil, and whether e began one.
func (r *reigns) step(e *trace.Event) (ended *reign, began bool) {
	r.lives.step(e)
	i := r.index(e.Node)
	switch e.Kind {
	case trace.Pause:
		if i >= 0 {
			r.open[i].pauses = append(r.open[i].pauses, pause{e.T, never})
		}
	case trace.Resume:
		if i >= 0 && len(r.open[i].pauses) > 0 {
			r.open[i].pauses[len(r.open[i].pauses)-1].to = e.T
		}
	case trace.Told:
		if r.of(e.Node).state == down {
			return nil, false // the last words of a killed node
		}
		l, elected := told[election.Elected](e)
		_, resigned := told[election.SteppedDown](e)
		if elected && l.Leader == e.Node {
			return r.begin(i, e, l.Term)
		}
		if elected || resigned {
			return r.end(i), false
		}
	default:
		if begins(e) || ends(e) {
			return r.end(i), false
		}
	}
	return nil, false
}

func (r *reigns) index(id protocol.ID) int {
	for i := range r.open {
		if r.open[i].node == id {
			return i
		}
	}
	return -1
}

// begin begins a reign. One of the same node in another term ends with that.
func (r *reigns) begin(i int, e *trace.Event, term election.Term) (ended *reign, began bool) {
	if i >= 0 && r.open[i].term == term {
		return nil, false
	}
	ended = r.end(i)
	r.open = append(r.open, reign{node: e.Node, term: term, since: e.T, began: keep(e)})
	return ended, true
}

func (r *reigns) end(i int) *reign {
	if i < 0 {
		return nil
	}
	over := r.open[i]
	r.open = append(r.open[:i], r.open[i+1:]...)
	return &over
}

// oneLeaderAtATime is EL-2; with an overlap allowed, EL-2b.
type oneLeaderAtATime struct {
	base
	reigns
	allowed int64 `layer:"const"`
}

func (p *oneLeaderAtATime) Kinds() Kinds { return toldKinds }

func (p *oneLeaderAtATime) Step(e *trace.Event) {
	ended, began := p.reigns.step(e)
	if began {
		p.examined++
	}
	if ended == nil {
		return
	}
	for i := range p.open {
		if f := p.overlap(ended, &p.open[i], e.T, e); f != nil && !p.failed {
			p.failed, p.found = true, f
		}
	}
}

// overlap judges one pair of reigns.
func (p *oneLeaderAtATime) overlap(a, b *reign, end int64, e *trace.Event) *finding {
	if b.since < a.since {
		a, b = b, a
	}
	length := end - b.since
	allowed := p.allowed + p.setup.slack()
	if p.allowed > 0 {
		allowed += deposed(a, b).paused(b.since, end)
	}
	if a.node == b.node || length <= allowed {
		return nil
	}
	text := fmt.Sprintf("nodes %d and %d both lead for %s, from %s", a.node, b.node, span(length), at(b.since))
	if p.allowed > 0 {
		text += fmt.Sprintf("; %s are allowed", span(p.allowed))
	}
	return newFinding(text, []*trace.Event{a.began, b.began, e})
}

// deposed is the reign of the lower term; without terms, the earlier one.
func deposed(earlier, later *reign) *reign {
	if later.term.Compare(earlier.term) < 0 {
		return later
	}
	return earlier
}

func (p *oneLeaderAtATime) Result(end int64) Result {
	for i := range p.open {
		for j := i + 1; j < len(p.open) && !p.failed; j++ {
			if f := p.overlap(&p.open[i], &p.open[j], end, nil); f != nil {
				f.why += " until the end"
				return p.violated(f)
			}
		}
	}
	return p.result("nobody came to lead")
}
