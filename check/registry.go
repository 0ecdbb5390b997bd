package check

import (
	"fmt"
	"maps"
	"slices"

	"ciranda.dev/app/registry"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/trace"
)

func init() {
	decode[registry.Stands]()
	decode[registry.Bound]()
	decode[registry.Unbound]()
	decode[registry.Spoilt]()
}

// oneTable is registry-agree: tables that began in one view are the same at the same revision. What a member has in a view counts
// when it goes on to the next: what only a majority had that is lost may be lost.
type oneTable struct {
	base
	membership
	tables  []tableOf // by node
	history map[place]stood
}

// A tableOf is what a node's table was in its present view.
type tableOf struct {
	recent []stood
	last   stood // the present one
}

// A stood place is a revision and what the table was there.
type stood struct {
	place
	hash  registry.Hash
	event *trace.Event `layer:"const"`
}

func (p *oneTable) Kinds() Kinds { return groupKinds }

func (p *oneTable) Step(e *trace.Event) {
	p.tables = reach(p.tables, e.Node)
	t := &p.tables[e.Node]
	if begins(e) || ends(e) {
		*t = tableOf{}
	}
	if !p.follow(e, true, nothing) {
		return
	}
	switch d := e.Data.(type) {
	case registry.Stands:
		p.examined++
		t.last = stood{place{d.Since, d.Revision}, d.Hash, keep(e)}
		if d.Since > 0 {
			t.recent = append(t.recent, t.last)
		}
	case registry.Spoilt:
		p.violate(fmt.Sprintf("node %d cannot read what other members sent: %s", e.Node, d.Why), e)
	case group.Excluded:
		t.recent = nil
	case group.Installed:
		if !d.First {
			p.settle(t)
		}
	}
}

// settle has what a node's table was be history.
func (p *oneTable) settle(t *tableOf) {
	if p.history == nil {
		p.history = map[place]stood{}
	}
	for _, s := range t.recent {
		if f := stoodOtherwise(p.history, s); f != nil {
			p.violate(f.why, &f.events[0], &f.events[1])
		}
		p.history[s.place] = s
	}
	if n := len(t.recent); n > 0 && len(p.history) > 2*pages {
		last := t.recent[n-1].place
		maps.DeleteFunc(p.history, func(at place, _ stood) bool { return at.since < last.since || at.count+pages < last.count })
	}
	t.recent = nil
}

// stoodOtherwise finds that a table is not what another was at that revision.
func stoodOtherwise(history map[place]stood, s stood) *finding {
	was, known := history[s.place]
	if !known || was.hash == s.hash {
		return nil
	}
	return newFinding(fmt.Sprintf("at revision %d of the names since view %d node %d has the hash %s, and node %d has %s", s.count, s.since,
		s.event.Node, s.hash, was.event.Node, was.hash), []*trace.Event{was.event, s.event})
}

func (p *oneTable) Result(int64) Result {
	if f := p.unlike(); f != nil && !p.failed {
		return p.violated(f)
	}
	return p.result("nothing was bound")
}

// unlike finds that tables of the last view differ where the run ends.
func (p *oneTable) unlike() *finding {
	newest := uint64(0)
	for _, m := range p.members {
		newest = max(newest, m.view)
	}
	all := maps.Clone(p.history)
	if all == nil {
		all = map[place]stood{}
	}
	var first stood
	for id := range p.tables {
		if id >= len(p.members) || p.members[id].view != newest || !p.live(protocol.ID(id)) {
			continue
		}
		switch last := p.tables[id].last; {
		case last.since == 0:
		case first.since == 0:
			first = last
		case first.since != last.since:
			return newFinding(fmt.Sprintf("in view %d node %d has the names since view %d, and node %d those since view %d", newest, first.event.Node,
				first.since, last.event.Node, last.since), []*trace.Event{first.event, last.event})
		}
		for _, s := range p.tables[id].recent {
			if f := stoodOtherwise(all, s); f != nil {
				return f
			}
			all[s.place] = s
		}
	}
	return nil
}

// noOrphans is registry-no-orphans: no name outlasts the membership that it rests on. In a view a member removes the names of those who
// are gone before anything else is bound or unbound there.
type noOrphans struct {
	base
	membership
	bound []map[string]group.Member // by node: homes of names that it saw bound, or loaded
}

func (p *noOrphans) Kinds() Kinds { return groupKinds }

func (p *noOrphans) Step(e *trace.Event) {
	p.bound = reach(p.bound, e.Node)
	if begins(e) || ends(e) {
		p.bound[e.Node] = nil
	}
	if _, next := e.Data.(group.Installed); next {
		p.look(e)
	}
	if !p.follow(e, true, nothing) {
		return
	}
	switch d := e.Data.(type) {
	case registry.Bound:
		p.look(e)
		if p.bound[e.Node] == nil {
			p.bound[e.Node] = map[string]group.Member{}
		}
		p.bound[e.Node][d.Name] = d.Home
		p.examined++
	case registry.Unbound:
		if d.Why != "left" {
			p.look(e)
		}
		delete(p.bound[e.Node], d.Name)
	case registry.Stands:
		if d.Loaded {
			p.bound[e.Node] = nil
		}
	}
}

// look looks for a name at a node whose home is not in the node's view. What is done in the step that installs the view does not count: it may
// belong to the one before.
func (p *noOrphans) look(e *trace.Event) {
	if int(e.Node) >= len(p.members) || p.members[e.Node].event == nil {
		return
	}
	if is := p.members[e.Node].event; e.T == is.T || e.Cause != 0 && e.Cause == is.Cause {
		return
	}
	if f := p.orphan(e.Node, e); f != nil {
		p.violate(f.why, &f.events[0])
	}
}

func (p *noOrphans) orphan(id protocol.ID, e *trace.Event) *finding {
	if p.failed || len(p.bound[id]) == 0 {
		return nil
	}
	v := p.installed(id)
	for _, name := range slices.Sorted(maps.Keys(p.bound[id])) {
		if home := p.bound[id][name]; v.ID != 0 && !slices.Contains(v.Members, home) {
			return newFinding(fmt.Sprintf("node %d still has the name %s in view %s, and node %d, on which it rests, is gone in that life", id, name, v,
				home.Node), []*trace.Event{e})
		}
	}
	return nil
}

func (p *noOrphans) Result(int64) Result {
	for id := range p.bound {
		if id >= len(p.members) || p.members[id].event == nil {
			continue
		}
		if f := p.orphan(protocol.ID(id), p.members[id].event); f != nil {
			return p.violated(f)
		}
	}
	return p.result("nothing was bound")
}
