// Package trace holds what happened: the one event format that every engine writes and every view and check reads.
//
// An [Event] is a step of a node, an effect of it, or something that was done to the network or to a node. Engines
// hand events to a [Sink] as they happen. Happened-before is not stored but rebuilt from message ids and the order of
// each node's events; vector stamps are computed from it.
//
// What a trace does not promise: that its global order is the real one, when it was merged from several machines.
package trace

import (
	"strconv"

	"ciranda.dev/protocol"
)

// A Kind says what happened.
type Kind uint8

// The kinds. A protocol's own indications and notes are Told and Noted; their kind is that of the event in Data.
const (
	// Of a node's life.
	Start   Kind = iota + 1 // first life; Data is a Life
	Recover                 // later life; Data is a Life
	Crash                   // the life ended without notice
	Stop                    // the life ended in good order
	Pause                   // the node stands still
	Resume                  // and goes on
	// Of a node's step.
	Send
	Receive
	TimerSet    // Timer, After
	TimerFire   // Timer
	TimerCancel // Timer
	Persisted   // Data is a Record
	Call        // a client's request; Data is its body
	Told        // an indication; Data is a protocol.Event
	Noted       // a note; Data is a protocol.Event
	// Of the network and of the run: no step, no stamps.
	Drop      // a message was lost; Data is a Loss
	Duplicate // a message was duplicated
	Fault     // a fault was set or healed; Data is a FaultNote
	Calm      // from here on no fault is injected
	End       // the run is over; Data is an Ending
)

var kindNames = [...]string{
	Start: "start", Recover: "recover", Crash: "crash", Stop: "stop", Pause: "pause", Resume: "resume",
	Send: "send", Receive: "recv", TimerSet: "timer.set", TimerFire: "timer.fire", TimerCancel: "timer.cancel",
	Persisted: "persist", Call: "request", Told: "told", Noted: "noted",
	Drop: "drop", Duplicate: "dup", Fault: "fault", Calm: "stab", End: "end",
}

func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// An Event is something that happened. Fields without meaning for its kind are zero.
type Event struct {
	T       int64                // ns: virtual time, or the machine's monotonic clock since the run began
	N       uint64               // counts the recorded events of the node's life, from 1; 0 for what is no node's event
	Lamport uint64               // the runtime's Lamport stamp
	Cause   uint64               // N of the input of the step that this event belongs to
	Seq     uint64               // of Send, Receive, Drop, Duplicate: the message's number within its sender's life
	After   int64                // ns, of TimerSet
	Data    any                  // what is particular to the kind; a message's body
	Timer   protocol.Timer       // of the timer kinds
	Inc     protocol.Incarnation // of Node
	PeerInc protocol.Incarnation // of Peer, if known
	Node    protocol.ID          // None for what concerns no single node
	Peer    protocol.ID          // the other end of a message, or of a fault; None of a Send that is a broadcast
	Kind    Kind
	Layer   uint8 // the layer's index in its stack: whose message, timer or event it is
	Copy    uint8 // 0 for the original, 1 for its first duplicate, …
}

// A MessageID names one Send. Every copy of the message bears it.
type MessageID struct {
	Node protocol.ID
	Inc  protocol.Incarnation
	Seq  uint64
}

func (m MessageID) String() string {
	return "n" + m.Node.String() + "#" + strconv.Itoa(int(m.Inc)) + ":" + strconv.FormatUint(m.Seq, 10)
}

// Message is the id of the message that was sent or received. Of a Drop or Duplicate, Node is the sender and Peer
// the addressee, as for a Send.
func (e *Event) Message() MessageID {
	if e.Kind == Receive {
		return MessageID{e.Peer, e.PeerInc, e.Seq}
	}
	return MessageID{e.Node, e.Inc, e.Seq}
}

// What the Data of some kinds is.
type (
	// A Life is how a life began.
	Life struct {
		Stored  bool   `json:"stored"`            // with what was persisted before
		Durable uint64 `json:"durable,omitempty"` // the last event of the former life whose effects are durable; 0: all
	}
	// A Record is what was persisted: its key, and the length of its value.
	Record struct {
		Key    string `json:"key"`
		Length int    `json:"len"`
	}
	// A Loss is why a message did not arrive: loss, cut, down, not-me, overflow, corrupt, ceiling, queue, channel,
	// size.
	Loss struct {
		Reason string `json:"reason"`
	}
	// A FaultNote is a fault in words, as the scenario file writes it.
	FaultNote struct {
		Text string `json:"text"`
	}
	// An Ending is how a run ended.
	Ending struct {
		InFlight int `json:"in_flight"` // messages still on their way
	}
)

// A Level is how much is recorded.
type Level uint8

// The levels. Each has all that the one before has.
const (
	Off      Level = iota
	Protocol       // lives, faults, what protocols indicate and note
	Full           // every message, timer, request and persisted record
)

var levelNames = [...]string{"off", "protocol", "full"}

func (l Level) String() string { return levelNames[l] }

// Records says whether events of a kind are recorded at the level.
func (l Level) Records(k Kind) bool {
	switch l {
	case Off:
		return false
	case Protocol:
		return k <= Resume || k == Told || k == Noted || k >= Fault
	default:
		return true
	}
}

// A Sink takes events as they happen. The Event is only lent: a sink that keeps it copies it. Its Data is immutable.
type Sink interface {
	Record(e *Event)
}
