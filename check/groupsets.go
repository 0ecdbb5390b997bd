package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/trace"
)

func init() {
	decode[multicast.Began]()
	decode[multicast.Delivered]()
}

// A flow is what a sender casts in a lane of a view. Its messages are numbered from 1.
type flow struct {
	view   uint64
	sender protocol.ID
	lane   multicast.Lane
}

func (f flow) String() string {
	return fmt.Sprintf("of node %d in view %d (%s)", f.sender, f.view, laneText(f.lane))
}

func laneText(l multicast.Lane) string {
	if l.Uniform {
		return "uniform " + l.Order.String()
	}
	return l.Order.String()
}

func compareFlows(a, b flow) int {
	return cmp.Or(cmp.Compare(a.view, b.view), cmp.Compare(a.sender, b.sender), cmp.Compare(laneText(a.lane), laneText(b.lane)))
}

func flowOf(d multicast.Delivered) flow { return flow{d.View, d.Sender, d.Lane} }

// batchOf is a batch of messages as a run of numbers. One that no engine would record is none: it is empty.
func batchOf(first uint64, count int) (r run, ok bool) {
	const most = 1 << 62
	if first < 1 || first > most || count < 1 {
		return run{}, false
	}
	return run{first, first + uint64(count) - 1}, true
}

// A haul is which messages of flows there are, such as those that a node delivered.
type haul map[flow]numbers

// add says whether all of the messages are new.
func (h haul) add(f flow, r run) bool {
	n := h[f]
	fresh := n.addRun(r)
	h[f] = n
	return fresh
}

// of is the part of a view.
func (h haul) of(view uint64) haul {
	part := haul{}
	for f, n := range h {
		if f.view == view {
			part[f] = n
		}
	}
	return part
}

// forget drops the views up to one.
func (h haul) forget(upto uint64) {
	maps.DeleteFunc(h, func(f flow, _ numbers) bool { return f.view <= upto })
}

// lacks finds a message of another haul that is not in h.
func (h haul) lacks(other haul) (flow, uint64, bool) {
	for _, f := range slices.SortedFunc(maps.Keys(other), compareFlows) {
		mine, theirs := h[f], other[f]
		if n, found := mine.lacks(&theirs); found {
			return f, n, true
		}
	}
	return flow{}, 0, false
}

// hauls are what nodes delivered in the views in which they are.
type hauls struct {
	membership
	got []haul // by node
}

// deliver notes a delivery. It says whether all of the messages are new to the node.
func (h *hauls) deliver(e *trace.Event, d multicast.Delivered) bool {
	h.got = reach(h.got, e.Node)
	if h.got[e.Node] == nil {
		h.got[e.Node] = haul{}
	}
	r, ok := batchOf(d.First, d.Count)
	return !ok || h.got[e.Node].add(flowOf(d), r)
}

// take is what a node delivered in a view that is over.
func (h *hauls) take(id protocol.ID, view uint64) haul {
	if int(id) >= len(h.got) {
		return haul{}
	}
	part := h.got[id].of(view)
	h.got[id].forget(view)
	return part
}

// refresh drops what former lives or memberships of a node delivered.
func (h *hauls) refresh(e *trace.Event) {
	d, installed := e.Data.(group.Installed)
	if int(e.Node) < len(h.got) && (begins(e) || installed && d.First) {
		h.got[e.Node] = nil
	}
}

// sameSet is VS-4, virtual synchrony: who goes on from one view to the next has delivered the same in the first.
type sameSet struct {
	base
	hauls
	settled map[uint64]settled // by view
}

// settled is what belongs to a view, by the first that went on from it.
type settled struct {
	haul  haul
	event *trace.Event `layer:"const"`
}

func (p *sameSet) Kinds() Kinds { return groupKinds }

func (p *sameSet) Step(e *trace.Event) {
	alive := p.follow(e, p.setup.exact(), p.over)
	p.refresh(e)
	if d, ok := e.Data.(multicast.Delivered); ok && alive && p.has(e.Node, d.View) {
		p.deliver(e, d)
	}
}

// over judges a node that goes on.
func (p *sameSet) over(id protocol.ID, view uint64) {
	haul, event := p.take(id, view), p.members[id].event
	first, known := p.settled[view]
	if !known {
		p.settle(view, settled{haul, event})
		return
	}
	p.examined++
	if f, n, lacking := haul.lacks(first.haul); lacking {
		p.differ(id, first.event.Node, f, n, event, first.event)
	} else if f, n, lacking := first.haul.lacks(haul); lacking {
		p.differ(first.event.Node, id, f, n, event, first.event)
	}
}

