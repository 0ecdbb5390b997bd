package world

import (
	"fmt"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector/oracle"
	"ciranda.dev/trace"
)

// An input is what a step of a node's stack is about. It is data, so that a step can be taken twice.
type input struct {
	kind    inputKind
	layer   uint8
	from    protocol.ID
	fromInc protocol.Incarnation
	packet  protocol.Packet
	timer   protocol.Timer
	body    any    // of a call; the event of a notice
	call    uint64 // its number
}

type inputKind uint8

const (
	starting inputKind = iota
	recovering
	receiving
	expiring
	calling
	noticing
	hearing
)

// feed gives the input to a stack.
func (in *input) feed(s *protocol.Stack, d *disk, inputs protocol.Inputs, o *protocol.Out) {
	switch in.kind {
	case starting:
		s.Start(inputs, o)
	case recovering:
		s.Recover(d.get, inputs, o)
	case receiving:
		s.Receive(in.from, in.fromInc, in.packet, inputs, o)
	case expiring:
		s.Expire(in.layer, in.timer, inputs, o)
	case calling:
		s.Call(protocol.Call{ID: in.call, Body: in.body}, inputs, o)
	case hearing:
		s.Hear(in.from, in.fromInc, in.packet, inputs, o)
	case noticing:
		s.Notify(in.body.(protocol.Event), inputs, o)
	}
}

// step lets a node's stack handle an input and carries out what it wants done.
func (w *World) step(n *node, in *input) {
	w.acting, w.draws = n, w.draws[:0]
	w.inputs.Now = n.monotonic(w.now)
	w.inputs.Wall = w.now + n.wall
	w.inputs.Lamport = n.lamport
	if w.cfg.Twice {
		w.stepTwice(n, in)
	} else {
		in.feed(n.stack, &n.disk, w.inputs, &w.out)
	}
	if w.recorder != nil {
		w.recordDraws()
	}
	w.carry(n, w.out.Effects())
	if n.state != down && n.stack.Flushes() {
		n.stack.Flush(w.inputs, &w.out)
		w.carry(n, w.out.Effects())
	}
}

// Start begins a node's first life.
func (w *World) Start(id protocol.ID) {
	n := w.node(id)
	if n.begun {
		panic(fmt.Sprintf("world: node %d has started already", id))
	}
	w.note(Step{Do: Start, Node: id})
	w.begin(n, 1, &input{kind: starting}, trace.Start, trace.Life{})
}

// Recover begins a later life of a node that is down, with what its disk kept.
func (w *World) Recover(id protocol.ID) {
	n := w.node(id)
	if n.state != down || !n.begun {
		panic(fmt.Sprintf("world: node %d is not down", id))
	}
	w.note(Step{Do: Recover, Node: id})
	life := trace.Life{Stored: len(n.disk.stored) > 0, Durable: n.disk.durable}
	n.disk.durable = 0
	w.begin(n, n.inc+1, &input{kind: recovering}, trace.Recover, life)
}

func (w *World) begin(n *node, inc protocol.Incarnation, in *input, k trace.Kind, life trace.Life) {
	if err := w.build(n, inc); err != nil {
		panic(fmt.Sprintf("world: node %d: %v", n.id, err))
	}
	n.state, n.begun, n.sent, n.recorded, n.cause = up, true, 0, 0, 0
	n.since, n.local = w.now, 0
	w.changes++
	if e := w.tickInput(n, k); e != nil {
		e.Data = life
		w.input(n, e)
	}
	w.step(n, in)
	if w.cfg.Broadcasts > 0 && n.state != down {
		w.notify(n, protocol.Carries{Broadcasts: true, Size: w.cfg.Broadcasts})
	}
}

// Crash ends a node's life: its memory and what its disk has not synced are lost; what is on the wire still travels.
// With after ≥ 0 it happens in the middle of the node's next step, after so many of its effects.
func (w *World) Crash(id protocol.ID, after int) {
	w.note(Step{Do: Crash, Node: id, Value: int64(after)})
	n := w.node(id)
	if after >= 0 {
		n.fuse = after
		return
	}
	w.crash(n, trace.Crash)
}

