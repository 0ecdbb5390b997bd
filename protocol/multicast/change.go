package multicast

import (
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
)

// A gathering is what the view's end needs and this node fetches.
type gathering struct {
	active bool
	ballot group.Ballot
	upto   []uint64
	from   []protocol.ID
}

// A past is what was held of the view before, for members that go on and have not yet fetched what they lack.
type past struct {
	view    uint64
	streams []queue[Batch]
	vouched []bool // by rank in the present view: that member is in it, and needs nothing any more
}

// flush stops this node in a view, and says what it holds.
func (l *Layer) flush(e group.Flush, o *protocol.Out) {
	if e.View != l.view.ID || l.view.ID == 0 {
		return
	}
	l.stopped = true
	l.gathering = gathering{}
	upto := make(group.Cut, len(l.streams))
	for r := range l.streams {
		upto[r] = l.streams[r].held
	}
	o.Request(group.Held{View: e.View, Ballot: e.Ballot, Upto: upto})
}

// gather begins to fetch what this node lacks.
func (l *Layer) gather(e group.Gather, o *protocol.Out) {
	if e.View != l.view.ID || len(e.Upto) != len(l.streams) || len(e.From) != len(l.streams) {
		return
	}
	l.stopped = true
	l.gathering = gathering{true, e.Ballot, e.Upto, e.From}
	l.repairing, l.wait = false, 0
	for r := range l.streams {
		l.fetch(r, o)
	}
	l.complete(o)
}

// fetch asks for the next of what is missing of a stream.
func (l *Layer) fetch(r int, o *protocol.Out) {
	g := &l.gathering
	s := &l.streams[r]
	if s.held >= g.upto[r] || g.from[r] == protocol.None || g.from[r] == l.self {
		return
	}
	o.Send(g.from[r], Want{l.view.ID, uint32(r), s.held + 1, g.upto[r]})
	l.lag(o)
}

// complete says that all is there.
func (l *Layer) complete(o *protocol.Out) {
	g := &l.gathering
	if !g.active {
		return
	}
	for r := range l.streams {
		if l.streams[r].held < g.upto[r] && l.opts.Mistake != GathersNothing {
			return
		}
	}
	g.active = false
	o.Request(group.Gathered{View: l.view.ID, Ballot: g.ballot})
}

// install ends a view and begins the next.
func (l *Layer) install(e group.Installed, o *protocol.Out) {
	var kept past
	if l.view.ID != 0 && !e.First && len(e.Upto) == len(l.streams) {
		l.settle(e.Upto, o)
		kept = l.keep(e.View)
	}
	l.fail("the view changed", o)
	done := l.lanes
	l.begin(e.View, o)
	l.past = kept
	if l.opts.Mistake == KeepsCounts {
		l.keepCounts(&done)
	}
	l.vouched(l.rank)
	o.Tell(e) // before anything of the new view
	soon := l.soon
	l.soon = nil
	for _, m := range soon {
		switch v := viewOf(m.body); {
		case v == l.view.ID:
			l.handle(m.from, m.body, o)
		case v > l.view.ID:
			l.keepForLater(m.from, m.body, o)
		}
	}
}

// keep gives what is held of the view that ends.
func (l *Layer) keep(next group.View) past {
	p := past{view: l.view.ID, vouched: make([]bool, len(next.Members))}
	for r := range l.streams {
		p.streams = append(p.streams, l.streams[r].kept)
	}
	return p
}

// leaveBehind notes where those messages are of casts which were sent in the view that ends. The rest is sent in the next. Of a
// message of which only parts were sent all are sent again.
func (l *Layer) leaveBehind() {
	for i := range l.waiting.all() {
		c := &l.waiting.all()[i]
		if c.first > 0 {
			c.before = &Sent{l.view.ID, c.first, int(l.lanes[c.lane].own - c.first + 1), c.before}
		}
		c.first, c.part = 0, 0
	}
}

// begin makes a view the present one.
func (l *Layer) begin(v group.View, o *protocol.Out) {
	l.leaveBehind()
	l.view, l.rank = v, v.Rank(l.self)
	l.stopped, l.left, l.back, l.blocked = false, false, false, false
	l.gathering = gathering{}
	n := len(v.Members)
	l.streams = make([]stream, n)
	for r := range l.streams {
		l.streams[r].got = make([]uint64, n)
	}
	for i := range l.lanes {
		l.lanes[i] = lane{}
		if l.runs(laneOf(uint8(i))) {
			l.lanes[i].from = make([]source, n)
		}
	}
	l.told, l.unplaced, l.clock, l.untold = make([]uint64, n), nil, 0, 0
	l.air.sent, l.air.lacked, l.air.patient = 0, nil, 0
	l.due = true // so that the others can forget the view before
}

// keepCounts is what KeepsCounts does: what was delivered in the view before counts in the next.
func (l *Layer) keepCounts(was *[lanes]lane) {
	for i := range l.lanes {
		if laneOf(uint8(i)).Order == Causal {
			for r := range min(len(l.lanes[i].from), len(was[i].from)) {
				l.lanes[i].from[r].done = was[i].from[r].done
			}
		}
	}
}

// vouched notes that a member is in the present view. When all are, nobody needs anything of the one before.
func (l *Layer) vouched(r int) {
	if l.past.view == 0 || l.past.vouched[r] {
		return
	}
	l.past.vouched[r] = true
	if !slices.Contains(l.past.vouched, false) {
		l.past = past{}
	}
}

// fail says of casts whose messages were sent, and not delivered here, that their end is unknown.
func (l *Layer) fail(why string, o *protocol.Out) {
	for i := range l.lanes {
		q := &l.lanes[i].awaiting
		for q.len() > 0 {
			l.reply(true, q.pop().call, Unknown{why}, o)
		}
	}
}

// exclude ends this node's membership. What waits is not sent.
func (l *Layer) exclude(e group.Excluded, o *protocol.Out) {
	why := "this node is no member of the group any more: " + string(e.Why)
	l.fail(why, o)
	for l.waiting.len() > 0 {
		if c := l.waiting.pop(); c.first > 0 || c.before != nil {
			l.reply(c.asked, c.call, Unknown{why}, o)
		} else {
			l.reply(c.asked, c.call, protocol.Refused{Why: why}, o)
		}
	}
	*l = Layer{opts: l.opts, self: l.self, soon: l.soon, behind: l.behind, telling: l.telling, repairing: l.repairing,
		wait: l.wait, impatient: l.impatient, air: l.air, left: e.Why.Asked() && !l.back, former: max(e.View, l.former)}
}
