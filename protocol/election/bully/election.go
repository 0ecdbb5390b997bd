package bully

import (
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/election"
)

// begin stands for election, unless this node stands already or must not, and says whether it did. The term held stays
// as it is: raised now, it would make the node refuse the answer of a leader that lives.
func (e *Election) begin(why election.Why, forced bool, o *protocol.Out) bool {
	if e.phase != idle && e.opts.Mistake != M2 || e.barred() || !e.number(o) {
		return false
	}
	e.forced = forced
	o.Indicate(election.Begun{Counter: e.counter, Why: why})
	var m protocol.Message = Stand{Counter: e.counter, Forced: forced}
	alone := true
	for _, id := range o.Self().Group {
		if id > o.Self().ID {
			o.Send(id, m)
			alone = false
		}
	}
	if alone {
		e.win(o)
	} else {
		e.enter(waitingOK, o)
	}
	return true
}

// number takes the next counter for an election of this node. Who only sounds the others first does not raise it: a
// node that cannot win disturbs nobody.
func (e *Election) number(o *protocol.Out) bool {
	if e.opts.Classic {
		return true
	}
	if e.seen >= ownCeiling {
		o.Note(Exhausted{Counter: e.seen})
		return false
	}
	next := e.seen + 1
	if !e.sounds() || e.opts.Mistake == QM9 {
		e.raise(next, o)
	}
	e.counter = next
	return true
}

// enter changes the phase: the timer of the old one ends and that of the new one begins.
func (e *Election) enter(p phase, o *protocol.Out) {
	if e.phase == idle && p == idle {
		return
	}
	if e.phase != idle && !(e.opts.Mistake == M9 && e.phase == waitingOK && p == idle) {
		timer, _ := e.wait(e.phase)
		o.Cancel(protocol.Timer{Kind: timer})
	}
	e.phase = p
	if p == idle {
		e.forced = false
		return
	}
	if timer, d := e.wait(p); !(e.opts.Mistake == M1 && p == waitingCoord) {
		o.Set(protocol.Timer{Kind: timer}, d)
	}
}

// challenged handles a Stand. A node that is up tells a lower candidate so and takes the election over; a leader
// only tells who it is. (The classical text lets the leader begin anew. Both are right, this is shorter.)
func (e *Election) challenged(from protocol.ID, m Stand, o *protocol.Out) {
	if !e.sounds() {
		e.raise(m.Counter, o)
	}
	forced := e.overrides(m.Forced, m.Counter)
	if from > o.Self().ID || e.barred() || e.opts.Stable && e.protects(from, forced, o) {
		return
	}
	o.Send(from, OK{Counter: m.Counter})
	if e.leader == o.Self().ID {
		o.Send(from, e.reign())
	} else if e.opts.Mistake != M3 {
		e.begin(reasonOf(election.Outranked, forced), forced, o)
	}
}

// answered handles an OK. One of another election, or after this one's end, is late and means nothing.
func (e *Election) answered(counter uint64, o *protocol.Out) {
	if counter == e.counter && (e.phase == waitingOK || e.opts.Mistake == M8 && e.phase == idle) {
		e.enter(waitingCoord, o)
	}
}

// desert gives up waiting for a node that answered and never led, and begins again. With Stable there is nothing to
// begin if the leader turned out to live.
func (e *Election) desert(o *protocol.Out) {
	if e.opts.Stable && !e.forced && !e.leaderless() && e.opts.Mistake != SM6 {
		return
	}
	e.begin(reasonOf(election.Timeout, e.forced), e.forced, o)
}

// reasonOf is why a node stands: a client's wish before anything else.
func reasonOf(why election.Why, forced bool) election.Why {
	if forced {
		return election.Requested
	}
	return why
}

// win is called when no higher node objects.
func (e *Election) win(o *protocol.Out) {
	if e.opts.Quorum {
		e.court(o)
	} else {
		e.announce(e.seen, o)
	}
}

// announce begins a reign of this node.
func (e *Election) announce(counter uint64, o *protocol.Out) {
	if e.opts.Classic {
		e.proclaim(o)
		return
	}
	e.enter(idle, o)
	self := o.Self()
	e.adopt(election.Term{Counter: counter, Leader: self.ID}, self.Incarnation, o)
	e.round = 0
	if e.opts.Quorum {
		e.echoes = make([]uint64, len(self.Group))
	}
	o.Indicate(election.Elected{Leader: self.ID, Term: e.pair})
	o.SendAll(e.reign())
}

// reign is what a leader says.
func (e *Election) reign() protocol.Message {
	if e.opts.Classic {
		return Coordinator{}
	}
	return Coordinator{Counter: e.pair.Counter, Round: e.round}
}

// info is what a node holds: its leader's term, or without a leader the floor below which it follows nobody.
func (e *Election) info() Info {
	if e.leader != protocol.None {
		return Info{Term: e.pair, Round: e.round}
	}
	floor := e.pair
	if e.granted.Compare(floor) > 0 {
		floor = e.granted
	}
	return Info{Term: floor, Vacant: true}
}

