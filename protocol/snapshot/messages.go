package snapshot

import (
	"fmt"

	"ciranda.dev/protocol"
)

// An ID names a snapshot: the node that was asked for it, its life, and a number that this life never uses again.
type ID struct {
	Node        protocol.ID          `json:"node"`
	Incarnation protocol.Incarnation `json:"inc"`
	Number      uint64               `json:"number"` // from 1
}

func (id ID) String() string { return fmt.Sprintf("%d#%d:%d", id.Node, id.Incarnation, id.Number) }

// What clients and the application say.
type (
	// Take is a client's call for a snapshot. The reply is Taken, or protocol.Refused if too many are under way. One that
	// comes soon after another waits: see Options.Spacing.
	Take struct{}
	// State is the application's request by which it answers a Cut, within the handler of that or later. A state that is too large
	// for one message of 768 KiB, as the links estimate it, is handed over in several: of all but the last one More is set,
	// and the application sends nothing in between.
	State struct {
		ID    ID
		State protocol.Packet
		More  bool
	}
	// Query asks a node's layer for its Status, from outside and between steps.
	Query struct{}
	// A Status is how much of snapshots a node holds.
	Status struct {
		Own   int // snapshots that this node was asked for and that are not over
		Parts int // that this node records, of its own snapshots and others'
		Bytes int // of those, as the links estimate them
	}
)

// The reply to Take.
type (
	// Taken is a snapshot at its end.
	Taken struct {
		ID       ID        `json:"id"`
		Complete bool      `json:"complete"`
		Missing  []Missing `json:"missing,omitempty"`
		// Consistent says that the counters of the nodes that reported agree with the picture: of each channel of which both
		// ends did, the receiver had got no more than the sender had sent, and the difference is what was on its way. Wrong
		// says where not; then the links or the layer are in error.
		Consistent bool          `json:"consistent"`
		Wrong      string        `json:"wrong,omitempty"`
		Counted    int           `json:"counted"`            // such channels
		Nodes      []NodeState   `json:"nodes"`              // those that reported, ascending
		Channels   []ChannelPart `json:"channels,omitempty"` // those with anything on its way, by receiver and sender
	}
	// A Missing node is one of which something is missing.
	Missing struct {
		Node protocol.ID `json:"node"`
		Why  string      `json:"why"`
	}
	// A NodeState is the state of a node's application.
	NodeState struct {
		Node        protocol.ID          `json:"node"`
		Incarnation protocol.Incarnation `json:"inc"`
		Lamport     uint64               `json:"lamport,omitempty"` // the runtime's clock when it was recorded
		State       Message              `json:"state"`             // that the application handed over
		More        []Message            `json:"more,omitempty"`    // if it did so in several pieces: all but the first
	}
	// A ChannelPart is what was on its way from one node to another, in order.
	ChannelPart struct {
		From     protocol.ID `json:"from"`
		To       protocol.ID `json:"to"`
		Count    int         `json:"count"` // of the messages
		Messages []Message   `json:"messages,omitempty"`
	}
	// A Message is one of the application's, as people and checks see it.
	Message struct {
		Type string `json:"type"`
		Body any    `json:"body,omitempty"`
		Mark uint32 `json:"mark,omitempty"` // as in link.Sent, with Options.Trace only
	}
)

// Indications. Cut is for the application, the others are for traces and whoever watches.
type (
	// Started says that this node was asked for a snapshot.
	Started struct {
		ID ID `json:"id"`
	}
	// Cut asks the application for its State. What is received from here on is after the cut. It is in traces with
	// Options.Trace only.
	Cut struct {
		ID ID `json:"id"`
		// Received is how many packets of the application had come from each node that was heard of, in the last life that
		// was.
		Received []Count `json:"received,omitempty"`
	}
	// Recorded says that the application's state is recorded. What is sent from here on is after the cut.
	Recorded struct {
		ID      ID    `json:"id"`
		Channel uint8 `json:"channel"`         // the application's
		State   any   `json:"state,omitempty"` // its first piece, with Options.Trace only
		// Sent is how many packets of the application had gone to each node, in this life.
		Sent []Count `json:"sent,omitempty"`
	}
	// Closed says that a marker ended the recording of a channel, and what was on its way there. It is told with
	// Options.Trace only.
	Closed struct {
		ID          ID                   `json:"id"`
		From        protocol.ID          `json:"from"`
		Incarnation protocol.Incarnation `json:"inc"`   // that sent the marker
		Count       int                  `json:"count"` // of the messages
		Messages    []Message            `json:"messages,omitempty"`
	}
	// Done says that a snapshot of this node is over. States and messages that take more than 4 KiB in all are left out,
	// unless Options.Trace is set.
	Done struct{ Taken }
	// Aborted says that a node drops its part of another's snapshot.
	Aborted struct {
		ID ID `json:"id"`
	}
	// A Count is a number of packets to or from a node.
	Count struct {
		Node        protocol.ID          `json:"node"`
		Incarnation protocol.Incarnation `json:"inc,omitempty"` // of the sender, of what was received
		Packets     uint64               `json:"packets"`
	}
)

// Kind is the event's name in traces.
func (Started) Kind() string { return "snap.start" }

// Kind is the event's name in traces.
func (Cut) Kind() string { return "snap.cut" }

// Kind is the event's name in traces.
func (Recorded) Kind() string { return "snap.local" }

// Kind is the event's name in traces.
func (Closed) Kind() string { return "snap.chan" }

// Kind is the event's name in traces.
func (Done) Kind() string { return "snap.done" }

// Kind is the event's name in traces.
func (Aborted) Kind() string { return "snap.abort" }

// The messages.
type (
	// Marker follows all that its sender's application had sent before its state was recorded.
	Marker struct{ ID ID }
	// Report brings a node's part to the node that was asked: all of it, or its beginning. Nothing of it is there, and Why
	// not, if it was too large.
	Report struct {
		ID       ID
		Lamport  uint64
		Sent     []Count // in this life to the one of each node that it then sent to, or will send to next
		Received []Count
		Channels []Channel // from all other nodes, ascending
		Why      string
		Content  Content
	}
	// A Channel is what a node recorded of one.
	Channel struct {
		From        protocol.ID
		Incarnation protocol.Incarnation // of the marker that closed it; 0 if none did
		Why         string               // none did
	}
	// Content is some of what a node recorded, in order. More follows if it is asked for.
	Content struct {
		States []protocol.Packet
		Found  []Found
		More   bool
	}
	// Found is what was on its way from a node.
	Found struct {
		From    protocol.ID
		Packets []protocol.Packet
	}
	// Next asks for more of a part whose report has begun.
	Next struct{ ID ID }
	// Rest brings more of a part.
	Rest struct {
		ID      ID
		Content Content
	}
)

var messages = []protocol.Message{Marker{}, Report{}, Next{}, Rest{}}
