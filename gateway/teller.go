package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// How a transfer failed. Every error of a [Teller] is one of these.
var (
	// ErrRefused says that it was not done and will not be; asking for the same again is of no use.
	ErrRefused = errors.New("gateway: refused")
	// ErrUnavailable says that it was not done, because nobody could do it in time.
	ErrUnavailable = errors.New("gateway: it did not happen")
	// ErrUnknown says that it may have been done. [Teller.Again] finds out.
	ErrUnknown = errors.New("gateway: it may have been done")
)

// A Failure is the error of a transfer: one of ErrRefused, ErrUnavailable and ErrUnknown for errors.Is.
type Failure struct {
	Kind    error
	Request *cirandav1.TransferRequest // with its id
	Cause   *api.Error                 // what was answered last
}

func (f *Failure) Error() string { return f.Cause.Text }

// Unwrap gives the kind of the failure, and what was answered.
func (f *Failure) Unwrap() []error { return []error{f.Kind, f.Cause} }

// A Teller makes transfers, each once, over connections that fail: it gives each request an id, and asks again with it
// until it knows what has become of it. It goes from one server to the next when one does not answer. Its methods may be
// called from any goroutine.
type Teller struct {
	banks []cirandav1.BankServiceClient
	first atomic.Uint64 // the server that answered last
	names *names
}

// attemptTime is how long a teller waits for one server before it asks the next.
const attemptTime = 5 * time.Second

// NewTeller makes a teller over servers of the same bank, such as its gateways. The prefix, at most 32 bytes, stands at the
// beginning of the client's name in request ids; it is for people.
func NewTeller(prefix string, banks ...cirandav1.BankServiceClient) *Teller {
	if len(banks) == 0 {
		panic("gateway: a teller without a bank")
	}
	return &Teller{banks: banks, names: newNames(prefix[:min(len(prefix), 32)])}
}

// Transfer moves money from one account to another, and asks again until it knows the outcome or ctx ends. With wait it
// is done when the receiver has the money, else when it has left for good. An error is a [Failure].
func (t *Teller) Transfer(ctx context.Context, from, to uint32, amount int64, wait bool) (*cirandav1.TransferResponse, error) {
	r := &cirandav1.TransferRequest{From: from, To: to, Amount: amount, Wait: wait}
	id, err := t.names.take(ctx, from)
	if err != nil {
		text := fmt.Sprintf("%d transfers from account %d have no answer yet; it did not happen", mostOpen, from)
		return nil, &Failure{ErrUnavailable, r, &api.Error{Text: text}}
	}
	r.Id = id
	return t.Again(ctx, r)
}

// Again asks for a request that has an id already: one of a Failure with ErrUnknown, or one whose id the caller made.
func (t *Teller) Again(ctx context.Context, r *cirandav1.TransferRequest) (*cirandav1.TransferResponse, error) {
	got := insist(ctx, func(ctx context.Context, a *attempt) (*cirandav1.TransferResponse, error) {
		return t.ask(ctx, r, a)
	})
	if got.verdict == done {
		t.Settle(r)
		return got.answer, nil
	}
	f := &Failure{Kind: ErrUnknown, Request: proto.CloneOf(r), Cause: api.AsError(got.err)}
	if f.Cause == nil {
		f.Cause = &api.Error{Text: fmt.Sprint(got.err)}
	}
	switch got.verdict {
	case refused:
		f.Kind = ErrRefused
	case spared:
		f.Kind = ErrUnavailable
	}
	if f.Kind != ErrUnknown {
		t.Settle(r)
	}
	return nil, f
}

// Settle says that the caller will not ask for a request Again. Until then the bank keeps an answer to it, as far as it
// can. Only those with ErrUnknown need it.
func (t *Teller) Settle(r *cirandav1.TransferRequest) {
	if id := r.GetId(); id.GetClient() == t.names.of(r.GetFrom()) {
		t.names.settle(r.GetFrom(), id.GetNumber())
	}
}

// ask makes one attempt, at the server that answered last. One that cannot do it may be the only one that does not reach
// the node; then the next one is the first choice.
func (t *Teller) ask(ctx context.Context, r *cirandav1.TransferRequest, a *attempt) (*cirandav1.TransferResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	first := t.first.Load()
	answer, err := t.banks[first%uint64(len(t.banks))].Transfer(ctx, r, a.options()...)
	if e := api.AsError(err); err != nil && (e == nil || retried[e.Code]) {
		t.first.CompareAndSwap(first, first+1)
	}
	return answer, err
}
