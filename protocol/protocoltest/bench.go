// Package protocoltest runs a few stacks by hand, so that a test reads as a story.
//
// A [Bench] is a small group of nodes, the messages on their way and the armed timers. Nothing happens by itself: a
// command delivers a message, lets a timer expire, crashes a node, or lets time pass. What a step did is written out
// for people. [Kit.Run] reads such commands from files and compares what they print.
//
// The bench is for tests and has no model of delay: a message waits until it is delivered or dropped.
package protocoltest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"ciranda.dev/protocol"
)

// A Bench is a group of nodes under the hand of a test.
type Bench struct {
	// Observe, if set, is shown every effect of every node.
	Observe func(id protocol.ID, e protocol.Effect)
	// Quiet leaves out what is printed, which takes most of the time.
	Quiet bool

	kit     Kit
	group   []protocol.ID
	nodes   map[protocol.ID]*node
	flying  []message // in the order of sending
	now     time.Duration
	cut     map[[2]protocol.ID]bool
	draws   []int
	calls   uint64
	hidden  map[string]bool
	text    strings.Builder
	pending string // the line of a hidden input, written once it has a visible effect
}

// A node is one place of the group and what it keeps from life to life.
type node struct {
	id      protocol.ID
	life    protocol.Incarnation
	stack   *protocol.Stack // nil while it is down
	paused  bool
	timers  []armed // in the order of arming
	stored  map[string][]byte
	born    time.Duration
	outcome protocol.Out
}

type armed struct {
	layer uint8
	timer protocol.Timer
	due   time.Duration
}

type message struct {
	from, to protocol.ID
	life     protocol.Incarnation // of the sender
	reader   protocol.Incarnation // of the addressee when it was sent; 0 if it was down
	packet   protocol.Packet
	heard    bool // it was broadcast
}

// String is the message for people: its type and fields.
func (m message) String() string { return describe(m.packet.Body) }

func newBench(k Kit, size int) *Bench {
	b := &Bench{
		kit: k, nodes: map[protocol.ID]*node{}, cut: map[[2]protocol.ID]bool{}, hidden: map[string]bool{},
	}
	for id := protocol.ID(1); int(id) <= size; id++ {
		b.group = append(b.group, id)
		b.nodes[id] = &node{id: id, stored: map[string][]byte{}}
	}
	return b
}

// Stack is a node's stack; nil while it is down.
func (b *Bench) Stack(id protocol.ID) *protocol.Stack { return b.nodes[id].stack }

// Now is the time that has passed on the bench.
func (b *Bench) Now() time.Duration { return b.now }

// begin starts or recovers a node.
func (b *Bench) begin(n *node, options []string) error {
	if n.stack != nil {
		return fmt.Errorf("node %d is up", n.id)
	}
	self := protocol.Self{ID: n.id, Incarnation: n.life + 1, Group: b.group}
	s, err := b.kit.Build(self, options)
	if err != nil {
		return err
	}
	n.stack, n.life, n.born, n.paused = s, n.life+1, b.now, false
	if n.life == 1 {
		b.input("%d starts", n.id)
		s.Start(b.inputs(n), &n.outcome)
	} else {
		b.input("%d recovers as life %d", n.id, n.life)
		s.Recover(n.recall, b.inputs(n), &n.outcome)
	}
	b.apply(n)
	return nil
}

func (n *node) recall(key string) ([]byte, bool) {
	value, ok := n.stored[key]
	return value, ok
}

func (b *Bench) inputs(n *node) protocol.Inputs {
	return protocol.Inputs{Now: b.now - n.born, Wall: b.now, Draw: b.draw}
}

// draw gives the next of the numbers that a command laid out, else 0.
func (b *Bench) draw(n int) int {
	if len(b.draws) == 0 {
		return 0
	}
	v := b.draws[0]
	b.draws = b.draws[1:]
	b.line("  draws %d of %d", v, n)
	return min(v, n-1)
}

// deliver hands over the i-th message on its way, or says why it is lost.
func (b *Bench) deliver(i int) {
	m := b.flying[i]
	b.flying = slices.Delete(b.flying, i, i+1)
	n := b.nodes[m.to]
	why := ""
	switch {
	case n.stack == nil:
		why = fmt.Sprintf("%d is down", m.to)
	case m.reader != 0 && m.reader != n.life:
		why = fmt.Sprintf("%d has a new life", m.to)
	case b.cut[[2]protocol.ID{m.from, m.to}]:
		why = fmt.Sprintf("%d is cut off from %d", m.to, m.from)
	}
	b.begins(protocol.Name(m.packet.Body))
	if why != "" {
		b.input("%s; lost %s from %d", why, m, m.from)
		return
	}
	if m.heard {
		b.input("%d hears %s from %d", m.to, m, m.from)
		n.stack.Hear(m.from, m.life, m.packet, b.inputs(n), &n.outcome)
	} else {
		b.input("%d receives %s from %d", m.to, m, m.from)
		n.stack.Receive(m.from, m.life, m.packet, b.inputs(n), &n.outcome)
	}
	b.apply(n)
}

