package shell

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// A server is a cluster as a shell sees it: three nodes with 100 each.
type server struct {
	mu        sync.Mutex
	down      bool
	still     bool // it does not answer, and does not fail either
	loseNext  bool // the answer to the next transfer
	leader    uint32
	term      uint64
	balances  map[uint32]int64
	done      map[string]bool              // request ids of transfers
	transfers []*cirandav1.TransferRequest // all that arrived
	begun     []string                     // elections
	stopped   []string                     // what the supervisor was asked for
	onStop    func()
	refused   string // what it refuses
	past      []*cirandav1.Event
	live      chan *cirandav1.Event
	faults    []string
	cast      []*cirandav1.MulticastRequest
	told      []*cirandav1.Happening // to who listens
}

func newServer() *server {
	return &server{leader: 3, term: 4, balances: map[uint32]int64{1: 100, 2: 100, 3: 100}, done: map[string]bool{},
		live: make(chan *cirandav1.Event, 64)}
}

func (f *server) connect(via string) (*Connection, error) {
	switch via {
	case "grpc":
		to := Over("the gateway", f, func() error { return nil })
		to.Events = cirandav1.NewEventServiceClient(f)
		to.Supervisor = &Supervisor{cirandav1.NewSupervisorServiceClient(f), to.Events}
		return to, nil
	case "socket":
		return Over("the gateway", f, func() error { return nil }), nil
	default:
		return nil, api.Wrong("", "found %q; expected grpc or socket", via)
	}
}

func (f *server) standsStill() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.still
}

func (f *server) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// Invoke implements grpc.ClientConnInterface.
func (f *server) Invoke(ctx context.Context, method string, args, reply any, _ ...grpc.CallOption) error {
	if f.standsStill() {
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return status.Error(codes.Unavailable, "connection refused")
	}
	answer, err := f.answer(args)
	if err != nil {
		return err
	}
	proto.Merge(reply.(proto.Message), answer)
	return nil
}

func (f *server) answer(r any) (proto.Message, error) {
	switch r := r.(type) {
	case *cirandav1.StatusRequest:
		return f.status(), nil
	case *cirandav1.EchoRequest:
		return &cirandav1.EchoResponse{Payload: r.GetPayload()}, nil
	case *cirandav1.ElectRequest:
		f.begun = append(f.begun, r.GetNode())
		f.term++
		return &cirandav1.ElectResponse{Node: 1, Counter: f.term}, nil
	case *cirandav1.AccountRequest:
		return &cirandav1.AccountResponse{Account: &cirandav1.Account{Id: r.GetAccount(), Balance: f.balances[r.GetAccount()]}}, nil
	case *cirandav1.BalancesRequest:
		return f.all(), nil
	case *cirandav1.TransferRequest:
		return f.transfer(r)
	case *cirandav1.TakeRequest:
		return f.snapshot(r)
	case *cirandav1.ViewRequest:
		return f.view(r)
	case *cirandav1.MulticastRequest:
		return f.multicast(r)
	case *cirandav1.PauseRequest:
		return &cirandav1.PauseResponse{}, f.stop("pause " + r.GetNodes())
	case *cirandav1.ResumeRequest:
		return &cirandav1.ResumeResponse{}, f.stop("resume " + r.GetNodes())
	case *cirandav1.KillRequest:
		return &cirandav1.KillResponse{}, f.stop("kill " + r.GetNodes())
	case *cirandav1.RestartRequest:
		return &cirandav1.RestartResponse{}, f.stop("restart " + r.GetNodes())
	default:
		return nil, status.Error(codes.Unimplemented, "no such thing")
	}
}

func (f *server) stop(what string) error {
	if what == f.refused {
		return status.Error(codes.PermissionDenied, "you may not")
	}
	f.stopped = append(f.stopped, what)
	if f.onStop != nil {
		f.onStop()
		f.onStop = nil
	}
	return nil
}

func (f *server) status() *cirandav1.StatusResponse {
	r := &cirandav1.StatusResponse{Cluster: "test", Leader: f.leader, Faults: f.faults}
	if f.leader == 0 {
		r.WhyNoLeader = "nodes 1 and 2 follow nobody"
	} else {
		r.Term = &cirandav1.Term{Counter: f.term, Leader: f.leader}
	}
	for id := uint32(1); id <= 3; id++ {
		r.Nodes = append(r.Nodes, &cirandav1.NodeStatus{Id: id, State: cirandav1.NodeState_NODE_STATE_UP, Incarnation: 1,
			Leader: f.leader, Term: r.Term, Lamport: 7, Phase: "idle", GrpcAddress: fmt.Sprintf("127.0.0.1:700%d", id)})
	}
	return r
}

// snapshot is one of two nodes, the second of which is missing.
func (f *server) snapshot(r *cirandav1.TakeRequest) (*cirandav1.TakeResponse, error) {
	if r.GetNode() == "7" {
		return nil, status.Error(codes.NotFound, "there is no node 7")
	}
	state, err := structpb.NewStruct(map[string]any{"balance": 70.0})
	if err != nil {
		return nil, err
	}
	return &cirandav1.TakeResponse{Snapshot: &cirandav1.Snapshot{Id: "1#1:1", Initiator: 1, Consistent: true, ElapsedMs: 2,
		Nodes:    []*cirandav1.Snapshot_State{{Id: 1, Incarnation: 1, Lamport: 9, State: state}},
		Channels: []*cirandav1.Snapshot_Channel{{From: 2, To: 1, Count: 3}},
		Checks:   []*cirandav1.Snapshot_Check{{Name: "money-conserved", Verdict: "unexercised", Detail: "n2 did not report"}},
		Missing:  []*cirandav1.Snapshot_Missing{{Node: 2, Why: "restarted"}}}}, nil
}