func (p *sameSet) differ(lacking, having protocol.ID, f flow, n uint64, events ...*trace.Event) {
	p.violate(fmt.Sprintf("nodes %d and %d go on from view %d, and only node %d has delivered message %d %s",
		min(lacking, having), max(lacking, having), f.view, having, n, f), events...)
}

func (p *sameSet) settle(view uint64, s settled) {
	if p.settled == nil {
		p.settled = map[uint64]settled{}
	}
	p.settled[view] = s
	oldest := p.oldest()
	maps.DeleteFunc(p.settled, func(id uint64, _ settled) bool { return id < oldest && id != view })
}

func (p *sameSet) Result(int64) Result {
	return p.result("no two nodes went on from one view to the next")
}

// ownView is VS-5: a message is delivered in the view in which it was cast, and both by members.
type ownView struct {
	base
	membership
}

func (p *ownView) Kinds() Kinds { return groupKinds }

func (p *ownView) Step(e *trace.Event) {
	if !p.follow(e, true, nothing) {
		return
	}
	switch d := e.Data.(type) {
	case multicast.Began:
		p.examined++
		if n := p.members[e.Node]; d.View != n.view {
			p.violate(fmt.Sprintf("node %d casts a message in view %d, and %s", e.Node, d.View, inView(n.view)), n.event, e)
		}
	case multicast.Delivered:
		p.examined++
		if n := p.members[e.Node]; !p.has(e.Node, d.View) {
			p.violate(fmt.Sprintf("node %d delivers message %d %s, and %s", e.Node, d.First, flowOf(d), inView(n.view)), n.event, e)
		}
	}
}

func inView(view uint64) string {
	if view == 0 {
		return "is in none"
	}
	return fmt.Sprintf("is in view %d", view)
}

func (p *ownView) Result(int64) Result { return p.result(nothingCast) }

const nothingCast = "nothing was cast to the group"

// excludedSilent is GM-6: who is out of the group is silent there until it comes back as another member, and no message of
// a node is delivered in a view that it is not in.
type excludedSilent struct {
	base
	membership
	out   []exclusion // by node
	views uint64      // whose losses have been counted
}

// An exclusion is what is known of a node that is out of the group, or was.
type exclusion struct {
	member group.Member // that it was last
	out    bool
	event  *trace.Event `layer:"const"`
}

func (p *excludedSilent) Kinds() Kinds { return groupKinds }

func (p *excludedSilent) Step(e *trace.Event) {
	if !p.follow(e, true, nothing) {
		return
	}
	p.out = reach(p.out, e.Node)
	x := &p.out[e.Node]
	if begins(e) {
		x.out = false
	}
	switch d := e.Data.(type) {
	case group.Excluded:
		p.examined++
		x.out, x.event = true, keep(e)
	case group.Installed:
		p.installs(e, d, x)
	case multicast.Began:
		if x.out {
			p.violate(fmt.Sprintf("node %d casts a message in view %d after it was excluded", e.Node, d.View), x.event, e)
		}
	case multicast.Delivered:
		p.delivers(e, d, x)
	}
}

func (p *excludedSilent) installs(e *trace.Event, d group.Installed, x *exclusion) {
	if d.View.ID > p.views {
		p.views = d.View.ID
		p.examined += len(d.Gone)
	}
	now := self(d.View, e.Node)
	if d.First && !later(x.member, now) {
		p.violate(fmt.Sprintf("node %d comes back in view %d as the member that it was before", e.Node, d.View.ID), x.event, e)
	}
	x.out, x.member = false, now
}

// later says that b is a membership of a node after a.
func later(a, b group.Member) bool {
	return a.Incarnation < b.Incarnation || a.Incarnation == b.Incarnation && a.Life < b.Life
}

func (p *excludedSilent) delivers(e *trace.Event, d multicast.Delivered, x *exclusion) {
	if x.out {
		p.violate(fmt.Sprintf("node %d delivers message %d %s after it was excluded", e.Node, d.First, flowOf(d)), x.event, e)
		return
	}
	if v := p.installed(e.Node); v.ID == d.View && v.Rank(d.Sender) < 0 {
		p.violate(fmt.Sprintf("node %d delivers message %d %s, which is not in it", e.Node, d.First, flowOf(d)), p.members[e.Node].event, e)
	}
}

func (p *excludedSilent) Result(int64) Result {
	return p.result("nobody was excluded, and nobody left")
}
