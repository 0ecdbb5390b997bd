package registry_test

import (
	"fmt"
	"math"
	"time"

	"github.com/anishathalye/porcupine"

	"ciranda.dev/app/registry"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/invocation"
	"ciranda.dev/trace"
)

// A history is what clients asked and were told, and when: the number of the event stands for the time. One request is one operation,
// however often and wherever it is made.
type history struct {
	now   int64
	calls map[waiting]int // by node and number: their operations
	ids   map[invocation.RID]int
	binds map[string]int64   // when an object was first seen bound
	gone  map[uint64]*goneAt // by revision
	done  []porcupine.Operation
	again int
	odd   string // a request that was answered in two ways
}

type waiting struct {
	node protocol.ID
	inc  protocol.Incarnation
	call uint64
}

// A goneAt is when a name was first noted as gone. That is the moment at which it went, to anybody who can tell. Answered says that
// somebody was told that his call did it.
type goneAt struct {
	at          int64
	name, value string
	answered    bool
}

// What is done to a name. Value is the object.
type (
	input  struct{ op, name, value string }
	output struct{ what, value string }
)

func (h *history) record(e *trace.Event) {
	h.now += 2 // there is a moment before the next event
	if h.calls == nil {
		h.binds, h.gone, h.calls, h.ids = map[string]int64{}, map[uint64]*goneAt{}, map[waiting]int{}, map[invocation.RID]int{}
	}
	switch d := e.Data.(type) {
	case Asked:
		h.ask(waiting{e.Node, e.Inc, d.Call.ID}, d.Call.Body)
	case Told:
		if at, is := h.calls[waiting{e.Node, e.Inc, d.Reply.ID}]; is {
			h.told(at, d.Reply.Body)
		}
	case registry.Bound:
		if h.binds[d.Object] == 0 {
			h.binds[d.Object] = h.now
		}
	case registry.Unbound:
		if h.gone[d.Revision] == nil {
			h.gone[d.Revision] = &goneAt{at: h.now, name: d.Name, value: d.Object}
		}
	}
}

func (h *history) ask(w waiting, body any) {
	var in input
	var id invocation.RID
	switch b := body.(type) {
	case registry.Bind:
		in, id = input{"bind", b.Entry.Name, b.Entry.Ref.Object.String()}, b.Request
	case registry.Rebind:
		in, id = input{"rebind", b.Entry.Name, b.Entry.Ref.Object.String()}, b.Request
	case registry.Unbind:
		in, id = input{"unbind", b.Name, ""}, b.Request
	case registry.Lookup:
		in = input{"lookup", b.Name, ""}
	default:
		return
	}
	if at, known := h.ids[id]; known && in.op != "lookup" {
		h.calls[w] = at
		return
	}
	h.calls[w] = len(h.done)
	h.ids[id] = len(h.done)
	h.done = append(h.done, porcupine.Operation{ClientId: len(h.done), Input: in, Call: h.now, Return: math.MaxInt64, Output: output{}})
}

func (h *history) told(at int, body any) {
	var out output
	switch b := body.(type) {
	case registry.Done:
		out = output{what: "done"}
		if h.done[at].Input.(input).op == "unbind" && h.gone[b.Revision] != nil {
			h.gone[b.Revision].answered = true
		}
	case registry.Found:
		out = output{"found", b.Entry.Ref.Object.String()}
	case registry.Failed:
		out = output{what: string(b.Reason)}
	default: // it may have happened, or another try may
		return
	}
	op := &h.done[at]
	if op.Return != math.MaxInt64 {
		h.again++
		if was := op.Output.(output); was != out {
			h.odd = fmt.Sprintf("%v was answered by %v and by %v", op.Input, was, out)
		}
		return
	}
	op.Return, op.Output = h.now, out
}

// model is what a name may go through: its state is the object that it has, or nothing.
var model = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		var parts [][]porcupine.Operation
		index := map[string]int{}
		for _, op := range all {
			name := op.Input.(input).name
			i, known := index[name]
			if !known {
				i = len(parts)
				index[name], parts = i, append(parts, nil)
			}
			parts[i] = append(parts[i], op)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, in, out any) (bool, any) { return step(state.(string), in.(input), out.(output)) },
}

func step(has string, in input, out output) (bool, any) {
	switch in.op {
	case "lookup":
		return out.what == "" || out.value == has && (out.what == "found") == (has != ""), has
	case "leave":
		return has == in.value, ""
	}
	free := in.op == "rebind" || (in.op == "bind") == (has == "")
	then := in.value // of unbind that is nothing
	switch registry.Reason(out.what) {
	case "": // nobody was told
		if !free {
			then = has
		}
		return true, then
	case "done":
		return free, then
	case registry.Taken, registry.NoName:
		return !free, has
	default: // not yours, no owner
		return in.op != "unbind" || has != "", has
	}
}

// linearizable says whether the answers are as if each operation had been done at one moment between call and answer. What was done
// without an answer is known from the notes.
func (h *history) linearizable() bool {
	var all []porcupine.Operation
	for _, op := range h.done {
		in := op.Input.(input)
		if op.Return == math.MaxInt64 {
			at := h.binds[in.value]
			if in.value == "" || at == 0 {
				continue
			}
			op.Return, op.Output = at+1, output{what: "done"}
		}
		all = append(all, op)
	}
	for _, g := range h.gone {
		if !g.answered {
			all = append(all, porcupine.Operation{Input: input{"leave", g.name, g.value}, Call: g.at, Output: output{what: "done"}, Return: g.at + 1})
		}
	}
	return h.odd == "" && porcupine.CheckOperationsTimeout(model, all, 5*time.Second) != porcupine.Illegal
}
