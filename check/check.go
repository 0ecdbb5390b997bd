// Package check judges traces: a [Property] reads the events of a run one by one and says at its end whether it
// holds, is violated, or was never put to the test.
//
// Start from [New], which makes a property of the table [Properties] by its name, and from [Suite], which feeds many
// of them at once and can be the sink of an engine.
//
// A verdict rests on one of three things, and each property says on which ([Basis]): on happened-before, which any
// trace shows; on time that is the same for all nodes, which the simulator has exactly and the processes of one host
// within a tolerance; or on the clock of the single node it is about. Properties take events in the order of time, and
// a message's sending before its receipt. "Holds" is a word about one run, and only as strong as the number of
// instances examined; nothing that could have failed is no success but "unexercised".
//
// What is not promised: that a property sees what its trace level leaves out. What a property needs and does not get
// is a reason for "unexercised", never a guess.
//
// Safety and liveness are told apart as by L. Lamport (Proving the Correctness of Multiprocess Programs, IEEE TSE
// SE-3(2), 1977); liveness is judged with a bound, from the moment on at which the network is calm.
package check

import (
	"slices"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// A Property is an automaton over the events of a run. Its fields are its state: [Clone] copies it and [AppendKey]
// encodes it, so an author writes neither. A field that is shared between clones and no part of the state, such as a
// witness, is tagged `layer:"const"` and is replaced, never written into.
type Property interface {
	// Name is what scenarios and reports call it.
	Name() string
	// Kinds are the kinds of events that it reads.
	Kinds() Kinds
	// Step reads the next event, which is only lent. It is of one of the Kinds.
	Step(e *trace.Event)
	// Failed says that the property is violated, whatever follows.
	Failed() bool
	// Result judges the run, which was watched until end (as the events' T). It may be asked again after more steps.
	Result(end int64) Result
}

// A Verdict is what is said of a property after a run.
type Verdict string

// The verdicts.
const (
	Holds       Verdict = "holds"
	Violated    Verdict = "violated"
	Unexercised Verdict = "unexercised" // nothing that could have shown it happened, or the trace cannot show it
)

// A Result is the judgement of one property on one run.
type Result struct {
	Property  string        `json:"name"`
	Verdict   Verdict       `json:"verdict"`
	Why       string        `json:"why,omitempty"` // what was violated, or why it was not exercised: a sentence without a stop
	Examined  int           `json:"examined"`      // instances that were judged
	Basis     string        `json:"basis"`         // on what the verdict rests, in words
	Witnesses []trace.Event `json:"-"`             // the events that show a violation, in order
}

// Kinds is a set of kinds of events.
type Kinds uint32

// KindsOf is the set of some kinds.
func KindsOf(kinds ...trace.Kind) Kinds {
	var s Kinds
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

// Has says whether a kind is in the set.
func (s Kinds) Has(k trace.Kind) bool { return k < 32 && s&(1<<k) != 0 }

// What most properties read: how lives begin and end, what protocols tell, and faults.
var (
	lifeKinds  = KindsOf(trace.Start, trace.Recover, trace.Crash, trace.Stop, trace.Pause, trace.Resume)
	toldKinds  = lifeKinds | KindsOf(trace.Told)
	calmKinds  = toldKinds | KindsOf(trace.Fault, trace.Calm)
	inputKinds = lifeKinds | KindsOf(trace.Receive, trace.TimerFire, trace.Call)
)

// Clone copies a property with its state.
func Clone(p Property) Property { return protocol.CloneOf(p) }

// AppendKey appends an encoding of the property's state: equal states have equal encodings. A search that merges
// states must tell apart those in which a property over the history differs.
func AppendKey(b []byte, p Property) []byte { return protocol.AppendKey(b, p) }

// A base is what all properties have in common.
type base struct {
	spec     *Spec    `layer:"const"`
	setup    *Setup   `layer:"const"`
	examined int      `layer:"const"` // it only counts
	found    *finding `layer:"const"` // set once
	failed   bool
}

// A finding is a violation.
type finding struct {
	why    string
	events []trace.Event
}

// Name is what scenarios and reports call the property.
func (b *base) Name() string { return b.spec.Name }

// Failed says that the property is violated, whatever follows.
func (b *base) Failed() bool { return b.failed }

// violate keeps the first violation. Nil events are left out.
func (b *base) violate(why string, events ...*trace.Event) {
	if b.failed {
		return
	}
	b.failed = true
	b.found = newFinding(why, events)
}

func newFinding(why string, events []*trace.Event) *finding {
	f := &finding{why: why}
	for i, e := range events {
		if e != nil && !slices.Contains(events[:i], e) {
			f.events = append(f.events, *e)
		}
	}
	slices.SortStableFunc(f.events, func(a, b trace.Event) int { return compareTimes(&a, &b) })
	return f
}

// compareTimes orders by time, and events of one node's life by their number.
func compareTimes(a, b *trace.Event) int {
	switch {
	case a.T != b.T:
		return int(min(max(a.T-b.T, -1), 1))
	case a.Node == b.Node && a.Inc == b.Inc && a.N != b.N:
		return int(min(max(int64(a.N-b.N), -1), 1))
	}
	return 0
}

// result is that of a safety property: a violation found, or none among the instances examined.
func (b *base) result(nothing string) Result {
	switch {
	case b.failed:
		return b.violated(b.found)
	case b.examined == 0:
		return b.unexercised(nothing)
	}
	return b.holding(b.examined)
}

func (b *base) holding(examined int) Result {
	return Result{Property: b.spec.Name, Verdict: Holds, Examined: examined, Basis: b.setup.basis(b.spec.Basis)}
}

func (b *base) unexercised(why string) Result {
	return Result{Property: b.spec.Name, Verdict: Unexercised, Why: why, Basis: b.setup.basis(b.spec.Basis)}
}

func (b *base) violated(f *finding) Result {
	return Result{Property: b.spec.Name, Verdict: Violated, Why: f.why, Examined: max(1, b.examined),
		Basis: b.setup.basis(b.spec.Basis), Witnesses: f.events}
}

// keep copies an event that is only lent.
func keep(e *trace.Event) *trace.Event {
	c := *e
	return &c
}

// at is a moment in words.
func at(t int64) string { return "t=" + span(t) }

// span is a length of time in words, to the microsecond.
func span(ns int64) string { return time.Duration(ns).Round(time.Microsecond).String() }
