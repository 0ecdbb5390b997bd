package accounts

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/rmi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A till is a bank with three accounts in memory.
type till struct {
	mu       sync.Mutex
	balances map[uint32]int64
	asked    []*cirandav1.TransferRequest
	changed  func(account uint32, balance int64)
}

func (t *till) Transfer(_ context.Context, r *cirandav1.TransferRequest) (*cirandav1.TransferResponse, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked = append(t.asked, r)
	if r.GetAmount() > t.balances[r.GetFrom()] {
		return nil, &api.Error{Code: codes.FailedPrecondition, Field: "amount", Text: "too much", Hint: "less"}
	}
	for id, amount := range map[uint32]int64{r.GetFrom(): -r.GetAmount(), r.GetTo(): r.GetAmount()} {
		t.balances[id] += amount
		t.changed(id, t.balances[id])
	}
	return &cirandav1.TransferResponse{From: r.GetFrom(), Number: uint64(len(t.asked)), To: r.GetTo(), Amount: r.GetAmount(), Settled: true, Id: r.GetId()}, nil
}

func (t *till) Account(_ context.Context, r *cirandav1.AccountRequest) (*cirandav1.AccountResponse, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return &cirandav1.AccountResponse{Account: &cirandav1.Account{Id: r.GetAccount(), Node: 9, Balance: t.balances[r.GetAccount()], Next: 4, OpenedWith: 100,
		Outgoing: []*cirandav1.Account_Outgoing{{Number: 3, To: 2, Amount: 7}},
		Applied:  []*cirandav1.Account_Applied{{From: 2, Below: 5, Also: []uint64{7, 9}, Count: 6}}}}, nil
}

func (t *till) Balances(context.Context, *cirandav1.BalancesRequest) (*cirandav1.BalancesResponse, error) {
	total := int64(300)
	return &cirandav1.BalancesResponse{Total: &total, InFlight: 3, Issued: 300,
		Accounts: []*cirandav1.BalancesResponse_Balance{{Id: 1, Node: 1, Balance: t.balances[1]}}}, nil
}

