// Package multicast brings messages to all members of a group's view, in the order that each asks for.
//
// Make a layer with [New] and put it above a layer that gives views (package group) and, below that, perfect links (package
// link). A [Cast] gives messages to the group in a [Lane]; every member, the sender too, is told of them by [Delivery].
//
// Each member has one stream in a view. It sends batches of numbered items to all others and keeps them until all hold
// them, as everybody keeps the batches of everybody: so whoever is left can hand on what a dead member sent. What each one
// holds rides on its batches, or is told in a [Report]. The orders are ways to merge the streams. A reliable or FIFO message
// is delivered as soon as the stream before it is held. A causal one says how many messages its sender had delivered of each
// member, and waits for as many. Of the messages of a total order the coordinator, the eldest of the view, sends places in
// its own stream, while they themselves go straight from their senders to everybody. The messages of Lamport's order are
// delivered by their time stamps, once every member has shown by a later one that nothing earlier can come. A uniform message
// waits, besides, until it is known to be held by more than half of the view: so it is in the cut of any next view, and
// what a member delivered before it died is delivered by all who go on, unless a majority of the view crashes before the next
// one. A place in a total order must be held so too.
//
// When the view changes the layer stops, says what it holds, and fetches what the cut has and it lacks. Then it
// delivers all that is within the cut: of a total order what has places first, the rest in an order that follows from the
// messages alone. Of messages that only dead members sent those are left out whose causes died with them. Thus all who go on
// have delivered the same, in an order that is the same where it must be.
//
// What it promises: a message is delivered in the view in which it is sent, once, at all members that go on to the next
// view, or at none of them; at all if its sender goes on. What is cast during a change, or before the first view, is sent in
// the next one. While most of the view is out of sight nothing new is sent. Lanes keep their order among their own messages,
// and never wait for one another; no order is kept between lanes. The reliable order is as good as FIFO here, since streams
// are.
//
// What it does not promise: delivery to nodes that are no members. Plain lanes let a node deliver what nobody else ever
// will, if it dies or is excluded at once. The slowest member sets the pace: the window is full until it holds the messages,
// and after a while it is excluded ([Options.Patience]). The layer takes streams out of order, with gaps and twice, and
// asks for what is missing; but what is lost at the end of a stream it learns from the next report only.
//
// Causal order by counting deliveries is from K. Birman, A. Schiper, P. Stephenson, Lightweight Causal and Atomic Group
// Multicast, ACM TOCS 9(3), 1991; places from a sequencer while messages go to all from M. F. Kaashoek, A. S. Tanenbaum, S.
// Flynn Hummel, H. E. Bal, An Efficient Reliable Broadcast Protocol, ACM SIGOPS OSR 23(4), 1989 (there called BB); stamps from
// L. Lamport, Time, Clocks, and the Ordering of Events in a Distributed System, CACM 21(7), 1978; stability as a condition for
// delivery from Y. Amir et al., The Totem Single-Ring Ordering and Membership Protocol, ACM TOCS 13(4), 1995.
package multicast

import (
	"fmt"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/link"
)

// A Layer is one node's part in the group's messages.
type Layer struct {
	protocol.Base
	opts Options `layer:"const"`
	self protocol.ID

	view      group.View // number 0 if there is none
	rank      int
	stopped   bool   // the view is about to end
	settling  bool   // it ends in this very step
	blocked   bool   // most of the view is out of sight: nothing new is sent
	left      bool   // the node has left the group
	back      bool   // it was told to come back when it has
	former    uint64 // the last view that it was in as another member
	gathering gathering
	past      past
	soon      []early // messages of views to come

	streams []stream // by rank
	lanes   [lanes]lane

	// What this node sends.
	waiting  queue[cast]
	bytes    int     // in there
	unplaced []Place // of the coordinator
	clock    uint64

	// What it reports.
	told    []uint64
	untold  int  // bytes held and not told
	due     bool // a report leaves at the end of the batch of input
	behind  int  // bytes delivered and not consumed
	telling bool // the report's timer runs

	// What it waits for.
	repairing bool // the timer for repairs runs
	wait      time.Duration
	impatient bool // the timer for a full window runs
	watched   uint64

	air air
}

