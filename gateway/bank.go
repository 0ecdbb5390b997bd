package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/protocol"
)

// Limits of the bank.
const (
	patience    = 10 * time.Second // for a transfer whose client sets no deadline
	mostCalls   = 256              // transfers at a time from one account
	mostWaiting = 64               // of them, those that wait for the receiver; they must not keep the others from the node
)

// Stats are what a gateway counts: transfers by how they ended, and how often it asked a node again.
type Stats struct {
	Done, Refused, Unavailable, Unknown, Overload, Retries atomic.Uint64
}

// bankService is the whole bank.
type bankService struct {
	accounts map[protocol.ID]*account
	all      []protocol.ID // ascending
	names    *names
	stats    Stats
}

// An account is where it is kept. Its transfers have a connection of their own: however many wait, its state can be
// asked for.
type account struct {
	id             protocol.ID
	state          *api.Client
	moves          *api.Client
	calls, waiting chan struct{} // places
}

func newBankService(name string, nodes map[protocol.ID]string, dial func(string) (*api.Client, error)) (*bankService, error) {
	b := &bankService{accounts: map[protocol.ID]*account{}, all: ids(nodes), names: newNames(name)}
	for _, id := range b.all {
		state, err := dial(nodes[id])
		if err != nil {
			return nil, errors.Join(err, b.close())
		}
		moves, err := dial(nodes[id])
		if err != nil {
			return nil, errors.Join(err, state.Close(), b.close())
		}
		b.accounts[id] = &account{id, state, moves, make(chan struct{}, mostCalls), make(chan struct{}, mostWaiting)}
	}
	return b, nil
}

func (b *bankService) close() error {
	var errs []error
	for _, a := range b.accounts {
		errs = append(errs, a.state.Close(), a.moves.Close())
	}
	return errors.Join(errs...)
}

// find gives an account, or an error that names the field of the request which names it.
func (b *bankService) find(field string, number uint32) (*account, error) {
	if a := b.accounts[protocol.ID(number)]; a != nil && uint32(a.id) == number {
		return a, nil
	}
	e := api.Wrong(field, "there is no account %d; expected one of %s", number, listed(b.all))
	e.Code = codes.NotFound
	return nil, e
}

// listed names accounts for people: "1 to 5", or "1, 2, 7".
func listed(all []protocol.ID) string {
	if first, last := all[0], all[len(all)-1]; len(all) > 2 && int(last-first) == len(all)-1 {
		return fmt.Sprintf("%d to %d", first, last)
	}
	words := make([]string, len(all))
	for i, id := range all {
		words[i] = id.String()
	}
	return strings.Join(words, ", ")
}

// Account shows one account.
func (b *bankService) Account(ctx context.Context, r *cirandav1.AccountRequest) (*cirandav1.AccountResponse, error) {
	a, err := b.find("account", r.GetAccount())
	if err != nil {
		return nil, err
	}
	return a.state.Bank.Account(ctx, r)
}

// Transfer moves money: it asks the account's node until that says what has become of it, or the caller's time is up.
func (b *bankService) Transfer(ctx context.Context, r *cirandav1.TransferRequest) (*cirandav1.TransferResponse, error) {
	r, err := api.Keyed(ctx, r)
	if err != nil {
		b.stats.Refused.Add(1)
		return nil, err
	}
	a, err := b.sound(r)
	if err != nil {
		b.stats.Refused.Add(1)
		return nil, err
	}
	leave, ok := a.enter(r.GetWait())
	if !ok {
		b.stats.Overload.Add(1)
		return nil, &api.Error{Code: codes.ResourceExhausted, Hint: "ask again later, or fewer at a time",
			Text: fmt.Sprintf("too many transfers from account %d are under way here; it did not happen", a.id)}
	}
	defer leave()
	ctx, cancel := inTime(ctx)
	defer cancel()
	if r.GetId() == nil {
		return b.named(ctx, a, r)
	}
	return b.move(ctx, a, r)
}

