package check

import (
	"cmp"
	"encoding/json"
	"fmt"

	"ciranda.dev/app/bank"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// readReply gives a reply that was read from a file its type, if its body is one that a property knows.
func readReply(e *trace.Event) (any, bool) {
	raw, ok := e.Data.(trace.Raw)
	if !ok {
		return nil, false
	}
	var reply struct {
		ID   uint64 `json:"id"`
		Body struct {
			TID *bank.TID `json:"tid"`
			bank.Transferred
		} `json:"body"`
	}
	if err := json.Unmarshal(raw.JSON, &reply); err != nil || reply.Body.TID == nil {
		return nil, false
	}
	body := reply.Body.Transferred
	body.TID = *reply.Body.TID
	return protocol.Reply{ID: reply.ID, Body: body}, true
}

func compareTIDs(a, b bank.TID) int {
	return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Number, b.Number))
}

// wiped watches for a node of the bank that comes back without its disk. Nothing is promised from then on.
type wiped struct {
	opened []bool // by node
	who    protocol.ID
}

// step says whether the bank is still to be judged.
func (w *wiped) step(e *trace.Event) bool {
	w.opened = reach(w.opened, e.Node)
	if _, ok := told[bank.Opened](e); ok {
		w.opened[e.Node] = true
	}
	if life, ok := e.Data.(trace.Life); ok && e.Kind == trace.Recover && !life.Stored && w.opened[e.Node] {
		w.who = e.Node
	}
	return w.who == protocol.None
}

// excuse says why the rest of the run cannot be judged; empty if it can.
func (w *wiped) excuse() string {
	if w.who == protocol.None {
		return ""
	}
	return fmt.Sprintf("node %d lost its disk, and its account with it", w.who)
}

// resultOf is that of a safety property of the bank.
func (b *base) resultOf(w *wiped, nothing string) Result {
	if why := w.excuse(); why != "" && !b.failed {
		return b.unexercised(why)
	}
	return b.result(nothing)
}

// noOverdraft is BANK-2.
type noOverdraft struct{ base }

func (p *noOverdraft) Kinds() Kinds { return KindsOf(trace.Told) }

func (p *noOverdraft) Step(e *trace.Event) {
	balance := int64(0)
	switch d := e.Data.(type) {
	case bank.Opened:
		balance = d.Account.Balance
	case bank.Debited:
		balance = d.Balance
	case bank.Credited:
		balance = d.Balance
	default:
		return
	}
	p.examined++
	if balance < 0 {
		p.violate(fmt.Sprintf("node %d has a balance of %d", e.Node, balance), e)
	}
}

func (p *noOverdraft) Result(int64) Result { return p.result("no node told a balance") }

// appliedOnce is BANK-4.
type appliedOnce struct {
	base
	wiped
	applied []numbers // by sender
}

func (p *appliedOnce) Kinds() Kinds { return toldKinds }

func (p *appliedOnce) Step(e *trace.Event) {
	if !p.wiped.step(e) {
		return
	}
	d, ok := told[bank.Credited](e)
	if !ok {
		return
	}
	p.applied = reach(p.applied, d.TID.Node)
	p.examined++
	if !p.applied[d.TID.Node].add(d.TID.Number) {
		p.violate(fmt.Sprintf("node %d applies transfer %s of %d, which was applied before", e.Node, d.TID, d.Amount), e)
	}
}

func (p *appliedOnce) Result(int64) Result { return p.resultOf(&p.wiped, "no transfer was applied") }

// appliedAfterDebit is BANK-5. On real machines the last events of a process that was killed may be missing: a debit
// among them is told again when the node is back, or is not judged.
type appliedAfterDebit struct {
	base
	wiped
	open    map[bank.TID]promise // debited, and not known to be settled
	past    []numbers            // by sender: settled
	orphans map[bank.TID]orphan  // applied, and no debit is known yet
}

type orphan struct {
	amount int64
	at     protocol.ID
	event  *trace.Event `layer:"const"`
}

func (p *appliedAfterDebit) Kinds() Kinds { return toldKinds }

func (p *appliedAfterDebit) Step(e *trace.Event) {
	if !p.wiped.step(e) {
		return
	}
	switch d := e.Data.(type) {
	case bank.Debited:
		p.owe(d.TID, promise{to: d.To, amount: d.Amount, event: keep(e)})
	case bank.Opened:
		for _, out := range d.Account.Outgoing {
			p.owe(bank.TID{Node: e.Node, Number: out.Number}, promise{to: out.To, amount: out.Amount, event: keep(e)})
		}
	case bank.Credited:
		p.apply(e, d)
	case bank.Settled:
		p.past = reach(p.past, e.Node)
		p.past[e.Node].add(d.TID.Number)
		delete(p.open, d.TID)
	}
	if ends(e) && len(p.orphans) > 0 {
		p.bury(e.Node)
	}
}

