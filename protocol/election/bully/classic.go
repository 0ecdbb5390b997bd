package bully

import (
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/election"
)

// The textbook form: whoever said last that it leads is the leader. Nothing is stored, nothing repeated, and two
// Coordinators that cross are enough for two nodes to follow different leaders.

// proclaim begins a reign without a term.
func (e *Election) proclaim(o *protocol.Out) {
	e.enter(idle, o)
	self := o.Self()
	e.leader, e.life, e.suspected = self.ID, self.Incarnation, false
	o.Indicate(election.Elected{Leader: self.ID})
	o.SendAll(e.reign())
}

// obey handles a Coordinator without a term: a lower one is bullied, a higher one is followed.
func (e *Election) obey(from protocol.ID, o *protocol.Out) {
	if from < o.Self().ID && e.bullies(o) {
		e.begin(election.Outranked, false, o)
		return
	}
	changed := e.leader != from
	e.enter(idle, o)
	e.leader, e.life, e.suspected = from, o.SenderIncarnation(), false
	o.Request(detector.Reset{Node: from, Incarnation: e.life})
	if changed {
		o.Indicate(election.Elected{Leader: from})
	}
}
