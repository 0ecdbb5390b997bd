// Package oracle is a failure detector that the engine plays: it suspects whom it is told to suspect. It sends nothing,
// sets no timer and reads no clock, so that the layers above can be explored without the states of a real detector.
//
// Make a layer with [New] and put it at the bottom of the stack. The engine chooses by a [Choose] event. It keeps the
// budgets: a suspicion of a live node costs one of the false suspicions that the run allows, that of a crashed one is
// free, and a false one can always be taken back. With no false suspicions it is the perfect detector P, with some of
// them an eventually perfect one, and an engine that never chooses leaves the layers above with no detector at all.
//
// The oracle itself promises only what every detector does: about one life of a node Suspect and Restore alternate,
// and lives are told apart. It says nothing about time.
//
// T. D. Chandra, S. Toueg, Unreliable Failure Detectors for Reliable Distributed Systems, JACM 43(2), 1996.
package oracle

import (
	"fmt"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
)

// A Choice is what the engine wants the oracle to believe.
type Choice uint8

// The choices.
const (
	Suspect Choice = iota + 1 // of a watched, trusted node
	Restore                   // of a suspected one
)

func (c Choice) String() string {
	if c == Suspect {
		return "suspect"
	}
	return "restore"
}

// Choose is the engine's event at the bottom of the stack: the present life of the node is suspected, or no longer.
// Where there is nothing to change it does nothing; see [Detector.May].
type Choose struct {
	Node   protocol.ID `json:"node"`
	Choice Choice      `json:"choice"`
}

// Kind is the event's name in traces.
func (Choose) Kind() string { return "fd.choose" }

// Options are those of the oracle.
type Options struct {
	// Mistake is a deliberate error for the tests of the checks.
	Mistake detector.Mistake
}

// SuspectAgain is a mistake: a suspected node is suspected again.
const SuspectAgain = detector.FirstOwn

// A Detector is one node's part.
type Detector struct {
	protocol.Base
	opts  Options `layer:"const"`
	peers detector.Peers
}

// New makes an oracle.
func New(opts Options) *Detector {
	return &Detector{opts: opts, peers: detector.Peers{Mistake: opts.Mistake}}
}

// May says whether a choice would change anything now.
func (d *Detector) May(c Choose) bool {
	if !d.peers.Watches(c.Node) {
		return false
	}
	q := d.peers.Find(c.Node)
	suspected := q != nil && q.Suspected
	return suspected == (c.Choice == Restore) || suspected && d.opts.Mistake == SuspectAgain
}

// Pass sees the packets of the layers above, to tell lives apart.
func (d *Detector) Pass(from protocol.ID, _ protocol.Packet, o *protocol.Out) (taken bool) {
	q, _ := d.peers.Hear(from, o)
	return q == nil
}

// Down lets packets of the layers above go.
func (d *Detector) Down(protocol.ID, protocol.Packet, *protocol.Out) (taken bool) { return false }

// Receive panics: the oracle has no messages.
func (d *Detector) Receive(_ protocol.ID, m protocol.Message, o *protocol.Out) {
	panic(fmt.Sprintf("oracle: node %d: unknown message %T", o.Self().ID, m))
}

// Request handles detector.Watch and detector.Reset.
func (d *Detector) Request(r any, o *protocol.Out) (taken bool) {
	switch r := r.(type) {
	case detector.Watch:
		d.peers.Watch(r.Node, o)
	case detector.Reset:
		d.peers.Reset(r, o)
	default:
		return false
	}
	return true
}

// Indicate handles the engine's choices. A closed connection is passed over: the engine may turn it into a choice.
func (d *Detector) Indicate(e protocol.Event, o *protocol.Out) (taken bool) {
	switch e := e.(type) {
	case Choose:
		d.choose(e, o)
		return true
	case protocol.LinkDown:
		return true
	}
	return false
}

func (d *Detector) choose(c Choose, o *protocol.Out) {
	if !d.May(c) {
		return
	}
	q := d.peers.At(c.Node)
	if c.Choice == Restore {
		d.peers.Restore(q, o)
		return
	}
	if d.opts.Mistake == SuspectAgain {
		q.Suspected = false
	}
	d.peers.Suspect(q, detector.Oracle, o)
}

// Answer answers a detector.Query.
func (d *Detector) Answer(question any) (any, bool) {
	if _, ok := question.(detector.Query); ok {
		return d.peers.Opinion(), true
	}
	return nil, false
}

// Traits say what the layer is.
func (d *Detector) Traits() protocol.Traits {
	return protocol.Traits{
		Channel:  "oracle",
		Gives:    protocol.FailureDetection,
		Requests: []any{detector.Watch{}, detector.Reset{}},
	}
}

func (d *Detector) String() string { return d.peers.String() }
