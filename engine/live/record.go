package live

import (
	"time"

	"ciranda.dev/trace"
)

// count counts an event of the node on its Lamport clock. It gives the event to be filled in and recorded, or nil if
// the level leaves out that kind.
func (n *Node) count(k trace.Kind) *trace.Event {
	stamp := n.lamport.Tick()
	if !n.cfg.Level.Records(k) {
		return nil
	}
	n.counted++
	n.event = trace.Event{Kind: k, Node: n.self.ID, Inc: n.self.Incarnation, T: n.now, N: n.counted, Lamport: stamp, Cause: n.cause}
	return &n.event
}

// input records the event that a step begins with: the cause of what follows in it.
func (n *Node) input(now time.Time, e trace.Event) {
	n.now, n.cause = n.clock.trace(now), 0
	n.record(e)
	n.cause = 0
	if n.cfg.Level.Records(e.Kind) {
		n.cause = n.counted
	}
}

// record records an event of the node.
func (n *Node) record(e trace.Event) {
	if ev := n.count(e.Kind); ev != nil {
		ev.Layer, ev.Timer, ev.Data = e.Layer, e.Timer, e.Data
		n.cfg.Sink.Record(ev)
	}
}

// outside records something that is no step of the node.
func (n *Node) outside(e *trace.Event) {
	if n.cfg.Level.Records(e.Kind) {
		e.T = n.now
		n.cfg.Sink.Record(e)
	}
}

// drop counts and records that a message was lost.
func (n *Node) drop(e *trace.Event, reason string) {
	n.stats.Dropped[reason]++
	e.Kind, e.Data = trace.Drop, trace.Loss{Reason: reason}
	n.outside(e)
}
