// Package protocol says what a protocol is: a value with handlers and no I/O.
//
// A protocol is written as a [Layer]. Layers are piled into a [Stack], one stack a node, and an engine feeds the
// stack with inputs: a start, a packet, a timer that expired, a call from a client. Handlers change the layer and
// fill an [Out] with effects, in order: send, set a timer, persist, request, indicate. The engine carries them out.
// Nothing in this folder reads a clock, opens a socket, starts a goroutine, draws a random number or depends on the
// order of a map, so the same layer runs in the simulator, on real processes and under an explorer of schedules.
//
// What a layer may rely on: its handlers run one at a time; each runs to its end or is cut by a crash between two
// effects; what a step persists is durable before any effect of that step leaves the node (see [Out.Ungate] for the
// one exception). What it may not rely on: that a message arrives, arrives once, or arrives in order, unless a layer
// below gives that; that two nodes' timers run at the same rate.
//
// The idea of layers with events going up and down is that of Horus, Ensemble and Appia; that of effects as values
// is that of etcd's Raft.
package protocol

import (
	"cmp"
	"fmt"
	"reflect"
	"strconv"
	"time"
)

// An ID names a node of the group: 1, 2, 3, …
type ID uint16

// None is no node.
const None ID = 0

func (id ID) String() string { return strconv.Itoa(int(id)) }

// An Incarnation counts the lives of a node, from 1: each restart has a new one. Zero is an unknown life.
type Incarnation uint32

// A Message is an immutable plain struct: nobody changes it once it is sent. Its fields are numbers, strings,
// booleans and slices, maps and structs of those; what nests another layer's message is a [Packet].
type Message any

// A Packet is a message of a named channel. Each layer has its own channel and never sees another's messages,
// unless it is a [Filter] of the layers above.
type Packet struct {
	Channel uint8   // the index of the layer in its stack, from the bottom
	Body    Message // the layer's message
}

// A Timer is a layer's own name for a timer. Setting it again moves it.
type Timer struct {
	Kind uint32 // what it is for: an index into [Traits.Timers]
	Arg  uint32 // a peer, a slot, … ; often 0
}

// An Event is something worth telling: an indication to the layers above or a note for the trace. Its exported
// fields appear in the trace, as JSON.
type Event interface {
	// Kind is the event's name in traces, such as "fd.suspect".
	Kind() string
}

// Self is what a node knows of itself. It is the same value for a whole incarnation and is never written.
type Self struct {
	ID          ID
	Incarnation Incarnation
	Group       []ID // all configured nodes, this one too, ascending
}

// Majority is the least number of nodes of which every two sets of that size share one.
func (s Self) Majority() int { return len(s.Group)/2 + 1 }

// Stored is what a former life persisted: the value last persisted under a key, and whether there was one.
type Stored func(key string) (value []byte, ok bool)

// A Call is a client's request. It enters a stack at the top and is answered by a [Reply] of the same ID.
type Call struct {
	ID   uint64
	Body any
}

// A Reply is the answer to a [Call]. It is indicated like any event and completes the call when it leaves the top.
type Reply struct {
	ID   uint64 `json:"id"`
	Body any    `json:"body"`
}

// Kind is the event's name in traces.
func (Reply) Kind() string { return "reply" }

// Refused is the body of a [Reply] to a call that no layer of the stack takes, or that is refused with a reason.
type Refused struct {
	Why string `json:"why"`
}

// Indications that an engine gives to the bottom of a stack.
type (
	// LinkDown says that the last connection to that life of a peer was closed by the other end or its machine, or
	// that a redial was refused. It is a hint and no proof: the peer may live. An engine never gives it for its own
	// timeouts or for a connection that it closed itself.
	LinkDown struct {
		Node        ID          `json:"node"`
		Incarnation Incarnation `json:"inc"`
	}
	// Steady says whether all that is sent to that life of a peer arrives, once and in order: there is one unbroken
	// connection that keeps order, and no fault is injected between it and the stack. It holds until the engine says
	// otherwise. It is a hint: what was sent just before it is taken back may be lost. An engine that knows nothing of
	// its connections never gives it.
	Steady struct {
		Node        ID          `json:"node"`
		Incarnation Incarnation `json:"inc"`
		Is          bool        `json:"is"`
	}
	// Carries says whether what is broadcast reaches all who are to get it, as far as the engine knows, or may take as long
	// as nothing is lost. It holds until the engine says otherwise. It is a hint: broadcasts get lost, and a network may cease
	// to carry them. An engine that has no way to broadcast never gives it.
	Carries struct {
		Broadcasts bool `json:"broadcasts"`
		// Size is how many bytes a broadcast may take, encoded and with its channel. What is larger is lost.
		Size int    `json:"size,omitempty"`
		Why  string `json:"why,omitempty"` // it carries none, for people
	}
	// Disk says that the node's storage has stalled (a write is older than the engine's limit), or answers again.
	Disk struct {
		Stalled bool `json:"stalled"`
	}
	// Stopping says that the node is about to leave in good order: what must be given up is given up now.
	Stopping struct{}
)

// Kind is the event's name in traces.
func (LinkDown) Kind() string { return "net.down" }

// Kind is the event's name in traces.
func (Steady) Kind() string { return "net.steady" }

// Kind is the event's name in traces.
func (Carries) Kind() string { return "net.carries" }

// Kind is the event's name in traces.
func (Disk) Kind() string { return "disk" }

// Kind is the event's name in traces.
func (Stopping) Kind() string { return "stopping" }

// A Property is something that a layer gives to the layers above it, or needs from those below it.
type Property uint32

