// Package clock holds logical clocks: [Lamport], [Vector] with its [VectorClock], and [Hybrid].
//
// A clock counts events, not seconds. Lamport's gives every event a number that is larger than those of all events
// that happened before it. A vector clock tells also which events did not: two events are ordered by their vectors
// exactly when one happened before the other. A hybrid clock keeps Lamport's promise and stays close to the wall
// clock.
//
// All are plain values that read no clock themselves. Stamps come from other machines, so each is checked before it
// is merged; one that is refused changes nothing and is told as a [Reject].
//
// What they do not promise: a smaller Lamport or hybrid stamp says nothing about who happened first, since
// concurrent events have stamps too. A clock that restarts at zero under its old name breaks every promise; a later
// life goes on from a stored value (Adopt) or counts under a new name (a new incarnation).
//
// L. Lamport, Time, Clocks, and the Ordering of Events in a Distributed System, CACM 21(7), 1978. F. Mattern, Virtual
// Time and Global States of Distributed Systems, 1989. C. Fidge, Timestamps in Message-Passing Systems, 1988. S. S.
// Kulkarni et al., Logical Physical Clocks, OPODIS 2014.
package clock

import (
	"cmp"
	"fmt"

	"ciranda.dev/protocol"
)

// Bounds of received stamps. Without them one corrupt 2^64-1 would poison every clock for ever.
const (
	Ceiling = 1 << 62 // no counter is above it
	MaxJump = 1 << 32 // no message brings a counter that is further ahead of what is known
)

// A Process is one life of a node. Events of a process are in an order.
type Process struct {
	Node        protocol.ID          `json:"node"`
	Incarnation protocol.Incarnation `json:"inc"`
}

// Compare orders processes by node, then by incarnation: -1, 0 or +1.
func (p Process) Compare(q Process) int {
	return cmp.Or(cmp.Compare(p.Node, q.Node), cmp.Compare(p.Incarnation, q.Incarnation))
}

// String is the process's name in traces, such as "n1#2".
func (p Process) String() string { return fmt.Sprintf("n%d#%d", p.Node, p.Incarnation) }

// MarshalText is String, for keys of JSON objects.
func (p Process) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// A Reason is why a stamp was refused.
type Reason string

// The reasons.
const (
	Zero       Reason = "zero"     // no event has the stamp 0
	TooHigh    Reason = "ceiling"  // above Ceiling
	TooFar     Reason = "jump"     // more than MaxJump ahead
	Stranger   Reason = "unknown"  // an entry of a node that is not in the group
	TooMany    Reason = "entries"  // more than MaxEntries processes
	KnowsMe    Reason = "own"      // it counts more events of mine than I do: it is corrupt, or I forgot
	Ahead      Reason = "drift"    // its physical time is too far ahead of mine
	Overflow   Reason = "overflow" // too many events at one physical time
	OutOfRange Reason = "range"    // the physical clock cannot be expressed
)

// A Reject is an error: a stamp was refused and the clock is as before. It is also an event, so that a layer can put
// it into the trace.
type Reject struct {
	Reason Reason `json:"reason"`
	Got    uint64 `json:"got"`   // the offending number
	Limit  uint64 `json:"limit"` // the largest that would have been taken
}

func (r Reject) Error() string {
	return fmt.Sprintf("clock: stamp refused (%s): found %d; expected at most %d", r.Reason, r.Got, r.Limit)
}

// Kind is the event's name in traces.
func (Reject) Kind() string { return "clk.reject" }
