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

// sameOrder is ORD-T and ORD-P: what members deliver in a lane of a view is one sequence, or the beginning of it.
//
// That is so for uniform lanes whatever happens. In the others a node may have been alone with the last of its sequence,
// and if it does not go on to the next view, those that do are not bound by it.
type sameOrder struct {
	base
	membership
	courses map[track]*course
}

// A track is a lane of a view.
type track struct {
	view uint64
	lane multicast.Lane
}

// A course is the sequence of a track.
type course struct {
	legs  []leg
	spots []spot // by node
}

// A leg is a run of messages of one sender.
type leg struct {
	sender protocol.ID
	run
	event *trace.Event `layer:"const"` // of who delivered it first
}

// A spot is up to where a node has come.
type spot struct {
	leg   int          // the next
	done  uint64       // of that
	on    bool         // it goes on to the next view, or has
	stray *trace.Event `layer:"const"` // from here on it delivered something else than those that went on
	off   bool         // it did
}

func (p *sameOrder) Kinds() Kinds { return groupKinds }

func (p *sameOrder) Step(e *trace.Event) {
	if !p.follow(e, p.setup.exact(), nothing) {
		return
	}
	switch d := e.Data.(type) {
	case group.Installed:
		p.goesOn(e, p.members[e.Node].before)
		oldest := p.oldest()
		maps.DeleteFunc(p.courses, func(t track, _ *course) bool { return t.view < oldest })
	case multicast.Delivered:
		if p.has(e.Node, d.View) && p.setup.judges(d.Lane, inTotal) {
			p.deliver(e, d)
		}
	}
}

// goesOn judges a node that delivered something else than those that went on before it.
func (p *sameOrder) goesOn(e *trace.Event, view uint64) {
	for _, t := range slices.SortedFunc(maps.Keys(p.courses), compareTracks) {
		if t.view != view {
			continue
		}
		s := p.courses[t].at(e.Node)
		s.on = true
		if s.off {
			p.violate(fmt.Sprintf("node %d goes on from view %d and has delivered messages (%s) in another order than others that do",
				e.Node, view, laneText(t.lane)), s.stray, e)
		}
	}
}

func compareTracks(a, b track) int {
	return compareFlows(flow{a.view, 0, a.lane}, flow{b.view, 0, b.lane})
}

func (c *course) at(id protocol.ID) *spot {
	c.spots = reach(c.spots, id)
	return &c.spots[id]
}

func (p *sameOrder) course(t track) *course {
	if p.courses == nil {
		p.courses = map[track]*course{}
	}
	if p.courses[t] == nil {
		p.courses[t] = &course{}
	}
	return p.courses[t]
}

func (p *sameOrder) deliver(e *trace.Event, d multicast.Delivered) {
	r, ok := batchOf(d.First, d.Count)
	if !ok {
		return
	}
	p.examined++
	t := track{d.View, d.Lane}
	c := p.course(t)
	s := c.at(e.Node)
	s.on = s.on || p.members[e.Node].before == d.View
	for !s.off && r.first <= r.last {
		if s.leg == len(c.legs) {
			c.legs = append(c.legs, leg{d.Sender, r, keep(e)})
			s.leg++
			return
		}
		l := &c.legs[s.leg]
		if l.sender != d.Sender || l.first+s.done != r.first {
			p.differ(e, t, c, s, leg{d.Sender, r, nil})
			continue
		}
		n := min(l.last-l.first+1-s.done, r.last-r.first+1)
		r.first += n
		if s.done += n; s.done > l.last-l.first {
			s.leg, s.done = s.leg+1, 0
		}
	}
}

// differ judges a node that delivers something else than the course has at its spot.
func (p *sameOrder) differ(e *trace.Event, t track, c *course, s *spot, got leg) {
	other := c.legs[s.leg]
	for id := range c.spots {
		o := &c.spots[id]
		ahead := !o.off && (o.leg > s.leg || o.leg == s.leg && o.done > s.done)
		if ahead && (t.lane.Uniform || o.on == s.on) {
			p.violate(fmt.Sprintf("node %d delivers message %d %s where node %d has message %d of node %d", e.Node, got.first,
				flow{t.view, got.sender, t.lane}, id, other.first+s.done, other.sender), other.event, e)
		}
		if ahead && s.on {
			o.off, o.stray = true, other.event
		}
	}
	if !s.on { // those that were ahead go on, and it does not follow them
		s.off, s.stray = true, keep(e)
		return
	}
	c.legs = slices.Clone(c.legs[:s.leg+1])
	if last := &c.legs[s.leg]; s.done == 0 {
		c.legs = c.legs[:s.leg]
	} else {
		last.last = last.first + s.done - 1
		c.turn(s.leg)
	}
}

// turn lets those that are at the end of a leg that was cut off begin with the next.
func (c *course) turn(i int) {
	l := &c.legs[i]
	for id := range c.spots {
		if s := &c.spots[id]; s.leg == i && s.done > l.last-l.first {
			s.leg, s.done = i+1, 0
		}
	}
}

func (p *sameOrder) Result(int64) Result { return p.result(noneDelivered) }
