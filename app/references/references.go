// Package references has nodes make objects, give references to one another, and drop them: the smallest application in which it shows
// whether an object lives as long as somebody refers to it, and no longer.
//
// Make a layer with [New] and put it above package dgc's. A client asks a node with [Do]. With [Options.Every] nodes do something by
// themselves, all the time: they make an object, give a reference that they have to another node, or drop one.
//
// What it does not do: call the objects, or store anything. A node that restarts has no objects and no references.
package references

import (
	"fmt"
	"slices"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/dgc"
)

// Options say how nodes behave. Zeros stand for the defaults.
type Options struct {
	Every time.Duration // the time between two things that a node does by itself; 0: it does nothing
	Few   int           // the references that a node has before it drops some rather than make others: 6
}

// Validate says what is out of bounds.
func (p Options) Validate() error {
	if p.Every < 0 || p.Few < 0 {
		return fmt.Errorf("references: every %v and few %d must not be below 0", p.Every, p.Few)
	}
	return nil
}

// What clients say.
type (
	// Do asks a node to do something. Which is the place of a reference among those that the node has, from 1.
	Do struct {
		Verb  Verb
		Which int
		To    protocol.ID // of a gift
	}
	// Done is the answer to a [Do] that is not refused.
	Done struct{}
	// Query asks a node for how many references it has, from outside and between steps.
	Query struct{}
)

// A Verb is what a client asks a node to do.
type Verb uint8

// The verbs.
const (
	Make Verb = iota + 1 // an object
	Give                 // a reference to another node
	Drop                 // a reference
)

func (v Verb) String() string { return [...]string{"", "make", "give", "drop"}[v] }

// A Holder is one node's.
type Holder struct {
	protocol.Base
	opts   Options `layer:"const"`
	others []protocol.ID
	has    []dgc.Ref // in the order in which they came
}

// New makes a node's layer. Options that [Options.Validate] refuses are not usable.
func New(opts Options) *Holder {
	if opts.Few == 0 {
		opts.Few = 6
	}
	return &Holder{opts: opts}
}

// loadTimer is the layer's only timer.
const loadTimer uint32 = 0

// Traits say what the layer is.
func (h *Holder) Traits() protocol.Traits {
	return protocol.Traits{Channel: "references", Timers: []string{"load"}}
}

// Start begins without references.
func (h *Holder) Start(o *protocol.Out) {
	self := o.Self()
	h.others = slices.DeleteFunc(slices.Clone(self.Group), func(id protocol.ID) bool { return id == self.ID })
	if h.opts.Every > 0 && len(h.others) > 0 {
		o.Set(protocol.Timer{Kind: loadTimer}, h.opts.Every)
	}
}

// Indicate keeps the references that came, and forgets those whose objects are gone.
func (h *Holder) Indicate(e protocol.Event, o *protocol.Out) (taken bool) {
	switch e := e.(type) {
	case dgc.Exported:
		h.has = append(h.has, e.Ref)
	case dgc.Held:
		if !slices.Contains(h.has, e.Ref) {
			h.has = append(h.has, e.Ref)
		}
	case dgc.Lost:
		h.has = slices.DeleteFunc(h.has, func(r dgc.Ref) bool { return r == e.Ref })
	case dgc.Collected: // nobody has it
	default:
		return false
	}
	return true
}

// Request does what a client asks for.
func (h *Holder) Request(r any, o *protocol.Out) (taken bool) {
	call, ok := r.(protocol.Call)
	do, is := call.Body.(Do)
	if !ok || !is {
		return false
	}
	if why := h.refuses(do); why != "" {
		o.Indicate(protocol.Reply{ID: call.ID, Body: protocol.Refused{Why: why}})
		return true
	}
	switch do.Verb {
	case Make:
		o.Request(dgc.Export{})
	case Give:
		h.give(do.Which-1, do.To, o)
	case Drop:
		h.drop(do.Which-1, o)
	}
	o.Indicate(protocol.Reply{ID: call.ID, Body: Done{}})
	return true
}

func (h *Holder) refuses(do Do) string {
	switch {
	case do.Verb < Make || do.Verb > Drop:
		return fmt.Sprintf("found the verb %d; expected make, give or drop", do.Verb)
	case do.Verb != Make && (do.Which < 1 || do.Which > len(h.has)):
		return fmt.Sprintf("found reference %d; expected 1 to %d", do.Which, len(h.has))
	case do.Verb == Give && !slices.Contains(h.others, do.To):
		return fmt.Sprintf("found node %d; expected one of %v", do.To, h.others)
	}
	return ""
}

func (h *Holder) give(i int, to protocol.ID, o *protocol.Out) {
	o.Request(dgc.Give{Ref: h.has[i], To: to})
}

func (h *Holder) drop(i int, o *protocol.Out) {
	o.Request(dgc.Drop{Ref: h.has[i]})
	h.has = slices.Delete(h.has, i, i+1)
}

// Expire does something: with few references a node rather makes and gives, with many it drops.
func (h *Holder) Expire(t protocol.Timer, o *protocol.Out) {
	o.Set(protocol.Timer{Kind: loadTimer}, h.opts.Every)
	n := len(h.has)
	if n == 0 || n < h.opts.Few && o.Draw(4) == 0 {
		o.Request(dgc.Export{})
		return
	}
	if i := o.Draw(n); o.Draw(4) == 0 || n > h.opts.Few {
		h.drop(i, o)
	} else {
		h.give(i, h.others[o.Draw(len(h.others))], o)
	}
}

// Answer answers a [Query].
func (h *Holder) Answer(question any) (any, bool) {
	if _, ok := question.(Query); !ok {
		return nil, false
	}
	return len(h.has), true
}

// String says for people how many references the node has.
func (h *Holder) String() string { return fmt.Sprintf("has %d references", len(h.has)) }
