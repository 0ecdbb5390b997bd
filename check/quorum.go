package check

import (
	"fmt"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/election"
	"ciranda.dev/trace"
)

// majorityGranted is EL-9.
type majorityGranted struct {
	base
	grants map[ballot]grant
	votes  map[ballot]int // how many granted that counter to that node
}

// A ballot is a counter and a node: the one that granted it, or the one that it was granted to.
type ballot struct {
	counter uint64
	node    protocol.ID
}

type grant struct {
	to    protocol.ID
	event *trace.Event `layer:"const"`
}

func (p *majorityGranted) Kinds() Kinds { return KindsOf(trace.Told, trace.Recover) }

func (p *majorityGranted) Step(e *trace.Event) {
	switch d := e.Data.(type) {
	case trace.Life:
		if e.Kind == trace.Recover && !d.Stored {
			p.forget(e.Node)
		}
	case election.Granted:
		p.granted(e, d)
	case election.Elected:
		if d.Leader == e.Node {
			p.elected(e, d.Term)
		}
	}
}

// forget drops what a node granted before its disk was lost: no election can hold it to that.
func (p *majorityGranted) forget(id protocol.ID) {
	for b := range p.grants {
		if b.node == id {
			delete(p.grants, b)
		}
	}
}

func (p *majorityGranted) granted(e *trace.Event, g election.Granted) {
	if p.grants == nil {
		p.grants, p.votes = map[ballot]grant{}, map[ballot]int{}
	}
	k := ballot{g.Counter, e.Node}
	first, done := p.grants[k]
	switch {
	case !done:
		p.grants[k] = grant{g.To, keep(e)}
		p.votes[ballot{g.Counter, g.To}]++
	case first.to != g.To:
		p.violate(fmt.Sprintf("node %d grants counter %d to node %d and to node %d", e.Node, g.Counter, first.to, g.To),
			first.event, e)
	}
}

// elected judges one leader. That it granted itself need not be told.
func (p *majorityGranted) elected(e *trace.Event, term election.Term) {
	p.examined++
	votes := p.votes[ballot{term.Counter, e.Node}]
	own, told := p.grants[ballot{term.Counter, e.Node}]
	switch {
	case told && own.to != e.Node:
		p.violate(fmt.Sprintf("node %d leads in term %s, and had granted its counter to node %d", e.Node, term, own.to), own.event, e)
		return
	case !told:
		votes++
	}
	if votes < p.setup.majority() {
		p.violate(fmt.Sprintf("node %d leads in term %s with %d %s of %d nodes; a majority is %d", e.Node, term,
			votes, plural(votes, "grant", "grants"), len(p.setup.Nodes), p.setup.majority()), append(p.voters(term.Counter, e.Node), e)...)
	}
}

// voters are the grants of a counter to a node.
func (p *majorityGranted) voters(counter uint64, to protocol.ID) []*trace.Event {
	var events []*trace.Event
	for _, id := range p.setup.Nodes {
		if g := p.grants[ballot{counter, id}]; g.to == to {
			events = append(events, g.event)
		}
	}
	return events
}

func (p *majorityGranted) Result(int64) Result { return p.result("nobody came to lead") }
