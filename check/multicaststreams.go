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
	decode[multicast.Holds]()
	decode[multicast.Streamed]()
	decode[multicast.Ordered]()
	decode[multicast.Collected]()
}

// streams are where messages are in the streams of their senders, and who told what it holds of them.
type streams struct {
	membership
	placed map[flow][]placed
	holds  map[reporter][]uint64 // what it told last of the view, by rank
}

// A reporter is a node in a view. What it told there stands, also when it has gone on or has crashed.
type reporter struct {
	view uint64
	node protocol.ID
}

// placed messages are those of a batch, and the number of the first in its sender's stream.
type placed struct {
	run
	number uint64
}

// step follows all but deliveries.
func (s *streams) step(e *trace.Event) bool {
	alive := s.follow(e, true, nothing)
	switch d := e.Data.(type) {
	case group.Installed:
		oldest := s.oldest()
		maps.DeleteFunc(s.placed, func(f flow, _ []placed) bool { return f.view < oldest })
		maps.DeleteFunc(s.holds, func(t reporter, _ []uint64) bool { return t.view < oldest })
	case multicast.Holds:
		if s.holds == nil {
			s.holds = map[reporter][]uint64{}
		}
		s.holds[reporter{d.View, e.Node}] = d.Upto
	case multicast.Streamed:
		if r, ok := batchOf(d.First, d.Count); ok {
			if s.placed == nil {
				s.placed = map[flow][]placed{}
			}
			f := flow{d.View, e.Node, d.Lane}
			s.placed[f] = append(s.placed[f], placed{r, d.Stream})
		}
	}
	return alive
}

// number is that of a message in its sender's stream; 0 if it is not known.
func (s *streams) number(f flow, n uint64) uint64 {
	all := s.placed[f]
	i, _ := slices.BinarySearchFunc(all, n, func(p placed, n uint64) int { return cmp.Compare(p.last, n) })
	if i == len(all) || all[i].first > n {
		return 0
	}
	return all[i].number + n - all[i].first
}

// held says whether a node told that it holds a stream of a view up to a number.
func (s *streams) held(id protocol.ID, view uint64, rank int, number uint64) bool {
	upto := s.holds[reporter{view, id}]
	return rank >= 0 && rank < len(upto) && upto[rank] >= number
}

// heldFirst is UR-2: where a uniform message is delivered, more than half of the view are known to hold it. At a view
// change that need not be so: what is delivered then is held by all that go on.
type heldFirst struct {
	base
	streams
}

func (p *heldFirst) Kinds() Kinds { return groupKinds }

func (p *heldFirst) Step(e *trace.Event) {
	if !p.step(e) {
		return
	}
	d, ok := e.Data.(multicast.Delivered)
	if !ok || d.View != p.members[e.Node].view || !p.setup.judges(d.Lane, isUniform) {
		return
	}
	r, ok := batchOf(d.First, d.Count)
	if number := p.number(flowOf(d), r.last); ok && number > 0 {
		p.judge(e, d, r.last, number)
	}
}

func (p *heldFirst) judge(e *trace.Event, d multicast.Delivered, last, number uint64) {
	p.examined++
	v := p.installed(e.Node)
	rank, holders := v.Rank(d.Sender), 0
	for _, m := range v.Members {
		if m.Node == e.Node || m.Node == d.Sender || p.held(m.Node, d.View, rank, number) {
			holders++
		}
	}
	if holders < v.Majority() {
		p.violate(fmt.Sprintf("node %d delivers message %d %s while %d of %d members hold it; it needs %d", e.Node, last, flowOf(d), holders,
			len(v.Members), v.Majority()), p.members[e.Node].event, e)
	}
}

func (p *heldFirst) Result(int64) Result { return p.result(noneDelivered) }

// onePlace is SQ-1 and SQ-2: only its coordinator gives the messages of a view places in the total order, each message one
// and each place one message.
type onePlace struct {
	base
	membership
	places map[track]places
}

// places are what is known of those of a track.
type places struct {
	last   uint64
	of     map[protocol.ID]uint64 // by sender: which of its messages was placed last
	node   protocol.ID            // that places
	before *trace.Event           `layer:"const"` // where it did so last
}

func (p *onePlace) Kinds() Kinds { return groupKinds }

func (p *onePlace) Step(e *trace.Event) {
	alive := p.follow(e, true, nothing)
	switch d := e.Data.(type) {
	case group.Installed:
		oldest := p.oldest()
		maps.DeleteFunc(p.places, func(t track, _ places) bool { return t.view < oldest })
	case multicast.Ordered:
		if alive {
			p.judge(e, d)
		}
	}
}

