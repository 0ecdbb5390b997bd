// Package bully elects a coordinator: the highest-numbered node that is up.
//
// A node that finds the coordinator gone sends [Stand] to every node above it. If one of them answers [OK], that node
// takes the election over; if none does within [Options.Answer], the sender has won and tells all by [Coordinator].
// Every reign has a term: a counter that survives crashes, and the leader's number. Nodes follow the highest term they
// hear of and refuse lower ones, so that the orders of a deposed leader are known for what they are. The leader
// repeats its Coordinator in every [Options.Beat] and followers answer by [Info]: so two leaders find each other when
// a partition heals, and any lost message is made up for.
//
// A leader that leaves, or whose disk stalls, resigns and says so; while the disk does not answer the node does not
// stand, and the others do not follow it.
//
// Three options change the rules. Stable: who comes back asks first and follows a living leader, whatever its rank.
// Quorum: nobody leads without the grants of a majority of the configured nodes, nor for long without hearing it.
// Classic: the bare textbook form, without terms and without the beat. The first two combine.
//
// What it promises: no two nodes or lives lead one term, and terms never go back at a node, whatever the network does;
// and once messages arrive within the bound that [Options.Validate] checks, all nodes that are up agree on one leader
// (with Quorum: if a majority of the configured nodes is up and connected). Classic promises none of this.
//
// What it does not promise: one leader at each moment. On a network that is cut, or slower than the options say, two
// leaders coexist: without Quorum as long as that lasts, with Quorum at most for Silence beats. So whoever acts on a
// leader's orders refuses those of lower terms. Nor does it promise anything about a node that lost what it had stored,
// or that a counter more than 2^20 ahead of the known one is ever accepted: see [Dropped].
//
// H. Garcia-Molina, Elections in a Distributed Computing System, IEEE Transactions on Computers C-31(1), 1982. There
// too states carry a counter with the coordinator's number; many textbooks left it out.
package bully

import (
	"fmt"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/election"
)

// An Election is one node's part in the elections of its group: a layer that works over any failure detector. It gives
// the layers above [election.Elected] and its kin, takes [election.Campaign], and answers [election.Query].
type Election struct {
	opts Options `layer:"const"`

	seen    uint64        // the highest counter heard of; stored
	pair    election.Term // the last term adopted: a floor, in later lives too; stored
	granted election.Term // the last counter granted, and to whom; stored before the grant leaves

	leader    protocol.ID          // None or pair.Leader
	life      protocol.Incarnation // the leader's; 0 if it was heard of only from others
	suspected bool                 // the detector suspects that life
	silent    bool                 // the leader's beats stopped, or it stands itself: only its own word ends that

	phase   phase
	counter uint64        // of this node's present or last election
	forced  bool          // a client asked for this election: that a leader lives does not end it
	votes   []protocol.ID // the other nodes that granted counter, or would

	round  uint64   // beats of the reign: sent, if this node leads; else the last one heard
	echoes []uint64 // at a leader with Quorum: the last round that each node of the group echoed
	quiet  int      // beats since the leader was heard
	vacant int      // beats in which there was no election and no leader, or a lost one

	disk     bool          // the own disk is stalled
	stopping bool          // the node is about to leave
	stalled  []stall       // of other nodes
	suspects []protocol.ID // kept for the mistake QM4 alone
}

// A stall is another node's disk that does not answer, as far as the detector told.
type stall struct {
	node protocol.ID
	inc  protocol.Incarnation
	seen uint64 // the highest counter that this node had heard of by then
}

// A phase is what a node is doing about an election.
type phase uint8

const (
	idle         phase = iota
	asking             // who leads? (Stable)
	waitingOK          // is a higher node up?
	waitingCoord       // one is: will it lead?
	sounding           // would a majority grant? (Quorum with Stable)
	waitingGrant       // does a majority grant? (Quorum)
)

var phaseNames = [...]string{"idle", "asking who leads", "waiting for answers", "waiting for the coordinator",
	"sounding the others", "waiting for grants"}

func (p phase) String() string { return phaseNames[p] }

// The timers. One of the first four runs while a phase lasts.
const (
	answerTimer uint32 = iota
	coordinatorTimer
	askTimer
	grantTimer
	beatTimer  // always armed
	retryTimer // after a candidacy without a majority
)

// steps is how finely a random delay is drawn: an offset within a beat or a pause after a lost candidacy.
const steps = 10

// wait is the timer of a phase, and for how long it lasts.
func (e *Election) wait(p phase) (timer uint32, d time.Duration) {
	switch p {
	case asking:
		return askTimer, e.opts.Ask
	case waitingOK:
		if e.opts.Mistake == M5 {
			return answerTimer, e.opts.Answer / 5
		}
		return answerTimer, e.opts.Answer
	case waitingCoord:
		return coordinatorTimer, e.opts.Coordinator
	default:
		return grantTimer, e.opts.Grant
	}
}

