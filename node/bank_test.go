package node

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/app/bank"
	"ciranda.dev/engine/live/disk"
)

// village starts three nodes with a bank.
func village(t *testing.T) ([]Config, []*Node) {
	t.Helper()
	configs := three(t)
	nodes := make([]*Node, 3)
	for i := range configs {
		configs[i].Spec.App = "bank"
		nodes[i] = start(t, configs[i])
	}
	return configs, nodes
}

func pay(client string, number uint64, from, to uint32, amount int64) *cirandav1.TransferRequest {
	r := &cirandav1.TransferRequest{From: from, To: to, Amount: amount}
	if client != "" {
		r.Id = &cirandav1.RequestID{Client: client, Number: number}
	}
	return r
}

// accountsOf reads all accounts, again and again until the reading is consistent and nothing is on its way.
func accountsOf(t *testing.T, clients []*api.Client) []bank.Account {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for {
		var accounts []bank.Account
		under := 0
		for _, c := range clients {
			r, err := c.Bank.Account(ctx, &cirandav1.AccountRequest{})
			if err != nil {
				t.Fatal(err)
			}
			a, err := DecodeAccount(r.GetAccount())
			if err != nil || r.GetAccount().GetOpenedWith() != 100 {
				t.Fatalf("got %v, %v", r, err)
			}
			accounts, under = append(accounts, a), under+len(a.Outgoing)
		}
		if bank.Consistent(accounts) && under == 0 {
			return accounts
		}
	}
}

// A node moves money from its account, once for each request, and a new life knows what it answered. Whatever makes no
// sense is an error that names its field.
func TestNodesServeTheirAccounts(t *testing.T) {
	configs, nodes := village(t)
	defer func() {
		for _, n := range nodes {
			stop(t, n)
		}
	}()
	var clients []*api.Client
	for _, c := range configs {
		clients = append(clients, dial(t, c.GRPC))
	}
	first, err := clients[0].Bank.Transfer(t.Context(), pay("me", 1, 1, 2, 30))
	if err != nil || first.GetFrom() != 1 || first.GetNumber() != 1 || first.GetId().GetNumber() != 1 {
		t.Fatalf("got %v, %v", first, err)
	}
	waits := pay("me", 1, 1, 2, 30)
	waits.Wait = true
	if r, err := clients[0].Bank.Transfer(t.Context(), waits); err != nil || !r.GetSettled() || r.GetNumber() != 1 {
		t.Errorf("waiting for it: got %v, %v", r, err)
	}
	t.Run("mistakes", func(t *testing.T) { wrongTransfers(t, clients[0]) })
	stop(t, nodes[0])
	nodes[0] = start(t, configs[0])
	if r, err := clients[0].Bank.Transfer(t.Context(), pay("me", 1, 1, 2, 30)); err != nil || r.GetNumber() != 1 {
		t.Errorf("after a restart: got %v, %v", r, err)
	}
	accounts := accountsOf(t, clients)
	if total := bank.Total(accounts); total != 300 || accounts[0].Balance != 69 || accounts[1].Balance != 131 {
		t.Errorf("%d in all: %+v", total, accounts)
	}
	t.Run("no answer", func(t *testing.T) { withoutAnswer(t, nodes[2]) })
}

func wrongTransfers(t *testing.T, c *api.Client) {
	forgetful := pay("you", 9, 1, 2, 1)
	forgetful.Id.Below = 9
	if _, err := c.Bank.Transfer(t.Context(), forgetful); err != nil {
		t.Fatal(err)
	}
	for want, r := range map[string]*cirandav1.TransferRequest{
		"NotFound from: account 2 is at node 2; this is node 1":                       pay("", 0, 2, 1, 5),
		"NotFound from: there is no account 65537; expected one of 1-3":               pay("", 0, 65537, 2, 5),
		"NotFound from: there is no account 0; expected one of 1-3":                   pay("", 0, 0, 2, 5),
		"NotFound to: there is no account 65538; expected one of 1-3":                 pay("", 0, 1, 65538, 5),
		"NotFound to: there is no account 9; expected one of 1 to 3":                  pay("", 0, 1, 9, 5),
		"InvalidArgument to: 1 is the account that the money would leave":             pay("", 0, 1, 1, 5),
		"InvalidArgument amount: found -5; expected 1 or more":                        pay("", 0, 1, 2, -5),
		"FailedPrecondition amount: found 500; expected at most the balance, 69":      pay("you", 10, 1, 2, 500),
		"InvalidArgument id.number: found 0; expected 1 to 2^62-1":                    pay("you", 0, 1, 2, 5),
		"InvalidArgument id.client: found no name of a client; expected":              {Id: &cirandav1.RequestID{}, From: 1, To: 2, Amount: 5},
		"InvalidArgument id.client: found 70 bytes; expected at most 64":              pay(strings.Repeat("x", 70), 1, 1, 2, 5),
		"InvalidArgument id.number: 9 was a transfer of 1 to 2; expected the same":    pay("you", 9, 1, 3, 1),
		"Unknown id.number: 3 is old and its answer is forgotten":                     pay("you", 3, 1, 2, 5),
		"InvalidArgument id.below: found 8; expected at most the request's number, 7": {Id: &cirandav1.RequestID{Client: "you", Number: 7, Below: 8}, From: 1, To: 2, Amount: 5},
	} {
		_, err := c.Bank.Transfer(t.Context(), r)
		e := api.AsError(err)
		if e == nil || !strings.HasPrefix(fmt.Sprintf("%s %s: %s", e.Code, e.Field, e.Text), want) {
			t.Errorf("%v: got %+v; expected %s", r, e, want)
		}
	}
	_, err := c.Bank.Account(t.Context(), &cirandav1.AccountRequest{Account: 2})
	if e := api.AsError(err); e == nil || e.Code != codes.NotFound || e.Field != "account" {
		t.Errorf("another's account: got %v", err)
	}
	_, err = c.Bank.Balances(t.Context(), &cirandav1.BalancesRequest{})
	if e := api.AsError(err); e == nil || e.Code != codes.Unimplemented || e.Hint != "ask a gateway" {
		t.Errorf("all balances: got %v", err)
	}
}

