package bank

import (
	"cmp"
	"fmt"
	"slices"

	"ciranda.dev/protocol"
)

// ceiling is above every number and amount. What claims more is damage or malice.
const ceiling = 1 << 62

// An account is what a node stores.
type account struct {
	overdraws bool `layer:"const"` // the mistake M10

	balance int64
	next    uint64 // the number of the next transfer
	peers   []peer // ascending
	answers answers
}

// A peer is what a node knows of the transfers between it and another.
type peer struct {
	id     protocol.ID
	window []entry  // to it, from the oldest that is not settled
	below  uint64   // of it: all numbers below are applied,
	also   []uint64 // and these too; ascending
	count  uint64   // how many those are
}

// An entry is a transfer under way, or one that is settled while an older one is not.
type entry struct {
	number uint64
	amount int64 // 0 once it is settled
	fresh  bool  // sent since the resend timer last expired
}

// peer finds what is known of a node, and makes room for it if nothing is.
func (a *account) peer(id protocol.ID) *peer {
	i, found := slices.BinarySearchFunc(a.peers, id, func(p peer, id protocol.ID) int { return protocol.ByID(p.id, id) })
	if !found {
		a.peers = slices.Insert(a.peers, i, peer{id: id})
	}
	return &a.peers[i]
}

// An operation is what one step does to an account. It is a record of the log, and is done again at recovery.
type operation struct {
	kind    kind
	peer    protocol.ID // the receiver of a debit or refused transfer, the sender of a credit
	number  uint64      // of the transfer
	amount  int64
	low     uint64  // of a credit
	request Request // of a debit or refused transfer
	why     string  // it was refused
}

type kind uint8

const (
	checkpoint kind = iota // no operation: the whole account
	debit
	credit
	refusal
)

// do changes the account. It refuses what cannot have happened, which only a stored operation can be.
func (a *account) do(op operation, remember int) error {
	switch op.kind {
	case debit:
		if op.number != a.next || op.amount < 1 || op.amount > a.balance && !a.overdraws {
			return fmt.Errorf("a debit of %d as number %d, of a balance of %d and with %d as the next number",
				op.amount, op.number, a.balance, a.next)
		}
		a.balance -= op.amount
		a.next++
		p := a.peer(op.peer)
		p.window = append(p.window, entry{number: op.number, amount: op.amount})
	case credit:
		p := a.peer(op.peer)
		if op.amount < 1 || op.amount >= ceiling-a.balance || p.applied(op.number) {
			return fmt.Errorf("a credit of %d as number %d of node %d, on a balance of %d", op.amount, op.number, op.peer, a.balance)
		}
		a.balance += op.amount
		p.apply(op.number, op.low)
	}
	if op.request.Client != "" {
		if _, known, _ := a.answers.find(op.request); known {
			return fmt.Errorf("an answer to request %s, which was answered before", op.request)
		}
		a.answers.remember(op.request, answer{op.peer, op.amount, op.number, op.why}, remember)
	}
	return nil
}

func (p *peer) applied(number uint64) bool {
	_, found := slices.BinarySearch(p.also, number)
	return found || number < p.below
}

// apply notes that a number was applied, and that all below low were: the sender has heard so.
func (p *peer) apply(number, low uint64) {
	i, _ := slices.BinarySearch(p.also, number)
	p.also = slices.Insert(p.also, i, number)
	p.count++
	if low > p.below {
		p.below = low
		i, _ := slices.BinarySearch(p.also, low)
		p.also = slices.Delete(p.also, 0, i)
	}
}

// find is the place of a transfer under way, or -1.
func (p *peer) find(number uint64) int {
	i, found := slices.BinarySearchFunc(p.window, number, func(e entry, n uint64) int { return cmp.Compare(e.number, n) })
	if !found || p.window[i].amount == 0 {
		return -1
	}
	return i
}

// settle notes that a transfer was applied, and says whether it was under way.
func (p *peer) settle(number uint64) bool {
	i := p.find(number)
	if i < 0 {
		return false
	}
	p.window[i].amount = 0
	settled := 0
	for settled < len(p.window) && p.window[settled].amount == 0 {
		settled++
	}
	p.window = p.window[settled:]
	return true
}

// low is the oldest transfer that is not settled.
func (p *peer) low() uint64 { return p.window[0].number }

// view is the account as others may see it. It shares nothing with the account.
func (a *account) view(id protocol.ID) Account {
	v := Account{Node: id, Balance: a.balance, Next: a.next}
	for i := range a.peers {
		p := &a.peers[i]
		for _, e := range p.window {
			if e.amount > 0 {
				v.Outgoing = append(v.Outgoing, Outgoing{e.number, p.id, e.amount})
			}
		}
		if p.below > 0 || len(p.also) > 0 {
			v.Applied = append(v.Applied, Applied{p.id, p.below, slices.Clone(p.also), p.count})
		}
	}
	return v
}

// Has says whether the account has applied a transfer.
func (a Account) Has(t TID) bool {
	for _, s := range a.Applied {
		if s.From == t.Node {
			_, found := slices.BinarySearch(s.Also, t.Number)
			return found || t.Number < s.Below
		}
	}
	return false
}

// Total is all the money of accounts that were looked at in one consistent cut: the balances, and what has left an
// account and is not yet applied at the receiver's. Messages are not counted: they are copies of entries. A transfer
// to an account that is not among them counts.
func Total(accounts []Account) int64 {
	total := int64(0)
	for _, a := range accounts {
		total += a.Balance
		for _, out := range a.Outgoing {
			if !isApplied(accounts, a.Node, out) {
				total += out.Amount
			}
		}
	}
	return total
}

// Consistent says whether accounts that were read at different moments are a consistent cut, so that [Total] is right.
// They must be all accounts of the bank.
//
// Messages need not be looked at, for the accounts depend on one another in two ways only. A transfer is applied after
// its debit: so no account may have applied one with a number of its sender's Next or more. And it is settled after it
// was applied: so what a sender has debited and no longer lists must have been applied where it went. Numbers have no
// gaps, so these are as many as are left of Next-1 once the listed ones are taken off; what was applied of the sender,
// without what it lists, must be as many. The first condition makes them the same ones.
func Consistent(accounts []Account) bool {
	return !slices.ContainsFunc(accounts, func(sender Account) bool { return !agrees(sender, accounts) })
}

// agrees says whether the other accounts know of a sender's transfers what it has debited, and all that it settled.
func agrees(sender Account, accounts []Account) bool {
	accounted := uint64(0)
	for _, a := range accounts {
		i := slices.IndexFunc(a.Applied, func(s Applied) bool { return s.From == sender.Node })
		if i < 0 {
			continue
		}
		s := a.Applied[i]
		if s.Below > sender.Next || len(s.Also) > 0 && s.Also[len(s.Also)-1] >= sender.Next {
			return false
		}
		accounted += s.Count
	}
	for _, out := range sender.Outgoing {
		if !isApplied(accounts, sender.Node, out) {
			accounted++
		}
	}
	return accounted+1 == sender.Next
}

func isApplied(accounts []Account, sender protocol.ID, out Outgoing) bool {
	return slices.ContainsFunc(accounts, func(a Account) bool { return a.Node == out.To && a.Has(TID{sender, out.Number}) })
}
