package shell

import (
	"context"
	"errors"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/gateway"
)

// sayAccount says what is in the account of a node, if the bank can be asked.
func (s *shell) sayAccount(ctx context.Context, id uint32) {
	r, err := read(ctx, s, func(ctx context.Context, to *Connection) (*cirandav1.AccountResponse, error) {
		return to.Bank.Account(ctx, &cirandav1.AccountRequest{Account: id})
	})
	if err != nil {
		s.out.say("  its account: %s", plainly(err))
		return
	}
	on := int64(0)
	for _, o := range r.GetAccount().GetOutgoing() {
		on += o.GetAmount()
	}
	if on == 0 {
		s.out.say("  its account holds %d", r.GetAccount().GetBalance())
		return
	}
	s.out.say("  its account holds %d; %d that have left it are not known to have arrived", r.GetAccount().GetBalance(), on)
}

// plainly is an error in a line.
func plainly(err error) string {
	if e := api.AsError(err); e != nil {
		return e.Text
	}
	return err.Error()
}

func balances(ctx context.Context, s *shell, _ []string) error {
	r, err := read(ctx, s, func(ctx context.Context, to *Connection) (*cirandav1.BalancesResponse, error) {
		return to.Bank.Balances(ctx, &cirandav1.BalancesRequest{})
	})
	if err != nil {
		return err
	}
	rows := [][]string{{"ACCOUNT", "NODE", "BALANCE"}}
	for _, a := range r.GetAccounts() {
		rows = append(rows, []string{number(a.GetId()), number(a.GetNode()), strconv.FormatInt(a.GetBalance(), 10)})
	}
	s.out.table(rows...)
	switch {
	case r.Total == nil:
		s.out.sayAs(bad, "no total: %s", r.GetWhyNoTotal())
	case r.GetTotal() != r.GetIssued():
		s.out.sayAs(bad, "total %d, of it %d on the way; but the bank began with %d", r.GetTotal(), r.GetInFlight(), r.GetIssued())
	default:
		s.out.sayAs(good, "total %d, of it %d on the way: all that the bank began with", r.GetTotal(), r.GetInFlight())
	}
	return nil
}

// How long a transfer is asked for, again and again.
const transferTime = 20 * time.Second

func transfer(ctx context.Context, s *shell, args []string) error {
	from, err := readNode("from", args[0])
	if err != nil {
		return err
	}
	to, err := readNode("to", args[1])
	if err != nil {
		return err
	}
	amount, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil || amount < 1 {
		return api.Wrong("amount", "found the amount %q; expected a whole number from 1", args[2])
	}
	ctx, cancel := context.WithTimeout(ctx, transferTime)
	defer cancel()
	r, err := s.teller.Transfer(ctx, from, to, amount, false)
	return s.sayTransfer(r, err)
}

// sayTransfer says what became of a transfer.
func (s *shell) sayTransfer(r *cirandav1.TransferResponse, err error) error {
	var failure *gateway.Failure
	switch {
	case errors.As(err, &failure) && errors.Is(err, gateway.ErrUnknown):
		s.unknown = append(s.unknown, failure.Request)
		return &api.Error{Code: codes.Unknown, Hint: "again asks for the same transfer; it is done at most once",
			Text: "it is not known whether it happened: " + plainly(err)}
	case errors.Is(err, gateway.ErrUnavailable):
		return &api.Error{Code: codes.Unavailable, Text: "nothing has changed: " + plainly(err)}
	case err != nil:
		return err
	case r.GetSettled():
		s.out.sayAs(good, "%s moved from %d to %d; transfer %d:%d", units(r.GetAmount()), r.GetFrom(), r.GetTo(), r.GetFrom(), r.GetNumber())
	default:
		s.out.sayAs(good, "%s on the way from %d to %d; transfer %d:%d", are(r.GetAmount()), r.GetFrom(), r.GetTo(), r.GetFrom(), r.GetNumber())
	}
	return nil
}

func units(n int64) string {
	if n == 1 {
		return "1 unit"
	}
	return strconv.FormatInt(n, 10) + " units"
}

func are(n int64) string {
	if n == 1 {
		return units(n) + " is"
	}
	return units(n) + " are"
}

// again asks once more for the transfers of which it is not known whether they happened, with the ids that they had.
func again(ctx context.Context, s *shell, _ []string) error {
	if len(s.unknown) == 0 {
		s.out.say("of all transfers it is known what became of them")
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, transferTime)
	defer cancel()
	asked := s.unknown
	s.unknown = nil
	var failed error
	for _, r := range asked {
		s.out.say("%s from %d to %d:", units(r.GetAmount()), r.GetFrom(), r.GetTo())
		answer, err := s.teller.Again(ctx, r)
		failed = errors.Join(failed, s.sayTransfer(answer, err))
	}
	return failed
}

// A lasting bank is that of the connection which the shell has at the moment. When one fails it makes another.
type lasting struct {
	s    *shell
	told bool // that it failed
}

// Transfer implements cirandav1.BankServiceClient.
func (l *lasting) Transfer(ctx context.Context, r *cirandav1.TransferRequest, o ...grpc.CallOption) (*cirandav1.TransferResponse, error) {
	defer l.s.mindSilence()()
	answer, err := l.s.to.Bank.Transfer(ctx, r, o...)
	switch {
	case err == nil || !absent(err):
		l.told = false
	case !l.told && ctx.Err() == nil:
		l.s.out.note("%s: %s; asking again with the same id", l.s.to.Name, plainly(err))
		l.told = true
		fallthrough
	default:
		l.s.reconnect()
	}
	return answer, err
}

// Account implements cirandav1.BankServiceClient.
func (l *lasting) Account(ctx context.Context, r *cirandav1.AccountRequest, o ...grpc.CallOption) (*cirandav1.AccountResponse, error) {
	return l.s.to.Bank.Account(ctx, r, o...)
}

// Balances implements cirandav1.BankServiceClient.
func (l *lasting) Balances(ctx context.Context, r *cirandav1.BalancesRequest, o ...grpc.CallOption) (*cirandav1.BalancesResponse, error) {
	return l.s.to.Bank.Balances(ctx, r, o...)
}
