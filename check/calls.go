package check

import (
	"fmt"
	"slices"

	"ciranda.dev/app/counter"
	"ciranda.dev/protocol/invocation"
	"ciranda.dev/trace"
)

func init() {
	decode[invocation.Called]()
	decode[invocation.Again]()
	decode[invocation.Begun]()
	decode[invocation.Over]()
	decode[invocation.Returned]()
	decode[invocation.Forgotten]()
	decode[invocation.Restored]()
	decode[invocation.Opened]()
	decode[invocation.Ended]()
	decode[invocation.Held]()
	decode[invocation.LostSession]()
	decode[counter.Added]()
}

// Statuses and semantics as notes have them.
var (
	callOK     = invocation.OK.String()
	callFailed = invocation.Failed.String()
	atMostOnce = invocation.AtMostOnce.String()
	maybeCall  = invocation.Maybe.String()
)

// callKinds are what properties of calls read: lives, faults and notes.
var callKinds = calmKinds | KindsOf(trace.Noted)

// nobody is why a property of calls was not exercised.
const nobodyCalls = "no call was made that could show it"

// callAtMostOnce is RPC-1: each at-most-once call is executed once, over all lives of all servers.
type callAtMostOnce struct {
	base
	begun map[invocation.RID]seen
}

// A seen event is kept for its time and as a witness.
type seen struct {
	event *trace.Event `layer:"const"`
}

func (p *callAtMostOnce) Kinds() Kinds { return callKinds }

func (p *callAtMostOnce) Step(e *trace.Event) {
	switch d := e.Data.(type) {
	case invocation.Restored: // it was begun, noted or not
		if _, noted := p.begun[d.RID]; !noted {
			p.begun = remember(p.begun, d.RID, e)
		}
	case invocation.Begun:
		if d.Semantics != atMostOnce {
			return
		}
		p.examined++
		if first, twice := p.begun[d.RID]; twice {
			p.violate(fmt.Sprintf("the call %s is executed at node %d, and was executed at node %d before", d.RID, e.Node, first.event.Node), first.event, e)
		}
		p.begun = remember(p.begun, d.RID, e)
	}
}

// remember keeps an event under the id of its call.
func remember(all map[invocation.RID]seen, rid invocation.RID, e *trace.Event) map[invocation.RID]seen {
	if all == nil {
		all = map[invocation.RID]seen{}
	}
	all[rid] = seen{keep(e)}
	return all
}

func (p *callAtMostOnce) Result(int64) Result { return p.result(nobodyCalls) }

// countedOnce is the same as the counters see it: no mark is added twice.
type countedOnce struct {
	base
	added map[string]seen
}

func (p *countedOnce) Kinds() Kinds { return callKinds }

func (p *countedOnce) Step(e *trace.Event) {
	d, ok := e.Data.(counter.Added)
	if !ok {
		return
	}
	p.examined++
	if first, twice := p.added[d.Mark]; twice {
		p.violate(fmt.Sprintf("the increment %s is counted twice", d.Mark), first.event, e)
		return
	}
	if p.added == nil {
		p.added = map[string]seen{}
	}
	p.added[d.Mark] = seen{keep(e)}
}

func (p *countedOnce) Result(int64) Result { return p.result("no counter was incremented") }

// callTrueResult is RPC-2: what a call returns is what an execution of it gave before.
type callTrueResult struct {
	base
	results map[invocation.RID][]string
}

func (p *callTrueResult) Kinds() Kinds { return callKinds }

func (p *callTrueResult) Step(e *trace.Event) {
	switch d := e.Data.(type) {
	case invocation.Over:
		p.gives(d.RID, d.Result)
	case invocation.Restored:
		if d.Status == callOK && !slices.Contains(p.results[d.RID], d.Result) {
			p.gives(d.RID, d.Result)
		}
	case invocation.Returned:
		if d.Status != callOK {
			return
		}
		p.examined++
		given := p.results[d.RID]
		if !slices.Contains(given, d.Result) && (len(given) > 0 || p.setup.exact()) {
			p.violate(fmt.Sprintf("the call %s returns %.40q, and its executions gave %.80q", d.RID, d.Result, given), e)
		}
	}
}

func (p *callTrueResult) gives(rid invocation.RID, result string) {
	if p.results == nil {
		p.results = map[invocation.RID][]string{}
	}
	p.results[rid] = append(slices.Clip(p.results[rid]), result)
}

