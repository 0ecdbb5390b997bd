package check

import (
	"fmt"
	"maps"
	"slices"

	"ciranda.dev/app/bank"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// arrival is BANK-6: what was debited is applied in time. With acknowledged it is about what a client was told of: that
// is applied too, and no crash undoes its debit.
type arrival struct {
	base
	lives
	wiped
	calm         calm
	within       int64                `layer:"const"`
	acknowledged bool                 `layer:"const"`
	open         map[bank.TID]promise // not applied yet
	applied      []numbers            // by sender
}

// A promise is a debit: what its receiver must get.
type promise struct {
	to     protocol.ID
	amount int64
	since  int64
	due    bool                 // it is judged
	life   protocol.Incarnation // that acknowledged it before it told of a debit; 0 for none
	event  *trace.Event         `layer:"const"`
}

func (p *arrival) Kinds() Kinds { return calmKinds }

func (p *arrival) Step(e *trace.Event) {
	p.calm.step(e)
	p.lives.step(e)
	if !p.wiped.step(e) {
		return
	}
	switch d := e.Data.(type) {
	case bank.Debited:
		p.debited(e, d.TID, d.To, d.Amount)
	case protocol.Reply:
		if t, ok := d.Body.(bank.Transferred); ok && p.acknowledged {
			p.promised(e, t)
		}
	case bank.Credited:
		p.arrive(d.TID)
	case bank.Opened:
		p.opened(e, d.Account)
	}
}

// debited notes what is to be applied from now on.
func (p *arrival) debited(e *trace.Event, id bank.TID, to protocol.ID, amount int64) {
	d, known := p.open[id]
	if known && d.life == e.Inc {
		d.life = 0
	}
	if !known {
		d = promise{to: to, amount: amount, since: e.T, due: !p.acknowledged, event: keep(e)}
	}
	p.set(id, d)
}

func (p *arrival) set(id bank.TID, d promise) {
	if p.open == nil {
		p.open = map[bank.TID]promise{}
	}
	p.open[id] = d
}

// promised notes that a client was told that a transfer is done.
func (p *arrival) promised(e *trace.Event, t bank.Transferred) {
	d, known := p.open[t.TID]
	switch {
	case p.arrived(t.TID):
		p.examined++
	case known && d.due:
	case known:
		d.due, d.event, d.since = true, keep(e), e.T
		p.set(t.TID, d)
	default:
		p.set(t.TID, promise{to: t.To, amount: t.Amount, since: e.T, due: true, life: e.Inc, event: keep(e)})
	}
}

func (p *arrival) arrive(id bank.TID) {
	p.applied = reach(p.applied, id.Node)
	p.applied[id.Node].add(id.Number)
	if d, known := p.open[id]; known {
		if d.due {
			p.examined++
		}
		delete(p.open, id)
	}
}

func (p *arrival) arrived(id bank.TID) bool {
	return int(id.Node) < len(p.applied) && p.applied[id.Node].has(id.Number)
}

// opened reads from a stored account what a crash kept the former life from telling.
func (p *arrival) opened(e *trace.Event, a bank.Account) {
	for _, id := range orderedTIDs(p.open) {
		d := p.open[id]
		if id.Node == e.Node && d.life != 0 && p.exact() && !owes(&a, id.Number) {
			p.violate(fmt.Sprintf("transfer %s of %d to node %d was acknowledged to a client, and the crash of node %d undid it",
				id, d.amount, d.to, id.Node), d.event, e)
		}
		if d.to == e.Node && p.shows(a, id) {
			p.arrive(id)
		}
	}
	for _, out := range a.Outgoing {
		if id := (bank.TID{Node: e.Node, Number: out.Number}); !p.arrived(id) {
			p.debited(e, id, out.To, out.Amount)
		}
	}
}

// exact says that all events are recorded, also the last ones of a process that was killed.
func (b *base) exact() bool { return b.setup.Engine == Simulated || b.setup.Engine == Untimed }

// shows says whether an account has applied a transfer. The numbers below which it takes all as applied are the
// sender's word, and count only where the receiver's own may be missing.
func (p *arrival) shows(a bank.Account, id bank.TID) bool {
	if !p.exact() {
		return a.Has(id)
	}
	for _, s := range a.Applied {
		if s.From == id.Node {
			_, found := slices.BinarySearch(s.Also, id.Number)
			return found
		}
	}
	return false
}

func orderedTIDs[T any](m map[bank.TID]T) []bank.TID {
	return slices.SortedFunc(maps.Keys(m), compareTIDs)
}

func (p *arrival) Result(end int64) Result {
	if p.failed {
		return p.violated(p.found)
	}
	if why := p.excuse(); why != "" {
		return p.unexercised(why)
	}
	if why := p.calm.tooShort(end, p.within, p.setup.slack()); why != "" {
		return p.unexercised(why)
	}
	for _, id := range orderedTIDs(p.open) {
		d := p.open[id]
		since := max(d.since, p.calm.since)
		if d.due && p.live(id.Node) && p.live(d.to) && end >= since+p.within+p.setup.slack() {
			return p.violated(p.late(id, d, end-since))
		}
	}
	if p.examined == 0 {
		return p.unexercised("no such transfer was applied")
	}
	return p.holding(p.examined)
}

func (p *arrival) late(id bank.TID, d promise, after int64) *finding {
	what := "was debited"
	if p.acknowledged {
		what = "was acknowledged to a client"
	}
	return newFinding(fmt.Sprintf("transfer %s of %d to node %d %s, and is not applied after %s, when %s are allowed",
		id, d.amount, d.to, what, span(after), span(p.within)), []*trace.Event{d.event})
}
