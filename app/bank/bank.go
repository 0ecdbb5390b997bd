// Package bank keeps an account on each node and moves money between them: an application whose right working can be
// checked at any cut, because money must never appear or vanish.
//
// A [Transfer] takes the money from the account and makes an entry in the node's outbox, in one stored step. From then
// on it is done, whatever crashes: the node sends [Pay] until the receiver confirms it by [Paid], every
// [Options.Resend]. The receiver adds the money and notes the transfer's number, in one stored step too, so that it
// adds nothing twice. So the bank needs nothing of the layers below: messages may be lost, doubled and late. Over
// perfect links it is quicker.
//
// What it promises, if nodes keep what they stored: all accounts and all money on its way together are the same at
// every consistent cut ([Total] adds it up); no balance is below zero; each transfer is applied once, and in the end if
// its receiver is up for long enough; a client that asks again with the same [Request] gets the same answer and
// nothing is done twice, while the node remembers (the last [Options.Remember] answers) and, if it does not, it says
// so as long as it remembers the client.
//
// What it does not promise: that money arrives soon, or at a node that never comes back; that it arrives in order;
// anything about a node that lost its disk, or about two nodes that a client asked for the same. A client whose last
// answer was forgotten is a new client some Remember clients later: a request that it makes again then is done again.
//
// The outbox and the filter of numbers are common practice ("transactional outbox", "idempotent receiver"); that a sum
// over a consistent cut shows a mistake is from K. M. Chandy, L. Lamport, Distributed Snapshots, ACM TOCS 3(1), 1985.
package bank

import (
	"fmt"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/snapshot"
)

// A Bank is one node's part: a layer for the top of any stack. It takes [Transfer] and [Balance] from clients, answers
// [Query], and indicates [Opened], [Debited], [Credited] and [Settled]. Above a snapshot layer it hands over its [Account].
type Bank struct {
	protocol.Base
	opts Options `layer:"const"`
	self protocol.ID

	account account
	log     log
	armed   bool                // the resend timer
	waiting map[uint64][]uint64 // the calls that wait for a transfer to be settled, by its number
	later   []operation         // debits whose entry is yet to be made: the mistake M1
}

// The timers.
const (
	resendTimer uint32 = iota // armed while a transfer is under way
	laterTimer                // of the mistake M1 alone
)

// New makes a node's bank. The zero Options are the defaults. It does not check them: see [Options.Validate].
func New(opts Options) *Bank {
	return &Bank{opts: opts.WithDefaults(), account: account{overdraws: opts.Mistake == M10}}
}

// Traits says what the layer is.
func (b *Bank) Traits() protocol.Traits {
	return protocol.Traits{Channel: "bank", Messages: messages, Timers: []string{"resend", "later"}}
}

// Start opens the account.
func (b *Bank) Start(o *protocol.Out) {
	b.self = o.Self().ID
	b.account.balance, b.account.next = b.opts.Balance, 1
	b.saveAll(o)
	o.Indicate(Opened{b.view()})
}

// Recover opens the account as it was stored, and sends again what may not have arrived.
func (b *Bank) Recover(stored protocol.Stored, o *protocol.Out) {
	found, err := b.load(stored)
	if err != nil { // to go on without it would be to make or lose money
		panic(fmt.Sprintf("bank: node %d: stored %v", o.Self().ID, err))
	}
	if !found {
		b.Start(o)
		return
	}
	b.self = o.Self().ID
	b.mistakenMemory(o)
	o.Indicate(Opened{b.view()})
	b.resend(o)
}

// Expire sends again what is not confirmed.
func (b *Bank) Expire(t protocol.Timer, o *protocol.Out) {
	if t.Kind == laterTimer {
		b.enterLate(o)
		return
	}
	b.armed = false
	b.resend(o)
}

// resend sends what was not sent since the timer last expired.
func (b *Bank) resend(o *protocol.Out) {
	open := false
	for i := range b.account.peers {
		p := &b.account.peers[i]
		for j := range p.window {
			if e := &p.window[j]; e.amount > 0 {
				if !e.fresh && slices.Contains(o.Self().Group, p.id) {
					o.Send(p.id, Pay{e.number, e.amount, p.low()})
				}
				e.fresh, open = false, true
			}
		}
	}
	if open {
		b.arm(o)
	}
}

