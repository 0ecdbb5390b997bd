package check

import (
	"fmt"
	"maps"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/trace"
)

func init() {
	decode[group.Installed]()
	decode[group.Excluded]()
	decode[group.Blocked]()
	decode[group.Flush]()
}

var groupKinds = toldKinds | KindsOf(trace.Noted, trace.End)

// A membership is which view is in force at each node.
//
// A node tells of a view before it delivers what is left of the one before, in the same step. So that one is not over
// until the node does something else.
type membership struct {
	lives
	members []member // by node
}

// A member is what a node told of the group in its present life.
type member struct {
	view   uint64       // in force; 0 if none is
	before uint64       // the view that is not over yet; 0 if there is none
	since  int64        // when the view in force was installed
	event  *trace.Event `layer:"const"`
	left   bool         // it was asked to leave, and did
}

// follow takes an event. Done is called for each node at which a view is over, after which it goes on with the next. What
// a node said last may come after its death is recorded: then follow is false, and that is passed over.
func (m *membership) follow(e *trace.Event, exact bool, done func(protocol.ID, uint64)) bool {
	m.members = reach(m.members, e.Node)
	if e.Kind == trace.End {
		for id := range m.members {
			m.finish(protocol.ID(id), done)
		}
		return true
	}
	n := &m.members[e.Node]
	switch {
	case ends(e) && !(exact && e.T > n.since), begins(e):
		n.before = 0 // it may have been cut off in the middle
	case n.before > 0 && (e.T != n.since || opens(e, n.view)):
		m.finish(e.Node, done)
	}
	if e.Kind <= trace.Resume {
		m.lives.step(e)
		if begins(e) || ends(e) {
			*n = member{}
		}
		return true
	}
	if m.of(e.Node).state == down {
		return false
	}
	m.told(e, n)
	return true
}

// opens says that a node has begun with a view, or is done with the one before for another reason.
func opens(e *trace.Event, view uint64) bool {
	switch d := e.Data.(type) {
	case multicast.Began:
		return d.View == view
	case multicast.Delivered:
		return d.View == view
	case group.Installed, group.Excluded:
		return true
	}
	return false
}

func (m *membership) finish(id protocol.ID, done func(protocol.ID, uint64)) {
	n := &m.members[id]
	if n.before > 0 {
		view := n.before
		n.before = 0
		done(id, view)
	}
}

func (m *membership) told(e *trace.Event, n *member) {
	switch d := e.Data.(type) {
	case group.Installed:
		before := n.view
		if d.First {
			before = 0
		}
		*n = member{view: d.View.ID, before: before, since: e.T, event: keep(e)}
	case group.Excluded:
		*n = member{left: d.Why.Asked()}
	case protocol.Reply:
		switch d.Body.(type) {
		case group.Out:
			n.left = true
		case group.Back:
			n.left = false
		}
	}
}

// installed is the view in force at a node.
func (m *membership) installed(id protocol.ID) group.View {
	if int(id) >= len(m.members) || m.members[id].view == 0 {
		return group.View{}
	}
	return m.members[id].event.Data.(group.Installed).View
}

// has says that a node delivers the messages of a view.
func (m *membership) has(id protocol.ID, view uint64) bool {
	n := &m.members[id]
	return view > 0 && (view == n.view || view == n.before)
}

// oldest is the first view that some node is in, or may yet come to: a node that joined may have been paused since. What is
// known of those before is not needed any more.
func (m *membership) oldest() uint64 {
	oldest, newest := uint64(1<<64-1), uint64(0)
	for i := range m.members {
		n := &m.members[i]
		newest = max(newest, n.view)
		if n.view > 0 {
			oldest = min(oldest, n.view)
		}
		if n.before > 0 {
			oldest = min(oldest, n.before)
		}
	}
	return min(oldest, max(newest, late)-late)
}

// late is how many views a node may be late to install one.
const late = 16

// nothing is done when a view is over.
func nothing(protocol.ID, uint64) {}

// oneView is VS-3 and GM-1: one number, one list of members, over all lives of all nodes.
type oneView struct {
	base
	views map[uint64]first
}

// A first is what was told first.
type first struct {
	event *trace.Event `layer:"const"`
}

func (f first) view() group.View { return f.event.Data.(group.Installed).View }

func (p *oneView) Kinds() Kinds { return KindsOf(trace.Told) }