func (p *onePlace) judge(e *trace.Event, d multicast.Ordered) {
	r, ok := batchOf(d.First, d.Count)
	if !ok {
		return
	}
	p.examined++
	t := track{d.View, d.Lane}
	s := p.places[t]
	if s.of == nil {
		s = places{of: map[protocol.ID]uint64{}, node: e.Node}
	}
	f := flow{d.View, d.Sender, d.Lane}
	what := fmt.Sprintf("node %d gives message %d %s the place %d", e.Node, d.First, f, d.Place)
	v := p.installed(e.Node)
	switch {
	case v.ID != d.View || v.Coordinator() != e.Node:
		p.violate(what+fmt.Sprintf(", and does not coordinate that view: %s, view %s", inView(v.ID), v), p.members[e.Node].event, e)
	case s.node != e.Node:
		p.violate(what+fmt.Sprintf(", and node %d gave places before", s.node), s.before, e)
	case d.Place != s.last+1:
		p.violate(what+fmt.Sprintf(" after place %d", s.last), s.before, e)
	case r.first != s.of[d.Sender]+1:
		p.violate(what+fmt.Sprintf(", and message %d was the last of that node to get one", s.of[d.Sender]), s.before, e)
	}
	s.last, s.before = d.Place+uint64(d.Count)-1, keep(e)
	s.of[d.Sender] = r.last
	if p.places == nil {
		p.places = map[track]places{}
	}
	p.places[t] = s
}

func (p *onePlace) Result(int64) Result { return p.result("no message got a place in a total order") }

// heldByAll is GC-1: what a node forgets of a stream, all members of its view have told that they hold.
type heldByAll struct {
	base
	streams
}

func (p *heldByAll) Kinds() Kinds { return groupKinds }

func (p *heldByAll) Step(e *trace.Event) {
	if !p.step(e) {
		return
	}
	d, ok := e.Data.(multicast.Collected)
	v := p.installed(e.Node)
	if !ok || d.View != v.ID || d.Upto == 0 {
		return
	}
	p.examined++
	rank := v.Rank(d.Sender)
	for _, m := range v.Members {
		if m.Node != e.Node && m.Node != d.Sender && !p.held(m.Node, d.View, rank, d.Upto) {
			p.violate(fmt.Sprintf("node %d forgets the messages of node %d in view %d up to %d, and node %d has not said that it holds them", e.Node,
				d.Sender, d.View, d.Upto, m.Node), p.members[e.Node].event, e)
		}
	}
}

func (p *heldByAll) Result(int64) Result { return p.result("nothing was forgotten") }

// allForgotten is GC-2: when nothing has been cast for a while and it is calm, no messages are kept.
type allForgotten struct {
	base
	streams
	calm      calm
	within    int64              `layer:"const"`
	cast      int64              // when something was cast last
	upto      map[keptKey]uint64 // the last of streams
	collected map[keptBy]uint64
}

// A keptKey names a member's stream.
type keptKey struct {
	view   uint64
	sender protocol.ID
}

// A keptBy is what a node keeps of one.
type keptBy struct {
	keptKey
	node protocol.ID
}

func (p *allForgotten) Kinds() Kinds { return groupKinds | calmKinds }

func (p *allForgotten) Step(e *trace.Event) {
	p.calm.step(e)
	if !p.step(e) {
		return
	}
	switch d := e.Data.(type) {
	case group.Installed:
		p.prune()
	case multicast.Streamed:
		if p.upto == nil {
			p.upto = map[keptKey]uint64{}
		}
		p.upto[keptKey{d.View, e.Node}] = d.Stream + uint64(d.Count) - 1
		p.cast = e.T
	case multicast.Collected:
		if p.collected == nil {
			p.collected = map[keptBy]uint64{}
		}
		p.collected[keptBy{keptKey{d.View, d.Sender}, e.Node}] = d.Upto
	}
}

func (p *allForgotten) prune() {
	oldest := p.oldest()
	maps.DeleteFunc(p.upto, func(k keptKey, _ uint64) bool { return k.view < oldest })
	maps.DeleteFunc(p.collected, func(k keptBy, _ uint64) bool { return k.view < oldest })
}

func (p *allForgotten) Result(end int64) Result {
	if why := p.calm.tooShort(end, p.within, p.setup.slack()); why != "" {
		return p.unexercised(why)
	}
	if end < p.cast+p.within {
		return p.unexercised("messages were cast until shortly before the end")
	}
	examined := 0
	for _, id := range p.living() {
		v := p.installed(id)
		for _, m := range v.Members {
			k := keptBy{keptKey{v.ID, m.Node}, id}
			if p.upto[k.keptKey] == 0 {
				continue
			}
			if !p.live(m.Node) {
				return p.unexercised(fmt.Sprintf("node %d is in view %s and does not run", m.Node, v))
			}
			examined++
			if p.collected[k] < p.upto[k.keptKey] {
				return p.violated(newFinding(fmt.Sprintf("node %d still keeps messages of node %d in view %d at %s, from number %d to %d", id, m.Node, v.ID,
					at(end), p.collected[k]+1, p.upto[k.keptKey]), []*trace.Event{p.members[id].event}))
			}
		}
	}
	if examined == 0 {
		return p.unexercised("nothing was cast in the view at the end")
	}
	return p.holding(examined)
}
