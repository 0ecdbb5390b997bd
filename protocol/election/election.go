// Package election holds what every election says and hears, so that the layers above need not know which one runs
// below.
//
// An election ends in a reign. Its number is a [Term]. What an election promises of two reigns at one moment, or in
// one term, is said by the package that implements it.
package election

import (
	"cmp"
	"fmt"

	"ciranda.dev/protocol"
)

// A Term is the number of one election and of the reign it ends in: a counter, and the node that leads, so that two
// sides of a partition cannot pick the same one. The zero Term is none.
type Term struct {
	Counter uint64      `json:"counter"`
	Leader  protocol.ID `json:"leader"`
}

// Compare orders terms by counter, then by leader: -1, 0 or +1.
func (t Term) Compare(u Term) int {
	return cmp.Or(cmp.Compare(t.Counter, u.Counter), cmp.Compare(t.Leader, u.Leader))
}

func (t Term) String() string { return fmt.Sprintf("%d.%d", t.Counter, t.Leader) }

// Campaign is a client's call for an election now, whoever leads. The reply is Campaigning, or protocol.Refused.
type Campaign struct{}

// Campaigning is the reply to Campaign: the election has begun.
type Campaigning struct {
	Counter uint64 `json:"counter"`
}

// Why is the reason of an election or of a resignation.
type Why string

// The reasons.
const (
	Started   Why = "start"     // the node's first life began
	Recovered Why = "recover"   // the node came back
	Suspected Why = "suspect"   // its leader is suspected
	Silent    Why = "silent"    // its leader has not been heard of for too long, or there is none
	Requested Why = "request"   // a client asked for it
	Outranked Why = "outranked" // a lower node leads or stands
	Timeout   Why = "timeout"   // a higher node took over and never finished
	Renewed   Why = "renew"     // a leader found its term too low
	Disk      Why = "disk"      // the leader's disk has stalled
	Quorum    Why = "quorum"    // the leader no longer hears a majority, or has granted another
	Stopped   Why = "stop"      // the leader leaves
)

// Indications of an election.
type (
	// Begun says that the node stands in an election of that counter.
	Begun struct {
		Counter uint64 `json:"counter"`
		Why     Why    `json:"why"`
	}
	// Elected says that the node's view of the leader changed. No leader is protocol.None.
	Elected struct {
		Leader protocol.ID `json:"leader"`
		Term   Term        `json:"term"`
	}
	// SteppedDown says that the node leads no longer.
	SteppedDown struct {
		Term Term `json:"term"`
		Why  Why  `json:"why"`
	}
	// Granted says that the node gave its vote for a counter to a node.
	Granted struct {
		Counter uint64      `json:"counter"`
		To      protocol.ID `json:"to"`
	}
)

// Kind is the event's name in traces.
func (Begun) Kind() string { return "el.start" }

// Kind is the event's name in traces.
func (Elected) Kind() string { return "el.leader" }

// Kind is the event's name in traces.
func (SteppedDown) Kind() string { return "el.stepdown" }

// Kind is the event's name in traces.
func (Granted) Kind() string { return "el.grant" }

// Query asks a node's election for its Opinion, from outside and between steps.
type Query struct{}

// An Opinion is what a node believes of the leadership.
type Opinion struct {
	Leader protocol.ID // None if it holds none
	Term   Term        // of that leader, or the last one adopted
	Lost   bool        // the leader it holds is suspected or silent
	Phase  string      // what it is doing, such as "idle" or "waiting for answers"
}