func (p *oneView) Step(e *trace.Event) {
	d, ok := told[group.Installed](e)
	if !ok {
		return
	}
	p.examined++
	before, known := p.views[d.View.ID]
	switch {
	case !known && p.views == nil:
		p.views = map[uint64]first{d.View.ID: {keep(e)}}
	case !known:
		p.views[d.View.ID] = first{keep(e)}
	case !slices.Equal(before.view().Members, d.View.Members):
		p.violate(fmt.Sprintf("view %d has the members %s at node %d, and %s at node %d", d.View.ID,
			membersText(before.view()), before.event.Node, membersText(d.View), e.Node), before.event, e)
	}
}

func (p *oneView) Result(int64) Result { return p.result(noView) }

const noView = "no view was installed"

// membersText names members as node#incarnation, with their life there if it is not the first.
func membersText(v group.View) string {
	text := ""
	for i, m := range v.Members {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%d#%d", m.Node, m.Incarnation)
		if m.Life > 1 {
			text += fmt.Sprintf(".%d", m.Life)
		}
	}
	return text
}

// inItsViews is VS-1: a node is a member of the views that it installs, in its present life, and once.
type inItsViews struct {
	base
}

func (p *inItsViews) Kinds() Kinds { return KindsOf(trace.Told) }

func (p *inItsViews) Step(e *trace.Event) {
	d, ok := told[group.Installed](e)
	if !ok {
		return
	}
	p.examined++
	seen := map[protocol.ID]bool{}
	for _, m := range d.View.Members {
		if seen[m.Node] {
			p.violate(fmt.Sprintf("node %d is in view %d twice: %s", m.Node, d.View.ID, membersText(d.View)), e)
		}
		seen[m.Node] = true
	}
	if r := d.View.Rank(e.Node); r < 0 || d.View.Members[r].Incarnation != e.Inc {
		p.violate(fmt.Sprintf("node %d installs view %d in its life %d, and the members are %s", e.Node, d.View.ID, e.Inc, membersText(d.View)), e)
	}
}

func (p *inItsViews) Result(int64) Result { return p.result(noView) }

// noGap is VS-2: a member installs one view after the other, as the same member, and what it tells of who came and went
// is so. Coming back, it installs a later view than ever.
type noGap struct {
	base
	membership
	views map[uint64]first
	last  []uint64 // by node, over its lives
}

func (p *noGap) Kinds() Kinds { return groupKinds }

func (p *noGap) Step(e *trace.Event) {
	before := p.installed(e.Node)
	if !p.follow(e, true, nothing) {
		return
	}
	d, ok := told[group.Installed](e)
	if !ok {
		return
	}
	p.examined++
	p.last = reach(p.last, e.Node)
	what := fmt.Sprintf("node %d installs view %d", e.Node, d.View.ID)
	switch last := p.last[e.Node]; {
	case d.View.ID <= last:
		p.violate(fmt.Sprintf("%s after view %d", what, last), e)
	case !d.First && d.View.ID != before.ID+1:
		p.violate(fmt.Sprintf("%s and goes on from view %d", what, before.ID), e)
	case d.First && before.ID > 0:
		p.violate(what+fmt.Sprintf(" as its first, and was in view %d until then", before.ID), e)
	case !d.First && self(before, e.Node) != self(d.View, e.Node):
		p.violate(what+" as another member than it was in the one before", e)
	}
	p.last[e.Node] = max(p.last[e.Node], d.View.ID)
	p.changes(e, d, what)
}

// changes judges what a node that goes on tells of who came and went, if the view before is known.
func (p *noGap) changes(e *trace.Event, d group.Installed, what string) {
	if before, known := p.views[d.View.ID-1]; known && !d.First {
		joined, gone := without(d.View, before.view()), without(before.view(), d.View)
		if !slices.Equal(d.Joined, joined) || !slices.Equal(d.Gone, gone) {
			p.violate(fmt.Sprintf("%s and says that %v joined and %v are gone; it is %v and %v", what, d.Joined, d.Gone, joined, gone), before.event, e)
		}
	}
	if p.views == nil {
		p.views = map[uint64]first{}
	}
	if _, known := p.views[d.View.ID]; !known {
		p.views[d.View.ID] = first{keep(e)}
		oldest := p.oldest()
		maps.DeleteFunc(p.views, func(id uint64, _ first) bool { return id < oldest })
	}
}

func self(v group.View, id protocol.ID) group.Member {
	if r := v.Rank(id); r >= 0 {
		return v.Members[r]
	}
	return group.Member{}
}

// without are the nodes of the members of v that are none of u, as such, in the order of v.
func without(v, u group.View) []protocol.ID {
	var ids []protocol.ID
	for _, m := range v.Members {
		if !slices.Contains(u.Members, m) {
			ids = append(ids, m.Node)
		}
	}
	return ids
}

func (p *noGap) Result(int64) Result { return p.result(noView) }
