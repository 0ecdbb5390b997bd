package bank

import (
	"fmt"
	"slices"

	"ciranda.dev/protocol"
)

const (
	longestName = 64  // bytes of a client's name
	longestWhy  = 256 // bytes of the reason of a refusal
	mostWaiting = 16  // calls that wait for one transfer
)

// Request takes clients' calls.
func (b *Bank) Request(r any, o *protocol.Out) bool {
	call, ok := r.(protocol.Call)
	if !ok {
		return false
	}
	switch body := call.Body.(type) {
	case Transfer:
		b.transfer(call.ID, body, o)
	case Balance:
		o.Indicate(protocol.Reply{ID: call.ID, Body: b.view()})
	default:
		return false
	}
	return true
}

// Answer shows the account.
func (b *Bank) Answer(question any) (any, bool) {
	if _, ok := question.(Query); !ok {
		return nil, false
	}
	return b.view(), true
}

// transfer gives the answer to a request that was answered before, or moves the money.
func (b *Bank) transfer(call uint64, t Transfer, o *protocol.Out) {
	if why := t.wrong(o.Self()); why != "" {
		b.reply(call, protocol.Refused{Why: why}, o)
		return
	}
	op := operation{kind: debit, peer: t.To, number: b.account.next, amount: t.Amount, request: t.Request}
	if t.Request.Client != "" {
		if n, known, forgotten := b.account.answers.find(t.Request); known || forgotten {
			b.again(call, t, n, known, o)
			return
		}
	}
	if op.why = b.impossible(t); op.why != "" {
		b.refuse(call, op, o)
		return
	}
	b.debit(op, o)
	done := Transferred{TID{b.self, op.number}, t.To, t.Amount, false}
	b.answer(call, done, t.Wait, o)
}

// wrong says which field makes no sense, whatever the state. The empty text is none.
func (t Transfer) wrong(self protocol.Self) string {
	switch {
	case t.To == self.ID:
		return fmt.Sprintf("to: %d is the account that the money would leave", t.To)
	case !slices.Contains(self.Group, t.To):
		return fmt.Sprintf("to: there is no account %d; expected one of %s", t.To, accounts(self.Group))
	case t.Amount < 1:
		return fmt.Sprintf("amount: found %d; expected 1 or more", t.Amount)
	case t.Amount >= ceiling:
		return fmt.Sprintf("amount: found %d; expected less than 2^62", t.Amount)
	case len(t.Request.Client) > longestName:
		return fmt.Sprintf("request.client: found %d bytes; expected at most %d", len(t.Request.Client), longestName)
	case t.Request.Client == "" && t.Request != Request{}:
		return "request.client: found nothing; expected a name, for there is a number"
	case t.Request.Client != "" && (t.Request.Number < 1 || t.Request.Number >= ceiling):
		return fmt.Sprintf("request.number: found %d; expected 1 to 2^62-1", t.Request.Number)
	case t.Request.Below > t.Request.Number:
		return fmt.Sprintf("request.below: found %d; expected at most the request's number, %d", t.Request.Below, t.Request.Number)
	}
	return ""
}

// valid says whether a request is none, or one that a client can make.
func (r Request) valid() bool {
	if r.Client == "" {
		return r == Request{}
	}
	return len(r.Client) <= longestName && r.Number >= 1 && r.Number < ceiling && r.Below <= r.Number
}

// accounts are those of a group, in words.
func accounts(group []protocol.ID) string {
	first, last := group[0], group[len(group)-1]
	if int(last-first) == len(group)-1 {
		return fmt.Sprintf("%d to %d", first, last)
	}
	return fmt.Sprintf("the %d nodes from %d to %d", len(group), first, last)
}

// impossible says why a transfer cannot be made now; empty if it can.
func (b *Bank) impossible(t Transfer) string {
	switch {
	case t.Amount > b.account.balance && !b.account.overdraws:
		return fmt.Sprintf("amount: found %d; expected at most the balance, %d", t.Amount, b.account.balance)
	case len(b.account.peer(t.To).window) >= b.opts.Window:
		return fmt.Sprintf("to: node %d has not confirmed the oldest of %d transfers; expected fewer under way", t.To, b.opts.Window)
	case b.account.next >= ceiling:
		return "this account has used up its numbers"
	}
	return ""
}

// refuse answers no. That is stored too: a copy of the request that comes later must not be done, for the client may
// have acted on the refusal.
func (b *Bank) refuse(call uint64, op operation, o *protocol.Out) {
	op.kind, op.number = refusal, 0
	if op.request.Client != "" {
		b.must(op)
		b.save(op, o)
	}
	b.reply(call, protocol.Refused{Why: op.why}, o)
}

// debit takes the money and makes the entry, in one record.
func (b *Bank) debit(op operation, o *protocol.Out) {
	b.must(op)
	if b.opts.Mistake == M1 {
		b.withhold(op, o)
	} else {
		b.save(op, o)
	}
	o.Indicate(Debited{TID{b.self, op.number}, op.peer, op.amount, b.account.balance, op.request})
	if b.opts.Mistake == M1 {
		return
	}
	p := b.account.peer(op.peer)
	p.window[len(p.window)-1].fresh = true
	if b.opts.Mistake == M11 {
		o.Ungate()
	}
	o.Send(op.peer, Pay{op.number, op.amount, p.low()})
	b.arm(o)
	if b.opts.Mistake == M3 {
		p.settle(op.number)
		b.saveAll(o)
	}
}

// answer replies to a transfer, or lets the call wait.
func (b *Bank) answer(call uint64, done Transferred, wait bool, o *protocol.Out) {
	if !wait || done.Settled {
		if b.opts.Mistake == M9 {
			o.Ungate()
		}
		b.reply(call, done, o)
		return
	}
	if b.waiting == nil {
		b.waiting = map[uint64][]uint64{}
	}
	calls := append(b.waiting[done.TID.Number], call)
	if len(calls) > mostWaiting { // a client that gave up and asks again
		b.reply(calls[0], done, o)
		calls = calls[1:]
	}
	b.waiting[done.TID.Number] = calls
}

// again gives the answer that was given before.
func (b *Bank) again(call uint64, t Transfer, n answer, known bool, o *protocol.Out) {
	switch {
	case !known:
		b.reply(call, Forgotten{fmt.Sprintf("request.number: %d is old and its answer is forgotten: it may have been done", t.Request.Number)}, o)
	case n.to != t.To || n.amount != t.Amount:
		b.reply(call, protocol.Refused{Why: fmt.Sprintf("request.number: %d was a transfer of %d to %d; expected the same, or another number",
			t.Request.Number, n.amount, n.to)}, o)
	case n.number == 0:
		b.reply(call, protocol.Refused{Why: n.why}, o)
	default:
		settled := b.account.peer(n.to).find(n.number) < 0
		b.answer(call, Transferred{TID{b.self, n.number}, n.to, n.amount, settled}, t.Wait, o)
	}
}

func (b *Bank) reply(call uint64, body any, o *protocol.Out) {
	o.Indicate(protocol.Reply{ID: call, Body: body})
}
