// Package group keeps views: lists of members on which all of them agree, and of which each ends at the same point for
// all who go on to the next.
//
// Make a layer with [New] and put it above a failure detector. Nodes that start together found one group. Who comes late
// joins, who is suspected is excluded and comes back as another member, who asks ([Leave]) leaves without a timeout. Each
// change makes a new [View], told to the layers above by [Installed].
//
// There is one sequence of views. View n+1 is decided by consensus among the nodes of view n, and needs a majority of
// them: of two sides of a partition at most one goes on, the other is [Blocked] until it can reach a majority again, and
// says how many it lacks. The configured nodes are view 0, in which nothing is ever sent; so founding is a change like any
// other, and several groups cannot arise. A node votes by its number, over all its lives: what it promised is on its disk.
// If it lost that disk it does not vote until it is a member again. After the failure of all nodes the last view is on
// their disks, and once a majority of it is up they found the next. But messages are not on disks: a member that has come
// back votes, and does not stand for what it held before. While less than a majority has crashed, a change waits until
// somebody of every majority answers as the member that it was.
//
// A change goes in three rounds. The proposer, who is the member of lowest rank that is not suspected, asks all that are
// not: they stop sending and delivering, promise, and say what they hold ([Flush], [Held]). From the answers it makes the next
// view's members and the cut of the old view: all that any of the answering members holds. They fetch what they lack
// ([Gather], [Gathered]) and accept. When a majority has accepted the change is decided, and everybody is told ([Installed]). A later proposer
// who finds an accepted change proposes that, so two proposers at once do no harm.
//
// A member may say that it has the state of the group's application ([Ready]). A view lists those that had said so when they
// stopped for it, so all agree on who can hand the state to the others; package transfer does that.
//
// What it promises, with any loss and delay: views are the same everywhere; a member installs them without gaps; two
// members that install two views in a row can have delivered the same in the first (the layer above sees to it). With a
// majority of the last view up and in touch, a change ends some round trips after the last suspicion. It does not promise
// progress without that majority; nor a steady membership while the detector errs; nor that what only a dead node held is
// delivered by others. It does not carry the group's messages: package multicast does.
//
// Views and their synchrony are from K. P. Birman, T. A. Joseph, Exploiting Virtual Synchrony in Distributed Systems,
// SOSP 1987; the properties from G. V. Chockler, I. Keidar, R. Vitenberg, Group Communication Specifications, ACM Computing
// Surveys 33(4), 2001; the agreement on a change is single-decree Paxos: L. Lamport, The Part-Time Parliament, ACM TOCS
// 16(2), 1998.
package group

import (
	"fmt"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/link"
)

// A Layer is one node's part in its group.
type Layer struct {
	protocol.Base
	opts  Options `layer:"const"`
	self  protocol.ID
	peers []peer // all configured nodes, this one too, ascending

	// What is durable: the last view known, and this node's part in the change to the next.
	view     View
	promised Ballot
	accepted vote
	votes    bool // it has not lost its disk, or was a member since

	phase   phase
	life    uint32 // of the membership that it has or asks for
	away    bool   // it has left, and does not come back by itself
	blocked string // as last told
	past    []Past
	newest  Commit // that made the last view, if it was heard in this life

	seek   seek
	answer answering
	try    attempt

	// What the next view should see to.
	joiners []Member
	leavers []Member
	misfits []Member // who hold everybody up
	due     bool     // joiners have been waited for

	ready bool // it has the state of the group's application

	leaving bool
	leaves  int      // how often it was asked for
	returns bool     // it comes back after that
	calls   []uint64 // of Leave
	mine    []protocol.Message
}

type phase uint8

const (
	out    phase = iota // not a member
	normal              // a member
	flush               // a member; a change has begun
)

// A peer is a configured node as it is seen from here.
type peer struct {
	id   protocol.ID
	inc  protocol.Incarnation // the newest heard of
	life uint32               // the last membership in it that it was heard to want
	away bool                 // suspected
}

// A vote is what a node accepted last.
type vote struct {
	Ballot  Ballot
	Content Content
}

