package group

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ciranda.dev/protocol"
)

// An attempt is a change that this node proposes.
type attempt struct {
	active   bool
	ballot   Ballot
	named    []protocol.ID // who was asked, by rank
	promises []promise     // of those, as they came
	content  Content
	from     []protocol.ID
	accepts  []protocol.ID
	floor    uint32        // the highest counter that is known to have been promised
	wait     time.Duration // of the last round
	pushed   bool          // somebody waits for a change
}

// A promise is one with its sender.
type promise struct {
	from protocol.ID
	inc  protocol.Incarnation
	Promise
}

// over says whether a membership has ended, as its node was heard in a later life or asks for another membership.
func (l *Layer) over(m Member) bool {
	p := l.peer(m.Node)
	return p != nil && m.before(Member{m.Node, p.inc, p.life})
}

// can says whether a member can go on to the next view as far as this node knows.
func (l *Layer) can(m Member) bool {
	return !l.over(m) && !l.absent(m.Node) && !l.unfit(m) && !slices.Contains(l.leavers, m)
}

// able says whether a node that wants to join could.
func (l *Layer) able(m Member) bool { return !l.absent(m.Node) && !l.over(m) }

// absent says whether a node is suspected. One that is not configured cannot be heard.
func (l *Layer) absent(id protocol.ID) bool {
	p := l.peer(id)
	return p == nil || p.away && id != l.self
}

// proposer is who changes the view: the member of the lowest rank that goes on.
func (l *Layer) proposer() protocol.ID {
	for _, m := range l.view.Members {
		if l.can(m) {
			return m.Node
		}
	}
	return protocol.None
}

// named are the nodes of the view that a change waits for, by rank.
func (l *Layer) named() (named []protocol.ID) {
	for _, m := range l.view.Members {
		if !l.absent(m.Node) && !l.unfit(m) {
			named = append(named, m.Node)
		}
	}
	return named
}

// unfit says whether a member holds everybody up and can be done without: there must be enough others to agree on that, and to
// remember what a majority held.
func (l *Layer) unfit(m Member) bool {
	if l.over(m) || !slices.Contains(l.misfits, m) {
		return false
	}
	others, ended, silent := 0, 0, 0
	for _, m := range l.view.Members {
		there := !l.absent(m.Node)
		switch {
		case l.over(m):
			ended++
		case !there, slices.Contains(l.misfits, m):
			silent++
			there = false
		}
		if there {
			others++
		}
	}
	return others >= l.needed() && !l.forgotten(ended, silent)
}

// reason says whether there is anything to change.
func (l *Layer) reason() bool {
	if l.promised != (Ballot{}) || l.try.pushed || l.due && slices.ContainsFunc(l.joiners, l.able) {
		return true
	}
	return slices.ContainsFunc(l.view.Members, func(m Member) bool { return !l.can(m) })
}

// review begins a change if there is a reason, enough of the view is there, and it is this node's part.
func (l *Layer) review(o *protocol.Out) {
	l.tell(o)
	if l.phase == out || l.answer.decided || !l.reason() {
		return
	}
	if l.proposer() != l.self {
		l.nudgeLater(o)
		return
	}
	named := l.named()
	if len(named) < l.needed() || len(l.awaited(named)) > 0 || l.try.active && slices.Equal(named, l.try.named) {
		return
	}
	l.try.wait = 0
	l.attempt(named, o)
}

// awaited are members that must be heard before the view can change, though enough nodes may vote. A node that has come
// back votes, but what it held of the group's messages is lost. What a majority held must survive as long as no majority
// has crashed: so of every majority somebody has to answer as the member that it was. That is not so if those that have ended
// and those that are silent could be one. It does not help to wait once a majority is known to have ended, or all the rest.
func (l *Layer) awaited(named []protocol.ID) (absent []protocol.ID) {
	ended, answered := 0, l.try.active && len(l.try.promises) == len(l.try.named)
	for _, m := range l.view.Members {
		switch {
		case l.over(m), answered && slices.Contains(named, m.Node) && l.promiseOf(m) == nil:
			ended++
		case !slices.Contains(named, m.Node):
			absent = append(absent, m.Node)
		}
	}
	if !l.forgotten(ended, len(absent)) {
		return nil
	}
	return absent
}

// forgotten says whether members that have ended, and those that are silent, may be all who knew something of the group's messages, and
// those that are silent may still know it.
func (l *Layer) forgotten(ended, silent int) bool {
	needed := l.view.Majority()
	return l.view.ID > 0 && l.opts.Traffic && !l.opts.Mistake.trusts() && ended < needed && ended+silent >= needed
}

// needed is how many nodes of the view must agree.
func (l *Layer) needed() int {
	if l.opts.Mistake == NoMajority {
		return 1
	}
	if l.opts.Mistake == FoundsAmongFound && l.view.ID == 0 {
		return len(l.try.named)
	}
	return l.view.Majority()
}