// coordinator handles the word of a node that it leads.
func (e *Election) coordinator(from protocol.ID, m Coordinator, o *protocol.Out) {
	if e.opts.Classic {
		e.obey(from, o)
		return
	}
	e.raise(m.Counter, o)
	t := election.Term{Counter: m.Counter, Leader: from}
	e.outled(t)
	e.hear(from, t, m.Round, o)
}

// informed handles what another node holds.
func (e *Election) informed(from protocol.ID, m Info, o *protocol.Out) {
	e.raise(m.Term.Counter, o)
	switch {
	case !m.Vacant:
		e.hear(from, m.Term, m.Round, o)
	case m.Term == e.pair && m.Term.Leader == from && e.leader == from: // it resigns
		e.leader = protocol.None
		o.Indicate(election.Elected{Term: e.pair})
	case e.leader == o.Self().ID && m.Term.Compare(e.pair) > 0:
		e.renew(o)
	}
}

// hear judges the term t, which a node holds: from itself, or another one that from follows. A node does not follow a
// lower one but stands against it, unless it knows of a higher term whose leader is good: then to say so is enough.
func (e *Election) hear(from protocol.ID, t election.Term, round uint64, o *protocol.Out) {
	self := o.Self().ID
	order := t.Compare(e.pair)
	switch {
	case t.Leader == self && e.leader == self:
		e.echoed(from, t, round, o)
	case t.Leader == self: // by a former life of this node
		e.disown(from, order, o)
	case t.Leader < self && e.bullies(o) && (order > 0 || e.leader < self || e.lost()):
		e.begin(election.Outranked, false, o)
	case order < 0:
		o.Send(from, e.info())
	case t.Counter < e.granted.Counter && e.opts.Mistake != QM6:
		o.Send(from, Info{Term: e.granted, Vacant: true})
	case order == 0 && from != t.Leader && e.leader != protocol.None:
		e.overhear(o) // an echo is no sign of the leader's life
	case !e.diskStalled(t.Leader):
		e.follow(from, t, round, o)
	}
}

// bullies says whether this node stands against any lower leader. It does not if it cannot lead itself.
func (e *Election) bullies(o *protocol.Out) bool {
	passive := e.opts.Mistake == M4 || e.opts.Mistake == M6 && o.Self().Incarnation > 1
	return !e.opts.Stable && !e.barred() && !passive
}

// disown answers a node that follows a former life of this one.
func (e *Election) disown(from protocol.ID, order int, o *protocol.Out) {
	if order < 0 && e.leader != protocol.None {
		o.Send(from, e.info())
	} else {
		e.begin(election.Silent, false, o)
	}
}

// follow takes t.Leader as the leader: t is higher than the term held, or equal and there was no leader, or it is the
// leader's own word.
func (e *Election) follow(from protocol.ID, t election.Term, round uint64, o *protocol.Out) {
	changed := t != e.pair || e.leader != t.Leader
	if !changed && !e.lost() && from == t.Leader && o.SenderIncarnation() == e.life {
		e.beaten(round, o)
		return
	}
	inc := protocol.Incarnation(0)
	if from == t.Leader {
		inc = o.SenderIncarnation()
	}
	if changed {
		e.round = 0
	}
	e.adopt(t, inc, o)
	if e.opts.Mistake != M11 {
		o.Request(detector.Reset{Node: t.Leader, Incarnation: inc})
	}
	if changed {
		o.Indicate(election.Elected{Leader: t.Leader, Term: t})
	}
	e.beaten(round, o)
}

// beaten handles a sign of life of the leader held. It ends an election, but for one that a client asked for.
func (e *Election) beaten(round uint64, o *protocol.Out) {
	e.quiet = 0
	e.round = max(e.round, round)
	if !e.forced && !(e.opts.Mistake == SM1 && e.phase == asking) {
		e.enter(idle, o)
	}
}

// adopt makes t the term held.
func (e *Election) adopt(t election.Term, leader protocol.Incarnation, o *protocol.Out) {
	if t != e.pair {
		e.pair = t
		e.forced = false
		e.storePair(o)
	}
	e.leader, e.life = t.Leader, leader
	e.suspected, e.silent = false, false
	e.quiet, e.vacant = 0, 0
}

// renew begins a new reign of a leader that finds its counter too low for another node. Without it a node whose floor
// stems from a higher term, perhaps of its own former life, would refuse a living leader for ever.
func (e *Election) renew(o *protocol.Out) {
	if e.opts.Mistake == M12 || e.opts.Mistake == SM5 {
		return
	}
	if e.opts.Quorum {
		e.appeal(o)
	} else if e.number(o) {
		e.announce(e.seen, o)
	}
}

// resign ends the reign of this node and tells all.
func (e *Election) resign(why election.Why, o *protocol.Out) {
	e.abdicate(why, o)
	o.SendAll(Info{Term: e.pair, Vacant: true})
}

// abdicate ends the reign of this node.
func (e *Election) abdicate(why election.Why, o *protocol.Out) {
	e.leader = protocol.None
	o.Indicate(election.SteppedDown{Term: e.pair, Why: why})
	o.Indicate(election.Elected{Term: e.pair})
}
