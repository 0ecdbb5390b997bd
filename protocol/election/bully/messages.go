package bully

import (
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/election"
)

// The messages. With Classic only the first three are sent, and their numbers are zero.
type (
	// Stand says "I stand in an election of this counter", to every higher node: the paper's and the textbooks'
	// ELECTION.
	Stand struct {
		Counter uint64
		Forced  bool // a client asked for it: a living leader is no reason to refuse
	}
	// OK says "I am up, and higher", to the sender of that Stand.
	OK struct {
		Counter uint64
	}
	// Coordinator says "I lead, by this counter", to all. It is the leader's beat.
	Coordinator struct {
		Counter uint64
		Round   uint64 // counts the beats of the reign
	}
	// Info says which term the sender holds. It is the follower's beat, to its leader, the answer to what is out of
	// date, and a leader's resignation.
	Info struct {
		Term   election.Term
		Vacant bool   // the sender holds no leader: Term is only its floor
		Round  uint64 // the last beat of that reign that the sender heard, or sent
	}
	// Who asks "who leads?", of all. With Stable.
	Who struct{}
	// Ask asks for a grant of this counter, of all. With Quorum.
	Ask struct {
		Counter uint64
		Dry     bool // only asks whether the grant would be given
		Forced  bool // as in Stand
	}
	// Would says "I would grant you this counter". With Quorum and Stable.
	Would struct {
		Counter uint64
	}
	// Grant says "I have granted you this counter, and nobody else ever". With Quorum.
	Grant struct {
		Counter uint64
	}
	// Nay says "I have granted this counter already". With Quorum.
	Nay struct {
		Counter uint64
	}
)

var messages = []protocol.Message{Stand{}, OK{}, Coordinator{}, Info{}, Who{}, Ask{}, Would{}, Grant{}, Nay{}}

// Dropped is the note of a message that was refused as it came in and changed nothing. A counter is refused above
// 2^62, and above 2^20 more than the highest one known: one corrupt number must not become everybody's truth. A node
// that is honestly so far behind (it lost its disk, and the group has had a million elections) stays refused until it
// is given the stored counter of another.
type Dropped struct {
	From    protocol.ID `json:"from"`
	Message string      `json:"message"`
	Counter uint64      `json:"counter"`
	Reason  string      `json:"reason"` // "ceiling", "unknown node" or "options differ"
}

// Kind is the event's name in traces.
func (Dropped) Kind() string { return "el.drop" }

// Exhausted is the note of a node that does not stand because its own counter has reached 2^61: no honest group gets
// there.
type Exhausted struct {
	Counter uint64 `json:"counter"`
}

// Kind is the event's name in traces.
func (Exhausted) Kind() string { return "el.exhausted" }

// The ceilings of counters.
const (
	ceiling    = 1 << 62 // of any number from the network
	ownCeiling = 1 << 61 // of the own counter
	maxJump    = 1 << 20 // from the highest counter known
)

// Receive handles a message of the election.
func (e *Election) Receive(from protocol.ID, m protocol.Message, o *protocol.Out) {
	if why := e.refuses(m, o); why != "" {
		c, _, _ := numbers(m)
		o.Note(Dropped{From: from, Message: protocol.Name(m), Counter: c, Reason: why})
		return
	}
	e.outlived(from, o.SenderIncarnation())
	e.handle(from, m, o)
}

func (e *Election) handle(from protocol.ID, m protocol.Message, o *protocol.Out) {
	switch m := m.(type) {
	case Stand:
		e.challenged(from, m, o)
	case OK:
		e.answered(m.Counter, o)
	case Coordinator:
		e.coordinator(from, m, o)
	case Info:
		e.informed(from, m, o)
	case Who:
		e.asked(from, o)
	case Ask:
		e.courted(from, m, o)
	case Would:
		e.supported(from, m.Counter, sounding, o)
	case Grant:
		e.supported(from, m.Counter, waitingGrant, o)
	case Nay:
		e.raise(m.Counter, o)
		e.outdone(m.Counter, o)
	}
}

// refuses says why a message cannot be taken, if it cannot. It panics if m is no message of this package, which
// cannot come from the network.
func (e *Election) refuses(m protocol.Message, o *protocol.Out) string {
	counter, round, named := numbers(m)
	switch {
	case counter > ceiling || round > ceiling || counter > e.seen && counter-e.seen > maxJump && !e.opts.Classic:
		return "ceiling"
	case named != protocol.None && !slices.Contains(o.Self().Group, named):
		return "unknown node"
	case !e.speaks(m):
		return "options differ"
	}
	return ""
}

// speaks says whether m belongs to the rules that this node follows.
func (e *Election) speaks(m protocol.Message) bool {
	switch m := m.(type) {
	case Stand, OK, Coordinator:
		return true
	case Info:
		return !e.opts.Classic && (m.Vacant || m.Term.Leader != protocol.None)
	case Who:
		return e.opts.Stable
	default:
		return e.opts.Quorum
	}
}

// numbers are what a message says that must be checked: a counter, a round, a node.
func numbers(m protocol.Message) (counter, round uint64, named protocol.ID) {
	switch m := m.(type) {
	case Stand:
		return m.Counter, 0, 0
	case OK:
		return m.Counter, 0, 0
	case Coordinator:
		return m.Counter, m.Round, 0
	case Info:
		return m.Term.Counter, m.Round, m.Term.Leader
	case Who:
		return 0, 0, 0
	case Ask:
		return m.Counter, 0, 0
	case Would:
		return m.Counter, 0, 0
	case Grant:
		return m.Counter, 0, 0
	case Nay:
		return m.Counter, 0, 0
	}
	panic("bully: unknown message " + protocol.Name(m))
}