// An early message is one of a view to come.
type early struct {
	from protocol.ID
	body protocol.Message
	room int // bytes of the sender's that are kept, with this one
}

// The timers.
const (
	reportTimer uint32 = iota
	repairTimer
	patienceTimer
	pollTimer
	restTimer
	hushTimer
)

// reportAfter is how long what is held may be untold.
const reportAfter = 5 * time.Millisecond

// New makes a node's layer. Options that [Options.Validate] refuses make one that does not keep the package's promises.
func New(opts Options) *Layer { return &Layer{opts: opts.WithDefaults()} }

// Traits say what the layer is.
func (l *Layer) Traits() protocol.Traits {
	return protocol.Traits{Channel: "multicast", Needs: protocol.FIFO | protocol.NoLoss | protocol.Views, Gives: protocol.Multicast,
		Messages: messages, Timers: []string{"report", "repair", "patience", "poll", "rest", "hush"}, Requests: []any{Cast{}, Consumed{}, Within{}}}
}

// Start waits for a view.
func (l *Layer) Start(o *protocol.Out) { l.self = o.Self().ID }

// Request takes messages, and what is said of their consumption.
func (l *Layer) Request(r any, o *protocol.Out) (taken bool) {
	c, asked := r.(protocol.Call)
	if asked {
		r = c.Body
	}
	switch r := r.(type) {
	case Cast:
		l.cast(r, c.ID, asked, o)
	case Within:
		l.within(r, o)
	case Consumed:
		l.consumed(r.Bytes)
		l.reply(asked, c.ID, Noted{}, o)
	case group.Join: // it is for the layer below, as is Leave
		l.left, l.back = false, true
		return false
	case group.Leave:
		l.back = false
		return false
	default:
		return false
	}
	return true
}

// Indicate listens for what the group's layer says of views. The layers above hear it too, a new view after the last
// messages of the old one.
func (l *Layer) Indicate(e protocol.Event, o *protocol.Out) (taken bool) {
	switch e := e.(type) {
	case group.Flush:
		l.flush(e, o)
	case group.Gather:
		l.gather(e, o)
	case group.Installed:
		l.install(e, o)
		return true
	case group.Excluded:
		l.exclude(e, o)
	case group.Blocked:
		l.blocked = e.Why != ""
	case link.Over:
		l.over(e, o)
	case protocol.Carries:
		l.heed(e, o)
	}
	return false
}

// Receive handles the layer's own messages. Those of a view to come are kept for it.
func (l *Layer) Receive(from protocol.ID, m protocol.Message, o *protocol.Out) {
	switch v := viewOf(m); {
	case v > max(l.view.ID, l.former):
		l.keepForLater(from, m, o)
	default:
		l.handle(from, m, o)
	}
}

// viewOf is the view that a message is of.
func viewOf(m protocol.Message) uint64 {
	switch m := m.(type) {
	case Batch:
		return m.View
	case Report:
		return m.View
	case Want:
		return m.View
	case Again:
		return m.View
	case Plea:
		return m.View
	case Poll:
		return m.View
	default:
		panic(fmt.Sprintf("multicast: unknown message %T", m))
	}
}

// keepForLater keeps a message of a view to come, as many of each node as its window may hold.
func (l *Layer) keepForLater(from protocol.ID, m protocol.Message, o *protocol.Out) {
	if viewOf(m) > ceiling {
		l.refuse(from, "ceiling", o)
		return
	}
	room := link.Size(o.Packet(m))
	for i := len(l.soon) - 1; i >= 0; i-- {
		if l.soon[i].from == from {
			room += l.soon[i].room
			break
		}
	}
	if room > 2*(l.opts.Window+l.opts.Batch) {
		l.refuse(from, "room", o)
		return
	}
	l.soon = append(l.soon, early{from, m, room})
}

