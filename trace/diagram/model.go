package diagram

import (
	"cmp"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/protocol/snapshot"
	"ciranda.dev/trace"
)

// A picture is what is drawn, from the events to the places of all things.
type picture struct {
	options Options
	trace   *trace.Trace
	events  []trace.Event

	lanes  []*lane
	laneOf map[protocol.ID]*lane
	hidden int // nodes without a lane

	steps   []*step
	stepOf  []*step // by event, nil if none
	arrows  []*arrow
	moments []*item // what happens to the network or the run
	spans   []*span // cuts
	cuts    cutSet
	terms   []string
	casts   []multicast.Lane // the lanes of messages that occur

	shots  []*shot // in the order in which they appear
	shotOf map[snapshot.ID]*shot
	loads  map[trace.MessageID]load // what messages of links carry
	flows  map[route]*flow

	left      map[string]int // messages left out, by name
	leftSteps int

	layout
}

// A lane is a node's line.
type lane struct {
	id    protocol.ID
	y     int
	down  []*span
	pause []*span
	reign []*span // in which the node believes that it leads
	view  []*span // in which it follows, or leads: tint is the term's
	group grouping
}

// A span is a stretch of time. An open one lasts to the end.
type span struct {
	from, to int64
	open     bool
	tint     int
	text     string
	walls    []protocol.ID // of a partition: the nodes after which a side ends
}

// A step is an input of a node and all that came of it: a dot on its lane.
type step struct {
	item
	inc      protocol.Incarnation
	lamport  uint64
	events   []int
	weight   int  // how much the step is worth showing
	periodic bool // a timer that arms itself again, and nothing told
	effect   bool // it told or sent something
	end      bool // a crash or a stop
	shown    bool
	pin      int // its number among the highlighted
	lit      bool
}

// A label is a line of text above a dot, or above all lanes.
type label struct {
	text  string
	class string
}

// An arrow is a message, or one of its copies.
type arrow struct {
	event    int // the sending
	name     string
	from, to *step // to is nil if it did not arrive
	target   *lane
	lost     string // why, if it was lost
	lostAt   int64
	copy     uint8
	shown    bool
	lit      bool

	receipt   int // the event, if it arrived
	crossings []crossing
}

// An item has a place in time, and so one on the way to the right.
type item struct {
	t      int64
	order  int     // among those of one time
	lane   *lane   // nil for a moment
	labels []label // a line each
	x      int
	row    int // of its lowest label
	wide   int // of its labels, in pixels
}

func newPicture(t *trace.Trace, o Options) *picture {
	p := &picture{options: o, trace: t, laneOf: map[protocol.ID]*lane{}, left: map[string]int{}}
	p.events, p.cuts = t.Events, cutSet{}
	p.findCasts()
	p.readShots()
	p.readFlows()
	p.makeLanes()
	p.makeSteps()
	p.makeArrows()
	p.findCrossings()
	for i := range p.events {
		p.read(i)
	}
	p.pinHighlights()
	return p
}

func (p *picture) inWindow(t int64) bool {
	return t >= int64(p.options.From) && t <= int64(p.options.To)
}

// makeLanes makes a lane for each node that is to have one.
func (p *picture) makeLanes() {
	counts := map[protocol.ID]int{}
	for i := range p.events {
		e := &p.events[i]
		if !e.OfNode() || !p.inWindow(e.T) {
			continue
		}
		counts[e.Node] += 1 + 1000*weigh(e)
	}
	for _, i := range p.options.Highlight {
		counts[p.events[i].Node] += 1_000_000
	}
	delete(counts, protocol.None)
	nodes := p.options.Nodes
	if nodes == nil {
		nodes = busiest(counts)
	}
	p.hidden = len(counts) - len(nodes)
	for _, id := range nodes {
		l := &lane{id: id}
		p.lanes = append(p.lanes, l)
		p.laneOf[id] = l
	}
}

// busiest are the nodes with the highest counts, no more than maxLanes, ascending.
func busiest(counts map[protocol.ID]int) []protocol.ID {
	var nodes []protocol.ID
	for id := range counts {
		nodes = append(nodes, id)
	}
	slices.SortFunc(nodes, func(a, b protocol.ID) int { return cmp.Or(counts[b]-counts[a], protocol.ByID(a, b)) })
	nodes = nodes[:min(len(nodes), maxLanes)]
	slices.Sort(nodes)
	return nodes
}

