package multicast

import (
	"fmt"

	"ciranda.dev/protocol"
)

// An Order says in which order the messages of a group are delivered.
type Order uint8

// The orders. Each can be had uniform: see [Cast].
const (
	Reliable Order = iota + 1 // as they come
	FIFO                      // those of one sender in the order of sending
	Causal                    // FIFO, and none before one that its sender had delivered when it sent it
	Total                     // causal, and the same everywhere: the view's coordinator decides it
	Lamport                   // the same by Lamport's time stamps: nobody decides, and everybody must be heard

	inner // total, for what layers say among themselves: see [Within]
)

var orderNames = [...]string{"none", "reliable", "fifo", "causal", "total", "lamport", "inner"}

// String is the order's name for people, such as "fifo".
func (r Order) String() string {
	if int(r) >= len(orderNames) {
		return fmt.Sprintf("order %d", uint8(r))
	}
	return orderNames[r]
}

// sequenced says whether the coordinator gives places to the messages.
func (r Order) sequenced() bool { return r == Total || r == inner }

// ParseOrder finds an order by its name.
func ParseOrder(name string) (Order, error) {
	for r := Reliable; r <= Lamport; r++ {
		if orderNames[r] == name {
			return r, nil
		}
	}
	return 0, fmt.Errorf("found the order %q; expected reliable, fifo, causal, total or lamport", name)
}

// MarshalText gives the order's name.
func (r Order) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText takes the order's name.
func (r *Order) UnmarshalText(text []byte) (err error) {
	if string(text) == inner.String() {
		*r = inner
		return nil
	}
	*r, err = ParseOrder(string(text))
	return err
}

// A Lane is an order, uniform or not. The messages of a lane keep its order among themselves; those of different lanes do
// not wait for each other.
type Lane struct {
	Order   Order `json:"order"`
	Uniform bool  `json:"uniform"`
}

// Requests. Each may come from a layer above, or as a client's call.
type (
	// Cast sends messages to the group, this node included. What is cast while there is no view, or between two, waits for
	// the next. A call is answered by [Sent] when this node has delivered all of them; by [protocol.Refused] if they were not
	// sent and never will be: an order that is not run, a message over the limit, too much waiting, not a member; by
	// [Unknown] otherwise.
	Cast struct {
		Order Order
		// Uniform has a message delivered only when more than half of the view hold it: so whatever one member delivers,
		// even one that dies at once, is delivered by all members that go on.
		Uniform  bool
		Payloads [][]byte // at least one, each up to Options.Largest bytes; they are never changed
	}
	// Consumed says that payloads delivered here have been consumed: see Options.Credit. Bytes is their [Weight]. A call is
	// answered by Noted.
	Consumed struct {
		Bytes int
	}
)

// Answers to calls.
type (
	// Sent answers Cast: the messages were delivered here in View. They are numbers First to First+Count-1 of this sender
	// in their lane and view. What is cast together is sent in one view if it fits a batch. Of more the view may have changed
	// between some and the others: then these are the last of them, and Before says where those before them are.
	Sent struct {
		View   uint64 `json:"view"`
		First  uint64 `json:"first"`
		Count  int    `json:"count"`
		Before *Sent  `json:"before,omitempty"`
	}
	// Unknown answers Cast: messages were sent, and this node was excluded before it delivered them. Some or all of them may
	// have been delivered by others.
	Unknown struct {
		Why string `json:"why"`
	}
	// Noted answers Consumed.
	Noted struct{}
)

// A Delivery is an indication: messages of one sender in one lane, in order. It is not in the trace; [Delivered] is.
type Delivery struct {
	View   uint64
	Sender protocol.ID
	Lane
	First    uint64 // the number of the first, among the sender's in that lane and view, from 1
	Payloads [][]byte
}

// Kind is the event's name in traces.
func (Delivery) Kind() string { return "mc.delivery" }