// The timers.
const (
	seekTimer uint32 = iota
	foundTimer
	joinTimer
	gatherTimer
	attemptTimer
	nudgeTimer
	beaconTimer
	lackTimer
	leaveTimer
)

var timers = []string{"seek", "found", "join", "gather", "attempt", "nudge", "beacon", "lack", "leave"}

// New makes a node's layer. Options that [Options.Validate] refuses make a group that does not keep the package's promises.
func New(opts Options) *Layer { return &Layer{opts: opts.WithDefaults()} }

// Traits say what the layer is.
func (l *Layer) Traits() protocol.Traits {
	return protocol.Traits{Channel: "group", Needs: protocol.FailureDetection, Gives: protocol.Views, Messages: messages,
		Timers: timers, Requests: []any{Held{}, Gathered{}, Ready{}, Exclude{}, Leave{}, Join{}}}
}

// Start begins a first life: the configured nodes are view 0.
func (l *Layer) Start(o *protocol.Out) {
	l.votes = true
	l.begin(o)
	l.store(o)
	l.settle(o)
}

// Recover begins a later life. Without what was stored it must not vote: it may have voted otherwise.
func (l *Layer) Recover(stored protocol.Stored, o *protocol.Out) {
	l.begin(o)
	l.votes = l.load(stored) || l.opts.Mistake == VotesWithAmnesia
	l.settle(o)
}

func (l *Layer) begin(o *protocol.Out) {
	self := o.Self()
	l.self = self.ID
	for _, id := range self.Group {
		l.peers = append(l.peers, peer{id: id})
		l.view.Members = append(l.view.Members, Member{Node: id})
		if id != l.self {
			o.Request(detector.Watch{Node: id})
		}
	}
	l.peer(l.self).inc = self.Incarnation
	l.life = 1
	l.look(0, o)
}

// peer finds a configured node.
func (l *Layer) peer(id protocol.ID) *peer {
	i, found := slices.BinarySearchFunc(l.peers, id, func(p peer, id protocol.ID) int { return protocol.ByID(p.id, id) })
	if !found {
		return nil
	}
	return &l.peers[i]
}

// me is this node's present membership, or the one that it asks for.
func (l *Layer) me(o *protocol.Out) Member { return Member{l.self, o.Self().Incarnation, l.life} }

// Receive handles the layer's own messages.
func (l *Layer) Receive(from protocol.ID, m protocol.Message, o *protocol.Out) {
	p := l.peer(from)
	if p == nil || o.SenderIncarnation() < p.inc {
		return
	}
	l.hears(p, o.SenderIncarnation())
	l.handle(p, m, o)
	l.settle(o)
}

// hears notes a life of a node.
func (l *Layer) hears(p *peer, inc protocol.Incarnation) {
	if inc > p.inc {
		p.inc, p.life, p.away = inc, 0, false
	}
}

func (l *Layer) handle(from *peer, m protocol.Message, o *protocol.Out) {
	switch m := m.(type) {
	case Who:
		l.whoAsks(from, m, o)
	case Here:
		l.isHere(from, m, o)
	case Enter:
		l.enter(Member{from.id, from.inc, m.Life}, o)
	case Sponsor:
		l.enter(m.Member, o)
	case Quit:
		l.quits(Member{from.id, from.inc, m.Life}, o)
	case Complain:
		l.expel(m.Member)
	case Prepare:
		l.prepare(from.id, m, o)
	case Promise:
		l.promise(from, m, o)
	case Propose:
		l.proposed(from.id, m, o)
	case Accept:
		l.accepts(from.id, m, o)
	case Nack:
		l.nacked(m, o)
	case Commit:
		l.committed(m, o)
	case Behind:
		l.help(from.id, m.View, o)
	case Nudge:
		l.nudged(from.id, m, o)
	default:
		panic(fmt.Sprintf("group: node %d: unknown message %T", l.self, m))
	}
}

