package world

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"reflect"

	"ciranda.dev/protocol"
)

// A Cheat is a step that gave another result on its second try, or a message that was changed after its sending: a
// defect of the code, and no verdict on the protocol. Such code keeps state outside its fields, reads a clock, draws
// by itself, depends on the order of a map, or changes a message that others share.
type Cheat struct {
	Node protocol.ID
	Step string // what the step was about
	What string // what differs
}

func (c *Cheat) Error() string {
	return fmt.Sprintf("node %d cheats: %s: %s", c.Node, c.Step, c.What)
}

// Err is the first cheat that was found.
func (w *World) Err() error { return w.err }

func (w *World) cheat(id protocol.ID, in *input, what string) {
	if w.err == nil {
		w.err = &Cheat{id, in.String(), what}
	}
}

func (in *input) String() string {
	switch in.kind {
	case starting:
		return "start"
	case recovering:
		return "recover"
	case receiving, hearing:
		return fmt.Sprintf("receive %s from %d", protocol.Name(in.packet.Body), in.from)
	case expiring:
		return fmt.Sprintf("timer %v of layer %d", in.timer, in.layer)
	default:
		return protocol.Name(in.body)
	}
}

// stepTwice feeds the input to a node's stack, and a copy of the input to a clone of the stack as it was before.
func (w *World) stepTwice(n *node, in *input) {
	clone, copied := n.stack.Clone(), *in
	if in.kind == receiving || in.kind == hearing {
		p, err := w.recode(in.packet)
		if err != nil {
			w.cheat(n.id, in, err.Error())
		}
		copied.packet = p
	}
	in.feed(n.stack, &n.disk, w.inputs, &w.out)
	again, draws := w.inputs, w.draws
	again.Draw = func(int) int {
		if len(draws) == 0 {
			return 0
		}
		d := draws[0]
		draws = draws[1:]
		return d
	}
	copied.feed(clone, &n.disk, again, &w.twin)
	if what := difference(n.stack, clone, w.out.Effects(), w.twin.Effects()); what != "" {
		w.cheat(n.id, in, what)
	}
}

func difference(a, b *protocol.Stack, first, second []protocol.Effect) string {
	for i := range min(len(first), len(second)) {
		if !reflect.DeepEqual(first[i], second[i]) {
			return fmt.Sprintf("effect %d is %+v, and %+v on a second try", i+1, first[i], second[i])
		}
	}
	if len(first) != len(second) {
		return fmt.Sprintf("it has %d effects, and %d on a second try", len(first), len(second))
	}
	if !bytes.Equal(a.AppendState(nil), b.AppendState(nil)) {
		return fmt.Sprintf("it ends in the state\n%sand on a second try in\n%s", a, b)
	}
	return ""
}

// recode is the packet as it would be after a journey over a wire.
func (w *World) recode(p protocol.Packet) (protocol.Packet, error) {
	if w.cfg.Codec == nil {
		return p, nil
	}
	b, err := w.cfg.Codec.Encode(nil, p)
	if err != nil {
		return p, fmt.Errorf("%s cannot be encoded: %w", protocol.Name(p.Body), err)
	}
	q, err := w.cfg.Codec.Decode(b)
	if err != nil {
		return p, fmt.Errorf("%s cannot be decoded: %w", protocol.Name(p.Body), err)
	}
	if !reflect.DeepEqual(p, q) {
		return p, fmt.Errorf("%+v arrives as %+v", p.Body, q.Body)
	}
	return q, nil
}

var digestSeed = maphash.MakeSeed()

// digest is a mark of a message's content, to see whether somebody changes it.
func (w *World) digest(f *Flight) uint64 {
	if w.cfg.Codec == nil {
		return 0
	}
	b, err := w.cfg.Codec.Encode(nil, protocol.Packet{Channel: f.Channel, Body: f.Body})
	if err != nil {
		return 0
	}
	return maphash.Bytes(digestSeed, b)
}

func (w *World) checkUnchanged(f *Flight) {
	if f.digest != w.digest(f) {
		in := &input{kind: receiving, from: f.From, packet: protocol.Packet{Channel: f.Channel, Body: f.Body}}
		w.cheat(f.To, in, "the message was changed after it was sent")
	}
}
