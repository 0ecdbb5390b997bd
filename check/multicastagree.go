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

// uniformly is RM-UA: what any member delivers, even one that dies next, is delivered by all that go on to the next view.
type uniformly struct {
	base
	hauls
	any     haul            // what anybody delivered
	last    map[flow]moment // when somebody delivered what nobody had
	settled map[uint64]settled
}

func (p *uniformly) Kinds() Kinds { return groupKinds }

func (p *uniformly) Step(e *trace.Event) {
	alive := p.follow(e, p.setup.exact(), p.over)
	p.refresh(e)
	switch d := e.Data.(type) {
	case group.Installed:
		oldest := p.oldest()
		maps.DeleteFunc(p.any, func(f flow, _ numbers) bool { return f.view < oldest })
		maps.DeleteFunc(p.last, func(f flow, _ moment) bool { return f.view < oldest })
		maps.DeleteFunc(p.settled, func(view uint64, _ settled) bool { return view < oldest })
	case multicast.Delivered:
		if alive && p.has(e.Node, d.View) && p.setup.judges(d.Lane, isUniform) {
			p.deliver(e, d)
			p.judge(e, d)
		}
	}
}

// judge judges a delivery by those that went on already.
func (p *uniformly) judge(e *trace.Event, d multicast.Delivered) {
	r, ok := batchOf(d.First, d.Count)
	if !ok {
		return
	}
	p.examined++
	f := flowOf(d)
	if p.any == nil {
		p.any, p.last = haul{}, map[flow]moment{}
	}
	if known := p.any[f]; known.prefix() < r.last {
		p.last[f] = moment{e.T, keep(e)}
	}
	p.any.add(f, r)
	s, over := p.settled[d.View]
	if !over {
		return
	}
	if n, lacking := s.haul.lacksAny(f, r); lacking {
		p.violate(fmt.Sprintf("node %d delivers message %d %s, and node %d went on from there without it", e.Node, n, f, s.event.Node), s.event, e)
	}
}

// lacksAny finds the first message of a batch that is not in h.
func (h haul) lacksAny(f flow, r run) (uint64, bool) {
	mine := h[f]
	return mine.lacks(&numbers{[]run{r}})
}

// over judges a node that goes on by all deliveries so far.
func (p *uniformly) over(id protocol.ID, view uint64) {
	got, event := p.take(id, view), p.members[id].event
	if f, n, lacking := got.lacks(p.any.of(view)); lacking {
		p.violate(fmt.Sprintf("node %d goes on without message %d %s, which another node has delivered", id, n, f), p.last[f].event, event)
	}
	if p.settled == nil {
		p.settled = map[uint64]settled{}
	}
	if _, known := p.settled[view]; !known {
		p.settled[view] = settled{got, event}
	}
}

func (p *uniformly) Result(int64) Result { return p.result(noneDelivered) }

// castArrives is RM-V and RM-A: what a member casts is delivered by all that go on to the next view, if it goes on itself or
// leaves in good order; and once it is calm, by all members in time.
type castArrives struct {
	base
	hauls
	calm    calm
	within  int64 `layer:"const"`
	cast    map[flow][]casting
	settled map[uint64]settled
	leavers []leaver
}

// A casting is a batch of messages that were cast.
type casting struct {
	run
	t     int64
	event *trace.Event `layer:"const"`
}

// A leaver is a member that left in good order.
type leaver struct {
	node protocol.ID
	view uint64 // the last that it was in
}

func (p *castArrives) Kinds() Kinds { return groupKinds | calmKinds }

func (p *castArrives) Step(e *trace.Event) {
	p.calm.step(e)
	alive := p.follow(e, p.setup.exact(), p.over)
	p.refresh(e)
	switch d := e.Data.(type) {
	case group.Installed:
		oldest := p.oldest()
		maps.DeleteFunc(p.cast, func(f flow, _ []casting) bool { return f.view < oldest })
		maps.DeleteFunc(p.settled, func(view uint64, _ settled) bool { return view < oldest })
	case group.Excluded:
		if alive && d.Why == group.Left {
			p.leavers = append(p.leavers, leaver{e.Node, d.View})
			p.farewell(d.View)
		}
	case multicast.Began:
		if alive {
			p.begin(e, d)
		}
	case multicast.Delivered:
		if alive && p.has(e.Node, d.View) {
			p.late(e, d)
			p.deliver(e, d)
		}
	}
}

