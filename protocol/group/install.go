package group

import (
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
)

// committed takes a change that is decided: it is installed as soon as all of the old view is here.
func (l *Layer) committed(m Commit, o *protocol.Out) {
	c := m.Content
	if c.View.ID <= l.view.ID {
		return
	}
	named := slices.Contains(c.View.Members, l.me(o))
	switch {
	case l.phase == out && named && !l.away:
		l.install(m, o)
	case l.phase == out:
		l.learn(m, o)
	case c.View.ID > l.view.ID+1 || !named:
		l.exclude(l.passed(c), o)
		l.learn(m, o)
	case !l.opts.Traffic:
		l.install(m, o)
	default:
		l.conclude(m, o)
	}
}

// passed is why a view is without this node. It leaves in good order if the cut has all that it had sent when it stopped.
func (l *Layer) passed(c Content) Why {
	rank, held := l.view.Rank(l.self), l.answer.held
	switch {
	case !l.leaving:
		return Passed
	case !l.opts.Traffic, c.View.ID == l.view.ID+1 && rank < min(len(c.Upto), len(held)) && c.Upto[rank] >= held[rank]:
		return Left
	default:
		return Abrupt
	}
}

// conclude installs a change at a member, or first has the rest of the old view fetched.
func (l *Layer) conclude(m Commit, o *protocol.Out) {
	if len(m.Content.Upto) != len(l.view.Members) { // who told it has forgotten what belongs to the old view
		l.exclude(Lacking, o)
		l.learn(m, o)
		return
	}
	a := &l.answer
	same := a.gathering && slices.Equal(a.commit.Content.Upto, m.Content.Upto)
	if same && a.done {
		l.install(m, o)
		return
	}
	if !a.decided {
		o.Set(protocol.Timer{Kind: lackTimer}, l.opts.Lack)
	}
	l.phase, a.decided = flush, true
	if !same || len(m.From) > 0 && !slices.Equal(a.commit.From, m.From) {
		a.commit = m
		l.gather(o)
	}
	a.commit.Content = m.Content
}

// lacks gives the membership up: what belongs to the old view cannot be had, and so not delivered.
func (l *Layer) lacks(o *protocol.Out) {
	if a := l.answer; l.phase == flush && a.decided && !a.done {
		l.exclude(Lacking, o)
		l.learn(a.commit, o)
	}
}

// install makes a view the present one.
func (l *Layer) install(m Commit, o *protocol.Out) {
	first := l.phase == out
	was := l.view
	l.learn(m, o)
	l.phase, l.away = normal, false
	l.joiners = slices.DeleteFunc(l.joiners, func(j Member) bool { return l.view.Rank(j.Node) >= 0 })
	l.leavers = slices.DeleteFunc(l.leavers, func(j Member) bool { return !slices.Contains(l.view.Members, j) })
	l.misfits = slices.DeleteFunc(l.misfits, func(j Member) bool { return !slices.Contains(l.view.Members, j) })
	if l.due = len(l.joiners) > 0; !l.due {
		o.Cancel(protocol.Timer{Kind: gatherTimer})
	}
	for _, k := range []uint32{seekTimer, foundTimer, joinTimer, lackTimer} {
		o.Cancel(protocol.Timer{Kind: k})
	}
	o.Set(protocol.Timer{Kind: beaconTimer}, l.opts.Beacon)
	told := Installed{View: l.view, Joined: others(l.view, was), Gone: others(was, l.view), First: first}
	if was.ID == 0 {
		told.Gone = nil
	}
	if !first {
		told.Upto = m.Content.Upto
	}
	l.remember(Past{told.View, told.Joined, told.Gone})
	l.trust(o)
	o.Indicate(told)
}

// trust gives members a chance whose present life has not been heard of here, while a former one was suspected: others
// have heard of it. The detector tells if it stays silent.
func (l *Layer) trust(o *protocol.Out) {
	for _, m := range l.view.Members {
		if p := l.peer(m.Node); p != nil && m.Incarnation > p.inc {
			l.hears(p, m.Incarnation)
			o.Request(detector.Reset{Node: m.Node, Incarnation: m.Incarnation})
		}
	}
}

// others are the nodes of one view whose membership is not in another.
func others(v, w View) (ids []protocol.ID) {
	for _, m := range v.Members {
		if !slices.Contains(w.Members, m) {
			ids = append(ids, m.Node)
		}
	}
	return ids
}

// history is how many views are remembered.
const history = 64

func (l *Layer) remember(p Past) {
	if len(l.past) == history {
		l.past = slices.Delete(l.past, 0, 1)
	}
	l.past = append(l.past, p)
}

// learn makes a decided view the last one known. Who votes for its change begins anew.
func (l *Layer) learn(m Commit, o *protocol.Out) {
	l.view = m.Content.View
	l.newest = m
	l.promised, l.accepted = Ballot{}, vote{}
	l.answer, l.try = answering{nudging: l.answer.nudging}, attempt{}
	l.votes = l.votes || l.isOfThisLife(o)
	o.Cancel(protocol.Timer{Kind: attemptTimer})
	l.store(o)
	if l.phase == out && !l.away {
		l.seek.waited = false // for the rest of this view
		o.Set(protocol.Timer{Kind: foundTimer}, l.opts.Found)
	}
}

// isOfThisLife says whether the last view was decided in this life of the node: it names it. A former life, of whatever
// membership, cannot have voted for that view's change.
func (l *Layer) isOfThisLife(o *protocol.Out) bool {
	m, in := l.member(l.self)
	return in && m.Incarnation == o.Self().Incarnation
}

// last is the change that made the last view, for those that have not heard of it.
func (l *Layer) last() Commit {
	if l.newest.Content.View.ID == l.view.ID {
		return l.newest
	}
	return Commit{Content: Content{View: l.view}} // of a former life
}

// exclude ends the membership.
func (l *Layer) exclude(why Why, o *protocol.Out) {
	if l.leaving && why != Left {
		why = Abrupt
	}
	l.phase, l.leaving, l.ready = out, false, false
	l.answer, l.try = answering{nudging: l.answer.nudging}, attempt{floor: l.try.floor}
	l.joiners, l.leavers, l.misfits, l.due = nil, nil, nil, false
	for _, k := range []uint32{beaconTimer, lackTimer, leaveTimer, gatherTimer, attemptTimer} {
		o.Cancel(protocol.Timer{Kind: k})
	}
	if l.opts.Mistake != SameLife {
		l.life++
	}
	o.Indicate(Excluded{l.view.ID, why})
	if why.Asked() {
		l.away = !l.returns
		l.answerLeave(o)
	}
	l.returns = false
	if l.away {
		return
	}
	l.look(upTo(l.opts.Seek, o), o)
}
