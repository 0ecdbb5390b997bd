package link

import "ciranda.dev/protocol"

// The messages. The life in which a message was sent is known from the runtime; To is the life that it is meant for.
type (
	// Data carries a packet: the Seq-th of those from one life to another, counted from 1. It acknowledges all that came
	// the other way up to number Upto. Lazy asks for no acknowledgement of its own.
	Data struct {
		To        protocol.Incarnation
		Seq, Upto uint64
		Lazy      bool
		Packet    protocol.Packet
	}
	// Ack acknowledges all up to number Upto: it was delivered in this life, whatever became of it above.
	Ack struct {
		To   protocol.Incarnation
		Upto uint64
	}
	// Ask asks a node for its life, before the first packet goes there.
	Ask struct{}
	// Reset answers an Ask, and Data that are meant for a former life: its sender's life is the present one.
	Reset struct{}
)

var messages = []protocol.Message{Data{}, Ack{}, Ask{}, Reset{}}

// Indications to the layers above.
type (
	// Failed says that packets to a life of a node were given up, since that life is over or was ejected: each of them
	// was delivered or was not, and nothing sent after one that was not was delivered either. They are not sent to the
	// next life.
	Failed struct {
		Node        protocol.ID          `json:"node"`
		Incarnation protocol.Incarnation `json:"inc"` // 0 if no life was known yet
		Packets     int                  `json:"packets"`
	}
	// Over says that what was sent to a node until now is for no later life of it: it was for the life that is over, or
	// is lost with a link that was ejected. What is sent from here on is for the life that is heard of next, or is the
	// present one. It is told to the layers above and not in traces.
	Over struct {
		Node        protocol.ID          `json:"node"`
		Incarnation protocol.Incarnation `json:"inc"` // 0 if no life was known yet
	}
	// Full says that the window to a node is full: what is sent to it now has to wait.
	Full struct {
		Node protocol.ID `json:"node"`
	}
	// Room follows each Full: half of the window is free again, or the life is over or ejected.
	Room struct {
		Node protocol.ID `json:"node"`
	}
	// Ejected says that the link to a life of a node is given up, since the node did not keep pace. What is sent to that
	// life from now on goes nowhere, without another word. It is no suspicion: whoever keeps membership should exclude
	// that life, which does not know of it.
	Ejected struct {
		Node        protocol.ID          `json:"node"`
		Incarnation protocol.Incarnation `json:"inc"` // 0 if no life was known yet
		Why         Why                  `json:"why"`
	}
)

// Why is the reason of an ejection.
type Why string

// The reasons.
const (
	Backlogged Why = "backlog"  // more waits than the backlog has room for
	Silent     Why = "patience" // nothing was acknowledged for too long
)

// Notes for the trace.
type (
	// Dropped is the note of a message that was refused.
	Dropped struct {
		From        protocol.ID          `json:"from"`
		Incarnation protocol.Incarnation `json:"inc"`
		Reason      string               `json:"reason"` // stale-inc, not-me, ceiling, window, channel
	}
	// Opened is the note of a life to which packets go from now on, also those that a layer above sent when no life was
	// known. It is made with [Options.Trace] only.
	Opened struct {
		Node        protocol.ID          `json:"node"`
		Incarnation protocol.Incarnation `json:"inc"`
	}
	// Sent is the note of a packet that a layer above sends. Mark stands for its content. It is made with
	// [Options.Trace] only.
	Sent struct {
		To          protocol.ID          `json:"to"`
		Incarnation protocol.Incarnation `json:"inc"` // the life that it is sent to; 0 if none is known yet
		Mark        uint32               `json:"mark"`
		Channel     uint8                `json:"channel"` // the packet's
	}
	// Delivered is the note of a packet that is given to a layer above. It is made with [Options.Trace] only.
	Delivered struct {
		From        protocol.ID          `json:"from"`
		Incarnation protocol.Incarnation `json:"inc"` // of the sender
		Mark        uint32               `json:"mark"`
		Channel     uint8                `json:"channel"` // the packet's
	}
)

// Kind is the event's name in traces.
func (Failed) Kind() string { return "link.failed" }

// Kind is the event's name.
func (Over) Kind() string { return "link.over" }

// Kind is the event's name in traces.
func (Full) Kind() string { return "link.full" }

// Kind is the event's name in traces.
func (Room) Kind() string { return "link.room" }

// Kind is the event's name in traces.
func (Ejected) Kind() string { return "link.ejected" }

// Kind is the event's name in traces.
func (Dropped) Kind() string { return "link.drop" }

// Kind is the event's name in traces.
func (Opened) Kind() string { return "link.opened" }

// Kind is the event's name in traces.
func (Sent) Kind() string { return "link.sent" }

// Kind is the event's name in traces.
func (Delivered) Kind() string { return "link.delivered" }

// Query asks a node's link layer for its [Status], from outside and between steps.
type Query struct{}

// A Status is how the links of a node are.
type Status struct {
	Peers []PeerStatus // ascending
}

// A PeerStatus is how the link to a node is.
type PeerStatus struct {
	Node        protocol.ID
	Incarnation protocol.Incarnation // the life that packets go to; 0 if none is known
	Packets     int                  // sent and not acknowledged, or waiting
	Bytes       int                  // of those, as estimated
	Held        int                  // packets from there that wait for one before them
	Full        bool
	Ejected     bool
}
