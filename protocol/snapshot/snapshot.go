// Package snapshot takes a consistent picture of a whole application while it runs: the state of every node, and what
// was on its way between them.
//
// Make a layer with [New] and put it right below the application, above perfect links. It looks at the application's
// packets as they pass and neither delays nor changes one. A client asks any node ([Take]). That node lets the
// application hand over its state, and in the same step sends a [Marker] after all that the application sent before. A
// node that gets its first marker does the same. On every channel from another node it notes what arrives until the
// marker comes that way: that was sent before the other's state was taken, and arrives after one's own. Then it reports to
// the node that was asked. Each node may take several snapshots at once; each has an [ID].
//
// The application takes part by one handler: to a [Cut] it answers with a request for [State] ([protocol.Out.Packet] makes
// the packet of it), within that handler, or later if it sees to it that nothing which it gets after the Cut is in the state
// or comes before it in what it sends, as package hosted does. Since events keep their order between two layers, the state has in it all
// that was delivered before the Cut, and nothing of what comes after; and all that the application sent before it is on
// its way ahead of the markers. The state is a message of the application's channel and is never changed once it is
// handed over. One application is wrapped, the layer above that needs FIFO order; were there two, each would be cut at
// another moment.
//
// What is reported travels in pieces that the node which was asked asks for one by one, so that a large state does not hold
// up what the application sends over the same links.
//
// What it promises: a snapshot that is complete has the state of one life of every node, and for each channel exactly
// what was sent by the one before its cut and received by the other after it. Nothing in it was received and not sent. Every
// snapshot ends within [Options.Within] on the clock of the node that was asked, unless that crashes. One that is not
// complete says whom it is missing, and nothing should be added up over it. Memory is bounded: [Options.Most] snapshots a
// node, each of [Options.Bytes] at every node and four times that at the node that was asked. Whether a picture is
// consistent is also seen by counters, at once and without a trace: each node counts what its application sent to and got
// from each life of the others.
//
// What a fault does. A snapshot is complete if every node reported and every channel was closed by a marker, of the life that
// reported. A life sends one marker to each node, so only one life of that gets it: a new life that joins in late misses
// a marker for good, and the snapshot is not complete, however late anybody hears of the restart. It ends as soon as the
// link tells that the marker was for a life that is over. A node that crashed, or whose old
// life is over, sends no marker any more; who learns so from the detector gives the channel up and reports without it. A
// node that is suspected from the start has [Options.Grace] to show itself, for a detector trusts a new life without a
// word. A link that ejects a node carries nothing to that life from then on: it misses the marker and gives up after
// half of Within. Over a link that is full a report waits. A wrong suspicion makes a snapshot incomplete that could have
// been complete. If the node that was asked dies, the others drop what they have once they hear of its next life ([Aborted]), or after
// half of Within at the latest. A state that was reported is durable, for a report waits for the disk like everything else that a
// node sends.
//
// What it does not promise: that the picture ever was the state of the whole at one moment, only that it may have been;
// what is true of it for good (all money, a deadlock, the end of a computation) is true from then on. Nor that a snapshot
// completes while nodes are down. Nodes that lie can spoil it.
//
// The algorithm is from K. M. Chandy, L. Lamport, Distributed Snapshots: Determining Global States of Distributed Systems,
// ACM TOCS 3(1), 1985. That states are told apart by lives is ours.
package snapshot

import (
	"fmt"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/link"
)

const reliable = protocol.FIFO | protocol.NoLoss

// A Layer is one node's part in all snapshots.
type Layer struct {
	protocol.Base
	opts Options `layer:"const"`
	self protocol.ID

	others []other // ascending
	number uint64  // of this node's last snapshot
	own    []collection
	spaced bool     // another one may not begin yet
	queue  []uint64 // calls that wait for that
	parts  []part
	serial uint32 // of the last part
	owed   []owed // of the mistake MarksLate
}

// An other is what is known of another node.
type other struct {
	id        protocol.ID
	sent      uint64               // packets of the application to it, in this life
	before    uint64               // of those, the ones that were for lives of it that are over
	life      protocol.Incarnation // of the last packet from it
	received  uint64               // packets of the application from that life
	suspected bool
	full      bool   // the link to it
	newest    lastID // of its snapshots
}

// A lastID is up to where a node's snapshots are known.
type lastID struct {
	life   protocol.Incarnation
	number uint64
}

// The timers. Their argument is the number of a snapshot of this node's, or the serial number of a part.
const (
	endTimer   uint32 = iota // of a snapshot of this node's
	graceTimer               // of a part
	halfTimer                // of a part
	lateTimer                // of some mistakes
	spaceTimer
)

// New makes a node's layer. Options that [Options.Validate] refuses make snapshots that do not keep the package's promises.
func New(opts Options) *Layer { return &Layer{opts: opts.WithDefaults()} }

// Traits say what the layer is.
func (l *Layer) Traits() protocol.Traits {
	t := protocol.Traits{Channel: "snapshot", Needs: reliable | protocol.FailureDetection, Messages: messages,
		Timers: []string{"end", "grace", "half", "late", "space"}, Requests: []any{State{}}}
	if l.opts.Mistake == Overtakes {
		t.Needs = protocol.FailureDetection
	}
	return t
}

// Start asks the detector to watch all nodes.
func (l *Layer) Start(o *protocol.Out) {
	l.self = o.Self().ID
	for _, id := range o.Self().Group {
		if id != l.self {
			l.others = append(l.others, other{id: id})
			o.Request(detector.Watch{Node: id})
		}
	}
}