// What is not answered may have happened or not, and the error says which.
func withoutAnswer(t *testing.T, n *Node) {
	soon := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	expect := func(what string, ctx context.Context, number uint64, code codes.Code, text string) {
		t.Helper()
		_, err := n.bank().Transfer(ctx, pay("me", number, 3, 1, 1))
		if e := api.AsError(err); e == nil || e.Code != code || !strings.Contains(e.Text, text) {
			t.Errorf("%s: got %+v; expected %s, %s", what, e, code, text)
		}
	}
	if err := n.live.Freeze(); err != nil {
		t.Fatal(err)
	}
	expect("frozen", soon(), 1, codes.DeadlineExceeded, "it did not happen")
	expect("frozen and cancelled", gone, 1, codes.Canceled, "it did not happen")
	if err := n.live.Thaw(); err != nil {
		t.Fatal(err)
	}
	t.Run("too many", func(t *testing.T) { tooMany(t, n) })
	if err := n.live.SetDisk(disk.Fault{Stall: true}); err != nil {
		t.Fatal(err)
	}
	expect("a stalled disk", soon(), 2, codes.Unknown, "it may have been done")
	if err := n.live.SetDisk(disk.Fault{}); err != nil {
		t.Fatal(err)
	}
	if r, err := n.bank().Transfer(t.Context(), pay("me", 2, 3, 1, 1)); err != nil || r.GetNumber() != 1 {
		t.Errorf("asked again: got %v, %v", r, err)
	}
}

// When all places are taken, a call is told that it did not happen; when one is free again, it is served.
func tooMany(t *testing.T, n *Node) {
	b := teller{n, make(chan struct{}, 1)}
	b.places <- struct{}{}
	_, err := b.Account(t.Context(), &cirandav1.AccountRequest{})
	if e := api.AsError(err); e == nil || e.Code != codes.ResourceExhausted || !strings.Contains(e.Text, "it did not happen") {
		t.Errorf("got %v", err)
	}
	<-b.places
	if _, err := b.Account(t.Context(), &cirandav1.AccountRequest{}); err != nil || len(b.places) != 0 {
		t.Errorf("then: got %v, %d places taken", err, len(b.places))
	}
}

// A thousand at once are all answered, and each is done once.
func TestThousandTransfersAtOnce(t *testing.T) {
	configs, nodes := village(t)
	defer func() {
		for _, n := range nodes {
			stop(t, n)
		}
	}()
	var clients []*api.Client
	for _, c := range configs {
		clients = append(clients, dial(t, c.GRPC))
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	numbers, poor := map[bank.TID]bool{}, 0
	for i := range 1000 {
		wg.Go(func() {
			from := uint32(1 + i%3)
			r, err := clients[i%3].Bank.Transfer(t.Context(), pay("me", uint64(1+i), from, 1+from%3, 1))
			mu.Lock()
			defer mu.Unlock()
			switch e := api.AsError(err); {
			case err == nil:
				numbers[bank.TID{Node: nodes[from-1].cfg.ID, Number: r.GetNumber()}] = true
			case e.Code == codes.FailedPrecondition && e.Field == "amount":
				poor++
			default:
				t.Errorf("transfer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	accounts := accountsOf(t, clients)
	made := uint64(0)
	for _, a := range accounts {
		made += a.Next - 1
	}
	if bank.Total(accounts) != 300 || len(numbers)+poor != 1000 || made != uint64(len(numbers)) {
		t.Errorf("%d answers, %d were too poor, %d transfers, %+v", len(numbers), poor, made, accounts)
	}
}

// A node without a bank serves none.
func TestNoBank(t *testing.T) {
	c := three(t)[0]
	n := start(t, c)
	defer stop(t, n)
	_, err := dial(t, c.GRPC).Bank.Account(t.Context(), &cirandav1.AccountRequest{})
	if e := api.AsError(err); e == nil || e.Code != codes.Unimplemented {
		t.Errorf("got %v", err)
	}
}
