package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/node"
	"ciranda.dev/protocol"
	"ciranda.dev/stacks"
	"ciranda.dev/trace"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// deadline is how long a test waits for what should happen at once.
const deadline = 20 * time.Second

var access = api.Access{Token: "a token of the tests"}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// freeAddress is one that nobody listens on now, and below the ports that connections take for themselves.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(22_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// A lab is a bank of real nodes in this process.
type lab struct {
	t       testing.TB
	configs map[protocol.ID]node.Config
	nodes   map[protocol.ID]*node.Node
}

// newLab starts nodes.
func newLab(t testing.TB, n int) *lab {
	t.Helper()
	l := &lab{t, map[protocol.ID]node.Config{}, map[protocol.ID]*node.Node{}}
	peers := map[protocol.ID]string{}
	for id := protocol.ID(1); int(id) <= n; id++ {
		peers[id] = freeAddress(t)
	}
	for id := range peers {
		l.configs[id] = node.Config{Cluster: "test", ID: id, Peers: peers, Dir: filepath.Join(t.TempDir(), "node"),
			Spec: stacks.Spec{App: "bank"}, Access: access, GRPC: freeAddress(t), Level: trace.Protocol}
		l.start(id)
	}
	t.Cleanup(func() {
		for id := range l.nodes {
			l.stop(id)
		}
	})
	return l
}

func (l *lab) start(id protocol.ID) {
	l.t.Helper()
	n, err := node.Open(l.configs[id])
	if err != nil {
		l.t.Fatal(err)
	}
	l.nodes[id] = n
}

func (l *lab) stop(id protocol.ID) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := l.nodes[id].Close(ctx); err != nil {
		l.t.Errorf("node %d: %v", id, err)
	}
	delete(l.nodes, id)
}

// gateway starts a gateway of a name, and gives a client of it.
func (l *lab) gateway(name string) (*Gateway, *api.Client) {
	l.t.Helper()
	c := Config{Name: name, Cluster: "test", Nodes: map[protocol.ID]string{}, Access: access, GRPC: freeAddress(l.t), HTTP: freeAddress(l.t)}
	for id, n := range l.configs {
		c.Nodes[id] = n.GRPC
	}
	c.Log = slog.New(slog.NewTextHandler(l.t.Output(), nil))
	g, err := Open(c)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { closeGateway(g) })
	client, err := api.Dial(c.GRPC, access)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { client.Close() })
	return g, client
}

func closeGateway(g *Gateway) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	return g.Close(ctx)
}

// await waits until all nodes but some are up, as a gateway sees it.
func await(t *testing.T, c *api.Client, up int) *cirandav1.StatusResponse {
	t.Helper()
	s, err := c.Await(soon(t), func(s *cirandav1.StatusResponse) bool {
		found := 0
		for _, n := range s.GetNodes() {
			if n.GetState() == cirandav1.NodeState_NODE_STATE_UP {
				found++
			}
		}
		return found == up && s.GetLeader() != 0
	})
	if err != nil {
		t.Fatalf("%v; last seen: %v", err, s)
	}
	return s
}