// Notes for the trace. A message is known by its view, its sender, its lane and its number there.
type (
	// Began says that this node sends messages: they are cast from here on.
	Began struct {
		View uint64 `json:"view"`
		Lane
		First uint64 `json:"first"`
		Count int    `json:"count"`
	}
	// Delivered says that messages are delivered here.
	Delivered struct {
		View   uint64      `json:"view"`
		Sender protocol.ID `json:"sender"`
		Lane
		First uint64 `json:"first"`
		Count int    `json:"count"`
	}
	// Holds says up to which number of each member's stream this node holds all messages, as it tells the others. A stream
	// has the messages of all lanes, and those that keep order, in the order of sending. It is made with Options.Trace only.
	Holds struct {
		View uint64   `json:"view"`
		Upto []uint64 `json:"upto"` // by rank
	}
	// Streamed says which numbers of its stream the messages of a Began have. It is made with Options.Trace only.
	Streamed struct {
		View uint64 `json:"view"`
		Lane
		First  uint64 `json:"first"`  // in the lane
		Stream uint64 `json:"stream"` // of the first, in the stream
		Count  int    `json:"count"`
	}
	// Ordered says that the coordinator has fixed places in the total order: Count messages of Sender come next, from number
	// First of that lane, at place Place of the lane in this view, from 1. It is made with Options.Trace only.
	Ordered struct {
		View uint64 `json:"view"`
		Lane
		Place  uint64      `json:"place"`
		Sender protocol.ID `json:"sender"`
		First  uint64      `json:"first"`
		Count  int         `json:"count"`
	}
	// Collected says that messages of a sender's stream, up to a number, are forgotten: all members of the view hold them.
	Collected struct {
		View   uint64      `json:"view"`
		Sender protocol.ID `json:"sender"`
		Upto   uint64      `json:"upto"`
	}
	// Dropped says that a message of the layer was refused.
	Dropped struct {
		From   protocol.ID `json:"from"`
		Reason string      `json:"reason"` // view, lane, ceiling, room, damaged, stranger
	}
)

// Broadcasting is an indication, with Options.Datagrams: from here on this node broadcasts its messages, as far as they fit,
// or it sends them over links, and why. It is told when it changes.
type Broadcasting struct {
	Is  bool   `json:"is"`
	Why string `json:"why,omitempty"` // it does not
}

// Kind is the event's name in traces.
func (Broadcasting) Kind() string { return "mc.broadcasting" }

// Kind is the event's name in traces.
func (Began) Kind() string { return "mc.bcast" }

// Kind is the event's name in traces.
func (Delivered) Kind() string { return "mc.deliver" }

// Kind is the event's name in traces.
func (Holds) Kind() string { return "mc.holds" }

// Kind is the event's name in traces.
func (Streamed) Kind() string { return "mc.stream" }

// Kind is the event's name in traces.
func (Ordered) Kind() string { return "mc.order" }

// Kind is the event's name in traces.
func (Collected) Kind() string { return "mc.gc" }

// Kind is the event's name in traces.
func (Dropped) Kind() string { return "mc.drop" }

// Query asks a node's multicast layer for its [Status], from outside and between steps.
type Query struct{}

// A Status is how the group's messages stand at a node.
type Status struct {
	View     uint64 // whose messages are sent; 0 if there is none
	Lanes    []Lane // those that are run
	Waiting  int    // bytes cast and not sent yet
	Unstable int    // bytes of own messages sent, which not all members are known to hold
	Kept     int    // bytes of all messages kept for members that may lack them
	Early    int    // messages held that may not be delivered yet
	Full     bool   // own messages wait for the slowest member
	Slowest  protocol.ID
	// Broadcasts are how it stands with them; nil without Options.Datagrams.
	Broadcasts *Broadcasts
}

// Broadcasts say what became of a node's, in this life.
type Broadcasts struct {
	Is      bool   // messages are broadcast now
	Why     string // they are not
	Sent    uint64 // messages of the layer
	Heard   uint64 // of others, and taken
	Pleas   uint64 // for what was missing here
	Repairs uint64 // batches sent again, of whichever member
}
