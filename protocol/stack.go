package protocol

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// A Stack is a node's layers, from the bottom: the first is next to the network.
//
// Within a step there is one queue, first in, first out: every event stops at every layer on its way, nothing is
// called inside anything else and nothing skips ahead, so events cannot overtake one another.
type Stack struct {
	self      Self
	layers    []Layer
	filters   []Filter // by layer; nil where it is none
	hearers   []Hearer // the same
	traits    []Traits
	flushers  []int
	gates     []Gate
	answerers []Answerer
}

// NewStack piles up layers, from the bottom. It refuses, in words, layers that do not add up: one that needs what
// none below gives, two of one name, a message that is not a plain struct, a field that cannot be cloned.
func NewStack(self Self, layers ...Layer) (*Stack, error) {
	if err := checkSelf(self); err != nil {
		return nil, err
	}
	if len(layers) == 0 || len(layers) > 255 {
		return nil, fmt.Errorf("protocol: a stack has 1 to 255 layers, not %d", len(layers))
	}
	var given Property
	names := map[string]bool{}
	for _, l := range layers {
		t := l.Traits()
		if err := checkLayer(l, t); err != nil {
			return nil, err
		}
		if names[t.Channel] {
			return nil, fmt.Errorf("protocol: two layers are called %q", t.Channel)
		}
		names[t.Channel] = true
		if missing := t.Needs &^ given; missing != 0 {
			return nil, fmt.Errorf("protocol: %s needs %s, and no layer below it gives that", t.Channel, missing)
		}
		given |= t.Gives
	}
	return assemble(self, layers), nil
}

// assemble fills in what is derived from the layers.
func assemble(self Self, layers []Layer) *Stack {
	s := &Stack{self: self, layers: layers}
	for i, l := range layers {
		s.traits = append(s.traits, l.Traits())
		f, _ := l.(Filter)
		s.filters = append(s.filters, f)
		h, _ := l.(Hearer)
		s.hearers = append(s.hearers, h)
		if _, ok := l.(Flusher); ok {
			s.flushers = append(s.flushers, i)
		}
		if g, ok := l.(Gate); ok {
			s.gates = append(s.gates, g)
		}
		if a, ok := l.(Answerer); ok {
			s.answerers = append(s.answerers, a)
		}
	}
	return s
}

func checkSelf(self Self) error {
	if !slices.IsSorted(self.Group) || len(slices.Compact(slices.Clone(self.Group))) != len(self.Group) {
		return fmt.Errorf("protocol: the group %v is not ascending", self.Group)
	}
	if !slices.Contains(self.Group, self.ID) || self.Group[0] == None {
		return fmt.Errorf("protocol: node %d is not in the group %v of numbers from 1", self.ID, self.Group)
	}
	if self.Incarnation == 0 {
		return errors.New("protocol: incarnations count from 1")
	}
	return nil
}

func checkLayer(l Layer, t Traits) error {
	if t.Channel == "" || strings.ContainsAny(t.Channel, "/ \n") {
		return fmt.Errorf("protocol: %T: a layer's name is a word without a slash, not %q", l, t.Channel)
	}
	if v := reflect.ValueOf(l); v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("protocol: %s: a layer is a pointer to a struct, not a %T", t.Channel, l)
	}
	for _, m := range t.Messages {
		if err := checkMessage(reflect.TypeOf(m)); err != nil {
			return fmt.Errorf("protocol: %s: message %s: %w", t.Channel, Name(m), err)
		}
	}
	if err := checkState(reflect.TypeOf(l).Elem()); err != nil {
		return fmt.Errorf("protocol: %s: %w", t.Channel, err)
	}
	return nil
}

// Self is the node whose stack it is.
func (s *Stack) Self() Self { return s.self }

// Traits are those of each layer, from the bottom.
func (s *Stack) Traits() []Traits { return s.traits }

// Layer is the i-th layer from the bottom.
func (s *Stack) Layer(i int) Layer { return s.layers[i] }

// Len is the number of layers.
func (s *Stack) Len() int { return len(s.layers) }

// String describes the layers' states for people, from the bottom, a line each.
func (s *Stack) String() string {
	var b strings.Builder
	for i, l := range s.layers {
		fmt.Fprintf(&b, "%s: %s\n", s.traits[i].Channel, l)
	}
	return b.String()
}

// Ready says whether a [Call] may enter now.
func (s *Stack) Ready() bool {
	for _, g := range s.gates {
		if !g.Ready() {
			return false
		}
	}
	return true
}

// Answer asks the layers from the top for an answer to a question from outside.
func (s *Stack) Answer(question any) (any, bool) {
	for i := len(s.answerers) - 1; i >= 0; i-- {
		if a, ok := s.answerers[i].Answer(question); ok {
			return a, true
		}
	}
	return nil, false
}

// The steps. Each fills o with its effects and nothing of an earlier step.

// Start begins the node's first life.
func (s *Stack) Start(in Inputs, o *Out) {
	s.begin(in, o)
	for i, l := range s.layers {
		o.layer, o.ungated = i, false
		l.Start(o)
	}
	s.drain(o)
}

// Recover begins a later life of the node, with what was stored.
func (s *Stack) Recover(stored Stored, in Inputs, o *Out) {
	s.begin(in, o)
	for i, l := range s.layers {
		o.layer, o.ungated = i, false
		if r, ok := l.(Recoverer); ok {
			prefix := s.name(i) + "/"
			r.Recover(func(key string) ([]byte, bool) { return stored(prefix + key) }, o)
		} else {
			l.Start(o)
		}
	}
	s.drain(o)
}