func (p *castArrives) begin(e *trace.Event, d multicast.Began) {
	r, ok := batchOf(d.First, d.Count)
	if !ok {
		return
	}
	if p.cast == nil {
		p.cast = map[flow][]casting{}
	}
	f := flow{d.View, e.Node, d.Lane}
	p.cast[f] = append(p.cast[f], casting{r, e.T, keep(e)})
}

// over judges what a node that goes on has cast itself, and what those cast that left.
func (p *castArrives) over(id protocol.ID, view uint64) {
	got := p.take(id, view)
	p.lost(id, view, got, p.members[id].event)
	if _, known := p.settled[view]; !known {
		if p.settled == nil {
			p.settled = map[uint64]settled{}
		}
		p.settled[view] = settled{got, p.members[id].event}
	}
	p.farewell(view)
}

// farewell judges what nodes cast that left, once somebody has gone on from that view.
func (p *castArrives) farewell(view uint64) {
	s, known := p.settled[view]
	if !known {
		return
	}
	p.leavers = slices.DeleteFunc(p.leavers, func(l leaver) bool {
		if l.view == view {
			p.lost(l.node, view, s.haul, s.event)
		}
		return l.view == view
	})
}

// lost finds what a node cast in a view that is over, and that was not delivered there.
func (p *castArrives) lost(id protocol.ID, view uint64, got haul, event *trace.Event) {
	for _, f := range slices.SortedFunc(maps.Keys(p.cast), compareFlows) {
		if f.view != view || f.sender != id {
			continue
		}
		for _, c := range p.cast[f] {
			p.examined++
			if n, lacking := got.lacksAny(f, c.run); lacking {
				p.violate(fmt.Sprintf("node %d goes on without message %d %s, whose sender did not crash", event.Node, n, f), c.event, event)
			}
		}
	}
}

// late finds that a delivery took too long.
func (p *castArrives) late(e *trace.Event, d multicast.Delivered) {
	r, ok := batchOf(d.First, d.Count)
	if !ok || !p.calm.on {
		return
	}
	f := flowOf(d)
	castings := p.cast[f]
	i, _ := slices.BinarySearchFunc(castings, r.first, func(c casting, n uint64) int { return cmp.Compare(c.last, n) })
	if i < len(castings) && castings[i].first <= r.last {
		p.examined++
		if c := &castings[i]; p.overdue(c, e.T) {
			p.violate(fmt.Sprintf("node %d delivers message %d %s %s after it was cast and calm; %s are allowed", e.Node, r.first, f,
				span(e.T-max(c.t, p.calm.since)), span(p.within)), c.event, e)
		}
	}
}

func (p *castArrives) overdue(c *casting, now int64) bool {
	return now > max(c.t, p.calm.since)+p.within+p.setup.slack()
}

func (p *castArrives) Result(end int64) Result {
	if p.failed {
		return p.violated(p.found)
	}
	if why := p.calm.tooShort(end, p.within, p.setup.slack()); why != "" {
		return p.unexercised(why)
	}
	examined := p.examined
	for _, f := range slices.SortedFunc(maps.Keys(p.cast), compareFlows) {
		judged, found := p.missing(f, end)
		if found != nil {
			return p.violated(found)
		}
		examined += judged
	}
	if examined == 0 {
		return p.unexercised("no message was cast early enough before the end")
	}
	return p.holding(examined)
}

// missing finds what was not delivered in a view whose members all run in it.
func (p *castArrives) missing(f flow, end int64) (judged int, found *finding) {
	v := p.installed(f.sender)
	if v.ID != f.view {
		return 0, nil
	}
	for _, m := range v.Members {
		if !p.live(m.Node) || p.installed(m.Node).ID != v.ID {
			return 0, nil
		}
	}
	for i := range p.cast[f] {
		c := &p.cast[f][i]
		if !p.overdue(c, end) {
			break
		}
		judged++
		for _, m := range v.Members {
			if n, lacking := p.haulOf(m.Node).lacksAny(f, c.run); lacking {
				return judged, newFinding(fmt.Sprintf("message %d %s is not delivered by node %d at %s, %s after it was cast and calm; %s are allowed", n, f, m.Node,
					at(end), span(end-max(c.t, p.calm.since)), span(p.within)), []*trace.Event{c.event})
			}
		}
	}
	return judged, nil
}

// haulOf is what a node has delivered in the view in force.
func (h *hauls) haulOf(id protocol.ID) haul {
	if int(id) < len(h.got) {
		return h.got[id]
	}
	return nil
}
