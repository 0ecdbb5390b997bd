package node

import (
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/engine/live"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/trace"
)

// Monotonic is the machine's monotonic clock, in nanoseconds: the time of events. It is the same for all processes of
// a machine.
func Monotonic() int64 { return live.Monotonic() }

// A told event is an event with its sentence; empty if it is not worth one.
type told struct {
	event trace.Event
	text  string
}

// sentence is what an event is told as. Faults that one node was told of are not: the fault as a whole is. Hints are
// not: a suspicion says that it rests on one, and as long as a node is down each attempt to reach it is another.
func sentence(t *trace.Teller, e *trace.Event) string {
	text, _ := t.Tell(e)
	switch name := e.Name(); {
	case e.Kind == trace.Fault && e.Node != protocol.None:
		return ""
	case name == (protocol.LinkDown{}).Kind(), name == (protocol.Steady{}).Kind(), name == (detector.Hint{}).Kind():
		return ""
	}
	return text
}

// encode writes an event as the API carries it.
func encode(n *trace.Encoder, e *trace.Event, text string) *cirandav1.Event {
	return &cirandav1.Event{
		Node: uint32(e.Node), Incarnation: uint32(e.Inc), Kind: e.Name(), Time: e.T, Text: text,
		Json: string(n.Append(nil, e, -1)),
	}
}