// WipeDisk loses what a node that is down had persisted.
func (w *World) WipeDisk(id protocol.ID) {
	w.note(Step{Do: Wipe, Node: id})
	w.node(id).disk = disk{slow: w.node(id).disk.slow}
}

func (w *World) crash(n *node, k trace.Kind) {
	n.cause = 0
	if e := w.tick(n, k); e != nil {
		w.cfg.Sink.Record(e)
	}
	w.changes++
	n.state, n.fuse = down, noFuse
	n.timers.disarm()
	n.disk.forget()
	for _, id := range w.group {
		if id != n.id {
			w.close(n.id, n.inc, id)
		}
	}
}

// close sends a peer the news that its connection to a node's life was closed.
func (w *World) close(from protocol.ID, inc protocol.Incarnation, to protocol.ID) {
	peer := w.node(to)
	if peer.state == down || w.IsCut(from, to) || w.IsCut(to, from) {
		return
	}
	w.policy.Sent(w.flights.add(Flight{Closed: true, From: from, FromInc: inc, To: to, ToInc: peer.inc, Seq: ^uint64(0)}))
}

// Stop ends a node's life in good order: what must be given up is given up first.
func (w *World) Stop(id protocol.ID) {
	w.note(Step{Do: Stop, Node: id})
	n := w.node(id)
	w.notify(n, protocol.Stopping{})
	w.crash(n, trace.Stop)
}

// Pause lets a node stand still: no step of it may be taken until it is resumed.
func (w *World) Pause(id protocol.ID) { w.suspend(id, paused, Pause, trace.Pause) }

// Resume lets a paused node go on.
func (w *World) Resume(id protocol.ID) { w.suspend(id, up, Resume, trace.Resume) }

func (w *World) suspend(id protocol.ID, s nodeState, v Verb, k trace.Kind) {
	w.note(Step{Do: v, Node: id})
	n := w.node(id)
	n.state, n.cause = s, 0
	w.changes++
	if e := w.tick(n, k); e != nil {
		w.cfg.Sink.Record(e)
	}
}

// Deliver lets what is in flight arrive. It is dropped instead if the link is cut, or if the node or the life that it
// is meant for is no more. The addressee may not be paused.
func (w *World) Deliver(ref FlightRef) {
	f := &w.flights.places[ref] // not after a step: it may put more in flight
	if w.recorder != nil {
		w.note(Step{Do: Deliver, Node: f.From, Peer: f.To, What: f.name(), Nth: w.ordinal(ref)})
	}
	w.flights.remove(ref)
	n := w.node(f.To)
	switch {
	case w.IsCut(f.From, f.To):
		w.drop(f, lossCut)
	case n.state == down:
		w.drop(f, lossDown)
	case f.ToInc != n.inc && f.ToInc != 0:
		w.drop(f, lossNotMe)
	case n.state == paused:
		panic(fmt.Sprintf("world: node %d is paused", f.To))
	case f.Closed:
		w.notify(n, protocol.LinkDown{Node: f.From, Incarnation: f.FromInc})
	case f.Heard && !n.stack.Hears(f.Channel):
		w.drop(f, lossChannel)
	default:
		w.receive(n, f)
	}
}

func (w *World) receive(n *node, f *Flight) {
	n.lamport = max(n.lamport, f.Lamport)
	if e := w.tickInput(n, trace.Receive); e != nil {
		e.Peer, e.PeerInc, e.Seq, e.Copy, e.Layer, e.Data = f.From, f.FromInc, f.Seq, f.Copy, f.Channel, f.Body
		w.input(n, e)
	}
	if w.cfg.Twice {
		w.checkUnchanged(f)
	}
	in := input{kind: receiving, from: f.From, fromInc: f.FromInc, packet: protocol.Packet{Channel: f.Channel, Body: f.Body}}
	if f.Heard {
		in.kind = hearing
	}
	w.step(n, &in)
}

// Lose drops what is in flight.
func (w *World) Lose(ref FlightRef) { w.lose(ref, Lose, lossLoss) }

// Overflow drops what is in flight because its addressee has no room for it.
func (w *World) Overflow(ref FlightRef) { w.lose(ref, Overflow, lossOverflow) }

