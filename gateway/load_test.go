package gateway

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/app/bank"
)

func banks(clients ...*api.Client) []cirandav1.BankServiceClient {
	var all []cirandav1.BankServiceClient
	for _, c := range clients {
		all = append(all, c.Bank)
	}
	return all
}

// Under load one node ends and comes back, and one of two gateways ends: no transfer is lost, none is made twice.
func TestLoadGoesOn(t *testing.T) {
	l := newLab(t, 3)
	g, one := l.gateway("one")
	_, two := l.gateway("two")
	await(t, one, 3)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	var result *LoadResult
	over := make(chan error)
	acknowledged := make(chan int64, 1) // now and then
	load := Load{Banks: banks(one, two), Clients: 8, Every: 50 * time.Millisecond}
	load.Progress = func(p Progress) {
		select {
		case acknowledged <- p.Acknowledged:
		default:
		}
	}
	go func() {
		var err error
		result, err = load.Run(ctx)
		over <- err
	}()
	more := func(n int64) {
		for first := <-acknowledged; ; {
			select {
			case now := <-acknowledged:
				if now >= first+n {
					return
				}
			case <-ctx.Done():
				t.Fatal("the load stands")
			}
		}
	}
	more(20)
	l.stop(2)
	if err := closeGateway(g); err != nil {
		t.Error(err)
	}
	more(20)
	l.start(2)
	more(20)
	cancel()
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	if result.Conserved == nil || !*result.Conserved || *result.Total != 300 || result.Others != 0 || result.Unknown != 0 {
		t.Errorf("got %v", result)
	}
}

// A load that cannot be checked says so, and is neither right nor wrong.
func TestLoadWithoutANode(t *testing.T) {
	l := newLab(t, 3)
	_, c := l.gateway("one")
	await(t, c, 3)
	l.stop(3)
	await(t, c, 2)
	result, err := Load{Banks: banks(c), Clients: 2, For: 100 * time.Millisecond, Settle: 100 * time.Millisecond}.Run(t.Context())
	if err != nil || result.Conserved != nil || result.Acknowledged == 0 || !strings.Contains(result.String(), "node 3 does not answer") {
		t.Errorf("got %v, %v", result, err)
	}
	l.stop(2)
	if result, err := (Load{Banks: banks(c), For: time.Second}).Run(t.Context()); err == nil {
		t.Errorf("with one node: got %v", result)
	}
}

// wrongBank loses, doubles or invents.
type wrongBank struct {
	cirandav1.BankServiceClient
	transfer func(*cirandav1.TransferRequest) *cirandav1.TransferResponse
}

func (w wrongBank) Transfer(ctx context.Context, r *cirandav1.TransferRequest, opts ...grpc.CallOption) (*cirandav1.TransferResponse, error) {
	if a := w.transfer(r); a != nil {
		return a, nil
	}
	return w.BankServiceClient.Transfer(ctx, r, opts...)
}

// The check at the end of a load notices a bank that lies.
func TestLoadNoticesMistakes(t *testing.T) {
	l := newLab(t, 2)
	_, c := l.gateway("one")
	await(t, c, 2)
	for name, transfer := range map[string]func(*cirandav1.TransferRequest) *cirandav1.TransferResponse{
		"acknowledged and never made": func(r *cirandav1.TransferRequest) *cirandav1.TransferResponse {
			return &cirandav1.TransferResponse{From: r.GetFrom(), To: r.GetTo(), Amount: r.GetAmount(), Number: 1 << 20}
		},
		"one transfer for all": func(r *cirandav1.TransferRequest) *cirandav1.TransferResponse {
			a, _ := c.Bank.Transfer(t.Context(), &cirandav1.TransferRequest{From: r.GetFrom(), To: r.GetTo(), Amount: r.GetAmount(),
				Id: &cirandav1.RequestID{Client: "same", Number: uint64(10*r.GetFrom()) + uint64(r.GetAmount())}})
			return a
		},
		"another amount": func(r *cirandav1.TransferRequest) *cirandav1.TransferResponse {
			a, _ := c.Bank.Transfer(t.Context(), &cirandav1.TransferRequest{From: r.GetFrom(), To: r.GetTo(), Amount: 6})
			return a
		},
	} {
		result, err := Load{Banks: []cirandav1.BankServiceClient{wrongBank{c.Bank, transfer}}, Clients: 1, Rate: 200,
			For: 300 * time.Millisecond, Settle: deadline}.Run(t.Context())
		if err != nil || result.Conserved == nil || *result.Conserved {
			t.Errorf("%s: got %v, %v", name, result, err)
		}
	}
}

// What is missing at the end is found in the books, whoever reads them.
func TestLedger(t *testing.T) {
	begin := &books{accounts: []bank.Account{{Node: 1, Next: 5}, {Node: 2, Next: 1}}}
	total := int64(200)
	at := func(next uint64, applied bank.Applied, out ...bank.Outgoing) *books {
		return &books{total: &total, issued: 200, accounts: []bank.Account{{Node: 1, Next: next, Outgoing: out}, {Node: 2, Next: 1, Applied: []bank.Applied{applied}}}}
	}
	for name, c := range map[string]struct {
		end    *books
		want   string
		others int64
	}{
		"all well":          {at(7, bank.Applied{From: 1, Below: 7}), "", 0},
		"somebody else too": {at(9, bank.Applied{From: 1, Below: 9}), "", 2},
		"one is missing":    {at(7, bank.Applied{From: 1, Below: 6}), "transfer 1:6 was acknowledged, and 2 has not got it", 0},
		"one is forgotten":  {at(6, bank.Applied{From: 1, Below: 7}), "transfer 1:6 was acknowledged, and the account knows nothing of it", 0},
		"one is on its way": {at(7, bank.Applied{From: 1, Below: 6}, bank.Outgoing{Number: 6, To: 2, Amount: 1}), "", 0},
		"money is missing":  {&books{total: new(int64), issued: 200, accounts: at(7, bank.Applied{From: 1, Below: 7}).accounts}, "all money together is 0; expected 200", 0},
	} {
		l := newLedger(begin)
		l.enter(1, 2, 5)
		l.enter(1, 2, 6)
		var r LoadResult
		l.check(c.end, nil, 0, &r)
		if strings.Join(r.Problems, "; ") != c.want || r.Others != c.others || (c.want != "") != (r.Conserved != nil && !*r.Conserved) {
			t.Errorf("%s: got %v", name, &r)
		}
	}
}
