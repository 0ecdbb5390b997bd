package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/node"
	"ciranda.dev/protocol"
)

// A post is a node as far as the group is concerned.
type post struct {
	api.Group
	id   uint32
	down bool // as the directory has it

	mu     sync.Mutex
	out    bool                                                                // it is no member
	err    error                                                               // what it answers to messages
	block  func()                                                              // what it does before; may be nil
	looked func()                                                              // what it does when it is asked for its view; may be nil
	sent   []string                                                            // that it was told to send
	tells  func(ctx context.Context, send func(...*cirandav1.Happening)) error // what it tells listeners
}

func (p *post) View(_ context.Context, r *cirandav1.ViewRequest) (*cirandav1.ViewResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.looked != nil {
		p.looked()
	}
	return &cirandav1.ViewResponse{Node: p.id, Member: !p.out, View: &cirandav1.GroupView{Id: 5}}, nil
}

func (p *post) Multicast(_ context.Context, r *cirandav1.MulticastRequest) (*cirandav1.MulticastResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil && api.AsError(p.err).Code != codes.Unknown {
		return nil, p.err
	}
	p.sent = append(p.sent, r.GetText())
	if p.block != nil {
		p.block()
	}
	return &cirandav1.MulticastResponse{Node: p.id, View: 5, First: uint64(len(p.sent)), Count: 1}, p.err
}

func (p *post) MulticastStream(_ context.Context, receive func() (*cirandav1.MulticastStreamRequest, error)) (*cirandav1.MulticastStreamResponse, error) {
	for {
		r, err := receive()
		p.mu.Lock()
		if err == nil && p.err == nil {
			p.sent = append(p.sent, string(r.GetPayloads()[0]))
		}
		answer, failed := &cirandav1.MulticastStreamResponse{Node: p.id, Count: uint64(len(p.sent))}, p.err
		p.mu.Unlock()
		switch {
		case failed != nil:
			return nil, failed
		case errors.Is(err, io.EOF):
			return answer, nil
		case err != nil:
			return nil, err
		}
	}
}

func (p *post) Listen(ctx context.Context, r *cirandav1.ListenRequest, send func(*cirandav1.ListenResponse) error) error {
	return p.tells(ctx, func(h ...*cirandav1.Happening) { send(&cirandav1.ListenResponse{Happenings: h}) })
}

// said is messages of node 1.
func said(view, first uint64, texts ...string) *cirandav1.Happening {
	d := &cirandav1.Delivery{View: view, Sender: 1, Order: "fifo", First: first}
	for _, text := range texts {
		d.Payloads = append(d.Payloads, []byte(text))
	}
	return &cirandav1.Happening{Kind: &cirandav1.Happening_Delivery{Delivery: d}}
}

// begun is the beginning of a stream at a node, with the next number of messages of node 1.
func begun(node uint32, view, next uint64) *cirandav1.Happening {
	return &cirandav1.Happening{Kind: &cirandav1.Happening_Listening{Listening: &cirandav1.Listening{Node: node, View: view,
		Next: []*cirandav1.Listening_Next{{Sender: 1, Order: "fifo", Seq: next}}}}}
}

func changed(view uint64) *cirandav1.Happening {
	return &cirandav1.Happening{Kind: &cirandav1.Happening_View{View: &cirandav1.ViewChange{View: &cirandav1.GroupView{Id: view}}}}
}

func (p *post) Leave(context.Context, *cirandav1.LeaveRequest) (*cirandav1.LeaveResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = true
	return &cirandav1.LeaveResponse{Node: p.id, View: 5}, nil
}

func (p *post) Join(context.Context, *cirandav1.JoinRequest) (*cirandav1.JoinResponse, error) {
	return nil, api.Failed("", "node %d has not left", p.id)
}

func (p *post) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// A service is posts and a router to them, which is served.
type postal struct {
	*api.Client
	router *Router
	posts  []*post
	where  []string
}

// Members implements node.Directory.
func (p *postal) Members() []node.Member {
	var all []node.Member
	for i, s := range p.posts {
		state := cirandav1.NodeState_NODE_STATE_UP
		s.mu.Lock()
		if s.down {
			state = cirandav1.NodeState_NODE_STATE_DOWN
		}
		s.mu.Unlock()
		all = append(all, node.Member{Known: &cirandav1.NodeStatus{Id: s.id, State: state, GrpcAddress: p.where[i]}})
	}
	return all
}

func (p *postal) Last() protocol.ID { return protocol.None }