// attempt begins a round.
func (l *Layer) attempt(named []protocol.ID, o *protocol.Out) {
	t := &l.try
	counter := max(t.floor, l.promised.Counter, t.ballot.Counter) + 1
	*t = attempt{active: true, ballot: Ballot{counter, l.self}, named: named, floor: t.floor, wait: t.wait, pushed: t.pushed}
	t.wait = min(max(2*t.wait, l.opts.Attempt), 10*l.opts.Attempt)
	o.Set(protocol.Timer{Kind: attemptTimer}, t.wait+upTo(l.opts.Attempt/2, o))
	for _, id := range named {
		l.post(id, Prepare{l.view.ID, t.ballot}, o)
	}
}

// tryAgain begins anew what did not come to an end.
func (l *Layer) tryAgain(o *protocol.Out) {
	if !l.try.active {
		return
	}
	l.try.active = false
	l.consider(o) // a member begins anew in its review
}

// nacked learns of a higher ballot.
func (l *Layer) nacked(m Nack, o *protocol.Out) {
	if m.View != l.view.ID || !l.try.active || m.Ballot != l.try.ballot {
		return
	}
	l.try.floor = max(l.try.floor, m.Promised.Counter)
	o.Set(protocol.Timer{Kind: attemptTimer}, upTo(l.opts.Attempt/2, o))
}

// promise takes an answer to Prepare. When all have answered the change is proposed.
func (l *Layer) promise(from *peer, m Promise, o *protocol.Out) {
	t := &l.try
	if m.View != l.view.ID || !t.active || m.Ballot != t.ballot || t.content.View.ID != 0 || !slices.Contains(t.named, from.id) ||
		m.Life != 0 && l.opts.Traffic && len(m.Held) != len(l.view.Members) {
		return
	}
	if slices.ContainsFunc(t.promises, func(p promise) bool { return p.from == from.id }) {
		return
	}
	t.promises = append(t.promises, promise{from.id, from.inc, m})
	voters := 0
	for _, p := range t.promises {
		if p.Votes {
			voters++
		}
	}
	enough := len(t.promises) == len(t.named)
	if l.opts.Mistake == SomeFlush {
		enough = len(t.promises) >= l.view.Majority()
	}
	if enough && voters >= l.needed() && (l.phase == out || len(l.awaited(t.named)) == 0) {
		l.propose(o)
	}
}

// propose asks for votes: for what was accepted in the highest ballot, else for a change of its own.
func (l *Layer) propose(o *protocol.Out) {
	t := &l.try
	t.content = l.draft()
	last := Ballot{}
	for _, p := range t.promises {
		if last.Less(p.Last) && l.opts.Mistake != IgnoresAccepted {
			last, t.content = p.Last, p.Accepted
		}
	}
	if len(t.content.View.Members) == 0 { // all of them leave
		t.active = false
		return
	}
	t.from = l.holders(t.content.Upto)
	for _, id := range t.named {
		l.post(id, Propose{l.view.ID, t.ballot, t.content, t.from}, o)
	}
}

// draft makes the next view of the members that answered and go on, and of those that want to join.
func (l *Layer) draft() Content {
	c := Content{View: View{ID: l.view.ID + 1}}
	for _, m := range l.view.Members {
		if p := l.promiseOf(m); p != nil && l.can(m) {
			c.View.Members = append(c.View.Members, m)
			if p.Ready {
				c.View.Ready = append(c.View.Ready, m.Node)
			}
		}
	}
	c.View.Members = append(c.View.Members, l.newcomers(c.View)...)
	if l.view.ID == 0 || !l.opts.Traffic {
		return c
	}
	c.Upto = make(Cut, len(l.view.Members))
	for _, m := range l.view.Members {
		p := l.promiseOf(m)
		if p == nil || l.opts.Mistake == OwnCut && p.from != l.self {
			continue
		}
		for r, n := range p.Held {
			c.Upto[r] = max(c.Upto[r], n)
		}
	}
	return c
}

// promiseOf is the answer of a member as such.
func (l *Layer) promiseOf(m Member) *promise {
	for i := range l.try.promises {
		if p := &l.try.promises[i]; p.from == m.Node && p.inc == m.Incarnation && p.Life == m.Life && m.Life != 0 {
			return p
		}
	}
	return nil
}

// newcomers are those that want to join a view, by number.
func (l *Layer) newcomers(v View) (all []Member) {
	for _, p := range l.try.promises {
		if p.Wants != 0 {
			all = append(all, Member{p.from, p.inc, p.Wants})
		}
	}
	for _, m := range l.joiners {
		if l.able(m) && !slices.ContainsFunc(all, func(a Member) bool { return a.Node == m.Node }) {
			all = append(all, m)
		}
	}
	all = slices.DeleteFunc(all, func(m Member) bool { return v.Rank(m.Node) >= 0 })
	slices.SortFunc(all, func(a, b Member) int { return protocol.ByID(a.Node, b.Node) })
	return all
}