func balances(t *testing.T, c *api.Client) *cirandav1.BalancesResponse {
	t.Helper()
	b, err := c.Bank.Balances(soon(t), &cirandav1.BalancesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A gateway sees nodes go and come, and acts on those that are there.
func TestNodesGoAndComeBack(t *testing.T) {
	l := newLab(t, 3)
	g, c := l.gateway("one")
	s := await(t, c, 3)
	if w := s.GetGateways(); len(w) != 1 || w[0].GetName() != "one" || w[0].GetGrpcAddress() != g.cfg.GRPC || s.GetCluster() != "test" || s.GetStack() != "heartbeat + bully + bank" {
		t.Errorf("got %v", s)
	}
	if !g.Ready() {
		t.Error("it reaches three nodes and is not ready")
	}
	fault := &cirandav1.Fault{Kind: &cirandav1.Fault_Partition_{Partition: &cirandav1.Fault_Partition{Sides: []string{"1,2", "leader"}}}}
	if f, err := c.Cluster.SetFault(soon(t), &cirandav1.SetFaultRequest{Fault: fault}); err != nil || f.GetText() != "partition 1,2/3" {
		t.Errorf("got %v, %v", f, err)
	}
	_, other := l.gateway("two") // it was not there when the fault was set
	if h, err := other.Cluster.Heal(soon(t), &cirandav1.HealRequest{}); err != nil || fmt.Sprint(h.GetEnded()) != "[partition 1,2/3]" {
		t.Errorf("got %v, %v", h, err)
	}
	await(t, c, 3)

	l.stop(2)
	s = await(t, c, 2)
	if n := s.GetNodes()[1]; n.GetState() != cirandav1.NodeState_NODE_STATE_DOWN || n.GetProblem() == "" {
		t.Errorf("of a node that ended, got %v", n)
	}
	b := balances(t, c)
	if b.Total != nil || b.GetWhyNoTotal() != "node 2 does not answer" || len(b.GetAccounts()) != 2 || b.GetIssued() != 300 {
		t.Errorf("got %v", b)
	}
	l.start(2)
	await(t, c, 3)
	if b := balances(t, c); b.GetTotal() != 300 || b.GetWhyNoTotal() != "" || len(b.GetAccounts()) != 3 {
		t.Errorf("got %v", b)
	}
}

// A node that is up and does not know its account's request names the field; so does the gateway.
func TestWrongTransfersAreRefused(t *testing.T) {
	l := newLab(t, 2)
	_, c := l.gateway("one")
	await(t, c, 2)
	id := func(client string, number, below uint64) *cirandav1.RequestID {
		return &cirandav1.RequestID{Client: client, Number: number, Below: below}
	}
	for _, w := range []struct {
		r     *cirandav1.TransferRequest
		code  codes.Code
		field string
	}{
		{&cirandav1.TransferRequest{From: 0, To: 1, Amount: 1}, codes.NotFound, "from"},
		{&cirandav1.TransferRequest{From: 3, To: 1, Amount: 1}, codes.NotFound, "from"},
		{&cirandav1.TransferRequest{From: 65537, To: 2, Amount: 1}, codes.NotFound, "from"},
		{&cirandav1.TransferRequest{From: 1, To: 65538, Amount: 1}, codes.NotFound, "to"},
		{&cirandav1.TransferRequest{From: 1, To: 1, Amount: 1}, codes.InvalidArgument, "to"},
		{&cirandav1.TransferRequest{From: 1, To: 2}, codes.InvalidArgument, "amount"},
		{&cirandav1.TransferRequest{From: 1, To: 2, Amount: -5}, codes.InvalidArgument, "amount"},
		{&cirandav1.TransferRequest{From: 1, To: 2, Amount: 1 << 62}, codes.InvalidArgument, "amount"},
		{&cirandav1.TransferRequest{From: 1, To: 2, Amount: 101}, codes.FailedPrecondition, "amount"},
		{&cirandav1.TransferRequest{From: 1, To: 2, Amount: 1, Id: id("", 1, 0)}, codes.InvalidArgument, "id.client"},
		{&cirandav1.TransferRequest{From: 1, To: 2, Amount: 1, Id: id(strings.Repeat("x", 65), 1, 0)}, codes.InvalidArgument, "id.client"},
		{&cirandav1.TransferRequest{From: 1, To: 2, Amount: 1, Id: id("a", 0, 0)}, codes.InvalidArgument, "id.number"},
		{&cirandav1.TransferRequest{From: 1, To: 2, Amount: 1, Id: id("a", 3, 4)}, codes.InvalidArgument, "id.below"},
	} {
		_, err := c.Bank.Transfer(soon(t), w.r)
		if e := api.AsError(err); e == nil || e.Code != w.code || e.Field != w.field {
			t.Errorf("%v: got %v; want %v naming %q", w.r, err, w.code, w.field)
		}
	}
	if _, err := c.Bank.Account(soon(t), &cirandav1.AccountRequest{Account: 3}); api.AsError(err).Field != "account" {
		t.Errorf("of an account that is not there: %v", err)
	}
	if b := balances(t, c); b.GetTotal() != 200 || b.GetAccounts()[0].GetBalance() != 100 {
		t.Errorf("money moved: %v", b)
	}
}

// One id is done once, through whichever gateway and however often it comes; also one that the node was down for.
func TestOneRequestIsDoneOnce(t *testing.T) {
	l := newLab(t, 2)
	_, one := l.gateway("one")
	_, two := l.gateway("two")
	await(t, one, 2)
	r := &cirandav1.TransferRequest{From: 1, To: 2, Amount: 30, Wait: true, Id: &cirandav1.RequestID{Client: "ana", Number: 1}}
	for range 2 {
		for _, c := range []*api.Client{one, two} {
			a, err := c.Bank.Transfer(soon(t), r)
			if err != nil || a.GetFrom() != 1 || a.GetNumber() != 1 || !a.GetSettled() || a.GetId().GetClient() != "ana" {
				t.Fatalf("got %v, %v", a, err)
			}
		}
	}
	l.stop(1)
	r = &cirandav1.TransferRequest{From: 1, To: 2, Amount: 5, Id: &cirandav1.RequestID{Client: "ana", Number: 2}}
	brief, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := one.Bank.Transfer(brief, r); api.AsError(err).Code != codes.Unavailable || !strings.HasSuffix(err.Error(), "it did not happen") {
		t.Errorf("of a node that is down: %v", err)
	}
	answers := make(chan error, 2)
	for _, c := range []*api.Client{one, two} { // they wait for the node
		go func() {
			a, err := c.Bank.Transfer(soon(t), r)
			if err == nil && a.GetNumber() != 2 {
				err = errors.New("another transfer: " + a.String())
			}
			answers <- err
		}()
	}
	l.start(1)
	for range 2 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if b := balances(t, two); b.GetTotal() != 200 || b.GetAccounts()[0].GetBalance() != 65 {
		t.Errorf("got %v", b)
	}
}

// A caller that brings a key of its own gets the same transfer however often it asks, at any gateway.
func TestKey(t *testing.T) {
	l := newLab(t, 2)
	g, one := l.gateway("one")
	_, two := l.gateway("two")
	await(t, one, 2)
	with := func(keys ...string) context.Context {
		ctx := soon(t)
		for _, k := range keys {
			ctx = metadata.AppendToOutgoingContext(ctx, api.KeyHeader, k)
		}
		return ctx
	}
	r := &cirandav1.TransferRequest{From: 1, To: 2, Amount: 30, Wait: true}
	for _, c := range []*api.Client{one, two, one} {
		if a, err := c.Bank.Transfer(with("order 17"), r); err != nil || a.GetNumber() != 1 {
			t.Fatalf("got %v, %v", a, err)
		}
	}
	if answer := postKey(t, g, `{"from": 1, "to": 2, "amount": "30", "wait": true}`, "order 17"); !strings.Contains(answer, `"number":"1"`) {
		t.Errorf("over HTTP: %s", answer)
	}
	direct, err := api.Dial(l.configs[1].GRPC, access)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { direct.Close() })
	if a, err := direct.Bank.Transfer(with("order 17"), r); err != nil || a.GetNumber() != 1 {
		t.Errorf("at the node itself: %v, %v", a, err)
	}
	if a, err := two.Bank.Transfer(with("order 18"), r); err != nil || a.GetNumber() != 2 {
		t.Errorf("with another key: %v, %v", a, err)
	}
	other := &cirandav1.TransferRequest{From: 1, To: 2, Amount: 31, Wait: true}
	named := &cirandav1.TransferRequest{From: 1, To: 2, Amount: 1, Id: &cirandav1.RequestID{Client: "ana", Number: 1}}
	for name, c := range map[string]struct {
		ctx context.Context
		r   *cirandav1.TransferRequest
	}{
		"another amount": {with("order 17"), other}, "two keys": {with("a", "b"), r}, "a key too long": {with(strings.Repeat("k", 256)), r},
		"a key and an id": {with("a"), named},
	} {
		if a, err := one.Bank.Transfer(c.ctx, c.r); api.AsError(err).Code != codes.InvalidArgument && api.AsError(err).Code != codes.FailedPrecondition {
			t.Errorf("%s: got %v, %v", name, a, err)
		}
	}
	if b := balances(t, two); b.GetAccounts()[0].GetBalance() != 40 {
		t.Errorf("got %v", b)
	}
}

// postKey asks for a transfer as JSON, with a key.
func postKey(t *testing.T, g *Gateway, body, key string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(soon(t), "POST", "http://"+g.cfg.HTTP+"/ciranda.v1.BankService/Transfer", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+string(access.Token))
	r.Header.Set(api.KeyHeader, key)
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(raw), " ", "")
}
