package gateway

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/app/bank"
	"ciranda.dev/node"
	"ciranda.dev/protocol"
)

// books are all accounts as they were read at some time.
type books struct {
	banks    []cirandav1.BankServiceClient
	accounts []bank.Account // ascending; those that could be asked
	total    *int64
	issued   int64
	inFlight int64
	why      string // there is no total
}

// each asks one gateway after the other until one answers.
func (b *books) each(ask func(cirandav1.BankServiceClient) error) error {
	var err error
	for _, bank := range b.banks {
		if err = ask(bank); err == nil {
			return nil
		}
	}
	return err
}

// read reads the balances, then each account.
func (b *books) read(ctx context.Context) error {
	var sums *cirandav1.BalancesResponse
	err := b.each(func(c cirandav1.BankServiceClient) (err error) {
		sums, err = c.Balances(ctx, &cirandav1.BalancesRequest{})
		return err
	})
	if err != nil {
		return err
	}
	b.total, b.issued, b.inFlight, b.why = sums.Total, sums.GetIssued(), sums.GetInFlight(), sums.GetWhyNoTotal()
	b.accounts = nil
	for _, s := range sums.GetAccounts() {
		err := b.each(func(c cirandav1.BankServiceClient) error {
			r, err := c.Account(ctx, &cirandav1.AccountRequest{Account: s.GetId()})
			if err != nil {
				return err
			}
			a, err := node.DecodeAccount(r.GetAccount())
			b.accounts = append(b.accounts, a)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// settle reads until there is a total and nothing is on its way, or ctx ends; then the books are as they were last.
func (b *books) settle(ctx context.Context) error {
	for {
		err := b.read(ctx)
		switch {
		case err == nil && b.total != nil && b.inFlight == 0:
			return nil
		case ctx.Err() == nil:
		case b.why != "":
			return errors.New(b.why)
		case err == nil:
			return fmt.Errorf("%d is still on its way", b.inFlight)
		default:
			return err
		}
		pause(ctx, 50*time.Millisecond)
	}
}

// A ledger is what was acknowledged: of each account, from the number that was its next at first, who each transfer went
// to.
type ledger struct {
	first    map[uint32]uint64
	to       map[uint32][]uint16 // by number less the first; 0: not one of ours
	problems []string
	more     int // problems that are not listed
}

// mostNumbers is how many transfers from one account a ledger holds.
const mostNumbers = 1 << 28

func newLedger(b *books) ledger {
	l := ledger{first: map[uint32]uint64{}, to: map[uint32][]uint16{}}
	for _, a := range b.accounts {
		l.first[uint32(a.Node)] = a.Next
	}
	return l
}

// problem notes what is wrong; of many only some.
func (l *ledger) problem(format string, args ...any) {
	if len(l.problems) == 10 {
		l.more++
		return
	}
	l.problems = append(l.problems, fmt.Sprintf(format, args...))
}

// enter enters a transfer that was acknowledged.
func (l *ledger) enter(from, to uint32, number uint64) {
	first := l.first[from]
	if number < first || number-first >= mostNumbers {
		l.problem("transfer %d:%d was acknowledged; expected a number from %d on", from, number, first)
		return
	}
	row := l.to[from]
	if missing := int(number-first) + 1 - len(row); missing > 0 {
		row = append(row, make([]uint16, missing)...)
		l.to[from] = row
	}
	if row[number-first] != 0 {
		l.problem("transfer %d:%d was acknowledged for two requests", from, number)
	}
	row[number-first] = uint16(to)
}

// check holds the ledger against the books at the end. unsettled is why they are not final, unknown how many requests
// may have been done.
func (l *ledger) check(b *books, unsettled error, unknown int64, r *LoadResult) {
	accounts := map[uint32]bank.Account{}
	for _, a := range b.accounts {
		accounts[uint32(a.Node)] = a
	}
	complete := l.applied(accounts)
	if b.total != nil && *b.total != b.issued {
		l.problem("all money together is %d; expected %d", *b.total, b.issued)
	}
	r.Others = max(0, l.others(accounts)-unknown)
	r.Problems = append([]string{}, l.problems...)
	if l.more > 0 {
		r.Problems = append(r.Problems, fmt.Sprintf("and %d more of that kind", l.more))
	}
	right := len(l.problems) == 0
	if !right || unsettled == nil && complete && b.total != nil {
		r.Conserved = &right
	}
	if unsettled != nil {
		r.Problems = append(r.Problems, "not all has been checked: "+inWords(unsettled))
	}
}

// applied says whether it could be seen of each acknowledged transfer whether it was applied. One that was not may be on
// its way still.
func (l *ledger) applied(accounts map[uint32]bank.Account) bool {
	complete := true
	for from, row := range l.to {
		sender, known := accounts[from]
		under := map[uint64]bool{}
		for _, o := range sender.Outgoing {
			under[o.Number] = true
		}
		for i, to := range row {
			number := l.first[from] + uint64(i)
			receiver, there := accounts[uint32(to)]
			switch {
			case to == 0:
			case !there || !known:
				complete = false
			case number >= sender.Next:
				l.problem("transfer %d:%d was acknowledged, and the account knows nothing of it", from, number)
			case under[number]: // the receiver may have it or not; not lost
				complete = complete && receiver.Has(bank.TID{Node: protocol.ID(from), Number: number})
			case !receiver.Has(bank.TID{Node: protocol.ID(from), Number: number}):
				l.problem("transfer %d:%d was acknowledged, and %d has not got it", from, number, to)
			}
		}
	}
	return complete
}

// others is how many transfers were made since the beginning that are not in the ledger.
func (l *ledger) others(accounts map[uint32]bank.Account) int64 {
	n := int64(0)
	for from, first := range l.first {
		a, known := accounts[from]
		if !known {
			continue
		}
		n += int64(a.Next - first)
		for _, to := range l.to[from] {
			if to != 0 {
				n--
			}
		}
	}
	return n
}

// A histogram counts times in buckets, each a hundredth wider than the one before, from a microsecond to minutes.
type histogram struct{ counts [2048]atomic.Uint64 }

func (h *histogram) add(d time.Duration) {
	i := int(math.Log(max(1, float64(d.Microseconds()))) / math.Log(1.01))
	h.counts[min(i, len(h.counts)-1)].Add(1)
}

// quantile is the time, in milliseconds, below which a share of all times are; 0 if there are none.
func (h *histogram) quantile(q float64) float64 {
	all := uint64(0)
	for i := range h.counts {
		all += h.counts[i].Load()
	}
	rank, below := uint64(math.Ceil(q*float64(all))), uint64(0)
	for i := range h.counts {
		if below += h.counts[i].Load(); below >= rank && all > 0 {
			return math.Pow(1.01, float64(i)) / 1000
		}
	}
	return 0
}

// inWords is an error without what gRPC says around it.
func inWords(err error) string {
	if e := api.AsError(err); e != nil {
		return e.Text
	}
	return err.Error()
}
