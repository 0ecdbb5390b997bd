package accounts

import (
	"context"
	"fmt"
	"sync"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/pki"
	"ciranda.dev/rmi"
)

// Offered is the name under which a process offers its bank (rmi.Node.Offer).
const Offered = "bank"

func init() { rmi.RegisterErrorType[*api.Error]("ciranda.dev/api.Error") }

// Serve offers a bank at a node of remote objects. Find gives accounts: those of this process as [NewAccount] made them, others
// as stubs.
func Serve(n *rmi.Node, b api.Bank, find func(ctx context.Context, number uint32) (Account, error)) error {
	ref, err := BankRemote.Export(n, &desk{b, find})
	if err != nil {
		return err
	}
	return n.Offer(Offered, ref)
}

// A desk is a bank as a remote object.
type desk struct {
	bank api.Bank
	find func(context.Context, uint32) (Account, error)
}

// allow says whether whoever made a call may do what needs a role. Calls within a process may do anything.
func allow(ctx context.Context, need pki.Role) error {
	p := rmi.Caller(ctx)
	if p == nil || p.Identity().Role.May(need) {
		return nil
	}
	return &api.Error{Code: codes.PermissionDenied, Text: fmt.Sprintf("%s may not do this; it needs the role %s", p.Identity(), need),
		Hint: "ciranda pki issue --role " + need.String() + " makes credentials"}
}

func (d *desk) Account(ctx context.Context, number uint32) (Account, error) {
	if err := allow(ctx, pki.Observer); err != nil {
		return nil, err
	}
	return d.find(ctx, number)
}

func (d *desk) State(ctx context.Context, number uint32) (State, error) {
	if err := allow(ctx, pki.Observer); err != nil {
		return State{}, err
	}
	a, err := d.bank.Account(ctx, &cirandav1.AccountRequest{Account: number})
	return stateOf(a.GetAccount()), err
}

func (d *desk) Balances(ctx context.Context) (Balances, error) {
	if err := allow(ctx, pki.Observer); err != nil {
		return Balances{}, err
	}
	b, err := d.bank.Balances(ctx, &cirandav1.BalancesRequest{})
	return balancesOf(b), err
}

func (d *desk) Transfer(ctx context.Context, o Order) (Transfer, error) {
	return transfer(ctx, d.bank, o)
}

// transfer makes a transfer. Its id is the caller's, or that of the call.
func transfer(ctx context.Context, b api.Bank, o Order) (Transfer, error) {
	if err := allow(ctx, pki.Client); err != nil {
		return Transfer{}, err
	}
	r := &cirandav1.TransferRequest{From: o.From, To: o.To, Amount: o.Amount, Wait: o.Wait}
	switch rid := rmi.Request(ctx); {
	case o.Client != "":
		r.Id = &cirandav1.RequestID{Client: o.Client, Number: o.Number, Below: o.Below}
	case rid.Seq != 0:
		r.Id = &cirandav1.RequestID{Client: fmt.Sprintf("%s.%d", rid.Client, rid.Incarnation), Number: rid.Seq}
	}
	is, err := b.Transfer(ctx, r)
	return transferOf(is), err
}

// A Local account is one of this process.
type Local struct {
	bank   api.Bank
	number uint32

	mu       sync.Mutex
	watchers map[*watching]bool
}

// NewAccount makes the account of a number of a bank in this process.
func NewAccount(b api.Bank, number uint32) *Local {
	return &Local{bank: b, number: number, watchers: map[*watching]bool{}}
}

// Number is the account's.
func (a *Local) Number(context.Context) (uint32, error) { return a.number, nil }

// Balance is what is on it.
func (a *Local) Balance(ctx context.Context) (int64, error) {
	if err := allow(ctx, pki.Observer); err != nil {
		return 0, err
	}
	is, err := a.bank.Account(ctx, &cirandav1.AccountRequest{Account: a.number})
	return is.GetAccount().GetBalance(), err
}

// Transfer moves money to another account.
func (a *Local) Transfer(ctx context.Context, to Account, amount int64) (Transfer, error) {
	if to == nil {
		return Transfer{}, api.Wrong("to", "found no account")
	}
	number, err := to.Number(ctx)
	if err != nil {
		return Transfer{}, fmt.Errorf("the account that the money is for does not answer; nothing was moved: %w", err)
	}
	return transfer(ctx, a.bank, Order{From: a.number, To: number, Amount: amount})
}

// mostWatchers is how many watch one account.
const mostWatchers = 256

// A watching is a watcher, and the balance that it is to be told next.
type watching struct {
	w    Watcher
	more chan int64 // the last balance
}

// Watch has a watcher told of changes.
func (a *Local) Watch(ctx context.Context, w Watcher) (int64, error) {
	if w == nil {
		return 0, api.Wrong("w", "found no watcher")
	}
	is := &watching{w, make(chan int64, 1)}
	if err := a.enter(ctx, is); err != nil {
		return 0, err
	}
	balance, err := a.Balance(ctx) // after it is entered, so that no change is missed between
	if err != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.drop(is)
		return 0, err
	}
	go a.tell(is)
	return balance, nil
}

// enter has a watcher's changes kept for it, if it may watch and there is room.
func (a *Local) enter(ctx context.Context, is *watching) error {
	if err := allow(ctx, pki.Observer); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.watchers) >= mostWatchers {
		return &api.Error{Code: codes.ResourceExhausted, Text: fmt.Sprintf("%d watch the account already", mostWatchers)}
	}
	a.watchers[is] = true
	return nil
}

// Changed says what the balance is now. It does not wait for watchers: one that is slow is told the last of several.
func (a *Local) Changed(balance int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for is := range a.watchers {
		select {
		case <-is.more:
		default:
		}
		is.more <- balance
	}
}

// Close ends the telling of watchers.
func (a *Local) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for is := range a.watchers {
		a.drop(is)
	}
}

// drop forgets a watcher. The caller holds the lock.
func (a *Local) drop(is *watching) {
	if a.watchers[is] {
		delete(a.watchers, is)
		close(is.more)
		rmi.Release(is.w)
	}
}

// tell tells a watcher of balances until it gives an error.
func (a *Local) tell(is *watching) {
	for balance := range is.more {
		if err := is.w.Changed(context.Background(), a.number, balance); err != nil {
			a.mu.Lock()
			a.drop(is)
			a.mu.Unlock()
		}
	}
}
