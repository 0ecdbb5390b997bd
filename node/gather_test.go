package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/engine/network"
)

// After Gather, what nodes recorded before it is in the stream; and links and disks are exactly what was said.
func TestGather(t *testing.T) {
	configs := three(t)
	nodes := make([]*Node, 3)
	for i, c := range configs {
		nodes[i] = start(t, c)
		defer stop(t, nodes[i])
	}
	client := dial(t, configs[0].GRPC)
	await(t, client, "a leader", leader(3))
	whole := nodes[0].whole
	say := func(text string, links map[Pair]network.Link) {
		t.Helper()
		if err := whole.SetLinks(t.Context(), text, links); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 20 {
		say("some", map[Pair]network.Link{{2, 1}: {Cut: true}, {2, 3}: {Loss: 0.5}, {3, 2}: {Duplicate: 0.25}})
		say("fewer", map[Pair]network.Link{{2, 1}: {}, {3, 2}: {Loss: 0.25}})
		if got, want := fmt.Sprint(whole.faults()), "[2->3: loss 50% 3->2: loss 25%]"; got != want {
			t.Fatalf("round %d: got %s, want %s", round, got, want)
		}
		say("none", map[Pair]network.Link{{2, 3}: {}, {3, 2}: {}})
		if got, want := told2(t, whole), 4*(round+1); got != want { // each of its two links changed twice
			t.Fatalf("round %d: node 2 has told of %d changes of its links, want %d", round, got, want)
		}
	}
	stall := &cirandav1.Fault{Kind: &cirandav1.Fault_Disk_{Disk: &cirandav1.Fault_Disk{Nodes: "1", Stall: true}}}
	if _, err := whole.SetFault(t.Context(), &cirandav1.SetFaultRequest{Fault: stall}); err != nil {
		t.Fatal(err)
	}
	if err := whole.MendDisk(t.Context(), 1); err != nil || len(whole.faults()) > 0 {
		t.Errorf("the disk is mended: %v, and %v is left", err, whole.faults())
	}
}

// What is at hand is there when it is first asked for, though a node follows the others only from then on.
func TestWatchAtHand(t *testing.T) {
	configs := three(t)
	for _, c := range configs {
		defer stop(t, start(t, c))
	}
	client := dial(t, configs[0].GRPC)
	await(t, client, "a leader", leader(3))
	stream, err := client.Events.Watch(t.Context(), &cirandav1.WatchRequest{Cursor: api.FromStart, AtHand: true})
	if err != nil {
		t.Fatal(err)
	}
	starts := map[uint32]bool{}
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range answer.GetEvents() {
			if e.GetKind() == "start" {
				starts[e.GetNode()] = true
			}
		}
	}
	if len(starts) != 3 {
		t.Errorf("the starts of the nodes %v are at hand, want all three", starts)
	}
}

// told2 gathers, and counts what node 2 has told of its links.
func told2(t *testing.T, g *Group) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if err := g.Gather(ctx); err != nil {
		t.Fatal(err)
	}
	n := 0
	err := g.Watch(ctx, &cirandav1.WatchRequest{Cursor: api.FromStart, AtHand: true}, func(r *cirandav1.WatchResponse) error {
		for _, e := range r.GetEvents() {
			if e.GetNode() == 2 && e.GetKind() == "fault" {
				n++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A request that runs out of time at a node is told in words, and one that the node refuses as it did.
func TestRelayedErrors(t *testing.T) {
	m := Member{Known: &cirandav1.NodeStatus{Id: 4}}
	for _, c := range []struct {
		err  error
		want string
	}{
		{status.Error(codes.DeadlineExceeded, "context deadline exceeded"), "node 4: it has not answered in time"},
		{status.Error(codes.DeadlineExceeded, "the node stands still"), "node 4: the node stands still"},
		{status.Error(codes.Canceled, "x"), "node 4: it ended before it had answered"},
		{errors.New("plain"), "plain"},
	} {
		if got := relay(t.Context(), m, c.err); got.Error() != c.want {
			t.Errorf("%v: got %q, want %q", c.err, got, c.want)
		}
	}
}