// owe notes a debit, and looks at it again if it was applied before it was told.
func (p *appliedAfterDebit) owe(id bank.TID, d promise) {
	if p.open == nil {
		p.open = map[bank.TID]promise{}
	}
	p.open[id] = d
	if o, ok := p.orphans[id]; ok {
		delete(p.orphans, id)
		p.compare(id, d, o)
	}
}

func (p *appliedAfterDebit) apply(e *trace.Event, c bank.Credited) {
	o := orphan{c.Amount, e.Node, keep(e)}
	d, open := p.open[c.TID]
	switch {
	case open:
		p.compare(c.TID, d, o)
	case int(c.TID.Node) < len(p.past) && p.past[c.TID.Node].has(c.TID.Number):
	case p.exact():
		p.missing(c.TID, o)
	default:
		if p.orphans == nil {
			p.orphans = map[bank.TID]orphan{}
		}
		p.orphans[c.TID] = o
	}
}

func (p *appliedAfterDebit) compare(id bank.TID, d promise, o orphan) {
	p.examined++
	if d.to != o.at || d.amount != o.amount {
		p.violate(fmt.Sprintf("node %d applies transfer %s of %d, and it was debited as %d to node %d", o.at, id, o.amount, d.amount, d.to),
			d.event, o.event)
	}
}

func (p *appliedAfterDebit) missing(id bank.TID, o orphan) {
	p.violate(fmt.Sprintf("node %d applies transfer %s of %d, which was never debited", o.at, id, o.amount), o.event)
}

// bury forgets what a process may have failed to record before it was killed.
func (p *appliedAfterDebit) bury(sender protocol.ID) {
	for id := range p.orphans {
		if id.Node == sender {
			delete(p.orphans, id)
		}
	}
}

func (p *appliedAfterDebit) Result(int64) Result {
	if ids := orderedTIDs(p.orphans); len(ids) > 0 && !p.failed && p.who == protocol.None {
		o := p.orphans[ids[0]]
		return p.violated(newFinding(fmt.Sprintf("node %d applies transfer %s of %d, which was never debited", o.at, ids[0], o.amount),
			[]*trace.Event{o.event}))
	}
	return p.resultOf(&p.wiped, "no transfer was applied")
}

// requestOnce is that the same request of a client is debited once, and that the account's next lives know what a client
// was told: the number of a transfer that it was told of is not given again.
type requestOnce struct {
	base
	wiped
	done map[clientKey]numbers
	told []promised // by node
}

type clientKey struct {
	node   protocol.ID
	client string
}

// promised is the highest transfer of which a client was told.
type promised struct {
	number uint64
	event  *trace.Event `layer:"const"`
}

func (p *requestOnce) Kinds() Kinds { return toldKinds }

func (p *requestOnce) Step(e *trace.Event) {
	if !p.wiped.step(e) {
		return
	}
	switch d := e.Data.(type) {
	case bank.Debited:
		p.debited(e, d)
	case protocol.Reply:
		if t, ok := d.Body.(bank.Transferred); ok && t.TID.Node == e.Node {
			p.told = reach(p.told, e.Node)
			if was := &p.told[e.Node]; t.TID.Number > was.number {
				*was = promised{t.TID.Number, keep(e)}
			}
		}
	case bank.Opened:
		p.told = reach(p.told, e.Node)
		if was := p.told[e.Node]; was.number > 0 && d.Account.Next > 0 {
			p.examined++
			if was.number >= d.Account.Next {
				p.violate(fmt.Sprintf("node %d does not know transfer %d:%d any more, of which a client was told that it is done",
					e.Node, e.Node, was.number), was.event, e)
			}
		}
	}
}

func (p *requestOnce) debited(e *trace.Event, d bank.Debited) {
	if d.Request.Client == "" {
		return
	}
	if p.done == nil {
		p.done = map[clientKey]numbers{}
	}
	k := clientKey{e.Node, d.Request.Client}
	done := p.done[k]
	p.examined++
	if !done.add(d.Request.Number) {
		p.violate(fmt.Sprintf("node %d does request %s twice", e.Node, d.Request), e)
	}
	p.done[k] = done
}

func (p *requestOnce) Result(int64) Result {
	return p.resultOf(&p.wiped, "no request had a number, and nothing of which a client was told went through a crash")
}
