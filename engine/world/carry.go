package world

import (
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// carry does the effects of a step: first what it persists, then the others in their order, so that nothing leaves of a
// step whose writes are not done. A lit fuse cuts them short and ends the node's life.
func (w *World) carry(n *node, effects []protocol.Effect) {
	left := len(effects)
	burnt := n.fuse >= 0
	if burnt {
		left = min(n.fuse, left)
	}
	if w.out.Persists() {
		left = w.persistAll(n, effects, left)
	}
	for i := 0; i < len(effects) && left > 0; i++ {
		if e := &effects[i]; e.Kind != protocol.Persist {
			w.effect(n, e)
			left--
		}
	}
	if burnt {
		w.crash(n, trace.Crash)
	}
}

// persistAll does what a step persists, up to so many effects, and says how many are left.
func (w *World) persistAll(n *node, effects []protocol.Effect, left int) int {
	for i := 0; i < len(effects) && left > 0; i++ {
		if e := &effects[i]; e.Kind == protocol.Persist {
			w.persist(n, e.Layer, e.Body.(*protocol.Record))
			left--
		}
	}
	return left
}

// effect does an effect, or lets it wait for the disk.
func (w *World) effect(n *node, e *protocol.Effect) {
	switch {
	case e.Kind == protocol.Set:
		w.set(n, e)
	case e.Kind == protocol.Cancel:
		w.cancel(n, e)
	case len(n.disk.waiting) > 0 && !e.Ungated:
		n.disk.gate = append(n.disk.gate, *e)
	default:
		w.release(n, e)
	}
}

func (w *World) persist(n *node, layer uint8, r *protocol.Record) {
	if e := w.tick(n, trace.Persisted); e != nil {
		e.Layer, e.Data = layer, trace.Record{Key: r.Key, Length: len(r.Value)}
		w.cfg.Sink.Record(e)
	}
	if !n.disk.slow {
		n.disk.put(r)
		return
	}
	if len(n.disk.waiting) == 0 { // the gate closes
		n.disk.durable, n.disk.since = n.recorded, w.now
	}
	n.disk.waiting = append(n.disk.waiting, r)
	w.policy.Persisted(n.id)
}

// Sync makes durable all that a node persisted and lets out what waited for it.
func (w *World) Sync(id protocol.ID) {
	w.note(Step{Do: Sync, Node: id})
	n := w.node(id)
	for _, r := range n.disk.waiting {
		n.disk.put(r)
	}
	gate := n.disk.gate
	n.disk.durable = 0
	n.disk.forget()
	for i := range gate {
		w.release(n, &gate[i])
	}
}

// SlowDisk lets a node's writes wait for Sync, or makes its disk instant again and syncs it.
func (w *World) SlowDisk(id protocol.ID, slow bool) {
	v, text := FastDisk, "disk answers: "
	if slow {
		v, text = SlowDisk, "disk stalled: "
	}
	w.note(Step{Do: v, Node: id})
	w.fault(text+id.String(), id, protocol.None)
	n := w.node(id)
	n.disk.slow = slow
}

// Unsynced is since when a node's disk has owed an answer, and whether it owes one.
func (w *World) Unsynced(id protocol.ID) (since time.Duration, waiting bool) {
	d := &w.node(id).disk
	return d.since, len(d.waiting) > 0
}

// release lets an effect leave the node.
func (w *World) release(n *node, e *protocol.Effect) {
	switch e.Kind {
	case protocol.Send:
		w.send(n, e)
	case protocol.Broadcast:
		w.broadcast(n, e)
	case protocol.Indicate:
		w.changes++
		w.tell(n, trace.Told, e)
	case protocol.Note:
		w.tell(n, trace.Noted, e)
	case protocol.Leave:
		w.policy.Left(n.id, e.Body.(protocol.Event))
	}
}

func (w *World) tell(n *node, k trace.Kind, e *protocol.Effect) {
	if ev := w.tick(n, k); ev != nil {
		ev.Layer, ev.Data = e.Layer, e.Body
		w.cfg.Sink.Record(ev)
	}
}

func (w *World) send(n *node, e *protocol.Effect) {
	inc := protocol.Incarnation(0)
	if to := w.node(e.To); to.begun {
		inc = to.inc
	}
	w.number(n, e, inc)
	w.launch(n, e, e.To, inc)
}

// broadcast is one sending, and a flight to each of the others. They are meant for any life.
func (w *World) broadcast(n *node, e *protocol.Effect) {
	w.number(n, e, 0)
	for _, to := range w.group {
		if to != n.id || w.cfg.Loops {
			w.launch(n, e, to, 0)
		}
	}
}

// number counts and records a sending.
func (w *World) number(n *node, e *protocol.Effect, inc protocol.Incarnation) {
	n.sent++
	if ev := w.tick(n, trace.Send); ev != nil {
		ev.Peer, ev.PeerInc, ev.Seq, ev.Layer, ev.Data = e.To, inc, n.sent, e.Channel, e.Body
		w.cfg.Sink.Record(ev)
	}
}

// launch puts what was sent in flight to a node.
func (w *World) launch(n *node, e *protocol.Effect, to protocol.ID, inc protocol.Incarnation) {
	ref, f := w.flights.place()
	f.Body, f.Channel, f.Copy, f.Closed, f.live = e.Body, e.Channel, 0, false, true
	f.Seq, f.From, f.FromInc, f.To, f.ToInc = n.sent, n.id, n.inc, to, inc
	f.Heard, f.Lamport = e.Kind == protocol.Broadcast, n.lamport
	if w.IsCut(f.From, f.To) {
		w.drop(f, lossCut)
		w.flights.remove(ref)
		return
	}
	if w.cfg.Twice {
		f.digest = w.digest(f)
	}
	w.policy.Sent(ref)
}

func (w *World) set(n *node, e *protocol.Effect) {
	at := w.now + max(0, n.lasts(e.After))
	ref := n.timers.place(e.Layer, e.Timer)
	n.timers.slots[ref].at = at
	if ev := w.tick(n, trace.TimerSet); ev != nil {
		ev.Timer, ev.Layer, ev.After = e.Timer, e.Layer, int64(e.After)
		w.cfg.Sink.Record(ev)
	}
	w.policy.Armed(n.id, ref, at)
}

func (w *World) cancel(n *node, e *protocol.Effect) {
	ref, ok := n.timers.find(e.Layer, e.Timer)
	if !ok || n.timers.slots[ref].at < 0 {
		return
	}
	n.timers.slots[ref].at = unarmed
	if ev := w.tick(n, trace.TimerCancel); ev != nil {
		ev.Timer, ev.Layer = e.Timer, e.Layer
		w.cfg.Sink.Record(ev)
	}
}

// Why messages are lost.
var (
	lossCut      any = trace.Loss{Reason: "cut"}
	lossDown     any = trace.Loss{Reason: "down"}
	lossNotMe    any = trace.Loss{Reason: "not-me"}
	lossLoss     any = trace.Loss{Reason: "loss"}
	lossOverflow any = trace.Loss{Reason: "overflow"}
	lossChannel  any = trace.Loss{Reason: "channel"} // a broadcast for a layer that takes none
)

func (w *World) drop(f *Flight, reason any) {
	if f.Closed || !w.records[trace.Drop] {
		return
	}
	w.cfg.Sink.Record(&trace.Event{Kind: trace.Drop, T: int64(w.now), Node: f.From, Inc: f.FromInc, Peer: f.To,
		PeerInc: f.ToInc, Seq: f.Seq, Copy: f.Copy, Layer: f.Channel, Data: reason})
}

// tick counts an event of a node on its clock. It gives the event to be filled and recorded, or nil if it is not.
func (w *World) tick(n *node, k trace.Kind) *trace.Event {
	n.lamport++
	if !w.records[k] {
		return nil
	}
	n.recorded++
	w.event = trace.Event{Kind: k, Node: n.id, Inc: n.inc, T: int64(w.now), N: n.recorded, Lamport: n.lamport, Cause: n.cause}
	return &w.event
}

// tickInput is tick for the event that a step begins with.
func (w *World) tickInput(n *node, k trace.Kind) *trace.Event {
	n.cause = 0
	return w.tick(n, k)
}

// input records the event that a step begins with: the cause of what follows.
func (w *World) input(n *node, e *trace.Event) {
	n.cause = e.N
	w.cfg.Sink.Record(e)
}