// newPostal serves posts 1 to 3.
func newPostal(t *testing.T) *postal {
	p := &postal{}
	serve := func(g api.Group) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := api.New(api.Config{Services: api.Services{Group: g}, Access: access, GRPC: l})
		s.Start()
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			s.Close(ctx)
		})
		return l.Addr().String()
	}
	for id := range uint32(3) {
		s := &post{id: id + 1}
		p.posts, p.where = append(p.posts, s), append(p.where, serve(s))
	}
	dial := func(address string) (*api.Client, error) { return api.Dial(address, access) }
	p.router = NewRouter(p, dial)
	front := serve(p.router)
	t.Cleanup(func() { p.router.Close() })
	var err error
	if p.Client, err = dial(front); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Client.Close() })
	return p
}

// sent is what was sent by each post.
func (p *postal) sent() string {
	var all []string
	for _, s := range p.posts {
		s.mu.Lock()
		all = append(all, strings.Join(s.sent, " "))
		s.mu.Unlock()
	}
	return strings.Join(all, "|")
}

func (p *postal) cast(t *testing.T, number uint32, text string) (uint32, error) {
	a, err := p.Group.Multicast(soon(t), &cirandav1.MulticastRequest{Node: number, Order: "fifo", Text: text})
	return a.GetNode(), err
}

func wants(t *testing.T, err error, code codes.Code, text string) {
	t.Helper()
	if e := api.AsError(err); e == nil || e.Code != code || !strings.Contains(e.Text, text) {
		t.Errorf("got %v; want %s %s", err, code, text)
	}
}

// Messages go to one member as long as that takes them, and then to another.
func TestMulticastThroughAGateway(t *testing.T) {
	p := newPostal(t)
	p.posts[0].out = true
	first, err := p.cast(t, 0, "a")
	if err != nil || first == 1 {
		t.Fatalf("got node %d, %v; want another than node 1, which is no member", first, err)
	}
	for range 5 {
		if at, err := p.cast(t, 0, "b"); err != nil || at != first {
			t.Errorf("got node %d, %v; want %d again", at, err, first)
		}
	}
	p.posts[first-1].set(func() {
		p.posts[first-1].out, p.posts[first-1].err = true, api.Failed("", "node %d is no member", first)
	})
	other := 5 - first // of 2 and 3
	if at, err := p.cast(t, 0, "c"); err != nil || at != other {
		t.Errorf("then: got node %d, %v; want %d", at, err, other)
	}
	if at, err := p.cast(t, 1, "d"); err != nil || at != 1 { // the node decides
		t.Errorf("of node 1: got node %d, %v", at, err)
	}
	if at, err := p.cast(t, 0, "e"); err != nil || at != other {
		t.Errorf("after that: got node %d, %v; want %d", at, err, other)
	}
	p.posts[other-1].set(func() { p.posts[other-1].down = true })
	briefly, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	_, err = p.Group.Multicast(briefly, &cirandav1.MulticastRequest{Order: "fifo", Text: "f"})
	wants(t, err, codes.Unavailable, "no node is a member of the group; nothing was sent")
	_, err = p.cast(t, other, "g")
	wants(t, err, codes.Unavailable, fmt.Sprintf("node %d is not up; nothing was sent", other))
	_, err = p.cast(t, 9, "h")
	wants(t, err, codes.NotFound, "there is no node 9; expected one of 1 to 3")
	s := p.router.Stats()
	if s.Done.Load() != 9 || s.Unavailable.Load() != 2 || s.Refused.Load() != 1 || s.Moved.Load() != 1 {
		t.Errorf("counted %d done, %d unavailable, %d refused, %d moved", s.Done.Load(), s.Unavailable.Load(), s.Refused.Load(), s.Moved.Load())
	}
}

// A mistake is told as it is, and not asked for again elsewhere; so is a refusal of the only node that is asked.
func TestMulticastRefusedThroughAGateway(t *testing.T) {
	p := newPostal(t)
	for _, s := range p.posts {
		s.err = api.Wrong("payloads", "too large")
	}
	_, err := p.cast(t, 0, "a")
	wants(t, err, codes.InvalidArgument, "too large")
	for _, s := range p.posts {
		s.set(func() { s.err = api.Failed("", "the group does not run fifo") })
	}
	_, err = p.cast(t, 0, "a")
	wants(t, err, codes.FailedPrecondition, "the group does not run fifo; nothing was sent")
	_, err = p.cast(t, 2, "a")
	wants(t, err, codes.FailedPrecondition, "node 2: the group does not run fifo; nothing was sent")
	if s := p.router.Stats(); s.Refused.Load() != 3 || s.Moved.Load() != 4 || p.sent() != "||" {
		t.Errorf("%d refused, %d moved, %s sent", s.Refused.Load(), s.Moved.Load(), p.sent())
	}
}

