// Package detector holds what every failure detector says and hears, so that the layers above need not know which
// one runs below: package heartbeat, package ring, package oracle.
//
// A detector watches nodes, not what they do: a suspicion is an opinion of one node about another's life and may be
// wrong. No detector of an asynchronous network is both complete and accurate; each package says under which
// assumptions it is. Every detector is also the place where lives are told apart: it sits at the bottom of its stack,
// lets no packet of an older life of a node pass, and tells of a newer one before the first packet of it goes up.
//
// T. D. Chandra, S. Toueg, Unreliable Failure Detectors for Reliable Distributed Systems, JACM 43(2), 1996.
package detector

import "ciranda.dev/protocol"

// Requests that a detector takes from the layers above.
type (
	// Watch asks to observe a node. It is trusted at first and has a full timeout from now. Again: no effect.
	Watch struct {
		Node protocol.ID
	}
	// Reset asks to take a life of a node as trusted and to give it one fresh timeout, though nothing was heard of it.
	// Of a suspected node it gives Restore. Of a life older than the known one it is answered by Suspect and changes
	// nothing. Incarnation 0 stands for the life known at present.
	Reset struct {
		Node        protocol.ID
		Incarnation protocol.Incarnation
	}
)

// Why is the reason of a suspicion.
type Why string

// The reasons.
const (
	Timeout   Why = "timeout"   // nothing was heard for too long
	Link      Why = "link"      // its connections closed, and it did not answer a probe
	Restarted Why = "restarted" // a newer life of it was heard of
	News      Why = "news"      // another node suspects it
	Oracle    Why = "oracle"    // the engine chose so
)

// Indications to the layers above. About one life of a node Suspect and Restore alternate, Suspect first; only the
// answer to a Reset of an older life repeats its Suspect. Incarnation 0 stands for the life of a node that was not
// heard of yet. A newer life is trusted from its first message on, without a word.
type (
	// Suspect says that a life of a node seems to be over.
	Suspect struct {
		Node        protocol.ID          `json:"node"`
		Incarnation protocol.Incarnation `json:"inc"`
		Why         Why                  `json:"why"`
	}
	// Restore takes a suspicion back.
	Restore struct {
		Node        protocol.ID          `json:"node"`
		Incarnation protocol.Incarnation `json:"inc"`
	}
	// Stalled says that a node is alive but its disk does not answer, or (not On) answers again. It should neither lead
	// nor be followed while it is stalled.
	Stalled struct {
		Node        protocol.ID          `json:"node"`
		Incarnation protocol.Incarnation `json:"inc"`
		On          bool                 `json:"on"`
	}
)

// Hint is the note of a closed connection to the present life of a node: what protocol.LinkDown said.
type Hint struct {
	Node        protocol.ID          `json:"node"`
	Incarnation protocol.Incarnation `json:"inc"`
}

// Dropped is the note of a packet that a detector let not pass.
type Dropped struct {
	From        protocol.ID          `json:"from"`
	Incarnation protocol.Incarnation `json:"inc"`
	Reason      string               `json:"reason"`
}

// Kind is the event's name in traces.
func (Suspect) Kind() string { return "fd.suspect" }

// Kind is the event's name in traces.
func (Restore) Kind() string { return "fd.restore" }

// Kind is the event's name in traces.
func (Stalled) Kind() string { return "fd.stalled" }

// Kind is the event's name in traces.
func (Hint) Kind() string { return "fd.hint" }

// Kind is the event's name in traces.
func (Dropped) Kind() string { return "fd.drop" }

// Query asks a node's detector for its Opinion, from outside and between steps.
type Query struct{}

// An Opinion is what a detector believes.
type Opinion struct {
	Suspects []protocol.ID // ascending
}
