package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/invocation"
	"ciranda.dev/trace"
)

// callInTime is RPC-8: no call returns its result after its deadline, and no budget is longer than what the caller waits.
type callInTime struct {
	base
	delays delays
	called map[invocation.RID]waiting
}

// A waiting caller waits for so long.
type waiting struct {
	timeout time.Duration
	event   *trace.Event `layer:"const"`
}

func (p *callInTime) Kinds() Kinds { return callKinds }

func (p *callInTime) Step(e *trace.Event) {
	p.delays.step(e)
	switch d := e.Data.(type) {
	case invocation.Called:
		if d.Timeout == 0 {
			return
		}
		if p.called == nil {
			p.called = map[invocation.RID]waiting{}
		}
		p.called[d.RID] = waiting{d.Timeout, keep(e)}
	case invocation.Begun:
		w, limited := p.called[d.RID]
		if !limited {
			return
		}
		p.examined++
		if d.Budget <= 0 || d.Budget > w.timeout {
			p.violate(fmt.Sprintf("the call %s has %s from its begin on, and is executed with a budget of %s", d.RID, w.timeout, d.Budget), w.event, e)
		}
	case invocation.Returned:
		w, limited := p.called[d.RID]
		delete(p.called, d.RID)
		if limited && d.Status == callOK && !p.delays.odd(e.Node) && e.T > w.event.T+int64(w.timeout)+p.setup.slack() {
			p.violate(fmt.Sprintf("the call %s returns a result %s after it was made, and its caller waits for %s", d.RID, span(e.T-w.event.T), w.timeout), w.event, e)
		}
	}
}

func (p *callInTime) Result(int64) Result { return p.result("no call with a deadline was executed") }

// callNestedInTime is DL-RPC: a call within a call waits no longer than the outer one has left.
type callNestedInTime struct {
	base
	delays delays
	outer  map[invocation.RID]waiting
}

func (p *callNestedInTime) Kinds() Kinds { return callKinds }

func (p *callNestedInTime) Step(e *trace.Event) {
	p.delays.step(e)
	switch d := e.Data.(type) {
	case invocation.Begun:
		if d.Budget == 0 {
			return
		}
		if p.outer == nil {
			p.outer = map[invocation.RID]waiting{}
		}
		p.outer[d.RID] = waiting{d.Budget, keep(e)}
	case invocation.Called:
		w, nested := p.outer[d.Parent]
		if !nested || p.delays.odd(e.Node) {
			return
		}
		p.examined++
		left := w.event.T + int64(w.timeout) - e.T
		if d.Timeout == 0 || int64(d.Timeout) > max(left, 0)+1+p.setup.slack() {
			waits := d.Timeout.String()
			if d.Timeout == 0 {
				waits = "ever"
			}
			p.violate(fmt.Sprintf("the call %s within %s waits for %s, and that has %s left", d.RID, d.Parent, waits, span(left)), w.event, e)
		}
	}
}

func (p *callNestedInTime) Result(int64) Result {
	return p.result("no call was made within a call that has a deadline")
}

// callEnds is RPC-5: once it is calm, calls that are sent until they are answered are over in time, and those that are made in the
// calm are executed.
type callEnds struct {
	base
	lives
	calm   calm
	delays delays
	within int64 `layer:"const"`
	open   map[invocation.RID]openCall
}

// An openCall is not over.
type openCall struct {
	called invocation.Called
	event  *trace.Event `layer:"const"`
}

func (p *callEnds) Kinds() Kinds { return callKinds }

func (p *callEnds) Step(e *trace.Event) {
	p.step(e)
	p.calm.step(e)
	p.delays.step(e)
	if begins(e) || ends(e) {
		maps.DeleteFunc(p.open, func(_ invocation.RID, c openCall) bool { return c.event.Node == e.Node })
	}
	switch d := e.Data.(type) {
	case invocation.Called:
		if p.open == nil {
			p.open = map[invocation.RID]openCall{}
		}
		p.open[d.RID] = openCall{d, keep(e)}
	case invocation.Returned:
		c, known := p.open[d.RID]
		if !known {
			return
		}
		p.examined++
		p.judge(c, e.T)
		delete(p.open, d.RID)
		settled := p.calm.on && c.event.T >= p.calm.since+p.within
		if settled && c.called.Timeout == 0 && c.called.Semantics != maybeCall && p.fit(c) && d.Status != callOK && d.Status != callFailed {
			p.violate(fmt.Sprintf("the call %s is made in calm and ends with %q", d.RID, d.Status), c.event, e)
		}
	}
}

// fit says whether both ends of a call are well.
func (p *callEnds) fit(c openCall) bool {
	s := c.called.Server
	return p.live(s) && p.live(c.event.Node) && !p.delays.odd(s) && !p.delays.odd(c.event.Node)
}

// judge looks whether a call was open for too long.
func (p *callEnds) judge(c openCall, now int64) {
	if !p.calm.on || !p.fit(c) || c.called.Semantics == maybeCall {
		return
	}
	if waited := now - max(c.event.T, p.calm.since); waited > p.within+p.setup.slack() {
		p.violate(fmt.Sprintf("the call %s to node %d is open for %s in calm; %s are allowed", c.called.RID, c.called.Server, span(waited),
			span(p.within)), c.event)
	}
}

func (p *callEnds) Result(end int64) Result {
	if why := p.calm.tooShort(end, p.within, p.setup.slack()); why != "" && !p.failed {
		return p.unexercised(why)
	}
	for _, c := range slices.SortedFunc(maps.Values(p.open), func(a, b openCall) int {
		return cmp.Or(compareTimes(a.event, b.event), protocol.ByID(a.event.Node, b.event.Node))
	}) {
		p.judge(c, end)
	}
	return p.result("no call was over")
}