// holders names for each rank who holds what the cut needs of it: its member itself if that answered, else the first.
func (l *Layer) holders(upto Cut) []protocol.ID {
	if len(upto) == 0 {
		return nil
	}
	from := make([]protocol.ID, len(upto))
	for r, n := range upto {
		for _, m := range l.view.Members {
			p := l.promiseOf(m)
			if p != nil && p.Held[r] >= n && (from[r] == protocol.None || m.Node == l.view.Members[r].Node) {
				from[r] = m.Node
			}
		}
	}
	return from
}

// accepts counts a vote. A majority of the view decides.
func (l *Layer) accepts(from protocol.ID, m Accept, o *protocol.Out) {
	t := &l.try
	if m.View != l.view.ID || !t.active || m.Ballot != t.ballot || slices.Contains(t.accepts, from) || l.view.Rank(from) < 0 {
		return
	}
	if t.accepts = append(t.accepts, from); len(t.accepts) < l.needed() {
		return
	}
	decided := Commit{t.ballot, t.content, l.stayers()}
	for i := range l.peers {
		id := l.peers[i].id
		if l.view.Rank(id) >= 0 || t.content.View.Rank(id) >= 0 {
			l.post(id, decided, o)
		}
	}
	t.active = false
}

// stayers names who hands on what belongs to the old view, once the change is decided: whoever was named for it, or in place of
// one that does not go on the first of those that do and have voted. Who has voted holds everything. Who is out helps nobody.
func (l *Layer) stayers() []protocol.ID {
	stays := func(id protocol.ID) bool {
		m, in := l.member(id)
		return in && slices.Contains(l.try.content.View.Members, m)
	}
	if !l.fetchable(l.try.content.Upto, l.try.from) {
		return l.try.from
	}
	from := slices.Clone(l.try.from)
	for _, m := range l.view.Members {
		if !stays(m.Node) || !slices.Contains(l.try.accepts, m.Node) || l.promiseOf(m) == nil {
			continue
		}
		for r := range from {
			if !stays(from[r]) {
				from[r] = m.Node
			}
		}
		break
	}
	return from
}

// nudgeLater looks after a while whether the change that this node waits for goes on.
func (l *Layer) nudgeLater(o *protocol.Out) {
	if l.phase == flush && !l.answer.nudging {
		l.answer.nudging = true
		o.Set(protocol.Timer{Kind: nudgeTimer}, 2*l.opts.Attempt)
	}
}

// nudge tells the proposer that there is a change to be finished. It may not know: another began it.
func (l *Layer) nudge(o *protocol.Out) {
	if to := l.proposer(); to != protocol.None && to != l.self {
		o.Send(to, Nudge{l.view.ID, l.promised})
	}
}

func (l *Layer) nudged(from protocol.ID, m Nudge, o *protocol.Out) {
	l.help(from, m.View, o)
	if m.View == l.view.ID && l.phase != out {
		l.try.pushed = true
		l.try.floor = max(l.try.floor, m.Promised.Counter)
	}
}

// tell says when a member comes to a standstill, and when it goes on.
func (l *Layer) tell(o *protocol.Out) {
	why := ""
	if l.phase != out {
		why = l.standstill()
	}
	if why != l.blocked {
		l.blocked = why
		o.Indicate(Blocked{why})
	}
}

// standstill says for people why no view is changed here, if that is so.
func (l *Layer) standstill() string {
	needed := l.view.Majority()
	rest, _ := l.rest()
	switch {
	case l.away:
		return "this node has left"
	case l.phase != out:
		if here := len(l.view.Members) - l.missing(); here < needed && l.opts.Mistake != NoMajority {
			return fmt.Sprintf("%d of %d of view %d are here, %d needed", here, len(l.view.Members), l.view.ID, needed)
		}
		if absent := l.awaited(l.named()); len(absent) > 0 {
			return fmt.Sprintf("of view %d only node %s may hold what others that have come back forgot", l.view.ID, joinIDs(absent))
		}
		return ""
	case len(l.hosts()) > 0:
		return "joining"
	case !l.votes:
		return "this node has lost its disk: it waits for members that let it join"
	case l.view.ID == 0:
		return fmt.Sprintf("no group is founded yet: %d of %d are here, %d needed", len(rest), len(l.view.Members), needed)
	default:
		return fmt.Sprintf("%d of %d of view %d are here, %d needed", len(rest), len(l.view.Members), l.view.ID, needed)
	}
}

func joinIDs(ids []protocol.ID) string {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = id.String()
	}
	return strings.Join(parts, ", ")
}

// missing counts the nodes of the view that are suspected.
func (l *Layer) missing() (n int) {
	for _, m := range l.view.Members {
		if l.absent(m.Node) {
			n++
		}
	}
	return n
}

// upTo draws a time, so that nodes do not act in step.
func upTo(d time.Duration, o *protocol.Out) time.Duration {
	return time.Duration(o.Draw(int(d/time.Millisecond)+1)) * time.Millisecond
}
