package check

import (
	"fmt"
	"slices"
	"strings"

	"ciranda.dev/app/bank"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// moneyConserved is BANK-1 and BANK-3: in every consistent cut that is drawn, and at the end, all money is there.
//
// A cut is drawn while the events go by: at some event a node turns, which closes its part of the cut, and the others
// follow by chance; but a node turns before it takes in anything that a node which has turned sent after that. So
// every receipt in the cut has its sending in it. Where messages are not recorded, that they are applied and settled
// shows them.
type moneyConserved struct {
	base
	wiped
	books  []book // by node
	past   []numbers
	ended  []bank.TID // settled, and not yet moved to past: the present cut may need them
	cut    cut
	chance uint64
}

// A book is what a node has told of its account.
type book struct {
	account bank.Account // Applied lists what is not in past
	opened  bool
	gap     bool   // on a real machine: it died before it could record all, and has not come back
	highest uint64 // transfer debited
	life    protocol.Incarnation
	sent    uint64       // the last message of that life
	last    *trace.Event `layer:"const"` // of those that changed the account
}

// A cut is one that is being drawn.
type cut struct {
	on      bool
	spoiled bool   // a book had a gap
	left    int    // events until all turn
	turned  []bool // by node
	parts   []book // by node
}

const (
	longestCut  = 30 // events of the bank
	chanceStart = 2  // one of so many events of the bank begins a cut
	chanceTurn  = 4  // one of so many turns its node
)

func (p *moneyConserved) Kinds() Kinds {
	if p.setup.Level == trace.Full {
		return toldKinds | KindsOf(trace.Send, trace.Receive)
	}
	return toldKinds
}

func (p *moneyConserved) Step(e *trace.Event) {
	if !p.wiped.step(e) || p.failed {
		return
	}
	if p.books == nil {
		p.begin()
	}
	p.books = reach(p.books, e.Node)
	switch e.Kind {
	case trace.Send:
		b := &p.books[e.Node]
		b.life, b.sent = e.Inc, e.Seq
	case trace.Receive:
		if p.cut.on && p.turned(e.Peer) && p.cut.parts[e.Peer].before(e) {
			p.turn(e.Node)
		}
	case trace.Told:
		p.hear(e)
	}
}

func (p *moneyConserved) begin() {
	for _, id := range p.setup.Nodes {
		p.books = reach(p.books, id)
		p.books[id].account = bank.Account{Node: id, Balance: p.setup.Bank.Balance}
	}
}

// before says whether a message was sent after this part of the cut.
func (b *book) before(e *trace.Event) bool {
	return e.PeerInc > b.life || e.PeerInc == b.life && e.Seq > b.sent
}

// hear reads an event of the bank. A node turns before it.
func (p *moneyConserved) hear(e *trace.Event) {
	switch e.Data.(type) {
	case bank.Opened, bank.Debited, bank.Credited, bank.Settled:
	default:
		return
	}
	p.draw(e)
	b := &p.books[e.Node]
	switch d := e.Data.(type) {
	case bank.Opened:
		p.open(b, d.Account)
	case bank.Debited:
		b.account.Balance, b.highest = d.Balance, max(b.highest, d.TID.Number)
		b.account.Outgoing = append(b.account.Outgoing, bank.Outgoing{Number: d.TID.Number, To: d.To, Amount: d.Amount})
	case bank.Credited:
		p.credit(b, d)
	case bank.Settled:
		p.settle(b, d.TID)
	}
	b.last = keep(e)
}

// open takes a stored account. What a former life knew to be settled and a crash brought back is left out.
func (p *moneyConserved) open(b *book, a bank.Account) {
	p.past = reach(p.past, a.Node)
	a.Outgoing = slices.DeleteFunc(slices.Clone(a.Outgoing), func(o bank.Outgoing) bool {
		b.highest = max(b.highest, o.Number)
		return p.past[a.Node].has(o.Number)
	})
	a.Applied = slices.Clone(a.Applied)
	for i := range a.Applied {
		a.Applied[i].Also = slices.Clone(a.Applied[i].Also)
	}
	b.account, b.opened, b.gap = a, true, false
}

func (p *moneyConserved) credit(b *book, d bank.Credited) {
	sender := d.TID.Node
	p.books = reach(p.books, sender)
	if !owes(&p.books[sender].account, d.TID.Number) && !b.account.Has(d.TID) {
		p.miss(sender)
	}
	b = &p.books[b.account.Node]
	b.account.Balance = d.Balance
	i := slices.IndexFunc(b.account.Applied, func(a bank.Applied) bool { return a.From == sender })
	if i < 0 {
		i = len(b.account.Applied)
		b.account.Applied = append(b.account.Applied, bank.Applied{From: sender})
	}
	also := &b.account.Applied[i].Also
	if j, found := slices.BinarySearch(*also, d.TID.Number); !found {
		*also = slices.Insert(*also, j, d.TID.Number)
	}
}

func owes(a *bank.Account, number uint64) bool {
	return slices.ContainsFunc(a.Outgoing, func(o bank.Outgoing) bool { return o.Number == number })
}

func (p *moneyConserved) settle(b *book, id bank.TID) {
	i := slices.IndexFunc(b.account.Outgoing, func(o bank.Outgoing) bool { return o.Number == id.Number })
	if i < 0 {
		return
	}
	to := b.account.Outgoing[i].To
	p.books = reach(p.books, to)
	if !p.books[to].account.Has(id) {
		p.miss(to)
	}
	b = &p.books[id.Node]
	b.account.Outgoing = slices.Delete(b.account.Outgoing, i, i+1)
	p.ended = append(p.ended, id)
}

// miss notes that events of a node are missing. In the simulator none are.
func (p *moneyConserved) miss(id protocol.ID) {
	if !p.exact() {
		p.books[id].gap, p.cut.spoiled = true, true
	}
}

// draw lets a cut begin, and nodes turn, before an event.
func (p *moneyConserved) draw(e *trace.Event) {
	switch {
	case !p.cut.on && p.draws(e, chanceStart):
		p.cut = cut{on: true, left: longestCut, turned: make([]bool, len(p.books)), parts: make([]book, len(p.books))}
		p.turn(e.Node)
	case p.cut.on && (p.must(e) || p.draws(e, chanceTurn)):
		p.turn(e.Node)
	}
	if p.cut.on {
		if p.cut.left--; p.cut.left <= 0 {
			p.turnAll()
		}
	}
}

// draws is true once in n times.
func (p *moneyConserved) draws(e *trace.Event, n uint64) bool {
	p.chance = (p.chance ^ uint64(e.T) ^ uint64(e.Node)<<48) * 0x9e3779b97f4a7c15
	p.chance ^= p.chance >> 29
	return p.chance>>8%n == 0
}

// must says that an event follows from what is beyond the cut.
func (p *moneyConserved) must(e *trace.Event) bool {
	switch d := e.Data.(type) {
	case bank.Credited:
		return p.turned(d.TID.Node) && d.TID.Number > p.cut.parts[d.TID.Node].highest
	case bank.Settled:
		for _, o := range p.books[e.Node].account.Outgoing {
			if o.Number == d.TID.Number {
				return p.turned(o.To) && p.books[o.To].account.Has(d.TID) && !p.cut.parts[o.To].account.Has(d.TID)
			}
		}
	}
	return false
}

func (p *moneyConserved) turned(id protocol.ID) bool {
	return int(id) < len(p.cut.turned) && p.cut.turned[id]
}

// turn closes a node's part of the cut.
func (p *moneyConserved) turn(id protocol.ID) {
	if p.turned(id) || int(id) >= len(p.cut.turned) {
		return
	}
	p.cut.turned[id] = true
	part := &p.cut.parts[id]
	*part = p.books[id]
	part.account.Outgoing = slices.Clone(part.account.Outgoing)
	part.account.Applied = slices.Clone(part.account.Applied)
	for i := range part.account.Applied {
		part.account.Applied[i].Also = slices.Clone(part.account.Applied[i].Also)
	}
	p.cut.spoiled = p.cut.spoiled || part.gap
	if !slices.ContainsFunc(p.setup.Nodes, func(id protocol.ID) bool { return !p.turned(id) }) {
		p.finish()
	}
}

func (p *moneyConserved) turnAll() {
	for _, id := range p.setup.Nodes {
		if p.cut.on {
			p.turn(id)
		}
	}
}

// finish judges a cut that is drawn, and moves what has been settled to the past.
func (p *moneyConserved) finish() {
	p.cut.on = false
	if !p.cut.spoiled {
		p.examined++
		if f := p.judge(p.cut.parts); f != nil {
			p.failed, p.found = true, f
		}
	}
	p.cut = cut{}
	for _, id := range p.ended {
		p.past = reach(p.past, id.Node)
		p.past[id.Node].add(id.Number)
		b := &p.books[id.Node].account // a crash may have brought it back
		b.Outgoing = slices.DeleteFunc(b.Outgoing, func(o bank.Outgoing) bool { return o.Number == id.Number })
		for i := range p.books {
			forget(&p.books[i].account, id)
		}
	}
	p.ended = p.ended[:0]
}

// forget takes a transfer out of what an account lists as applied.
func forget(a *bank.Account, id bank.TID) {
	for i := range a.Applied {
		if s := &a.Applied[i]; s.From == id.Node {
			if j, found := slices.BinarySearch(s.Also, id.Number); found {
				s.Also = slices.Delete(s.Also, j, j+1)
			}
		}
	}
}

// judge adds up the money of a cut. It gives nil if all is there.
func (p *moneyConserved) judge(parts []book) *finding {
	var accounts []bank.Account
	for _, id := range p.setup.Nodes {
		accounts = append(accounts, parts[id].account)
	}
	want := p.setup.Bank.Balance * int64(len(accounts))
	total := bank.Total(accounts)
	if total == want {
		return nil
	}
	var text []string
	var events []*trace.Event
	away := total
	for _, a := range accounts {
		text = append(text, fmt.Sprintf("node %d has %d", a.Node, a.Balance))
		away -= a.Balance
		events = append(events, parts[a.Node].last)
	}
	return newFinding(fmt.Sprintf("all money is %d in a consistent cut, and should be %d: %s, and %d is on its way",
		total, want, strings.Join(text, ", "), away), events)
}

func (p *moneyConserved) Result(int64) Result {
	if why := p.excuse(); why != "" && !p.failed {
		return p.unexercised(why)
	}
	told := slices.ContainsFunc(p.books, func(b book) bool { return b.opened })
	gap := slices.ContainsFunc(p.books, func(b book) bool { return b.gap })
	if told && !gap && !p.failed { // the end is a cut
		if f := p.judge(p.books); f != nil {
			return p.violated(f)
		}
		return p.holding(p.examined + 1)
	}
	return p.result("no node opened its account, or not all that happened is recorded")
}