// other finds another node; nil if there is none of that number.
func (l *Layer) other(id protocol.ID) *other {
	i, found := slices.BinarySearchFunc(l.others, id, func(n other, id protocol.ID) int { return protocol.ByID(n.id, id) })
	if !found {
		return nil
	}
	return &l.others[i]
}

// Down counts what the application sends.
func (l *Layer) Down(to protocol.ID, p protocol.Packet, o *protocol.Out) (taken bool) {
	if n := l.other(to); n != nil && o.Needs(p.Channel)&protocol.FIFO != 0 {
		n.sent++
		if l.opts.Mistake == MarksLate {
			l.markAfter(to, p, o)
			return true
		}
	}
	return false
}

// Pass counts what the application gets, and notes it for the channels that are open.
func (l *Layer) Pass(from protocol.ID, p protocol.Packet, o *protocol.Out) (taken bool) {
	n := l.other(from)
	if n == nil || o.Needs(p.Channel)&protocol.FIFO == 0 {
		return false
	}
	l.hear(n, o)
	n.received++
	for i := range l.parts {
		l.parts[i].note(from, p, &l.opts)
	}
	return false
}

// hear notes a packet of a node: it lives.
func (l *Layer) hear(n *other, o *protocol.Out) {
	if life := o.SenderIncarnation(); life > n.life {
		n.life, n.received = life, 0
		n.suspected = false
	}
}

// Receive handles the layer's own messages.
func (l *Layer) Receive(from protocol.ID, m protocol.Message, o *protocol.Out) {
	n := l.other(from)
	if n == nil {
		return
	}
	l.hear(n, o)
	switch m := m.(type) {
	case Marker:
		l.mark(from, m.ID, o)
	case Report:
		l.collect(from, o.SenderIncarnation(), m, o)
	case Next:
		l.goOn(from, m.ID, o)
	case Rest:
		l.collectRest(from, o.SenderIncarnation(), m, o)
	default:
		panic(fmt.Sprintf("snapshot: node %d: unknown message %T", l.self, m))
	}
}

// Request takes the application's state, and clients' calls.
func (l *Layer) Request(r any, o *protocol.Out) (taken bool) {
	switch r := r.(type) {
	case State:
		l.record(r, o)
		return true
	case protocol.Call:
		if _, ok := r.Body.(Take); ok {
			l.take(r.ID, o)
			return true
		}
	}
	return false
}

// Expire ends a wait.
func (l *Layer) Expire(t protocol.Timer, o *protocol.Out) {
	switch t.Kind {
	case endTimer:
		l.overdue(t.Arg, o)
	case graceTimer:
		l.graceOver(t.Arg, o)
	case halfTimer:
		l.halfOver(t.Arg, o)
	case lateTimer:
		l.late(t.Arg, o)
	case spaceTimer:
		l.beginNext(o)
	}
}

// Indicate listens for the ends of lives, and for links that are full. The application hears it too.
func (l *Layer) Indicate(e protocol.Event, o *protocol.Out) (taken bool) {
	switch e := e.(type) {
	case detector.Suspect:
		if n := l.other(e.Node); n != nil {
			n.suspected = e.Why != detector.Restarted // the next life is trusted
			l.lost(e, o)
		}
	case detector.Restore:
		if n := l.other(e.Node); n != nil {
			n.suspected = false
		}
	case link.Over:
		if n := l.other(e.Node); n != nil {
			n.before = n.sent
			l.unmarked(n.id, o)
		}
	case link.Full:
		if n := l.other(e.Node); n != nil {
			n.full = true
		}
	case link.Room:
		if n := l.other(e.Node); n != nil {
			n.full = false
			l.reportAll(o)
		}
	}
	return false
}

// lost gives up what a life that seems to be over would have sent.
func (l *Layer) lost(e detector.Suspect, o *protocol.Out) {
	why := suspected
	if e.Why == detector.Restarted {
		why = restarted
		l.abort(func(p *part) bool { return p.id.Node == e.Node && p.id.Incarnation <= e.Incarnation }, o)
	}
	for i := range l.parts {
		l.parts[i].giveUp(e.Node, why)
	}
	for i := range l.own {
		l.own[i].miss(e.Node, why)
	}
	l.review(o)
}

// unmarked gives up a node of which no life will get the markers that were sent to it, but for the one that is over.
func (l *Layer) unmarked(id protocol.ID, o *protocol.Out) {
	for i := range l.parts {
		if l.parts[i].recorded {
			l.parts[i].giveUp(id, restarted)
			l.miss(l.parts[i].id, id, restarted)
		}
	}
	l.review(o)
}

// review reports and ends what has come to its end.
func (l *Layer) review(o *protocol.Out) {
	l.reportAll(o)
	for i := 0; i < len(l.own); i++ {
		if l.own[i].over() {
			l.end(i, o)
			i--
		}
	}
}

// Answer answers a [Query].
func (l *Layer) Answer(question any) (any, bool) {
	if _, ok := question.(Query); !ok {
		return nil, false
	}
	s := Status{Own: len(l.own) + len(l.queue), Parts: len(l.parts)}
	for i := range l.parts {
		s.Bytes += l.parts[i].bytes
	}
	return s, true
}

// String describes the state for people.
func (l *Layer) String() string {
	text := fmt.Sprintf("%d snapshots taken, %d under way", l.number, len(l.own))
	for i := range l.parts {
		text += "; " + l.parts[i].String()
	}
	return text
}
