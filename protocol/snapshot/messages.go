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
	// Take is a client's call for a snapshot. The reply is Taken, or protocol.Refused if too many are under way.
	Take struct{}
	// State is the application's request by which it answers a Cut, within the handler of that.
	State struct {
		ID    ID
		State protocol.Packet
	}
	// Query asks a node's layer for its Status, from outside and between steps.
	Query struct{}
	// A Status is how much of snapshots a node holds.
	Status struct {
		Own   int // snapshots that this node was asked for and that are under way
		Parts int // that this node records, of its own snapshots and others'
		Bytes int // of those, as the links estimate them
	}
)

// The reply to Take.
type (
	// Taken is a snapshot at its end.
	Taken struct {
		ID       ID   `json:"id"`
		Complete bool `json:"complete"`
		// Consistent says that no node received more from another than that had sent, as far as the nodes that reported
		// counted. It is false only if the links or the layer are in error.
		Consistent bool          `json:"consistent"`
		Missing    []Missing     `json:"missing,omitempty"`
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
		State       Message              `json:"state"` // that the application handed over
	}
	// A ChannelPart is what was on its way from one node to another, in order.
	ChannelPart struct {
		From     protocol.ID `json:"from"`
		To       protocol.ID `json:"to"`
		Messages []Message   `json:"messages"`
	}
	// A Message is one of the application's, as people and checks see it.
	Message struct {
		Type string `json:"type"`
		Body any    `json:"body"`
		Mark uint32 `json:"mark,omitempty"` // as in link.Sent, with Options.Trace only
	}
)

// Indications. Cut is for the application, the others are for traces and whoever watches.
type (
	// Started says that this node was asked for a snapshot.
	Started struct {
		ID ID `json:"id"`
	}
	// Cut asks the application for its State. What is received from here on is after the cut.
	Cut struct {
		ID ID `json:"id"`
		// Received is how many packets of the application had come from each node that was heard of, in the last life that
		// was.
		Received []Count `json:"received,omitempty"`
	}
	// Recorded says that the application's state is recorded. What is sent from here on is after the cut.
	Recorded struct {
		ID      ID    `json:"id"`
		Channel uint8 `json:"channel"` // the application's
		State   any   `json:"state"`
		// Sent is how many packets of the application had gone to each node, in this life.
		Sent []Count `json:"sent,omitempty"`
	}
	// Closed says that a marker ended the recording of a channel, and what was on its way there.
	Closed struct {
		ID          ID                   `json:"id"`
		From        protocol.ID          `json:"from"`
		Incarnation protocol.Incarnation `json:"inc"` // that sent the marker
		Messages    []Message            `json:"messages,omitempty"`
	}
	// Done says that a snapshot of this node is over.
	Done struct {
		ID       ID        `json:"id"`
		Complete bool      `json:"complete"`
		Missing  []Missing `json:"missing,omitempty"`
		Nodes    []Life    `json:"nodes"` // that reported, ascending
	}
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
	// A Life is one of a node.
	Life struct {
		Node        protocol.ID          `json:"node"`
		Incarnation protocol.Incarnation `json:"inc"`
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
	// Report brings a node's part to the node that was asked. Its state is empty, and Why not, if it was too large.
	Report struct {
		ID       ID
		State    protocol.Packet
		Sent     []Count
		Received []Count
		Channels []Channel // from all other nodes, ascending
		Why      string
	}
	// A Channel is what a node recorded of one.
	Channel struct {
		From        protocol.ID
		Incarnation protocol.Incarnation // of the marker that closed it; 0 if none did
		Why         string               // none did
		Packets     []protocol.Packet
	}
)

var messages = []protocol.Message{Marker{}, Report{}}