// New makes a node's part in the elections. The zero Options are the default rules with default timeouts. Options that
// [Options.Validate] refuses make elections that do not keep the package's promises.
func New(opts Options) *Election { return &Election{opts: opts.WithDefaults()} }

// Traits says what the layer is.
func (e *Election) Traits() protocol.Traits {
	return protocol.Traits{
		Channel:  "bully",
		Needs:    protocol.FailureDetection,
		Gives:    protocol.Leadership,
		Messages: messages,
		Timers:   []string{"answer", "coordinator", "ask", "grant", "beat", "retry"},
		Requests: []any{election.Campaign{}},
	}
}

// Start watches all nodes and begins the first election.
func (e *Election) Start(o *protocol.Out) { e.enlist(election.Started, o) }

// Recover does the same in a later life. The stored term stays as a floor, but nobody leads as yet.
func (e *Election) Recover(stored protocol.Stored, o *protocol.Out) {
	if !e.opts.Classic {
		e.load(stored, o)
	}
	if e.opts.Mistake == M6 {
		e.watch(o)
		return
	}
	e.enlist(election.Recovered, o)
}

func (e *Election) enlist(why election.Why, o *protocol.Out) {
	e.watch(o)
	if e.opts.Stable {
		e.askAround(o)
	} else {
		e.begin(why, false, o)
	}
}

func (e *Election) watch(o *protocol.Out) {
	for _, id := range o.Self().Group {
		if id != o.Self().ID {
			o.Request(detector.Watch{Node: id})
		}
	}
	if e.beats() {
		o.Set(protocol.Timer{Kind: beatTimer}, draw(e.opts.Beat, o))
	}
}

// draw is a random part of d, so that nodes that begin together do not go on together.
func draw(d time.Duration, o *protocol.Out) time.Duration {
	return d * time.Duration(o.Draw(steps)) / steps
}

// Expire handles the end of a wait.
func (e *Election) Expire(t protocol.Timer, o *protocol.Out) {
	switch t.Kind {
	case beatTimer:
		e.beat(o)
	case retryTimer:
		if e.leaderless() {
			e.begin(e.reason(), false, o)
		}
	default:
		e.phase = idle
		e.overdue(t.Kind, o)
	}
}

// overdue handles the end of a phase in which what was waited for did not come.
func (e *Election) overdue(timer uint32, o *protocol.Out) {
	switch timer {
	case answerTimer:
		e.win(o)
	case coordinatorTimer:
		e.desert(o)
	case askTimer:
		e.begin(born(o), false, o)
	case grantTimer: // the pause keeps two candidates from meeting again and again
		e.forced = false
		o.Set(protocol.Timer{Kind: retryTimer}, draw(e.opts.Grant, o))
	}
}

// Request takes a call for an election, from a client or from a layer above.
func (e *Election) Request(r any, o *protocol.Out) bool {
	switch r := r.(type) {
	case protocol.Call:
		if _, ok := r.Body.(election.Campaign); !ok {
			return false
		}
		o.Indicate(protocol.Reply{ID: r.ID, Body: e.campaign(o)})
		return true
	case election.Campaign:
		e.campaign(o)
		return true
	default:
		return false
	}
}

// campaign begins an election on request and gives the reply.
func (e *Election) campaign(o *protocol.Out) any {
	switch {
	case e.disk:
		return protocol.Refused{Why: "the disk of this node does not answer"}
	case e.stopping:
		return protocol.Refused{Why: "this node is about to stop"}
	case e.phase == asking:
		return protocol.Refused{Why: "this node has just started and still asks who leads"}
	}
	if e.opts.Stable {
		e.force(o)
	}
	if !e.begin(election.Requested, e.opts.Stable, o) && e.phase == idle {
		return protocol.Refused{Why: "this node has used up its counter"}
	}
	return election.Campaigning{Counter: e.counter}
}

// Indicate listens to the detector and to the engine, and lets the layers above hear them too.
func (e *Election) Indicate(ev protocol.Event, o *protocol.Out) bool {
	switch ev := ev.(type) {
	case detector.Suspect:
		e.suspect(ev, o)
	case detector.Restore:
		e.restore(ev)
	case detector.Stalled:
		e.peerDisk(ev, o)
	case protocol.Disk:
		e.ownDisk(ev.Stalled, o)
	case protocol.Stopping:
		e.stop(o)
	}
	return false
}

// Answer tells a client who leads.
func (e *Election) Answer(question any) (any, bool) {
	if _, ok := question.(election.Query); !ok {
		return nil, false
	}
	return election.Opinion{Leader: e.leader, Term: e.pair, Lost: e.lost(), Phase: e.phase.String()}, true
}

// String describes the state for people.
func (e *Election) String() string {
	text := "no leader"
	if e.leader != protocol.None {
		text = fmt.Sprintf("leader %d", e.leader)
	}
	if e.lost() {
		text += " (lost)"
	}
	return fmt.Sprintf("%s, term %s, seen %d, %s", text, e.pair, e.seen, e.phase)
}
