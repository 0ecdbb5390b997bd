// Package world is the state of a whole system and the steps it can take: nodes with their stacks and disks, messages
// in flight, armed timers, links. It is the ground on which the simulator stands, and an explorer of schedules can.
//
// A [World] decides nothing. A policy picks the next step and applies it: deliver or lose this message, fire that
// timer, crash this node. Package sim is such a policy, with virtual time and seeded chance. A run is the list of its
// steps ([Step]): it can be read, applied again to a fresh world with the same result, and cut down.
//
// What a World does not promise: that a step keeps to any model of time or network. It delivers a message as late as
// the policy likes. It is not safe for use by several goroutines.
package world

import (
	"fmt"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// A Config says what the world is made of.
type Config struct {
	Nodes int // 1 to 10,000; their ids count from 1

	// Build makes a node's stack at the start of each of its lives.
	Build func(protocol.Self) (*protocol.Stack, error)

	// Requests are what a [Step] can ask of a node's stack, by name.
	Requests map[string]any
	// Request makes a request from a name that is not among them, and gives nil if there is none of that name. It may
	// be nil.
	Request func(name string) any

	// Broadcasts is how many bytes a broadcast may take, as the nodes are told at the beginning of each life; the world does
	// not count them. Zero: they are told nothing, and broadcasts reach them all the same.
	Broadcasts int
	// Loops says that a broadcast comes back to its sender, as a node's own datagrams may. Checks that count the messages
	// of a trace do not know of it.
	Loops bool

	Level trace.Level // what is recorded
	Sink  trace.Sink  // where; may be nil at level Off

	// Twice runs every step twice, on a clone, and panics with a [*Cheat] if the results differ. Codec, if set, then
	// also encodes each message at its sending and gives the clone a decoded copy.
	Twice bool
	Codec Codec
}

// A Codec turns packets into bytes and back.
type Codec interface {
	Encode(dst []byte, p protocol.Packet) ([]byte, error)
	Decode(b []byte) (protocol.Packet, error)
}

// A Policy is told what comes to be, so that it can schedule it. Its methods may not change the world.
type Policy interface {
	// Sent says that a message, or the news of a closed connection, is in flight.
	Sent(f FlightRef)
	// Armed says that a timer was set to expire at a moment of virtual time.
	Armed(id protocol.ID, t TimerRef, at time.Duration)
	// Persisted says that a node whose disk is not instant wrote something that waits to be synced.
	Persisted(id protocol.ID)
	// Left says that an event left the top of a node's stack.
	Left(id protocol.ID, e protocol.Event)
	// Draw chooses a number in [0, n) for a node's step.
	Draw(id protocol.ID, n int) int
}

// A World is a system of nodes.
type World struct {
	cfg     Config
	policy  Policy
	group   []protocol.ID
	nodes   []node // by id-1
	cuts    map[pair]bool
	flights flights
	now     time.Duration
	changes uint64

	out      protocol.Out
	twin     protocol.Out
	acting   *node
	draws    []int // what the step drew
	inputs   protocol.Inputs
	event    trace.Event
	records  [32]bool // by trace.Kind, at the level
	err      error
	recorder func(Step)
}

type pair struct{ from, to protocol.ID }

// New makes a world in which no node has started yet.
func New(cfg Config, policy Policy) (*World, error) {
	if cfg.Nodes < 1 || cfg.Nodes > 10_000 {
		return nil, fmt.Errorf("world: %d nodes; expected 1 to 10000", cfg.Nodes)
	}
	if cfg.Sink == nil {
		cfg.Level = trace.Off
	}
	w := &World{cfg: cfg, policy: policy, nodes: make([]node, cfg.Nodes), cuts: map[pair]bool{}}
	for i := range cfg.Nodes {
		w.group = append(w.group, protocol.ID(i+1))
	}
	for i := range w.nodes {
		w.nodes[i] = node{id: protocol.ID(i + 1), rate: 1, fuse: noFuse}
	}
	for k := range w.records {
		w.records[k] = cfg.Level.Records(trace.Kind(k))
	}
	w.inputs.Draw = w.draw
	return w, w.build(&w.nodes[0], 1) // so that a stack that does not add up is refused here
}

// build gives a node the stack of a new life.
func (w *World) build(n *node, inc protocol.Incarnation) error {
	stack, err := w.cfg.Build(protocol.Self{ID: n.id, Incarnation: inc, Group: w.group})
	if err != nil {
		return err
	}
	n.stack, n.inc = stack, inc
	return nil
}

// Record gives every step to f as it is taken, and with it what it drew. It costs time.
func (w *World) Record(f func(Step)) { w.recorder = f }

// Now is the virtual time of the present step.
func (w *World) Now() time.Duration { return w.now }

// SetNow moves virtual time. Steps take no time of their own.
func (w *World) SetNow(t time.Duration) { w.now = t }

// Group are all nodes, ascending.
func (w *World) Group() []protocol.ID { return w.group }

// Changes counts the events that may change what is known of a node: indications, and the begins and ends of lives.
func (w *World) Changes() uint64 { return w.changes }

// Up says that a node runs; it may be paused.
func (w *World) Up(id protocol.ID) bool { return w.node(id).state != down }

// Paused says that a node stands still.
func (w *World) Paused(id protocol.ID) bool { return w.node(id).state == paused }

// Incarnation is the present or last life of a node; 0 if it never started.
func (w *World) Incarnation(id protocol.ID) protocol.Incarnation {
	if n := w.node(id); n.begun {
		return n.inc
	}
	return 0
}

// Lamport is the runtime's clock of a node.
func (w *World) Lamport(id protocol.ID) uint64 { return w.node(id).lamport }

// Ask puts a question to a node's stack. A node that is down does not answer.
func (w *World) Ask(id protocol.ID, question any) (any, bool) {
	n := w.node(id)
	if n.state == down {
		return nil, false
	}
	return n.stack.Answer(question)
}

// Stack is a node's stack, for reading; nil if it never started.
func (w *World) Stack(id protocol.ID) *protocol.Stack {
	if n := w.node(id); n.begun {
		return n.stack
	}
	return nil
}

// InFlight is the number of messages on their way.
func (w *World) InFlight() int { return w.flights.messages }

func (w *World) node(id protocol.ID) *node { return &w.nodes[id-1] }

// Valid says whether there is such a node.
func (w *World) Valid(id protocol.ID) bool { return id >= 1 && int(id) <= len(w.nodes) }

func (w *World) draw(n int) int {
	v := w.policy.Draw(w.acting.id, n)
	if v < 0 || v >= n {
		panic(fmt.Sprintf("world: drew %d of %d", v, n))
	}
	w.draws = append(w.draws, v)
	return v
}
