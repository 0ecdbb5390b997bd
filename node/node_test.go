package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/election"
	"ciranda.dev/trace"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// deadline is how long a test waits for what should happen at once.
const deadline = 20 * time.Second

const token api.Token = "a token of the tests"

// freeAddress is one that nobody listens on now, and below the ports that connections take for themselves.
func freeAddress(t *testing.T) string {
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

// three are the configurations of three nodes of a cluster.
func three(t *testing.T) []Config {
	t.Helper()
	peers := map[protocol.ID]string{1: freeAddress(t), 2: freeAddress(t), 3: freeAddress(t)}
	configs := make([]Config, 3)
	for i := range configs {
		configs[i] = Config{Cluster: "test", ID: protocol.ID(i + 1), Peers: peers, Dir: filepath.Join(t.TempDir(), "node"),
			Access: api.Access{Token: token}, GRPC: freeAddress(t), HTTP: "127.0.0.1:0", Level: trace.Protocol, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	}
	return configs
}

func start(t *testing.T, c Config) *Node {
	t.Helper()
	n, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if _, err := n.live.Ask(ctx, election.Query{}); err != nil { // it answers once it has begun
		t.Fatal(err)
	}
	return n
}

func stop(t *testing.T, n *Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		t.Errorf("node %d: %v", n.cfg.ID, err)
	}
}

func dial(t *testing.T, address string) *api.Client {
	t.Helper()
	c, err := api.Dial(address, api.Access{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// await waits until the cluster, as one node sees it, is as wanted.
func await(t *testing.T, c *api.Client, what string, want func(*cirandav1.StatusResponse) bool) *cirandav1.StatusResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	s, err := c.Await(ctx, want)
	if err != nil {
		t.Fatalf("%s: %v; last seen: %v", what, err, s)
	}
	return s
}

func leader(id uint32) func(*cirandav1.StatusResponse) bool {
	return func(s *cirandav1.StatusResponse) bool { return s.GetLeader() == id }
}

// Any node tells of all of them, takes faults for all of them, and streams the events of all of them.
func TestEveryNodeServesTheCluster(t *testing.T) {
	configs := three(t)
	nodes := make([]*Node, 3)
	for i, c := range configs {
		nodes[i] = start(t, c)
	}
	defer func() {
		for _, n := range nodes {
			stop(t, n)
		}
	}()
	one, two := dial(t, configs[0].GRPC), dial(t, configs[1].GRPC)
	all := func(s *cirandav1.StatusResponse) bool {
		up := 0
		for _, n := range s.GetNodes() {
			if n.GetState() == cirandav1.NodeState_NODE_STATE_UP {
				up++
			}
		}
		return up == 3 && s.GetLeader() == 3
	}
	s := await(t, one, "a leader", all)
	if n := s.GetNodes()[2]; n.GetIncarnation() != 1 || n.GetPid() != uint32(os.Getpid()) || n.GetLamport() == 0 {
		t.Errorf("of node 3, node 1 says %v", n)
	}
	t.Run("elect", func(t *testing.T) { electAnew(t, one, s.GetTerm().GetCounter()) })
	t.Run("partition", func(t *testing.T) { divide(t, one, two) })
	t.Run("disk", func(t *testing.T) { stallDisk(t, one) })
	t.Run("slow clock", func(t *testing.T) { disturbNode(t, one) })
	t.Run("watch", func(t *testing.T) { watchAll(t, two) })
}

func electAnew(t *testing.T, c *api.Client, before uint64) {
	e, err := c.Cluster.Elect(t.Context(), &cirandav1.ElectRequest{Node: "leader"})
	if err != nil || e.GetNode() != 3 || e.GetCounter() <= before {
		t.Fatalf("got %v, %v", e, err)
	}
	await(t, c, "a later term", func(s *cirandav1.StatusResponse) bool {
		return s.GetLeader() == 3 && s.GetTerm().GetCounter() >= e.GetCounter()
	})
}

// Two nodes that are cut off elect another leader. What node 1 was told is known to node 2 too, and healed by it.
func divide(t *testing.T, one, two *api.Client) {
	f, err := one.Cluster.SetFault(t.Context(), &cirandav1.SetFaultRequest{Fault: partitionInto("1,2", "leader")})
	if err != nil || f.GetText() != "partition 1,2/3" {
		t.Fatalf("got %v, %v", f, err)
	}
	s := await(t, two, "two leaders", func(s *cirandav1.StatusResponse) bool { return strings.Contains(s.GetWhyNoLeader(), "divided") })
	if got := fmt.Sprint(s.GetFaults()); got != "[partition 1,2/3]" {
		t.Errorf("node 2 knows of the faults %s", got)
	}
	h, err := two.Cluster.Heal(t.Context(), &cirandav1.HealRequest{})
	if err != nil || fmt.Sprint(h.GetEnded()) != "[partition 1,2/3]" {
		t.Fatalf("got %v, %v", h, err)
	}
	await(t, one, "one leader again", leader(3))
}

// A leader whose disk stands still steps down; when the disk answers again the highest node leads again.
func stallDisk(t *testing.T, c *api.Client) {
	fault := &cirandav1.Fault{Kind: &cirandav1.Fault_Disk_{Disk: &cirandav1.Fault_Disk{Nodes: "3", Stall: true}}}
	if _, err := c.Cluster.SetFault(t.Context(), &cirandav1.SetFaultRequest{Fault: fault}); err != nil {
		t.Fatal(err)
	}
	await(t, c, "the fault", func(s *cirandav1.StatusResponse) bool { return fmt.Sprint(s.GetFaults()) == "[disk of 3 stalls]" })
	if _, err := c.Cluster.Elect(t.Context(), &cirandav1.ElectRequest{Node: "3"}); err != nil { // something to store
		t.Logf("node 3 answers an election with %v", err) // its reply waits for the disk
	}
	await(t, c, "another leader", func(s *cirandav1.StatusResponse) bool {
		return s.GetNodes()[0].GetLeader() == 2 && s.GetNodes()[1].GetLeader() == 2
	})
	if _, err := c.Cluster.Heal(t.Context(), &cirandav1.HealRequest{}); err != nil {
		t.Fatal(err)
	}
	await(t, c, "the highest again", leader(3))
}

// Faults of a node are told together, and end together.
func disturbNode(t *testing.T, c *api.Client) {
	for _, f := range []*cirandav1.Fault{
		{Kind: &cirandav1.Fault_Slow_{Slow: &cirandav1.Fault_Slow{Nodes: "1", StepMs: 1}}},
		{Kind: &cirandav1.Fault_Clock_{Clock: &cirandav1.Fault_Clock{Nodes: "1", JumpMs: 5000, Rate: 1.5}}},
		{Kind: &cirandav1.Fault_Clock_{Clock: &cirandav1.Fault_Clock{Nodes: "2", JumpMs: -5000}}},
	} {
		if _, err := c.Cluster.SetFault(t.Context(), &cirandav1.SetFaultRequest{Fault: f}); err != nil {
			t.Fatalf("%v: %v", f, err)
		}
	}
	h, err := c.Cluster.Heal(t.Context(), &cirandav1.HealRequest{})
	if err != nil || fmt.Sprint(h.GetEnded()) != "[clock of 1 runs at 1.5 each step of 1 takes 1ms]" {
		t.Errorf("got %q, %v", h.GetEnded(), err)
	}
	await(t, c, "a leader", leader(3))
}

func watchAll(t *testing.T, c *api.Client) {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	stream, err := c.Events.Watch(ctx, &cirandav1.WatchRequest{Cursor: api.FromStart})
	if err != nil {
		t.Fatal(err)
	}
	started := map[uint32]bool{}
	for len(started) < 3 {
		r, err := stream.Recv()
		if err != nil {
			t.Fatalf("seen to start: %v; then %v", started, err)
		}
		for _, e := range r.GetEvents() {
			if e.GetKind() == "start" {
				started[e.GetNode()] = true
			}
		}
	}
}

// A node that comes back goes on where it was: another life, its clock not behind, its stream told from the beginning
// to those who come with a cursor of the former life.
func TestNodeComesBack(t *testing.T) {
	c := three(t)[0]
	n := start(t, c)
	cursor := followed(t, c.GRPC, "")
	first, err := dial(t, c.GRPC).Node.Describe(t.Context(), &cirandav1.DescribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	stop(t, n)
	n = start(t, c)
	defer stop(t, n)
	client := dial(t, c.GRPC)
	again, err := client.Node.Describe(t.Context(), &cirandav1.DescribeRequest{})
	if err != nil || again.GetStatus().GetIncarnation() != 2 || again.GetStatus().GetLamport() < first.GetStatus().GetLamport() {
		t.Errorf("after %v: got %v, %v", first.GetStatus(), again.GetStatus(), err)
	}
	stream, err := client.Node.Follow(t.Context(), &cirandav1.FollowRequest{Cursor: cursor, AtHand: true})
	if err != nil {
		t.Fatal(err)
	}
	r, err := stream.Recv()
	if err != nil || len(r.GetEvents()) == 0 || r.GetEvents()[0].GetKind() != "recover" {
		t.Errorf("with the old cursor: got %v, %v", r, err)
	}
	traces, _ := filepath.Glob(filepath.Join(c.Dir, "trace", "*.jsonl"))
	if len(traces) != 2 {
		t.Errorf("trace files: %v", traces)
	}
	former, err := trace.ReadFile(traces[0], trace.ReadOptions{})
	if err != nil || former.Events[len(former.Events)-1].Kind != trace.Stop {
		t.Errorf("the trace of the former life: %v, %v", former, err)
	}
}

// followed gives the cursor behind all events of a node up to now.
func followed(t *testing.T, address, cursor string) string {
	t.Helper()
	stream, err := dial(t, address).Node.Follow(t.Context(), &cirandav1.FollowRequest{Cursor: cursor, AtHand: true})
	if err != nil {
		t.Fatal(err)
	}
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return cursor
		}
		if err != nil {
			t.Fatal(err)
		}
		cursor = r.GetCursor()
	}
}

func TestFrozenNodeStandsStill(t *testing.T) {
	c := three(t)[0]
	n := start(t, c)
	defer stop(t, n)
	client := dial(t, c.GRPC)
	if _, err := client.Node.Freeze(t.Context(), &cirandav1.FreezeRequest{Frozen: true}); err != nil {
		t.Fatal(err)
	}
	d, err := client.Node.Describe(t.Context(), &cirandav1.DescribeRequest{})
	if err != nil || d.GetStatus().GetState() != cirandav1.NodeState_NODE_STATE_PAUSED {
		t.Errorf("got %v, %v", d, err)
	}
	if _, err := client.Node.Freeze(t.Context(), &cirandav1.FreezeRequest{}); err != nil {
		t.Fatal(err)
	}
	d, err = client.Node.Describe(t.Context(), &cirandav1.DescribeRequest{})
	if err != nil || d.GetStatus().GetState() != cirandav1.NodeState_NODE_STATE_UP {
		t.Errorf("got %v, %v", d, err)
	}
}

func TestBadConfigurationsAreRefused(t *testing.T) {
	good := three(t)
	taken := start(t, good[0])
	defer stop(t, taken)
	for want, change := range map[string]func(*Config){
		"is in use":             func(c *Config) { c.GRPC = good[0].GRPC },
		"not among the peers":   func(c *Config) { c.ID = 7 },
		"of node 1 of cluster":  func(c *Config) { c.Dir = good[2].Dir; closedNode(t, good[0], c.Dir) },
		"needs a directory":     func(c *Config) { c.Dir = "" },
		"found the election":    func(c *Config) { c.Spec.Election = "buly" },
		"another process uses":  func(c *Config) { c.Dir, c.ID, c.Listen = good[0].Dir, 1, freeAddress(t) },
		"what is stored is of ": func(c *Config) { closedNode(t, good[1], c.Dir); c.Spec.Election = "bully+quorum" },
	} {
		c := good[1]
		change(&c)
		n, err := Open(c)
		if err == nil {
			stop(t, n)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

// closedNode leaves a directory in which a node has been.
func closedNode(t *testing.T, c Config, dir string) {
	t.Helper()
	c.Dir, c.Listen, c.GRPC, c.HTTP = dir, freeAddress(t), "", ""
	stop(t, start(t, c))
}

func TestStrangersAreRefused(t *testing.T) {
	c := three(t)[0]
	n := start(t, c)
	defer stop(t, n)
	stranger, err := api.Dial(c.GRPC, api.Access{Token: "another token of some length"})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	_, err = stranger.Node.Freeze(t.Context(), &cirandav1.FreezeRequest{Frozen: true})
	if e := api.AsError(err); e == nil || e.Code != codes.Unauthenticated {
		t.Errorf("got %v", err)
	}
}

// Whatever bytes come to any of its ports, a node closes that connection, counts it and lives on.
func TestStrayBytesAreCounted(t *testing.T) {
	c := three(t)[0]
	c.HTTP = freeAddress(t)
	n := start(t, c)
	defer stop(t, n)
	for _, address := range []string{c.Peers[1], c.GRPC, c.HTTP} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(deadline))
		io.WriteString(conn, strings.Repeat("\x00garbage\xff", 100))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection stays open", address)
		}
		conn.Close()
	}
	d, err := dial(t, c.GRPC).Node.Describe(t.Context(), &cirandav1.DescribeRequest{})
	if err != nil || d.GetStatus().GetRefused() != 3 {
		t.Errorf("got %v, %v; want 3 refused", d.GetStatus(), err)
	}
}