// expire lets the i-th timer of a node run out.
func (b *Bench) expire(n *node, i int) {
	t := n.timers[i]
	n.timers = slices.Delete(n.timers, i, i+1)
	if !b.Quiet {
		name := timerName(n.stack, t.layer, t.timer)
		b.begins(name)
		b.input("%d: %s expires", n.id, name)
	}
	n.stack.Expire(t.layer, t.timer, b.inputs(n), &n.outcome)
	b.apply(n)
}

// notify gives a node an indication of the engine.
func (b *Bench) notify(n *node, e protocol.Event) {
	b.begins(e.Kind())
	b.input("%d is told %s", n.id, tell(e))
	n.stack.Notify(e, b.inputs(n), &n.outcome)
	b.apply(n)
}

func (b *Bench) call(n *node, body any) {
	b.calls++
	b.begins(protocol.Name(body))
	b.input("%d is called: %s", n.id, describe(body))
	n.stack.Call(protocol.Call{ID: b.calls, Body: body}, b.inputs(n), &n.outcome)
	b.apply(n)
}

// apply does the effects of a step, then those of the end of a batch.
func (b *Bench) apply(n *node) {
	b.effects(n)
	if n.stack.Flushes() {
		n.stack.Flush(b.inputs(n), &n.outcome)
		b.effects(n)
	}
	b.pending = ""
}

func (b *Bench) effects(n *node) {
	for _, e := range n.outcome.Effects() {
		if !b.Quiet {
			b.show(n, e)
		}
		if b.Observe != nil {
			b.Observe(n.id, e)
		}
		switch e.Kind {
		case protocol.Send:
			b.flying = append(b.flying, message{
				from: n.id, to: e.To, life: n.life, reader: b.lifeNow(e.To), packet: protocol.Packet{Channel: e.Channel, Body: e.Body},
			})
		case protocol.Broadcast:
			for _, to := range b.group {
				if to != n.id {
					b.flying = append(b.flying, message{from: n.id, to: to, life: n.life, heard: true,
						packet: protocol.Packet{Channel: e.Channel, Body: e.Body}})
				}
			}
		case protocol.Set:
			n.disarm(e.Layer, e.Timer)
			n.timers = append(n.timers, armed{e.Layer, e.Timer, b.now + e.After})
		case protocol.Cancel:
			n.disarm(e.Layer, e.Timer)
		case protocol.Persist:
			r := e.Body.(*protocol.Record)
			n.stored[r.Key] = r.Value
		}
	}
}

func (b *Bench) lifeNow(id protocol.ID) protocol.Incarnation {
	if n := b.nodes[id]; n != nil && n.stack != nil {
		return n.life
	}
	return 0
}

func (n *node) disarm(layer uint8, t protocol.Timer) {
	n.timers = slices.DeleteFunc(n.timers, func(a armed) bool { return a.layer == layer && a.timer == t })
}

func (n *node) crash() { n.stack, n.timers, n.paused = nil, nil, false }

// pass lets time pass. Timers expire when they are due, the earliest first; if messages travel, all that are on their
// way arrive before the next timer expires. Paused nodes do neither.
func (b *Bench) pass(d time.Duration, messagesTravel bool) error {
	end := b.now + d
	for range maxSteps {
		if messagesTravel && b.deliverNext() {
			continue
		}
		n, i := b.nextTimer()
		if n == nil || n.timers[i].due > end {
			b.now = end
			return nil
		}
		b.now = max(b.now, n.timers[i].due)
		b.expire(n, i)
	}
	return fmt.Errorf("no end after %d steps", maxSteps)
}

const maxSteps = 100_000

// deliverNext delivers the oldest message whose addressee is not paused.
func (b *Bench) deliverNext() bool {
	for i, m := range b.flying {
		if !b.nodes[m.to].paused {
			b.deliver(i)
			return true
		}
	}
	return false
}

// nextTimer is the timer that is due first; of several, that of the lowest node, the one armed first.
func (b *Bench) nextTimer() (first *node, index int) {
	for _, id := range b.group {
		n := b.nodes[id]
		if n.paused {
			continue
		}
		for i, t := range n.timers {
			if first == nil || cmp.Less(t.due, first.timers[index].due) {
				first, index = n, i
			}
		}
	}
	return first, index
}