// handle handles a message of this view, or of one before.
func (l *Layer) handle(from protocol.ID, m protocol.Message, o *protocol.Out) {
	if w, ok := m.(Want); ok {
		l.wanted(from, w, o)
		return
	}
	r := l.view.Rank(from)
	if r < 0 || viewOf(m) != l.view.ID && l.opts.Mistake != TakesOldViews {
		if m, ok := m.(Report); !ok || r < 0 || l.opts.Mistake != OldReports || len(m.Got) != len(l.streams) {
			l.refuse(from, "view", o)
			return
		}
	}
	switch m := m.(type) {
	case Batch:
		l.receive(r, m, o)
	case Report:
		if l.sound(from, m.Got, m.Stamp, o) {
			l.learn(r, m.Got, m.Stamp, o)
		}
	case Again:
		l.again(from, m, o)
	case Poll:
		if l.sound(from, m.Got, m.Stamp, o) {
			l.polled(r, m, o)
		}
	case Plea:
		l.refuse(from, damaged, o)
	}
}

// sound says whether a report can be one, and takes its time.
func (l *Layer) sound(from protocol.ID, got []uint64, stamp uint64, o *protocol.Out) bool {
	if len(got) != len(l.streams) || exceeds(got) || stamp > ceiling {
		l.refuse(from, damaged, o)
		return false
	}
	l.witness(stamp)
	return true
}

func (l *Layer) refuse(from protocol.ID, reason string, o *protocol.Out) {
	o.Note(Dropped{from, reason})
}

// Expire handles a timer.
func (l *Layer) Expire(t protocol.Timer, o *protocol.Out) {
	switch t.Kind {
	case reportTimer:
		l.telling = false
		l.due = l.due || l.untold > 0 && !l.overfed()
	case repairTimer:
		l.repair(o)
	case patienceTimer:
		l.complain(o)
	case pollTimer:
		l.poll(o)
	case restTimer:
		l.rested(o)
	case hushTimer:
		l.air.answered = nil
	}
}

// Flush sends what waits, as far as the window has room, and what is to be told.
func (l *Layer) Flush(o *protocol.Out) {
	if l.view.ID == 0 || l.stopped && l.opts.Mistake != SendsOn && l.opts.Mistake != ReportsOn {
		return
	}
	for l.may() || len(l.unplaced) > 0 {
		l.transmit(o)
	}
	if l.due && l.opts.Mistake != NeverReports {
		l.report(o)
	}
	l.watch(o)
	l.attend(o)
}

// Answer answers a [Query].
func (l *Layer) Answer(question any) (any, bool) {
	if _, ok := question.(Query); !ok {
		return nil, false
	}
	s := Status{View: l.view.ID, Waiting: l.bytes}
	for _, r := range l.opts.Orders {
		s.Lanes = append(s.Lanes, Lane{r, false}, Lane{r, true})
	}
	s.Broadcasts = l.broadcasts()
	for r := range l.streams {
		st := &l.streams[r]
		s.Kept += st.size
		s.Early += len(st.early)
	}
	for i := range l.lanes {
		s.Early += l.lanes[i].pending
	}
	if r := l.slowest(); r >= 0 {
		s.Slowest = l.view.Members[r].Node
		s.Unstable = l.streams[l.rank].size
		s.Full = l.bytes > 0 && !l.stopped && !l.may()
	}
	return s, true
}

// String says for people in which view the layer is, and what is held, kept or waits.
func (l *Layer) String() string {
	if l.view.ID == 0 {
		return fmt.Sprintf("in no view, %d bytes wait", l.bytes)
	}
	text := "in view " + l.view.String()
	if l.stopped {
		text += " (ends)"
	}
	for r := range l.streams {
		s := &l.streams[r]
		text += fmt.Sprintf(", %d: %d held", l.view.Members[r].Node, s.held)
		if s.stable < s.held {
			text += fmt.Sprintf(" %d forgotten", s.stable)
		}
		if len(s.early) > 0 {
			text += fmt.Sprintf(" %d early", len(s.early))
		}
	}
	if l.bytes > 0 {
		text += fmt.Sprintf(", %d bytes wait", l.bytes)
	}
	return text
}