func (w *World) lose(ref FlightRef, v Verb, reason any) {
	f := w.flights.places[ref]
	if w.recorder != nil {
		w.note(Step{Do: v, Node: f.From, Peer: f.To, What: f.name(), Nth: w.ordinal(ref)})
	}
	w.flights.remove(ref)
	w.drop(&f, reason)
}

// Double puts a copy of a message in flight.
func (w *World) Double(ref FlightRef) {
	f := w.flights.places[ref]
	if w.recorder != nil {
		w.note(Step{Do: Duplicate, Node: f.From, Peer: f.To, What: f.name(), Nth: w.ordinal(ref)})
	}
	f.Copy++
	if w.records[trace.Duplicate] {
		w.cfg.Sink.Record(&trace.Event{Kind: trace.Duplicate, T: int64(w.now), Node: f.From, Inc: f.FromInc, Peer: f.To,
			PeerInc: f.ToInc, Seq: f.Seq, Copy: f.Copy, Layer: f.Channel})
	}
	w.policy.Sent(w.flights.add(f))
}

// Fire lets an armed timer expire. The node may not be paused.
func (w *World) Fire(id protocol.ID, t TimerRef) {
	n := w.node(id)
	s := &n.timers.slots[t]
	if s.at < 0 || n.state != up {
		panic(fmt.Sprintf("world: node %d: timer %v is not armed, or the node does not run", id, s.key))
	}
	s.at = unarmed
	if w.recorder != nil {
		w.note(Step{Do: Fire, Node: id, What: w.timerName(n, s.key)})
	}
	if e := w.tickInput(n, trace.TimerFire); e != nil {
		e.Timer, e.Layer = s.key.timer, s.key.layer
		w.input(n, e)
	}
	w.step(n, &input{kind: expiring, layer: s.key.layer, timer: s.key.timer})
}

// Request lets a client ask something of a node's stack, by its name in the configuration. The reply has the number
// that [World.NextCall] gave before.
func (w *World) Request(id protocol.ID, name string) {
	w.note(Step{Do: Request, Node: id, What: name})
	n, body := w.node(id), w.request(name)
	n.calls++
	if e := w.tickInput(n, trace.Call); e != nil {
		e.Data, e.Layer = body, uint8(n.stack.Len()-1)
		w.input(n, e)
	}
	w.step(n, &input{kind: calling, body: body, call: n.calls})
}

// NextCall is the number of the next call of a node. No two of its calls have the same, in whichever lives.
func (w *World) NextCall(id protocol.ID) uint64 { return w.node(id).calls + 1 }

// request finds or makes what a name stands for; nil if it is nothing.
func (w *World) request(name string) any {
	if body := w.cfg.Requests[name]; body != nil || w.cfg.Request == nil {
		return body
	}
	return w.cfg.Request(name)
}

// DiskStalled tells a node that its disk does not answer, or answers again.
func (w *World) DiskStalled(id protocol.ID, stalled bool) {
	v := Answers
	if stalled {
		v = Stalls
	}
	w.note(Step{Do: v, Node: id})
	w.notify(w.node(id), protocol.Disk{Stalled: stalled})
}

// Reset closes the connection between two nodes that live: both get the news that it was closed by the other.
func (w *World) Reset(a, b protocol.ID) {
	w.note(Step{Do: Reset, Node: a, Peer: b})
	w.fault("reset "+a.String()+" "+b.String(), a, b)
	for _, end := range [][2]protocol.ID{{a, b}, {b, a}} {
		if n := w.node(end[0]); n.state != down {
			w.close(end[0], n.inc, end[1])
		}
	}
}

// Choose lets a node's detector, if it is the oracle, suspect another or trust it again.
func (w *World) Choose(id, of protocol.ID, suspect bool) {
	v, choice := Restore, oracle.Restore
	if suspect {
		v, choice = Suspect, oracle.Suspect
	}
	w.note(Step{Do: v, Node: id, Peer: of})
	w.notify(w.node(id), oracle.Choose{Node: of, Choice: choice})
}

// notify gives a node's stack an indication from below. It is an input without a message.
func (w *World) notify(n *node, e protocol.Event) {
	if ev := w.tickInput(n, trace.Noted); ev != nil {
		ev.Data = e
		w.input(n, ev)
	}
	w.step(n, &input{kind: noticing, body: e})
}