func (b *Bank) arm(o *protocol.Out) {
	if !b.armed {
		b.armed = true
		o.Set(protocol.Timer{Kind: resendTimer}, b.opts.Resend)
	}
}

// Receive handles the messages.
func (b *Bank) Receive(from protocol.ID, m protocol.Message, o *protocol.Out) {
	switch m := m.(type) {
	case Pay:
		b.pay(from, m, o)
	case Paid:
		b.paid(from, m, o)
	case Account:
		o.Note(Dropped{from, "an account"})
	default:
		panic(fmt.Sprintf("bank: node %d: unknown message %T", b.self, m))
	}
}

// Indicate hands over the account for a snapshot.
func (b *Bank) Indicate(e protocol.Event, o *protocol.Out) bool {
	cut, ok := e.(snapshot.Cut)
	if ok {
		o.Request(snapshot.State{ID: cut.ID, State: o.Packet(b.view())})
	}
	return ok
}

// pay applies a transfer, unless it was applied before, and confirms it in any case.
func (b *Bank) pay(from protocol.ID, m Pay, o *protocol.Out) {
	p := b.account.peer(from)
	if !b.applied(p, m.Number) {
		if why := b.strange(p, m); why != "" {
			o.Note(Dropped{from, why})
			return
		}
		op := operation{kind: credit, peer: from, number: m.Number, amount: m.Amount, low: m.Low}
		b.must(op)
		b.save(op, o)
		o.Indicate(Credited{TID{from, m.Number}, m.Amount, b.account.balance})
		if b.opts.Mistake == M5 {
			o.Ungate()
		}
	}
	o.Send(from, Paid{m.Number})
}

// must does an operation that is known to be possible.
func (b *Bank) must(op operation) {
	if err := b.account.do(op, b.opts.Remember); err != nil {
		panic(fmt.Sprintf("bank: node %d: %v", b.self, err))
	}
}

// strange says why no node of the bank sends such a message; empty if one may. It keeps the state bounded.
func (b *Bank) strange(p *peer, m Pay) string {
	switch {
	case m.Amount < 1 || m.Amount >= ceiling-b.account.balance:
		return fmt.Sprintf("transfer %d is of %d", m.Number, m.Amount)
	case m.Number >= ceiling || m.Low > m.Number || m.Low == 0:
		return fmt.Sprintf("transfer %d comes with %d as the oldest", m.Number, m.Low)
	case len(p.also) >= mostWindow:
		return fmt.Sprintf("%d transfers are ahead of the oldest", len(p.also))
	}
	return ""
}

// paid settles a transfer and answers who waited for that.
func (b *Bank) paid(from protocol.ID, m Paid, o *protocol.Out) {
	p := b.account.peer(from)
	i := p.find(m.Number)
	if i < 0 {
		return
	}
	done := Transferred{TID{b.self, m.Number}, from, p.window[i].amount, true}
	p.settle(m.Number)
	if m := b.opts.Mistake; m == M2 || m == M5 { // an entry that comes back after a crash would make up for them
		b.log.serial++
		b.saveAll(o)
	}
	o.Indicate(Settled{done.TID})
	for _, call := range b.waiting[m.Number] {
		o.Indicate(protocol.Reply{ID: call, Body: done})
	}
	delete(b.waiting, m.Number)
}

// view is the account as others may see it.
func (b *Bank) view() Account {
	v := b.account.view(b.self)
	if b.opts.Mistake == M7 {
		v.Applied = nil
	}
	return v
}

// String describes the state for people.
func (b *Bank) String() string {
	under, money := 0, int64(0)
	for i := range b.account.peers {
		for _, e := range b.account.peers[i].window {
			if e.amount > 0 {
				under, money = under+1, money+e.amount
			}
		}
	}
	return fmt.Sprintf("balance %d, %d transfers of %d in all under way, next %d", b.account.balance, under, money, b.account.next)
}