// makeSteps gathers the events of each node into steps: those that name the same event as their cause, and that one.
func (p *picture) makeSteps() {
	p.stepOf = make([]*step, len(p.events))
	last := map[protocol.ID]*step{}
	cause := map[protocol.ID]uint64{}
	for i := range p.events {
		e := &p.events[i]
		l := p.laneOf[e.Node]
		if !e.OfNode() || l == nil || !p.inWindow(e.T) {
			continue
		}
		key := cmp.Or(e.Cause, e.N)
		s := last[e.Node]
		alone := e.Kind == trace.Crash || e.Kind == trace.Stop || e.Kind == trace.Pause || e.Kind == trace.Resume
		if s == nil || s.inc != e.Inc || cause[e.Node] != key || s.t != e.T || alone || s.end {
			s = &step{inc: e.Inc, lamport: e.Lamport, item: item{t: e.T, order: i, lane: l}}
			p.steps = append(p.steps, s)
			last[e.Node], cause[e.Node] = s, key
		}
		s.events = append(s.events, i)
		p.stepOf[i] = s
	}
	for _, s := range p.steps {
		p.judge(s)
	}
}

// judge finds out whether a step is a mere beat, and whether anything came of it.
func (p *picture) judge(s *step) {
	fire := &p.events[s.events[0]]
	told := false
	for _, i := range s.events {
		e := &p.events[i]
		switch e.Kind {
		case trace.TimerSet:
			s.periodic = s.periodic || fire.Kind == trace.TimerFire && e.Layer == fire.Layer && e.Timer == fire.Timer
		case trace.Told:
			told = true
		case trace.Send:
			s.effect = true
		}
	}
	s.periodic = s.periodic && !told
	s.effect = s.effect || told
}

// makeArrows makes an arrow for each receipt, each loss, and each message that did neither.
func (p *picture) makeArrows() {
	type sent struct {
		event int
		ended bool
	}
	sends := map[trace.MessageID]*sent{}
	var order []*sent
	for i := range p.events {
		e := &p.events[i]
		switch e.Kind {
		case trace.Send:
			if p.stepOf[i] != nil && p.laneOf[e.Peer] != nil {
				m := &sent{event: i}
				sends[e.Message()] = m
				order = append(order, m)
			}
		case trace.Receive:
			if m := sends[e.Message()]; m != nil && p.stepOf[i] != nil {
				m.ended = true
				p.arrow(m.event, &arrow{to: p.stepOf[i], receipt: i, copy: e.Copy})
			}
		case trace.Drop:
			if m := sends[e.Message()]; m != nil {
				m.ended = true
				d, _ := trace.DataOf[trace.Loss](e)
				p.arrow(m.event, &arrow{lost: cmp.Or(d.Reason, "lost"), lostAt: e.T, copy: e.Copy})
			}
		}
	}
	for _, m := range order {
		if !m.ended {
			p.arrow(m.event, &arrow{})
		}
	}
}

func (p *picture) arrow(send int, a *arrow) {
	e := &p.events[send]
	a.event, a.name, a.from, a.target = send, p.nameOf(e), p.stepOf[send], p.laneOf[e.Peer]
	p.arrows = append(p.arrows, a)
}

// pinHighlights numbers the steps to be pinned and lights what has a part in them.
func (p *picture) pinHighlights() {
	for n, i := range p.options.Highlight {
		if s := p.stepOf[i]; s != nil {
			s.pin, s.lit = n+1, true
			s.weight = max(s.weight, highest)
		}
	}
	for _, a := range p.arrows {
		a.lit = a.from.lit && (a.to == nil || a.to.lit) || a.to != nil && a.to.pin > 0
	}
}

// moment gives a place to event i, which is no node's.
func (p *picture) moment(i int, text, class string) {
	e := &p.events[i]
	if n := len(p.moments); !p.inWindow(e.T) || n > 0 && text == "" && p.moments[n-1].t == e.T {
		return
	}
	m := &item{t: e.T, order: i}
	if text != "" {
		m.labels = []label{{text, class}}
	}
	p.moments = append(p.moments, m)
}