// Where nobody is a member yet, messages wait for one.
func TestMulticastWaitsForAGroup(t *testing.T) {
	p := newPostal(t)
	asked := 0
	for _, s := range p.posts {
		s.out = true
	}
	p.posts[0].looked = func() {
		if asked++; asked == 3 {
			p.posts[0].out = false
		}
	}
	if at, err := p.cast(t, 0, "a"); err != nil || at != 1 {
		t.Errorf("got node %d, %v", at, err)
	}
}

// What may have been sent is not sent again.
func TestMulticastOfUnknownOutcome(t *testing.T) {
	p := newPostal(t)
	for _, s := range p.posts {
		s.err = &api.Error{Code: codes.Unknown, Text: "it may be delivered yet"}
	}
	_, err := p.cast(t, 2, "a")
	wants(t, err, codes.Unknown, "node 2: it may be delivered yet")
	if got := p.sent(); got != "|a|" {
		t.Errorf("sent %s", got)
	}
	silent := make(chan struct{})
	for _, s := range p.posts {
		s.set(func() { s.err, s.block = nil, func() { <-silent } })
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = p.router.Multicast(ctx, &cirandav1.MulticastRequest{Node: 2, Order: "fifo", Text: "b"})
	close(silent)
	wants(t, err, codes.Unknown, "no answer of node 2; the messages may be delivered or not")
	if got := p.sent(); got != "|a b|" {
		t.Errorf("sent %s", got)
	}
}

// A client that gets no answer knows that it does not know.
func TestClientsInDoubt(t *testing.T) {
	p := newPostal(t)
	silent := make(chan struct{})
	for _, s := range p.posts {
		s.block = func() { <-silent }
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := Multicast(ctx, p.Group, &cirandav1.MulticastRequest{Order: "fifo", Text: "a"})
	close(silent)
	wants(t, err, codes.Unknown, "")
	for _, s := range p.posts {
		s.set(func() { s.block, s.err = nil, api.Failed("", "the group does not run fifo") })
	}
	_, err = Multicast(soon(t), p.Group, &cirandav1.MulticastRequest{Order: "fifo", Text: "a"})
	wants(t, err, codes.FailedPrecondition, "the group does not run fifo; nothing was sent")
	nobody, err := api.Dial(freeAddress(t), access)
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close()
	_, err = Multicast(soon(t), nobody.Group, &cirandav1.MulticastRequest{Order: "fifo", Text: "a"})
	wants(t, err, codes.Unavailable, "")
	s, err := OpenStream(soon(t), nobody.Group)
	if err == nil {
		_, err = s.Close()
	}
	wants(t, err, codes.Unavailable, "")
}

// All of a stream goes to one member, and its outcome is that member's.
func TestMulticastStreamThroughAGateway(t *testing.T) {
	p := newPostal(t)
	p.posts[0].out, p.posts[2].out = true, true
	ctx := soon(t)
	stream := func(texts ...string) (*cirandav1.MulticastStreamResponse, error) {
		s, err := p.Group.MulticastStream(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			if err := s.Send(&cirandav1.MulticastStreamRequest{Order: "fifo", Payloads: [][]byte{[]byte(text)}}); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
		}
		return s.CloseAndRecv()
	}
	a, err := stream("a", "b", "c")
	if err != nil || a.GetNode() != 2 || a.GetCount() != 3 || p.sent() != "|a b c|" {
		t.Errorf("got %v, %v; %s sent", a, err, p.sent())
	}
	if a, err := stream(); err != nil || a.GetCount() != 0 {
		t.Errorf("an empty one: got %v, %v", a, err)
	}
	p.posts[1].set(func() { p.posts[1].err = api.Failed("", "message 1 of the stream: full") })
	_, err = stream("d", "e")
	wants(t, err, codes.FailedPrecondition, "node 2: message 1 of the stream: full")
	p.posts[1].set(func() { p.posts[1].down = true })
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	_, err = stream("f")
	wants(t, err, codes.Unavailable, "no node is a member of the group; nothing was sent")
}

// A listener is told what one member delivers, and when that is gone.
func TestListenThroughAGateway(t *testing.T) {
	p := newPostal(t)
	p.posts[0].out, p.posts[2].out = true, true
	gone := make(chan struct{})
	p.posts[1].tells = func(ctx context.Context, send func(...*cirandav1.Happening)) error {
		send(said(5, 1, "a"))
		send(said(5, 2, "b"))
		select {
		case <-gone:
			return &api.Error{Code: codes.Unavailable, Text: "the node has stopped"}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	l, err := p.Group.Listen(soon(t), &cirandav1.ListenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a", "b"} {
		r, err := l.Recv()
		if err != nil || string(r.GetHappenings()[0].GetDelivery().GetPayloads()[0]) != want {
			t.Fatalf("got %v, %v; want %s", r, err, want)
		}
	}
	close(gone)
	_, err = l.Recv()
	wants(t, err, codes.Unavailable, "node 2, which was listened at, is gone")
	p.posts[1].set(func() {
		p.posts[1].tells = func(context.Context, func(...*cirandav1.Happening)) error {
			return &api.Error{Code: codes.ResourceExhausted, Text: "the listener takes too little"}
		}
	})
	if l, err = p.Group.Listen(soon(t), &cirandav1.ListenRequest{}); err == nil {
		_, err = l.Recv()
	}
	wants(t, err, codes.ResourceExhausted, "node 2: the listener takes too little")
}

// Views are those of a member or of the node that is named, and only nodes that are named leave and join.
func TestViewsThroughAGateway(t *testing.T) {
	p := newPostal(t)
	p.posts[0].out, p.posts[1].out = true, true
	if v, err := p.Group.View(soon(t), &cirandav1.ViewRequest{}); err != nil || v.GetNode() != 3 {
		t.Errorf("got %v, %v", v, err)
	}
	if v, err := p.Group.View(soon(t), &cirandav1.ViewRequest{Node: 1}); err != nil || v.GetNode() != 1 || v.GetMember() {
		t.Errorf("of node 1: got %v, %v", v, err)
	}
	if a, err := p.Group.Leave(soon(t), &cirandav1.LeaveRequest{Node: 3}); err != nil || a.GetNode() != 3 {
		t.Errorf("leave: got %v, %v", a, err)
	}
	if v, err := p.Group.View(soon(t), &cirandav1.ViewRequest{}); err != nil || v.GetMember() {
		t.Errorf("without a member: got %v, %v", v, err)
	}
	_, err := p.Group.Join(soon(t), &cirandav1.JoinRequest{Node: 3})
	wants(t, err, codes.FailedPrecondition, "node 3 has not left")
	_, err = p.Group.Join(soon(t), &cirandav1.JoinRequest{})
	wants(t, err, codes.InvalidArgument, "found no node; expected the number of one")
	p.posts[2].set(func() { p.posts[2].down = true })
	_, err = p.Group.View(soon(t), &cirandav1.ViewRequest{Node: 3})
	wants(t, err, codes.Unavailable, "node 3 is not up")
}

// A listener that loses its node goes on at another one: it is told nothing twice, and what it missed.
func TestListenersGoOn(t *testing.T) {
	p := newPostal(t)
	p.posts[0].out, p.posts[1].out, p.posts[2].out = false, true, true
	lost := &api.Error{Code: codes.Unavailable, Text: "the node has stopped"}
	lives := [][]*cirandav1.Happening{
		{begun(1, 5, 3), said(5, 3, "c", "d"), changed(6), said(6, 1, "e")},
		{begun(1, 5, 2), said(5, 2, "b", "c", "d"), changed(6), said(6, 1, "e", "f")}, // behind
		{begun(1, 6, 5), said(6, 5, "i")},                                             // ahead
		{begun(1, 8, 1), said(8, 1, "j")},
	}
	life := 0
	p.posts[0].tells = func(_ context.Context, send func(...*cirandav1.Happening)) error {
		if life == len(lives) {
			return api.Failed("", "enough")
		}
		send(lives[life]...)
		life++
		return lost
	}
	var notes, told []string
	l := Listener{Servers: []cirandav1.GroupServiceClient{p.Group}, Request: &cirandav1.ListenRequest{}, Note: func(text string) { notes = append(notes, text) }}
	err := l.Run(soon(t), func(h *cirandav1.Happening) error {
		if v := h.GetView(); v != nil {
			told = append(told, fmt.Sprint(v.GetView().GetId()))
		}
		for m := range api.Messages(h.GetDelivery()) {
			told = append(told, fmt.Sprintf("%d:%s", m.Seq, *m.Payload))
		}
		return nil
	})
	wants(t, err, codes.FailedPrecondition, "enough")
	if got, want := strings.Join(told, " "), "3:c 4:d 6 1:e 2:f 5:i 1:j"; got != want {
		t.Errorf("told %s, want %s", got, want)
	}
	want := `listening at node 1, in view 5
listening at node 1, in view 5; nothing was missed in between
listening at node 1, in view 6; 2 messages in between were missed
listening at node 1, in view 8; what was delivered in between was missed`
	if got := strings.Join(notes, "\n"); got != want {
		t.Errorf("noted\n%s\nwant\n%s", got, want)
	}
	stop := errors.New("stop")
	life = 0
	if err := l.Run(soon(t), func(*cirandav1.Happening) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("stopped: got %v", err)
	}
}
