package gateway

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/app/bank"
	"ciranda.dev/node"
	"ciranda.dev/protocol"
)

// How hard a consistent cut is looked for.
const (
	mostRounds  = 40
	pictureTime = 3 * time.Second
	readingTime = time.Second // for one account
	wholeEvery  = 4           // every so many rounds all accounts are read, else only those that are behind
)

// A picture is a reading of all accounts. Readings made at different moments are a consistent cut if none of them knows
// of a transfer that its sender's reading does not: then they could have been made at one moment. A reading that is
// behind is made again; so the picture becomes whole unless money moves faster than it can be looked at.
type picture struct {
	bank     *bankService
	readings map[protocol.ID]reading
	failed   map[protocol.ID]error // of the last reading
}

// A reading is an account as it was at some moment.
type reading struct {
	bank.Account
	openedWith int64
}

func newPicture(b *bankService) *picture {
	return &picture{b, map[protocol.ID]reading{}, map[protocol.ID]error{}}
}

// take reads until the picture is whole, or it is no use to go on.
func (p *picture) take(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pictureTime)
	defer cancel()
	next := p.bank.all
	for round := 1; round <= mostRounds && ctx.Err() == nil; round++ {
		p.read(ctx, next)
		if len(p.failed) > 0 || p.whole() {
			return
		}
		if next = p.behind(); round%wholeEvery == 0 {
			next = p.bank.all
		}
	}
}

// read reads accounts, all at once.
func (p *picture) read(ctx context.Context, which []protocol.ID) {
	ctx, cancel := context.WithTimeout(ctx, readingTime)
	defer cancel()
	readings, errs := make([]reading, len(which)), make([]error, len(which))
	var asked sync.WaitGroup
	for i, id := range which {
		asked.Go(func() { readings[i], errs[i] = p.bank.accounts[id].read(ctx) })
	}
	asked.Wait()
	for i, id := range which {
		delete(p.failed, id)
		if errs[i] != nil {
			p.failed[id] = errs[i]
		} else {
			p.readings[id] = readings[i]
		}
	}
}

func (a *account) read(ctx context.Context) (reading, error) {
	r, err := a.state.Bank.Account(ctx, &cirandav1.AccountRequest{Account: uint32(a.id)})
	if err != nil {
		return reading{}, err
	}
	v, err := node.DecodeAccount(r.GetAccount())
	if err == nil && v.Node != a.id {
		err = fmt.Errorf("account %d answers in place of %d", v.Node, a.id)
	}
	return reading{v, r.GetAccount().GetOpenedWith()}, err
}

// whole says whether the picture is a consistent cut of all accounts.
func (p *picture) whole() bool {
	return len(p.readings) == len(p.bank.all) && bank.Consistent(p.accounts())
}

// behind are the accounts whose reading lacks a transfer that another's has; all if there is none.
func (p *picture) behind() []protocol.ID {
	known := map[protocol.ID]uint64{} // by sender, the highest number that anybody has applied
	for _, a := range p.accounts() {
		for _, from := range a.Applied {
			for _, n := range append([]uint64{from.Below - min(1, from.Below)}, from.Also...) {
				known[from.From] = max(known[from.From], n)
			}
		}
	}
	var late []protocol.ID
	for _, id := range p.bank.all {
		if r, read := p.readings[id]; read && known[id] >= r.Next {
			late = append(late, id)
		}
	}
	if len(late) == 0 {
		return p.bank.all
	}
	return late
}

// accounts are the readings as the bank has them, ascending.
func (p *picture) accounts() []bank.Account {
	var all []bank.Account
	for _, id := range ids(p.readings) {
		all = append(all, p.readings[id].Account)
	}
	return all
}

// response is what the picture shows.
func (p *picture) response() *cirandav1.BalancesResponse {
	r := &cirandav1.BalancesResponse{WhyNoTotal: p.whyNot()}
	sum := int64(0)
	for _, id := range ids(p.readings) {
		a := p.readings[id]
		if p.failed[id] == nil {
			r.Accounts = append(r.Accounts, &cirandav1.BalancesResponse_Balance{Id: uint32(id), Node: uint32(a.Node), Balance: a.Balance})
			r.Issued = a.openedWith * int64(len(p.bank.all))
			sum += a.Balance
		}
	}
	if r.WhyNoTotal == "" {
		total := bank.Total(p.accounts())
		r.Total, r.InFlight = &total, total-sum
	}
	return r
}

// whyNot says why there is no total; empty if there is one.
func (p *picture) whyNot() string {
	switch silent := ids(p.failed); {
	case len(silent) == 1:
		return fmt.Sprintf("node %d does not answer", silent[0])
	case len(silent) > 1:
		return "the nodes " + listed(silent) + " do not answer"
	case !p.whole():
		return "money moves too fast to take a picture of it"
	case slices.ContainsFunc(p.bank.all, func(id protocol.ID) bool {
		return p.readings[id].openedWith != p.readings[p.bank.all[0]].openedWith
	}):
		return "the accounts did not begin with the same balance"
	}
	return ""
}
