package check

import (
	"fmt"

	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// wellFormed is TR-1, TR-3 in total, TR-4 and TR-6: what must be so whatever the protocols do.
type wellFormed struct {
	base
	lives
	delays  delays
	records []recorded // by node
	tally   tally
}

// recorded is where the record of a node has got to.
type recorded struct {
	last  stamp
	ended int64 // when its life ended
	armed map[timer]armed
}

// A timer is one of a node's.
type timer struct {
	layer uint8
	timer protocol.Timer
}

// armed is when a timer was set, and when it expires by the node's clock.
type armed struct {
	set, due int64
}

// A tally counts what became of messages.
type tally struct {
	sent, received, dropped, copied int
	ended                           bool
	inFlight                        int
	end                             *trace.Event `layer:"const"`
}

func newWellFormed(b base) *wellFormed { return &wellFormed{base: b} }

func (p *wellFormed) Kinds() Kinds { return KindsOf(trace.End+1) - 2 } // all

func (p *wellFormed) Step(e *trace.Event) {
	if e.Kind >= trace.Drop {
		p.outside(e)
		return
	}
	p.examined++
	p.records = reach(p.records, e.Node)
	p.order(e)
	p.alive(e)
	p.lives.step(e)
	r := &p.records[e.Node]
	r.last = stamp{e.Inc, e.Kind, e.N, e.Lamport, e.T}
	switch e.Kind {
	case trace.Send:
		p.tally.sent++
		if e.Peer == protocol.None { // to each of the others
			p.tally.sent += len(p.setup.Nodes) - 2
		}
	case trace.Receive:
		p.tally.received++
	case trace.TimerSet, trace.TimerFire, trace.TimerCancel:
		p.timer(e, r)
	case trace.Crash, trace.Stop:
		clear(r.armed)
		r.ended = e.T
	}
}

// outside counts what is no node's event.
func (p *wellFormed) outside(e *trace.Event) {
	switch d := e.Data.(type) {
	case trace.Loss:
		p.tally.dropped++
	case trace.FaultNote:
		p.delays.step(e)
	case trace.Ending:
		p.tally.ended, p.tally.inFlight, p.tally.end = true, d.InFlight, keep(e)
	default:
		if e.Kind == trace.Duplicate {
			p.tally.copied++
		}
	}
}

// order is TR-1. The record of a real node may begin in the middle of its life.
func (p *wellFormed) order(e *trace.Event) {
	last := p.records[e.Node].last
	expected := uint64(1)
	if last.inc == e.Inc && !begins(e) {
		expected = last.n + 1
	}
	headless := last.inc == 0 && p.setup.Engine != Simulated
	if e.N != expected && !headless {
		p.violate(fmt.Sprintf("life %d of node %d has event %d where event %d is expected", e.Inc, e.Node, e.N, expected),
			p.previous(e), e)
	}
}

func (p *wellFormed) previous(e *trace.Event) *trace.Event {
	if last := p.records[e.Node].last; last.inc != 0 {
		return last.event(e.Node)
	}
	return nil
}

// alive is TR-4. On real machines a kill is recorded by who gave it, and may be a moment early.
func (p *wellFormed) alive(e *trace.Event) {
	now := p.of(e.Node)
	exact := p.setup.Engine == Simulated || p.setup.Engine == Untimed
	switch {
	case begins(e):
		if now.state == up || now.state == paused {
			p.violate(fmt.Sprintf("node %d begins life %d while life %d goes on", e.Node, e.Inc, now.inc), p.previous(e), e)
		}
	case now.state == unborn && exact || now.state == down && (exact || e.T > p.records[e.Node].ended+p.setup.slack()):
		p.violate(fmt.Sprintf("node %d, which does not run, has the event %s", e.Node, e.Kind), p.previous(e), e)
	case now.state != unborn && e.Inc != now.inc:
		p.violate(fmt.Sprintf("node %d has an event of life %d in life %d", e.Node, e.Inc, now.inc), p.previous(e), e)
	case now.state == paused && exact && e.Kind > trace.Resume:
		p.violate(fmt.Sprintf("node %d, which is paused, has the event %s", e.Node, e.Kind), p.previous(e), e)
	}
}

// timer is TR-6.
func (p *wellFormed) timer(e *trace.Event, r *recorded) {
	k := timer{e.Layer, e.Timer}
	switch e.Kind {
	case trace.TimerSet:
		if r.armed == nil {
			r.armed = map[timer]armed{}
		}
		r.armed[k] = armed{e.T, e.T + max(0, e.After)}
		return
	case trace.TimerFire:
		a, ok := r.armed[k]
		switch {
		case !ok && p.setup.Level == trace.Full:
			p.violate(fmt.Sprintf("node %d: timer %d of layer %d fires at %s and is not armed", e.Node, e.Timer.Kind, e.Layer, at(e.T)), e)
		case ok && e.T < a.due-p.setup.slack() && !p.delays.odd(e.Node):
			p.violate(fmt.Sprintf("node %d: timer %d of layer %d fires at %s and is due at %s", e.Node, e.Timer.Kind, e.Layer, at(e.T), at(a.due)), e)
		}
	}
	delete(r.armed, k)
}

func (p *wellFormed) Result(int64) Result {
	t := &p.tally
	lost := t.sent + t.copied - t.received - t.dropped - t.inFlight
	if t.ended && lost != 0 && p.setup.Level == trace.Full && p.setup.Engine == Simulated {
		p.violate(fmt.Sprintf("of %d messages sent and %d duplicated %d were received, %d dropped and %d are in flight: %d too few",
			t.sent, t.copied, t.received, t.dropped, t.inFlight, lost), t.end)
	}
	return p.result("nothing was recorded")
}