// The properties. A set of them is their sum.
const (
	FIFO             Property = 1 << iota // packets of a pair of nodes arrive in the order of sending
	NoLoss                                // what is sent to a node that stays up arrives, and once
	FailureDetection                      // suspicions of nodes
	Leadership                            // one node is told to all as the leader
	Views                                 // agreed lists of members, and an agreed end of each
	Multicast                             // messages to the members of a view, in several orders
)

var propertyNames = []string{"FIFO order", "no loss", "failure detection", "leadership", "views", "multicast"}

func (p Property) String() string {
	text := ""
	for i, name := range propertyNames {
		if p&(1<<i) != 0 {
			if text != "" {
				text += ", "
			}
			text += name
		}
	}
	return text
}

// Traits say what a layer is. They are constant.
type Traits struct {
	Channel  string    // the layer's name: lower case, unique in its stack; part of its storage keys and its wire name
	Needs    Property  // from the layers below
	Gives    Property  // to the layers above
	Messages []Message // a zero value of each message type on the channel; their order is their number on the wire
	Timers   []string  // names for people, by [Timer.Kind]
	Requests []any     // a zero value of each request that the layer takes
	UsesNow  bool      // it calls [Out.Now] or [Out.Wall], so its states depend on time
}

// A Layer is a protocol. It changes only inside its handlers. Its fields are its state, all of it: clones and state
// keys are derived from them. A field that is shared between clones and never written after [NewStack], such as
// options, is tagged `layer:"const"`. Layers are pointers to structs; embed [Base] for the handlers not needed.
type Layer interface {
	// Start begins the first life of the node.
	Start(o *Out)
	// Receive handles a message of this layer's own channel.
	Receive(from ID, m Message, o *Out)
	// Expire handles a timer of this layer that ran out. It is not armed any more.
	Expire(t Timer, o *Out)
	// Request handles a request from above; if it is not taken the next layer below gets it. A client's request comes
	// as a [Call].
	Request(r any, o *Out) (taken bool)
	// Indicate handles an event from below; if it is not taken the next layer above gets it.
	Indicate(e Event, o *Out) (taken bool)
	// Traits says what the layer is.
	Traits() Traits
	// String describes the state for people, in a line. It is never a key.
	String() string
}

// What a layer may also be.
type (
	// A Filter sees the packets of the layers above it on their way down and up. What it takes it holds, wraps, drops,
	// or passes on later with [Out.Forward] and [Out.Deliver].
	Filter interface {
		Down(to ID, p Packet, o *Out) (taken bool)
		Pass(from ID, p Packet, o *Out) (taken bool)
	}
	// A Hearer takes messages of its own channel that another node broadcast ([Out.Broadcast]). They come past the filters,
	// so that no promise of the layers below is for them: they may be lost, come twice, late, or out of order, be of a former
	// life of their sender or meant for other nodes. Which life sent one says [Out.SenderIncarnation].
	Hearer interface {
		Hear(from ID, m Message, o *Out)
	}
	// A Recoverer begins a later life with what was stored; other layers are started afresh. A node that lost its disk
	// recovers with nothing stored.
	Recoverer interface {
		Recover(s Stored, o *Out)
	}
	// A Flusher is told when no more input is at hand: the end of a batch.
	Flusher interface {
		Flush(o *Out)
	}
	// A Gate says whether a [Call] may enter now. It is asked between steps.
	Gate interface {
		Ready() bool
	}
	// An Answerer answers questions from outside, between steps, without changing. Layers never ask one another: within
	// a step the answer would be ahead of the events still on their way.
	Answerer interface {
		Answer(question any) (answer any, ok bool)
	}
)

// Base has a handler of each kind that does nothing.
type Base struct{}

// Start does nothing.
func (Base) Start(*Out) {}

// Receive panics: a layer that has messages handles them.
func (Base) Receive(from ID, m Message, o *Out) { panic(fmt.Sprintf("protocol: unexpected %T", m)) }

// Expire panics: a layer that sets timers handles them.
func (Base) Expire(t Timer, o *Out) { panic(fmt.Sprintf("protocol: unexpected timer %v", t)) }

// Request passes the request on.
func (Base) Request(any, *Out) bool { return false }

// Indicate passes the event on.
func (Base) Indicate(Event, *Out) bool { return false }

// Name is the name of a message's or an event's type for people, such as "bully.Election".
func Name(m any) string {
	if m == nil {
		return "nothing"
	}
	return reflect.TypeOf(m).String()
}

// ByID orders nodes: for sorting before sending to a set.
func ByID(a, b ID) int { return cmp.Compare(a, b) }

// An EffectKind says what an [Effect] is.
type EffectKind uint8

// The effects of a step.
const (
	Send      EffectKind = iota + 1 // Body is a packet's body for To, on Channel
	Set                             // Timer of Layer expires After from now
	Cancel                          // Timer of Layer is disarmed
	Persist                         // Body is a *[Record]
	Indicate                        // Body is an [Event] that Layer indicated: for the trace
	Note                            // Body is an [Event] for the trace only
	Leave                           // Body is an [Event] that left the top of the stack
	Broadcast                       // Body is a packet's body for all others, on Channel
)

// An Effect is something that a step wants done. The engine does the effects of a step in their order, and a crash
// may cut that order anywhere.
type Effect struct {
	Kind    EffectKind
	Layer   uint8 // whose effect it is
	Channel uint8 // of a Send or Broadcast
	Ungated bool  // it need not wait for the disk: see [Out.Ungate]
	To      ID
	Timer   Timer
	After   time.Duration
	Body    any
}

// A Record is something to be persisted. The key is unique in the stack.
type Record struct {
	Key   string
	Value []byte
}
