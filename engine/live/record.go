package live

import (
	"time"

	"ciranda.dev/trace"
)

// begin begins a step with an input. The input is recorded now, or behind what waits at the gate: so the trace shows
// steps in their order.
func (n *Node) begin(now time.Time, e trace.Event) {
	n.step++
	n.now = n.clock.trace(now)
	if n.cfg.Level.Records(e.Kind) && (n.gateIsClosed() || !n.covers(e.Lamport)) {
		held := e // only what is held is put on the heap
		n.gate.push(output{input: &held, mark: n.gate.mark, step: n.step, now: n.now})
		return
	}
	n.input(&e)
}

// input records the event that a step begins with: the cause of what follows in it. Of a receipt, e has the stamp of
// the message.
func (n *Node) input(e *trace.Event) {
	if e.Kind == trace.Receive {
		_ = n.lamport.Adopt(e.Lamport) // it has been checked
	}
	if ev := n.count(e.Kind, 0); ev != nil {
		ev.Peer, ev.PeerInc, ev.Seq, ev.Layer, ev.Timer, ev.Data = e.Peer, e.PeerInc, e.Seq, e.Layer, e.Timer, e.Data
		n.cause, n.causeOf = ev.N, n.step
		n.cfg.Sink.Record(ev)
	}
}

// recorded is the recorded input of a step, if that is the last one that was recorded; else 0.
func (n *Node) recorded(step uint64) uint64 {
	if step == n.causeOf {
		return n.cause
	}
	return 0
}

// count counts an event of the node on its Lamport clock. It gives the event to be filled in and recorded, or nil if
// the level leaves out that kind: then only messages count.
func (n *Node) count(k trace.Kind, step uint64) *trace.Event {
	recorded := n.cfg.Level.Records(k)
	if !recorded && k != trace.Send && k != trace.Receive {
		return nil
	}
	stamp := n.lamport.Tick()
	if !recorded {
		return nil
	}
	n.counted++
	n.event = trace.Event{Kind: k, Node: n.self.ID, Inc: n.self.Incarnation, T: n.now, N: n.counted, Lamport: stamp}
	n.event.Cause = n.recorded(step)
	return &n.event
}

// tell records an event of a step; step 0 is none.
func (n *Node) tell(k trace.Kind, step uint64, layer uint8, data any) {
	if ev := n.count(k, step); ev != nil {
		ev.Layer, ev.Data = layer, data
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
