package node

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/app/board"
	"ciranda.dev/engine/live"
	"ciranda.dev/node/member"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/protocol/transfer"
	"ciranda.dev/transport"
)

// alone is a layer that is a group of one, or none while it has left. What it is told to cast it delivers at once. In the order
// reliable, which it does not run, it refuses; in the order lamport it never delivers.
type alone struct {
	protocol.Base
	left bool
	next map[multicast.Lane]uint64
}

func (a *alone) Traits() protocol.Traits { return protocol.Traits{Channel: "alone"} }
func (a *alone) String() string          { return "alone" }

func (a *alone) Start(o *protocol.Out) {
	a.next = map[multicast.Lane]uint64{}
	o.Indicate(group.Installed{View: a.view(), First: true, Joined: []protocol.ID{1}})
}

func (a *alone) view() group.View {
	return group.View{ID: 3, Members: []group.Member{{Node: 1, Incarnation: 1, Life: 2}}}
}

func (a *alone) Answer(question any) (any, bool) {
	switch question.(type) {
	case group.Query:
		s := group.Status{View: a.view(), Member: !a.left, History: []group.Past{{View: a.view(), Joined: []protocol.ID{1}}}}
		if a.left {
			s.Blocked = "it has left"
		}
		return s, true
	case multicast.Query:
		return multicast.Status{View: 3, Lanes: []multicast.Lane{{Order: multicast.FIFO}}, Waiting: 7, Full: true, Slowest: 2,
			Broadcasts: &multicast.Broadcasts{Is: true, Repairs: 9}}, true
	}
	return nil, false
}

func (a *alone) Request(r any, o *protocol.Out) bool {
	call, ok := r.(protocol.Call)
	if !ok {
		return false
	}
	reply := func(body any) { o.Indicate(protocol.Reply{ID: call.ID, Body: body}) }
	switch body := call.Body.(type) {
	case group.Leave:
		a.left = true
		o.Indicate(group.Excluded{View: 3, Why: group.Left})
		reply(group.Out{View: 3})
	case group.Join:
		a.left = false
		o.Indicate(group.Blocked{Why: "it joins"})
		reply(group.Back{})
	case multicast.Cast:
		a.cast(body, reply, o)
	}
	return true
}

func (a *alone) cast(c multicast.Cast, reply func(any), o *protocol.Out) {
	lane := multicast.Lane{Order: c.Order, Uniform: c.Uniform}
	switch first := a.next[lane] + 1; {
	case a.left:
		reply(protocol.Refused{Why: "node 1 is no member of the group"})
	case c.Order == multicast.Reliable:
		reply(protocol.Refused{Why: "the group does not run the order reliable"})
	case c.Order == multicast.Lamport: // it waits
	default:
		a.next[lane] += uint64(len(c.Payloads))
		o.Tell(multicast.Delivery{View: 3, Sender: 1, Lane: lane, First: first, Payloads: c.Payloads})
		reply(multicast.Sent{View: 3, First: first, Count: len(c.Payloads)})
	}
}

// silence is a transport without peers.
type silence struct{ transport.Transport }

func (silence) Stats() transport.Stats      { return transport.Stats{} }
func (silence) Close(context.Context) error { return nil }

// A hermitage is a membership whose node is alone, served at all ports.
type hermitage struct {
	*membership
	*api.Client
	http, socket string
}

// hermit starts a hermitage of some layers.
func hermit(t *testing.T, layers ...protocol.Layer) *hermitage {
	t.Helper()
	g := member.New(member.Options{})
	n, err := live.Open(live.Config{Cluster: "test", ID: 1, Group: []protocol.ID{1}, Incarnation: 1, Leave: g.Leave,
		Build: func(self protocol.Self) (*protocol.Stack, error) { return protocol.NewStack(self, layers...) },
		Transport: func(transport.Handler, func() transport.Hello) (transport.Transport, error) {
			return silence{}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	g.Attach(n)
	m := (&Node{cfg: Config{ID: 1}, live: n, member: g}).membership()
	m.largest = 100 << 10
	var ports []net.Listener
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, l)
	}
	s := api.New(api.Config{Services: api.Services{Group: m}, Access: api.Access{Token: token}, GRPC: ports[0], HTTP: ports[1], Socket: ports[2]})
	s.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if err := n.Close(ctx); err != nil {
			t.Error(err)
		}
		s.Close(ctx)
	})
	return &hermitage{m, dial(t, ports[0].Addr().String()), ports[1].Addr().String(), ports[2].Addr().String()}
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// expect fails unless an error has a code, a field and a text that begins so.
func expect(t *testing.T, err error, code codes.Code, field, text string) {
	t.Helper()
	if e := api.AsError(err); e == nil || e.Code != code || e.Field != field || !strings.HasPrefix(e.Text, text) {
		t.Errorf("got %v (%+v); want %s %s %q", err, api.AsError(err), code, field, text)
	}
}

