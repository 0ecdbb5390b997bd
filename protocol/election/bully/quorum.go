package bully

import (
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/election"
)

// sounds says whether a candidate asks first whether it could win, before it raises any counter.
func (e *Election) sounds() bool { return e.opts.Quorum && e.opts.Stable }

// court asks all for their grants, where the rules without Quorum would announce this node.
func (e *Election) court(o *protocol.Out) {
	if !e.sounds() {
		e.claim(o)
		return
	}
	e.enter(sounding, o)
	e.votes = e.votes[:0]
	o.SendAll(Ask{Counter: e.counter, Dry: true, Forced: e.forced})
	e.count(o)
}

// claim grants a counter to this node itself and asks all others to do the same.
func (e *Election) claim(o *protocol.Out) {
	self := o.Self().ID
	e.counter = max(e.counter, e.granted.Counter+1)
	e.raise(e.counter, o)
	e.granted = election.Term{Counter: e.counter, Leader: self}
	e.storeGranted(o)
	o.Indicate(election.Granted{Counter: e.counter, To: self})
	e.enter(waitingGrant, o)
	e.votes = e.votes[:0]
	o.SendAll(Ask{Counter: e.counter, Forced: e.forced})
	e.count(o)
}

// courted handles an Ask. One grant a counter, for ever: two majorities share a node, so no counter has two leaders.
func (e *Election) courted(from protocol.ID, m Ask, o *protocol.Out) {
	if !m.Dry {
		e.raise(m.Counter, o)
	}
	self, forced := o.Self().ID, e.overrides(m.Forced, m.Counter)
	taken := m.Counter == e.granted.Counter && from != e.granted.Leader && e.opts.Mistake != QM2
	switch {
	case e.leader == self && !forced && (e.opts.Stable || from < self):
		o.Send(from, e.reign())
	case e.opts.Stable && !forced && !e.leaderless() && e.leader != from:
		o.Send(from, e.info())
	case m.Counter < e.granted.Counter || taken:
		o.Send(from, Nay{Counter: e.granted.Counter})
	case m.Dry:
		o.Send(from, Would{Counter: m.Counter})
	default:
		e.grant(from, m.Counter, o)
	}
}

// grant gives a counter to a candidate. Who does follows nobody until somebody leads by that counter or a higher one.
func (e *Election) grant(to protocol.ID, counter uint64, o *protocol.Out) {
	if term := (election.Term{Counter: counter, Leader: to}); term != e.granted {
		e.granted = term
		e.storeGranted(o)
		e.enter(idle, o)
		e.release(o)
		o.Indicate(election.Granted{Counter: counter, To: to})
	}
	o.Send(to, Grant{Counter: counter})
}

// release lets the leader go.
func (e *Election) release(o *protocol.Out) {
	switch e.leader {
	case protocol.None:
	case o.Self().ID:
		e.abdicate(election.Quorum, o)
	default:
		e.leader = protocol.None
		o.Indicate(election.Elected{Term: e.pair})
	}
}

// supported handles a grant, or the promise of one, for the phase that it belongs to.
func (e *Election) supported(from protocol.ID, counter uint64, in phase, o *protocol.Out) {
	if e.phase == in && counter == e.counter && !slices.Contains(e.votes, from) {
		e.votes = append(e.votes, from)
		e.count(o)
	}
}

// count goes on once a majority is there, this node included.
func (e *Election) count(o *protocol.Out) {
	if len(e.votes)+1 < e.majority(o) {
		return
	}
	if e.phase == sounding {
		e.claim(o)
	} else {
		e.announce(e.counter, o)
	}
}

// majority is how many grants make a leader: of all configured nodes, up or not.
func (e *Election) majority(o *protocol.Out) int {
	n := len(o.Self().Group)
	switch e.opts.Mistake {
	case QM3:
		return (n + 1) / 2
	case QM4:
		return (n-len(e.suspects))/2 + 1
	}
	return n/2 + 1
}

// outdone handles word of a counter that somebody has granted: a leader below it will not be obeyed there.
func (e *Election) outdone(counter uint64, o *protocol.Out) {
	if e.leader == o.Self().ID && counter > e.pair.Counter {
		e.renew(o)
	}
}

// appeal gives a reign up and asks for the next one at once, unless this node asks already. Else who granted a
// candidate that died would be lost to the group.
func (e *Election) appeal(o *protocol.Out) {
	if e.opts.Mistake == QM8 || e.phase == sounding || e.phase == waitingGrant {
		return
	}
	e.enter(idle, o)
	e.resign(election.Renewed, o)
	if e.number(o) {
		o.Indicate(election.Begun{Counter: e.counter, Why: election.Renewed})
		e.court(o)
	}
}

// echoed handles word from a node that holds this one as its leader. With Quorum the round it heard last is evidence
// that it followed when that beat was sent; when the evidence arrives does not matter.
func (e *Election) echoed(from protocol.ID, t election.Term, round uint64, o *protocol.Out) {
	if order := t.Compare(e.pair); order > 0 {
		e.renew(o)
		return
	} else if order < 0 {
		o.Send(from, e.reign())
		return
	}
	i, ok := slices.BinarySearch(o.Self().Group, from)
	if !e.opts.Quorum || !ok || round > e.round {
		return
	}
	if e.opts.Mistake == QM7 {
		round = e.round
	}
	e.echoes[i] = max(e.echoes[i], round)
}

// backed says whether a majority has echoed one of the last Silence beats. No clock is read: beats are counted.
// Whoever leads next has grants of a majority, one of which stopped echoing first, so it begins after the last beat
// that a majority echoed; and this reign ends Silence beats after that one.
func (e *Election) backed(o *protocol.Out) bool {
	n := 0
	for i, id := range o.Self().Group {
		if id == o.Self().ID || e.round-e.echoes[i] < uint64(e.opts.Silence) {
			n++
		}
	}
	return n >= e.majority(o)
}