// near serves a bank, and gives a client of it and a node that is connected to it.
func near(t *testing.T) (b *till, c *Client, program *rmi.Node) {
	t.Helper()
	secret := rmi.Options{Secret: []byte("a secret of the tests")}
	server, err := rmi.Listen("127.0.0.1:0", secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	b = &till{balances: map[uint32]int64{1: 100, 2: 100, 3: 100}}
	all := map[uint32]*Local{1: NewAccount(b, 1), 2: NewAccount(b, 2), 3: NewAccount(b, 3)}
	b.changed = func(id uint32, balance int64) { all[id].Changed(balance) }
	for _, a := range all {
		t.Cleanup(a.Close)
	}
	find := func(_ context.Context, number uint32) (Account, error) {
		if a := all[number]; a != nil {
			return a, nil
		}
		return nil, api.Wrong("number", "there is no account %d", number)
	}
	if err := Serve(server, b, find); err != nil {
		t.Fatal(err)
	}
	if program, err = rmi.New(secret); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(program.Close)
	return b, NewClient(program, server.Addr().String()), program
}

func TestClient(t *testing.T) {
	b, c, _ := near(t)
	id := &cirandav1.RequestID{Client: "ana", Number: 7, Below: 5}
	r, err := c.Transfer(t.Context(), &cirandav1.TransferRequest{Id: id, From: 1, To: 2, Amount: 30, Wait: true})
	if err != nil || fmt.Sprint(r) != fmt.Sprint(&cirandav1.TransferResponse{From: 1, Number: 1, To: 2, Amount: 30, Settled: true, Id: &cirandav1.RequestID{Client: "ana", Number: 7}}) {
		t.Errorf("got %v, %v", r, err)
	}
	if got := b.asked[0]; got.GetId().GetBelow() != 5 || !got.GetWait() {
		t.Errorf("asked for %v", got)
	}
	a, err := c.Account(t.Context(), &cirandav1.AccountRequest{Account: 2})
	want, _ := b.Account(t.Context(), &cirandav1.AccountRequest{Account: 2})
	if err != nil || fmt.Sprint(a) != fmt.Sprint(want) {
		t.Errorf("got %v, %v, want %v", a, err, want)
	}
	all, err := c.Balances(t.Context(), nil)
	want2, _ := b.Balances(t.Context(), nil)
	if err != nil || fmt.Sprint(all) != fmt.Sprint(want2) {
		t.Errorf("got %v, %v, want %v", all, err, want2)
	}
	echo, err := c.Echo(t.Context(), &cirandav1.EchoRequest{Payload: []byte("x")})
	if err != nil || string(echo.GetPayload()) != "x" {
		t.Errorf("got %v, %v", echo, err)
	}
}

// The errors of the bank come as they are. Those of the way say what is known.
func TestClientErrors(t *testing.T) {
	_, c, program := near(t)
	_, err := c.Transfer(t.Context(), &cirandav1.TransferRequest{From: 1, To: 2, Amount: 3000})
	if e := api.AsError(err); e == nil || e.Code != codes.FailedPrecondition || e.Field != "amount" || e.Hint != "less" {
		t.Errorf("got %#v", err)
	}
	nobody := NewClient(program, "127.0.0.1:1")
	_, err = nobody.Transfer(t.Context(), &cirandav1.TransferRequest{From: 1, To: 2, Amount: 3})
	if e := api.AsError(err); e == nil || e.Code != codes.Unavailable || !strings.HasSuffix(e.Text, "it did not happen") {
		t.Errorf("got %#v", err)
	}
}

// A receiver is a watcher.
type receiver chan int64

func (r receiver) Changed(_ context.Context, _ uint32, balance int64) error {
	if balance == 42 {
		return errors.New("no more")
	}
	r <- balance
	return nil
}

// Accounts are objects: money goes from one to another by reference, and who watches is called back, until it wants no more.
func TestAccounts(t *testing.T) {
	b, c, program := near(t)
	p, err := program.Reach(t.Context(), c.address)
	if err != nil {
		t.Fatal(err)
	}
	bank, err := BankRemote.Offered(t.Context(), p, Offered)
	if err != nil {
		t.Fatal(err)
	}
	one, err1 := bank.Account(t.Context(), 1)
	two, err2 := bank.Account(t.Context(), 2)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if _, err := bank.Account(t.Context(), 4); api.AsError(err) == nil || api.AsError(err).Field != "number" {
		t.Errorf("got %v", err)
	}
	w := make(receiver)
	if balance, err := two.Watch(t.Context(), w); balance != 100 || err != nil {
		t.Fatal(balance, err)
	}
	is, err := one.Transfer(t.Context(), two, 5)
	if err != nil || is.To != 2 || is.Amount != 5 || is.Client == "" || is.Number == 0 {
		t.Errorf("got %+v, %v", is, err)
	}
	if id := b.asked[0].GetId(); !strings.HasPrefix(id.GetClient(), program.ID().String()) || id.GetNumber() != is.Number {
		t.Errorf("the request's id is %v", id)
	}
	if balance := <-w; balance != 105 {
		t.Errorf("told of %d", balance)
	}
	if _, err := two.Transfer(t.Context(), one, 63); err != nil { // 42 is left
		t.Error(err)
	}
	if _, err := one.Transfer(t.Context(), nil, 5); api.AsError(err) == nil || api.AsError(err).Field != "to" {
		t.Errorf("got %v", err)
	}
	if balance, err := two.Balance(t.Context()); balance != 42 || err != nil {
		t.Error(balance, err)
	}
}

// A hasty bank changes a balance just after it was read.
type hasty struct{ *till }

func (h hasty) Account(ctx context.Context, r *cirandav1.AccountRequest) (*cirandav1.AccountResponse, error) {
	is, err := h.till.Account(ctx, r)
	h.changed(r.GetAccount(), 7)
	return is, err
}

// What changes while somebody begins to watch is told.
func TestChangeDuringWatch(t *testing.T) {
	b := hasty{&till{balances: map[uint32]int64{1: 100}}}
	a := NewAccount(b, 1)
	defer a.Close()
	b.changed = func(_ uint32, balance int64) { a.Changed(balance) }
	w := make(receiver, 1)
	if balance, err := a.Watch(t.Context(), w); balance != 100 || err != nil {
		t.Fatal(balance, err)
	}
	if balance := <-w; balance != 7 {
		t.Errorf("told of %d, want 7", balance)
	}
}