func (f *server) all() *cirandav1.BalancesResponse {
	total := int64(0)
	r := &cirandav1.BalancesResponse{Total: &total, Issued: 300}
	for id := uint32(1); id <= 3; id++ {
		r.Accounts = append(r.Accounts, &cirandav1.BalancesResponse_Balance{Id: id, Node: id, Balance: f.balances[id]})
		total += f.balances[id]
	}
	return r
}

func (f *server) transfer(r *cirandav1.TransferRequest) (*cirandav1.TransferResponse, error) {
	f.transfers = append(f.transfers, proto.CloneOf(r))
	if f.balances[r.GetFrom()] < r.GetAmount() {
		return nil, api.Wrong("amount", "account %d holds %d", r.GetFrom(), f.balances[r.GetFrom()]).GRPCStatus().Err()
	}
	id := fmt.Sprint(r.GetId().GetClient(), "/", r.GetId().GetNumber())
	if !f.done[id] {
		f.done[id] = true
		f.balances[r.GetFrom()] -= r.GetAmount()
		f.balances[r.GetTo()] += r.GetAmount()
	}
	if f.loseNext {
		f.loseNext = false
		return nil, status.Error(codes.Unavailable, "the connection broke")
	}
	return &cirandav1.TransferResponse{From: r.GetFrom(), To: r.GetTo(), Amount: r.GetAmount(), Number: uint64(len(f.done))}, nil
}

// NewStream implements grpc.ClientConnInterface.
func (f *server) NewStream(ctx context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return nil, status.Error(codes.Unavailable, "connection refused")
	}
	return &stream{f: f, ctx: ctx}, nil
}

// A stream tells the past and ends, or what happens from now on.
type stream struct {
	grpc.ClientStream
	f      *server
	ctx    context.Context
	atHand bool
	begun  bool
}

func (s *stream) SendMsg(m any) error {
	if r, ok := m.(*cirandav1.WatchRequest); ok {
		s.atHand = r.GetAtHand()
	}
	return nil
}
func (s *stream) CloseSend() error             { return nil }
func (s *stream) Context() context.Context     { return s.ctx }
func (s *stream) Header() (metadata.MD, error) { return nil, nil }
func (s *stream) Trailer() metadata.MD         { return nil }

func (s *stream) RecvMsg(m any) error {
	if r, ok := m.(*cirandav1.ListenResponse); ok {
		return s.hear(r)
	}
	into := m.(*cirandav1.WatchResponse)
	into.Cursor = "here"
	if !s.begun {
		s.begun = true
		if s.atHand {
			into.Events = s.f.past
		}
		return nil
	}
	if s.atHand {
		return io.EOF
	}
	select {
	case e, ok := <-s.f.live:
		if !ok {
			return status.Error(codes.Internal, "the events are over")
		}
		into.Events = []*cirandav1.Event{e}
		return nil
	case <-s.ctx.Done():
		return status.FromContextError(s.ctx.Err()).Err()
	}
}

// hear tells a listener what there is to tell, at once.
func (s *stream) hear(into *cirandav1.ListenResponse) error {
	if !s.begun {
		s.begun = true
		into.Happenings = s.f.told
		return nil
	}
	<-s.ctx.Done()
	return status.FromContextError(s.ctx.Err()).Err()
}

// event makes an event of a node at a time in milliseconds.
func event(ms int64, node uint32, kind, data, text string) *cirandav1.Event {
	return &cirandav1.Event{Time: ms * 1e6, Node: node, Kind: kind, Json: `{"kind":"` + kind + `","data":` + data + `}`, Text: text}
}

// A desk is a terminal with somebody who types. It is used within a bubble of synctest.
type desk struct {
	t      *testing.T
	server *server
	keys   *io.PipeWriter
	mu     sync.Mutex
	screen bytes.Buffer
	cancel context.CancelCauseFunc
	end    chan error // what Run returned
}

// sit begins a shell on a terminal.
func sit(t *testing.T, f *server, change func(*Config)) *desk {
	keys, typed := io.Pipe()
	d := &desk{t: t, server: f, keys: typed, end: make(chan error, 1)}
	c := Config{Connect: f.connect, Terminal: &Terminal{Colours: true, ReadWriter: struct {
		io.Reader
		io.Writer
	}{keys, d}}}
	if change != nil {
		change(&c)
	}
	var ctx context.Context
	ctx, d.cancel = context.WithCancelCause(t.Context())
	go func() { d.end <- Run(ctx, c) }()
	t.Cleanup(func() {
		typed.Close()
		d.cancel(nil)
	})
	synctest.Wait()
	return d
}

func (d *desk) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.screen.Write(b)
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")

// types presses keys and gives what then appears on the screen, without colours and moves of the cursor.
func (d *desk) types(keys string) string {
	d.t.Helper()
	d.mu.Lock()
	d.screen.Reset()
	d.mu.Unlock()
	if _, err := io.WriteString(d.keys, keys); err != nil {
		d.t.Fatal(err)
	}
	return d.seen()
}

// seen gives what has appeared since the last keys.
func (d *desk) seen() string {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.ReplaceAll(escapes.ReplaceAllString(d.screen.String(), ""), "\r\n", "\n")
}

// leave ends the shell by Ctrl-D and gives what it returned.
func (d *desk) leave() error {
	d.types("\x04")
	return <-d.end
}

func want(t *testing.T, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("%q is missing in:\n%s", part, got)
		}
	}
}
