package bully

import (
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/election"
)

// askAround is how a life begins with Stable: perhaps somebody leads, then there is nothing to elect.
func (e *Election) askAround(o *protocol.Out) {
	e.enter(asking, o)
	o.SendAll(Who{})
}

// asked answers who leads, if this node knows of a leader that is good.
func (e *Election) asked(from protocol.ID, o *protocol.Out) {
	if e.leader != protocol.None && (!e.lost() || e.opts.Mistake == SM2) {
		o.Send(from, e.info())
	}
}

// protects says whether a living leader is reason enough not to let from stand, and tells it who leads. A leader that
// stands itself, or that a client wants replaced, is none.
func (e *Election) protects(from protocol.ID, forced bool, o *protocol.Out) bool {
	leading := e.leader == o.Self().ID
	switch {
	case leading && forced:
		e.resign(election.Requested, o)
		return false
	case leading:
		o.Send(from, e.reign())
		return true
	case e.leader == from:
		e.silent = true
		return false
	case forced || e.leaderless():
		return false
	default:
		o.Send(from, e.info())
		return true
	}
}

// overrides says whether a client's wish counts against the leader held. It does not if that leader was elected since:
// one wish goes round by several nodes.
func (e *Election) overrides(forced bool, counter uint64) bool {
	return forced && e.opts.Stable && counter > e.pair.Counter
}

// overhear handles word from another node of the leader that both hold. It says nothing of that leader's life. But a
// candidate waits, as after an OK: the other one knows better, or will suspect too.
func (e *Election) overhear(o *protocol.Out) {
	if e.opts.Mistake == SM4 {
		e.adopt(e.pair, e.life, o)
		e.beaten(0, o)
	}
	if e.opts.Stable && e.phase == waitingOK {
		e.enter(waitingCoord, o)
	}
}

// force makes way for an election that a client asked for: rank decides it, and no living leader stops it.
func (e *Election) force(o *protocol.Out) {
	if e.leader == o.Self().ID {
		e.resign(election.Requested, o)
	}
	if !e.forced {
		e.enter(idle, o)
	}
}
