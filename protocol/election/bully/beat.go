package bully

import (
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/election"
)

// patience is for how many beats a node goes without a leader before it stands.
const patience = 2

// beats says whether this node has a beat at all.
func (e *Election) beats() bool {
	return !e.opts.Classic && !e.opts.NoBeat && e.opts.Mistake != M10
}

// beat is the one rule that makes up for every lost message, because it looks at what is and not at what changed: a
// leader repeats itself to all, also to those it suspects, a follower tells its leader what it holds, and who has had
// no leader for a while stands.
func (e *Election) beat(o *protocol.Out) {
	o.Set(protocol.Timer{Kind: beatTimer}, e.opts.Beat)
	if e.leader == o.Self().ID {
		e.lead(o)
		return
	}
	if e.leader != protocol.None {
		o.Send(e.leader, e.info())
		e.listen()
	}
	if e.phase != idle || !e.leaderless() {
		e.vacant = 0
		return
	}
	if e.vacant++; e.vacant >= patience {
		e.vacant = 0
		e.begin(e.reason(), false, o)
	}
}

func (e *Election) lead(o *protocol.Out) {
	e.vacant = 0
	e.round++
	if e.opts.Quorum && !e.backed(o) && e.opts.Mistake != QM5 {
		o.Ungate()
		e.resign(election.Quorum, o)
		return
	}
	o.SendAll(e.reign())
}

// listen counts the beats since the leader was heard. The detector may say what it likes: it watches nodes, not reigns.
func (e *Election) listen() {
	if e.quiet < e.opts.Silence {
		e.quiet++
	}
	if e.quiet >= e.opts.Silence && e.opts.Mistake != SM3 {
		e.silent = true
	}
}

// lost says whether the leader held is of no use any more, as far as this node knows.
func (e *Election) lost() bool {
	return e.leader != protocol.None && (e.suspected || e.silent || e.diskStalled(e.leader))
}

func (e *Election) leaderless() bool { return e.leader == protocol.None || e.lost() }

// reason says why there is no leader, or a lost one.
func (e *Election) reason() election.Why {
	switch {
	case e.leader == protocol.None || e.silent:
		return election.Silent
	case e.suspected:
		return election.Suspected
	default:
		return election.Disk
	}
}

// born is how this life of the node began.
func born(o *protocol.Out) election.Why {
	if o.Self().Incarnation > 1 {
		return election.Recovered
	}
	return election.Started
}

// suspect handles a suspicion. It concerns the reign only if it is about the life that leads, or a later one.
func (e *Election) suspect(s detector.Suspect, o *protocol.Out) {
	if e.opts.Mistake == QM4 && !slices.Contains(e.suspects, s.Node) {
		e.suspects = append(e.suspects, s.Node)
	}
	if s.Why == detector.Restarted {
		e.outlived(s.Node, s.Incarnation+1)
	}
	if s.Node != e.leader || s.Incarnation != 0 && s.Incarnation < e.life {
		return
	}
	if e.opts.Mistake == SM3 && s.Why == detector.Restarted {
		return
	}
	e.life = s.Incarnation
	e.suspected = true
	e.begin(election.Suspected, false, o)
}

// restore takes the suspicion of the leader back, if it is about the same life.
func (e *Election) restore(r detector.Restore) {
	e.suspects = slices.DeleteFunc(e.suspects, func(id protocol.ID) bool { return id == r.Node })
	if r.Node == e.leader && (r.Incarnation == e.life || e.life == 0) {
		e.life = r.Incarnation
		e.suspected = false
	}
}

// peerDisk notes whose disks are stalled: such a node is not followed, though it lives.
func (e *Election) peerDisk(s detector.Stalled, o *protocol.Out) {
	if e.opts.Classic {
		return
	}
	e.stalled = slices.DeleteFunc(e.stalled, func(l stall) bool { return l.node == s.Node })
	if !s.On {
		return
	}
	e.stalled = append(e.stalled, stall{s.Node, s.Incarnation, e.seen})
	if s.Node == e.leader {
		e.begin(election.Disk, false, o)
	}
}

func (e *Election) diskStalled(id protocol.ID) bool {
	return slices.ContainsFunc(e.stalled, func(l stall) bool { return l.node == id })
}

// outlived forgets a stalled disk of a node that has begun the life inc since.
func (e *Election) outlived(id protocol.ID, inc protocol.Incarnation) {
	if len(e.stalled) > 0 {
		e.stalled = slices.DeleteFunc(e.stalled, func(l stall) bool { return l.node == id && l.inc < inc })
	}
}

// outled forgets a stalled disk of a node that says itself that it leads by a counter newer than the stall. A leader
// resigns when its disk stalls, so that disk has answered since; not every detector can tell so itself.
func (e *Election) outled(t election.Term) {
	if len(e.stalled) > 0 {
		e.stalled = slices.DeleteFunc(e.stalled, func(l stall) bool { return l.node == t.Leader && l.seen < t.Counter })
	}
}

// ownDisk handles word of the own disk. While it does not answer this node neither leads nor stands. The resignation
// does not wait for it.
func (e *Election) ownDisk(stalled bool, o *protocol.Out) {
	if e.opts.Classic {
		return
	}
	e.disk = stalled
	if stalled {
		e.retire(election.Disk, o)
	}
}

// stop handles the end of this life in good order.
func (e *Election) stop(o *protocol.Out) {
	if e.opts.Classic {
		return
	}
	e.stopping = true
	e.retire(election.Stopped, o)
}

// retire gives up leading and standing.
func (e *Election) retire(why election.Why, o *protocol.Out) {
	if e.phase != asking {
		e.enter(idle, o)
	}
	if e.leader == o.Self().ID {
		o.Ungate()
		e.resign(why, o)
	}
}

// barred says whether this node must not stand, nor promise a candidate that it will.
func (e *Election) barred() bool { return e.disk || e.stopping }