// sound says what is wrong with a request whatever the balances are, or whose account is asked for.
func (b *bankService) sound(r *cirandav1.TransferRequest) (*account, error) {
	a, err := b.find("from", r.GetFrom())
	if err != nil {
		return nil, err
	}
	if _, err := b.find("to", r.GetTo()); err != nil {
		return nil, err
	}
	switch id := r.GetId(); {
	case r.GetFrom() == r.GetTo():
		return nil, api.Wrong("to", "%d is the account that the money would leave; expected another", r.GetTo())
	case r.GetAmount() < 1:
		return nil, api.Wrong("amount", "found %d; expected 1 or more", r.GetAmount())
	case id != nil && id.GetClient() == "":
		return nil, api.Wrong("id.client", "found nothing; expected a name that no other client has")
	case id != nil && id.GetNumber() == 0:
		return nil, api.Wrong("id.number", "found 0; expected 1 or more")
	}
	return a, nil
}

// enter takes a place for a transfer, if there is one, and gives what gives it up.
func (a *account) enter(wait bool) (leave func(), ok bool) {
	places := []chan struct{}{a.calls}
	if wait {
		places = append(places, a.waiting)
	}
	for i, p := range places {
		select {
		case p <- struct{}{}:
		default:
			for _, taken := range places[:i] {
				<-taken
			}
			return nil, false
		}
	}
	return func() {
		for _, p := range places {
			<-p
		}
	}, true
}

// inTime leaves what the client gives of time, less a little in which the answer reaches it.
func inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithTimeout(ctx, patience)
	}
	left := time.Until(end)
	return context.WithDeadline(ctx, end.Add(-min(left/10, 200*time.Millisecond)))
}

// named makes a transfer that its client has given no id.
func (b *bankService) named(ctx context.Context, a *account, r *cirandav1.TransferRequest) (*cirandav1.TransferResponse, error) {
	id, err := b.names.take(ctx, r.GetFrom())
	if err != nil {
		b.stats.Unavailable.Add(1)
		return nil, &api.Error{Code: codes.Unavailable, Text: fmt.Sprintf("node %d does not answer; it did not happen", a.id)}
	}
	defer b.names.settle(r.GetFrom(), id.GetNumber()) // nobody else can ask for it
	r = proto.CloneOf(r)
	r.Id = id
	return b.move(ctx, a, r)
}

// move asks the node until it says what has become of a transfer.
func (b *bankService) move(ctx context.Context, a *account, r *cirandav1.TransferRequest) (*cirandav1.TransferResponse, error) {
	got := insist(ctx, func(ctx context.Context, at *attempt) (*cirandav1.TransferResponse, error) {
		return a.moves.Bank.Transfer(ctx, r, at.options()...)
	})
	b.stats.Retries.Add(uint64(max(0, got.attempts-1)))
	e := api.AsError(got.err)
	if e == nil {
		e = &api.Error{Code: codes.Unknown, Text: fmt.Sprint(got.err)}
	}
	switch got.verdict {
	case done:
		b.stats.Done.Add(1)
		got.answer.Id = r.GetId()
		return got.answer, nil
	case refused:
		b.stats.Refused.Add(1)
		return nil, e
	case spared:
		b.stats.Unavailable.Add(1)
		return nil, a.unavailable(e)
	case lost:
		b.stats.Unknown.Add(1)
		return nil, e
	default:
		b.stats.Unknown.Add(1)
		return nil, a.unknown()
	}
}

// unavailable says that no attempt did anything, and why the last one did not.
func (a *account) unavailable(last *api.Error) error {
	why, _ := strings.CutSuffix(last.Text, "; it did not happen")
	return &api.Error{Code: codes.Unavailable, Hint: "status says which nodes are up",
		Text: fmt.Sprintf("node %d, which keeps the account, cannot do it now (%s); it did not happen", a.id, why)}
}

// unknown says that an attempt may have done it.
func (a *account) unknown() error {
	return &api.Error{Code: codes.Unknown, Hint: "ask again with the same id; a request without one cannot be asked for again",
		Text: fmt.Sprintf("no answer of node %d; it may have been done", a.id)}
}

// Balances shows all accounts, in one consistent cut if there is one.
func (b *bankService) Balances(ctx context.Context, _ *cirandav1.BalancesRequest) (*cirandav1.BalancesResponse, error) {
	p := newPicture(b)
	p.take(ctx)
	return p.response(), nil
}

var _ api.Bank = (*bankService)(nil)