// post sends m to a node; what goes to this one is handled before the step ends.
func (l *Layer) post(to protocol.ID, m protocol.Message, o *protocol.Out) {
	if to == l.self {
		l.mine = append(l.mine, m)
		return
	}
	o.Send(to, m)
}

// settle ends a handler: messages to itself, then what follows from the new state.
func (l *Layer) settle(o *protocol.Out) {
	for {
		for len(l.mine) > 0 {
			m := l.mine[0]
			l.mine = l.mine[1:]
			l.handle(l.peer(l.self), m, o)
		}
		l.mine = nil
		if l.review(o); len(l.mine) == 0 {
			return
		}
	}
}

// Expire handles a timer.
func (l *Layer) Expire(t protocol.Timer, o *protocol.Out) {
	switch t.Kind {
	case seekTimer:
		l.seekAgain(o)
	case foundTimer:
		l.seek.waited = true
		l.consider(o)
	case joinTimer:
		l.seek.joining = false
		l.consider(o)
	case gatherTimer:
		l.due = true
	case attemptTimer:
		l.tryAgain(o)
	case nudgeTimer:
		l.answer.nudging = false
		if l.phase == flush {
			l.nudge(o)
		}
	case beaconTimer:
		l.beacon(o)
	case lackTimer:
		l.lacks(o)
	case leaveTimer:
		l.leaveAgain(o)
	}
	l.settle(o)
}

// Request handles the answers of the layer above, and clients' calls.
func (l *Layer) Request(r any, o *protocol.Out) (taken bool) {
	var id uint64
	if c, ok := r.(protocol.Call); ok {
		id, r = c.ID, c.Body
	}
	switch r := r.(type) {
	case Held:
		l.holds(r, o)
	case Gathered:
		l.gathered(r, o)
	case Ready:
		l.ready = l.phase != out
	case Exclude:
		l.complain(r.Member, o)
	case Leave:
		l.leave(id, o)
	case Join:
		l.comeBack(id, o)
	default:
		return false
	}
	l.settle(o)
	return true
}

// Indicate listens for suspicions. The layers above hear them too.
func (l *Layer) Indicate(e protocol.Event, o *protocol.Out) (taken bool) {
	switch e := e.(type) {
	case detector.Suspect:
		p := l.peer(e.Node)
		if p == nil || e.Incarnation < p.inc {
			return false
		}
		if e.Why == detector.Restarted {
			l.hears(p, e.Incarnation+1)
		} else {
			l.hears(p, e.Incarnation)
			p.away = true
		}
	case detector.Restore:
		if p := l.peer(e.Node); p != nil && e.Incarnation >= p.inc {
			p.away = false
		}
	case link.Ejected:
		if m, in := l.member(e.Node); in && m.Incarnation == e.Incarnation {
			l.complain(m, o)
		}
	default:
		return false
	}
	l.settle(o)
	return false
}

// member finds a node in the last view.
func (l *Layer) member(id protocol.ID) (Member, bool) {
	if r := l.view.Rank(id); r >= 0 {
		return l.view.Members[r], true
	}
	return Member{}, false
}

// Answer answers a [Query].
func (l *Layer) Answer(question any) (any, bool) {
	if _, ok := question.(Query); !ok {
		return nil, false
	}
	s := Status{Member: l.phase != out, Blocked: l.standstill(), History: slices.Clone(l.past)}
	if l.view.ID > 0 {
		s.View = l.view
	}
	return s, true
}

// String says for people which view it is in, and what it does.
func (l *Layer) String() string {
	text := [...]string{"out, knows ", "in ", "changes "}[l.phase] + l.view.String()
	if l.promised != (Ballot{}) {
		text += fmt.Sprintf(", promised %d.%d", l.promised.Counter, l.promised.Node)
	}
	if l.accepted.Ballot != (Ballot{}) {
		text += fmt.Sprintf(", accepted %d.%d %s", l.accepted.Ballot.Counter, l.accepted.Ballot.Node, l.accepted.Content.View)
	}
	if l.blocked != "" {
		text += ", blocked: " + l.blocked
	}
	return text
}