func (p *callTrueResult) Result(int64) Result { return p.result("no call returned a result") }

// callTrueWord is RPC-3 and what goes with it: a call is executed if its caller is told so, and not if it is told not.
type callTrueWord struct {
	base
	begun  map[invocation.RID]seen
	denied map[invocation.RID]seen
}

func (p *callTrueWord) Kinds() Kinds { return callKinds }

func (p *callTrueWord) Step(e *trace.Event) {
	switch d := e.Data.(type) {
	case invocation.Restored:
		p.begun = remember(p.begun, d.RID, e)
	case invocation.Begun:
		p.begun = remember(p.begun, d.RID, e)
		if told, denied := p.denied[d.RID]; denied {
			p.violate(fmt.Sprintf("the call %s is executed, and its caller was told that it is not", d.RID), told.event, e)
		}
	case invocation.Returned:
		p.returned(e, d)
	}
}

func (p *callTrueWord) returned(e *trace.Event, d invocation.Returned) {
	p.examined++
	first, begun := p.begun[d.RID]
	switch d.Knowledge {
	case invocation.Executed.String():
		if !begun && p.setup.exact() {
			p.violate(fmt.Sprintf("the caller of %s is told that it was executed, and it was not", d.RID), e)
		}
	case invocation.NotExecuted.String():
		if begun {
			p.violate(fmt.Sprintf("the caller of %s is told that it was not executed, and it was", d.RID), first.event, e)
		}
		p.denied = remember(p.denied, d.RID, e)
	}
}

func (p *callTrueWord) Result(int64) Result { return p.result("no call was over") }

// callMaybeOnce is RPC-4: the request of a maybe call is sent once.
type callMaybeOnce struct {
	base
	called map[invocation.RID]seen
}

func (p *callMaybeOnce) Kinds() Kinds { return callKinds }

func (p *callMaybeOnce) Step(e *trace.Event) {
	switch d := e.Data.(type) {
	case invocation.Called:
		if d.Semantics != maybeCall {
			return
		}
		p.examined++
		p.called = remember(p.called, d.RID, e)
	case invocation.Again:
		if first, maybe := p.called[d.RID]; maybe {
			p.violate(fmt.Sprintf("the call %s is to be sent once, and is sent again", d.RID), first.event, e)
		}
	}
}

func (p *callMaybeOnce) Result(int64) Result { return p.result("no maybe call was made") }

// callOneID is RPC-9: all that happens to a call has the id under which it was made, and it knows its chain.
type callOneID struct {
	base
	roots map[invocation.RID]invocation.RID // of the calls that were made
}

func (p *callOneID) Kinds() Kinds { return callKinds }

func (p *callOneID) Step(e *trace.Event) {
	switch d := e.Data.(type) {
	case invocation.Called:
		p.examined++
		root, known := p.roots[d.Parent]
		switch nested := d.Parent.Seq != 0; {
		case !nested && d.Root != d.RID:
			p.violate(fmt.Sprintf("the call %s was made by nobody, and its chain begins with %s", d.RID, d.Root), e)
		case nested && known && d.Root != root:
			p.violate(fmt.Sprintf("the chain of %s begins with %s, and that of %s, which makes it, with %s", d.RID, d.Root, d.Parent, root), e)
		}
		if p.roots == nil {
			p.roots = map[invocation.RID]invocation.RID{}
		}
		p.roots[d.RID] = d.Root
	case invocation.Again:
		p.known(e, d.RID, "sent again")
	case invocation.Begun:
		p.known(e, d.RID, "executed")
		if root, known := p.roots[d.RID]; known && root != d.Root {
			p.violate(fmt.Sprintf("the chain of %s begins with %s, and it is executed for %s", d.RID, root, d.Root), e)
		}
	case invocation.Returned:
		p.known(e, d.RID, "over")
	case invocation.Forgotten:
		p.known(e, d.RID, "forgotten")
	}
}

// known demands that a call was made. What a killed process told last may be missing.
func (p *callOneID) known(e *trace.Event, rid invocation.RID, what string) {
	if _, known := p.roots[rid]; !known && p.setup.exact() {
		p.violate(fmt.Sprintf("the call %s is %s, and nobody made it", rid, what), e)
	}
}

func (p *callOneID) Result(int64) Result { return p.result(nobodyCalls) }