// Receive handles a packet that from sent in its life inc.
func (s *Stack) Receive(from ID, inc Incarnation, p Packet, in Inputs, o *Out) {
	s.begin(in, o)
	if p.Channel == 0 { // it has arrived
		o.from, o.fromInc = from, inc
		s.layers[0].Receive(from, p.Body, o)
	} else {
		s.travel(event{kind: up, peer: from, inc: inc, channel: p.Channel, body: p.Body}, o)
	}
	s.drain(o)
}

// Hears says whether the layer of a channel takes what is broadcast.
func (s *Stack) Hears(channel uint8) bool {
	return int(channel) < len(s.layers) && s.hearers[channel] != nil
}

// Hear handles a packet that from broadcast in its life inc. The layer of its channel must be a [Hearer].
func (s *Stack) Hear(from ID, inc Incarnation, p Packet, in Inputs, o *Out) {
	s.begin(in, o)
	o.layer, o.from, o.fromInc = int(p.Channel), from, inc
	s.hearers[p.Channel].Hear(from, p.Body, o)
	s.drain(o)
}

// Expire handles a timer of a layer.
func (s *Stack) Expire(layer uint8, t Timer, in Inputs, o *Out) {
	s.begin(in, o)
	o.layer = int(layer)
	s.layers[layer].Expire(t, o)
	s.drain(o)
}

// Call handles a client's request: it enters at the top.
func (s *Stack) Call(c Call, in Inputs, o *Out) {
	s.begin(in, o)
	s.travel(event{kind: request, at: int16(len(s.layers) - 1), layer: uint8(len(s.layers)), body: c}, o)
	s.drain(o)
}

// Notify handles an indication of the engine: it enters at the bottom.
func (s *Stack) Notify(e Event, in Inputs, o *Out) {
	s.begin(in, o)
	s.travel(event{kind: indication, body: e}, o)
	s.drain(o)
}

// Flushes says whether any layer wants to be told of the end of a batch.
func (s *Stack) Flushes() bool { return len(s.flushers) > 0 }

// Flush tells the layers, from the bottom, that no more input is at hand.
func (s *Stack) Flush(in Inputs, o *Out) {
	s.begin(in, o)
	for _, i := range s.flushers {
		o.layer, o.ungated = i, false
		s.layers[i].(Flusher).Flush(o)
	}
	s.drain(o)
}

func (s *Stack) begin(in Inputs, o *Out) {
	o.stack, o.inputs = s, in
	o.effects, o.queue, o.head = o.effects[:0], o.queue[:0], 0
	o.layer, o.persists, o.ungated, o.from, o.fromInc = 0, false, false, None, 0
}

// drain handles the events between the layers until there are none.
func (s *Stack) drain(o *Out) {
	for o.head < len(o.queue) {
		e := o.queue[o.head]
		o.queue[o.head].body = nil
		o.head++
		s.travel(e, o)
	}
}

// travel lets e stop at its next layer. If that does not take it and no other event waits, e goes on to the one
// after; else it goes to the end of the queue.
func (s *Stack) travel(e event, o *Out) {
	for {
		taken := s.visit(&e, o)
		if taken {
			return
		}
		if e.kind == up || e.kind == indication {
			e.at++
		} else {
			e.at--
		}
		if e.at < 0 || int(e.at) >= len(s.layers) {
			s.leave(e, o)
			return
		}
		if o.head < len(o.queue) {
			o.queue = append(o.queue, e)
			return
		}
	}
}

// visit shows e to the layer at which it is.
func (s *Stack) visit(e *event, o *Out) (taken bool) {
	i := int(e.at)
	o.layer, o.ungated = i, false
	o.from, o.fromInc = None, 0
	switch e.kind {
	case up:
		o.from, o.fromInc = e.peer, e.inc
		if i == int(e.channel) {
			s.layers[i].Receive(e.peer, e.body, o)
			return true
		}
		return s.filters[i] != nil && s.filters[i].Pass(e.peer, Packet{e.channel, e.body}, o)
	case down:
		if s.filters[i] == nil {
			return false
		}
		o.ungated = e.ungated
		return s.filters[i].Down(e.peer, Packet{e.channel, e.body}, o)
	case request:
		return s.layers[i].Request(e.body, o)
	default:
		return s.layers[i].Indicate(e.body.(Event), o)
	}
}

// leave is the end of an event's way: the network below, the client above.
func (s *Stack) leave(e event, o *Out) {
	switch e.kind {
	case down:
		o.effects = append(o.effects, Effect{Kind: Send, Layer: e.layer, Channel: e.channel, Ungated: e.ungated, To: e.peer, Body: e.body})
	case indication:
		o.effects = append(o.effects, Effect{Kind: Leave, Layer: e.layer, Ungated: e.ungated, Body: e.body})
	case up:
		panic(fmt.Sprintf("protocol: a packet for channel %d in a stack of %d layers", e.channel, len(s.layers)))
	case request:
		if c, ok := e.body.(Call); ok {
			why := fmt.Sprintf("no layer of this node takes %s", Name(c.Body))
			o.effects = append(o.effects, Effect{Kind: Leave, Body: Reply{c.ID, Refused{why}}})
			return
		}
		panic(fmt.Sprintf("protocol: %s requests %s, and no layer below takes that", s.name(int(e.layer)), Name(e.body)))
	}
}

func (s *Stack) name(layer int) string { return s.traits[layer].Channel }