// plain is what a message of the API prints; how many spaces stand between them is not the same in all builds.
func plain(m any) string { return strings.Join(strings.Fields(fmt.Sprint(m)), " ") }

// A node shows its view and its messages; it leaves and comes back when it is told to.
func TestNodesServeTheirView(t *testing.T) {
	h := hermit(t, &alone{})
	v, err := h.Group.View(soon(t), &cirandav1.ViewRequest{})
	want := `node:1 view:{id:3 coordinator:1 members:{node:1 incarnation:1 life:2}} member:true history:{view:{id:3 coordinator:1 members:{node:1 incarnation:1 life:2}} joined:1} backlog:{lanes:{order:"fifo"} waiting_bytes:7 slowest:2 datagrams:{used:true repairs:9}}`
	if got := plain(v); err != nil || got != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	out, err := h.Group.Leave(soon(t), &cirandav1.LeaveRequest{Node: 1})
	if err != nil || out.GetView() != 3 || out.GetNode() != 1 {
		t.Errorf("leave: got %v, %v", out, err)
	}
	if v, err := h.Group.View(soon(t), &cirandav1.ViewRequest{}); err != nil || v.GetMember() || v.GetBlocked() != "it has left" {
		t.Errorf("then: got %v, %v", v, err)
	}
	if back, err := h.Group.Join(soon(t), &cirandav1.JoinRequest{}); err != nil || back.GetNode() != 1 {
		t.Errorf("join: got %v, %v", back, err)
	}
	_, err = h.Group.View(soon(t), &cirandav1.ViewRequest{Node: 2})
	expect(t, err, codes.NotFound, "node", "this is node 1; the request is for node 2")
	_, err = h.Group.Leave(soon(t), &cirandav1.LeaveRequest{Node: 2})
	expect(t, err, codes.NotFound, "node", "this is node 1")
}

// poster is alone with a board.
type poster struct {
	alone
	board board.Contents
}

func (p *poster) Answer(question any) (any, bool) {
	switch question.(type) {
	case board.Query:
		return p.board, true
	case transfer.Query:
		return transfer.Status{Ready: true}, true
	}
	return p.alone.Answer(question)
}

// A node with a board shows the end of it.
func TestNodesShowTheirBoard(t *testing.T) {
	p := &poster{board: board.Contents{Since: 2, Count: 30, Hash: 0xabc}}
	for i := range 12 {
		p.board.Notices = append(p.board.Notices, board.Notice{Sender: 4, Text: fmt.Sprint(i) + strings.Repeat("é", 2000)})
	}
	v, err := hermit(t, p).Group.View(soon(t), &cirandav1.ViewRequest{})
	b := v.GetBoard()
	if err != nil || !b.GetReady() || b.GetSince() != 2 || b.GetCount() != 30 || b.GetHash() != "0000000000000abc" || len(b.GetNotices()) != 10 {
		t.Fatalf("got %v, %v", b, err)
	}
	for i, n := range b.GetNotices() {
		if begins := fmt.Sprint(i + 2); n.GetSender() != 4 || len(n.GetPayload()) != 1<<10 || !strings.HasPrefix(string(n.GetPayload()), begins+"é") {
			t.Errorf("notice %d: got %d bytes of node %d: %.9q", i, len(n.GetPayload()), n.GetSender(), n.GetPayload())
		}
	}
}

// A node without a group says so, whatever is asked.
func TestNodesWithoutAGroup(t *testing.T) {
	h := hermit(t, &nobody{})
	_, err := h.Group.View(soon(t), &cirandav1.ViewRequest{})
	expect(t, err, codes.FailedPrecondition, "", "node 1 runs no group")
	_, err = h.Group.Multicast(soon(t), &cirandav1.MulticastRequest{Order: "fifo", Text: "x"})
	expect(t, err, codes.FailedPrecondition, "", "node 1 runs no group")
	_, err = h.Group.Leave(soon(t), &cirandav1.LeaveRequest{})
	expect(t, err, codes.FailedPrecondition, "", "node 1 runs no group")
	l, err := h.Group.Listen(soon(t), &cirandav1.ListenRequest{})
	if err == nil {
		_, err = l.Recv()
	}
	expect(t, err, codes.FailedPrecondition, "", "node 1 runs no group")
}

// nobody is a layer that takes nothing.
type nobody struct{ protocol.Base }

func (nobody) Traits() protocol.Traits { return protocol.Traits{Channel: "nobody"} }
func (nobody) String() string          { return "nobody" }
func (nobody) Start(*protocol.Out)     {}
