package protocol

import (
	"fmt"
	"time"
)

// Inputs are what a step may read from outside. They are recorded with the step, so that it can be done again.
type Inputs struct {
	Now     time.Duration   // monotonic, since a moment that is the same for the whole incarnation
	Wall    time.Duration   // the wall clock's reading since the Unix epoch; may jump
	Lamport uint64          // the runtime's Lamport clock, above the stamps of all that was received; 0 where none is kept
	Draw    func(n int) int // a number in [0, n); nil where nothing may be drawn
}

// An Out takes the effects of one step, in order, and holds the events on their way between the layers of the stack.
// A handler uses the Out it was given and keeps none.
type Out struct {
	stack   *Stack
	inputs  Inputs
	effects []Effect

	queue []event // between the layers, first in, first out
	head  int

	layer    int // whose handler runs
	persists bool
	ungated  bool
	from     ID // sender of the packet being handled
	fromInc  Incarnation
}

// Self is the node.
func (o *Out) Self() Self { return o.stack.self }

// SenderIncarnation is the life of the sender in which it sent the packet being handled; 0 if there is none.
func (o *Out) SenderIncarnation() Incarnation { return o.fromInc }

// Needs is what the layer of a channel needs from those below it, if it is above the caller. A filter that gives a
// property takes the packets of those that need it, and lets the others pass.
func (o *Out) Needs(channel uint8) Property {
	if int(channel) <= o.layer || int(channel) >= len(o.stack.traits) {
		return 0
	}
	return o.stack.traits[channel].Needs
}

// Packet is m as a packet of the layer's channel, for a layer that hands a message of its own to another layer.
func (o *Out) Packet(m Message) Packet { return Packet{uint8(o.layer), m} }

// Send sends m to a node on the layer's channel. It goes down through the filters below. Nobody sends to itself.
func (o *Out) Send(to ID, m Message) { o.Forward(to, Packet{uint8(o.layer), m}) }

// SendAll sends m to every other node of the group, in ascending order.
func (o *Out) SendAll(m Message) {
	for _, id := range o.stack.self.Group {
		if id != o.stack.self.ID {
			o.Send(id, m)
		}
	}
}

// Broadcast sends m to every other node with one send, if the network can do that: see [Carries]. Who gets it is up to the
// network: some, all, none. It passes the filters by, in both directions, and whatever of the same step is still on its way
// down. Only a [Hearer] gets it.
func (o *Out) Broadcast(m Message) {
	o.effects = append(o.effects, Effect{Kind: Broadcast, Layer: uint8(o.layer), Channel: uint8(o.layer), Ungated: o.ungated, Body: m})
}

// Forward passes a packet on its way down, from the layer below the caller.
func (o *Out) Forward(to ID, p Packet) {
	if to == o.stack.self.ID || to == None {
		panic(fmt.Sprintf("%s: node %d sends %s to node %d", o.stack.name(o.layer), o.stack.self.ID, Name(p.Body), to))
	}
	if o.layer == 0 { // it leaves
		o.effects = append(o.effects, Effect{Kind: Send, Channel: p.Channel, Ungated: o.ungated, To: to, Body: p.Body})
		return
	}
	o.push(event{kind: down, at: int16(o.layer - 1), peer: to, channel: p.Channel, body: p.Body})
}

// Deliver passes a packet on its way up, from the layer above the caller. It keeps the sender's incarnation of the
// packet being handled.
func (o *Out) Deliver(from ID, p Packet) {
	o.push(event{kind: up, at: int16(o.layer + 1), peer: from, inc: o.fromInc, channel: p.Channel, body: p.Body})
}

// Request asks the layers below for something. One of them must take it.
func (o *Out) Request(r any) {
	o.push(event{kind: request, at: int16(o.layer - 1), body: r})
}

// Indicate tells the layers above of e. It is in the trace.
func (o *Out) Indicate(e Event) {
	o.effect(Effect{Kind: Indicate, Body: e})
	o.push(event{kind: indication, at: int16(o.layer + 1), body: e})
}

// Tell tells the layers above of e, as [Out.Indicate] does, and leaves the trace alone: for what is large, and told of
// otherwise.
func (o *Out) Tell(e Event) { o.push(event{kind: indication, at: int16(o.layer + 1), body: e}) }

// Note puts e into the trace and does nothing else.
func (o *Out) Note(e Event) { o.effect(Effect{Kind: Note, Body: e}) }

// Set arms t to expire once d has passed on the node's monotonic clock. If t is armed it is moved.
func (o *Out) Set(t Timer, d time.Duration) { o.effect(Effect{Kind: Set, Timer: t, After: d}) }

// Cancel disarms t, if it is armed. It will not expire, even if it is due.
func (o *Out) Cancel(t Timer) { o.effect(Effect{Kind: Cancel, Timer: t}) }

// Persist stores value under the layer's own key. It is durable before any gated effect of this or a later step
// leaves the node. The layer does not change value afterwards.
func (o *Out) Persist(key string, value []byte) {
	o.persists = true
	o.effect(Effect{Kind: Persist, Body: &Record{Key: o.stack.name(o.layer) + "/" + key, Value: value}})
}

// Draw gives a number in [0, n) that the engine chooses.
func (o *Out) Draw(n int) int { return o.inputs.Draw(n) }

// Now is the node's monotonic clock, constant within a step. A layer that reads it says so in its [Traits].
func (o *Out) Now() time.Duration { return o.inputs.Now }

// Wall is the node's wall clock since the Unix epoch, constant within a step. It may jump: readings are never
// subtracted. A layer that reads it says so in its [Traits].
func (o *Out) Wall() time.Duration { return o.inputs.Wall }

// Ungate says that what this handler does from here on promises nothing about the node's state, so that it may leave
// before the disk has confirmed what was persisted: heartbeats, acknowledgements of the link, a resignation.
func (o *Out) Ungate() { o.ungated = true }

// Lamport is the runtime's Lamport clock, constant within a step; 0 where none is kept. It is for people to read: what a
// layer does must not depend on it.
func (o *Out) Lamport() uint64 { return o.inputs.Lamport }

// Effects are the step's effects in order. They are valid until the Out is used for another step.
func (o *Out) Effects() []Effect { return o.effects }

// Persists says whether the step persists anything.
func (o *Out) Persists() bool { return o.persists }

func (o *Out) effect(e Effect) {
	e.Layer, e.Ungated = uint8(o.layer), o.ungated
	o.effects = append(o.effects, e)
}

// push sends an event on its way between the layers. What is already at the end of its way leaves the stack.
func (o *Out) push(e event) {
	e.layer, e.ungated = uint8(o.layer), o.ungated
	if e.at < 0 || int(e.at) >= len(o.stack.layers) {
		o.stack.leave(e, o)
		return
	}
	o.queue = append(o.queue, e)
}

// An event is on its way between layers.
type event struct {
	kind    direction
	layer   uint8 // where it was made
	channel uint8
	ungated bool
	at      int16 // the next layer to stop at
	peer    ID
	inc     Incarnation
	body    any
}

type direction uint8

const (
	up         direction = iota + 1 // a packet from the network
	down                            // a packet for the network
	request                         // from above
	indication                      // from below
)
