package node

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/app/bank"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/snapshot"
)

func verdictOf(s *cirandav1.Snapshot, name string) (verdict, detail string) {
	for _, c := range s.GetChecks() {
		if c.GetName() == name {
			return c.GetVerdict(), c.GetDetail()
		}
	}
	return "", ""
}

// Snapshots of real nodes that pay one another are consistent, and all money is in them. While a node is down none is
// complete; when it is back they are.
func TestSnapshotsOfABank(t *testing.T) {
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
	paying, cease := context.WithCancel(t.Context())
	var payers sync.WaitGroup
	for i, c := range clients {
		for range 4 {
			payers.Go(func() {
				for paying.Err() == nil { // that one is refused is no matter
					c.Bank.Transfer(paying, pay("", 0, uint32(i+1), uint32((i+1)%3+1), 1))
				}
			})
		}
	}
	defer payers.Wait()
	defer cease()
	conserved := func(of int) (complete bool) { // a machine that is busy may make a node suspect another
		t.Helper()
		answer, err := clients[of].Snapshots.Take(t.Context(), &cirandav1.TakeRequest{})
		if err != nil {
			t.Fatal(err)
		}
		s := answer.GetSnapshot()
		verdict, detail := verdictOf(s, "money-conserved")
		cut, why := verdictOf(s, "cut-consistent")
		if !s.GetComplete() {
			return false
		}
		if !s.GetConsistent() || verdict != holds || !strings.HasPrefix(detail, "300 = ") || cut != holds {
			t.Fatalf("got %v, %s %s, %s %s", s, verdict, detail, cut, why)
		}
		for _, n := range s.GetNodes() {
			if n.GetLamport() == 0 || n.GetState().AsMap()["node"] != float64(n.GetId()) {
				t.Errorf("got the state %v", n)
			}
		}
		return true
	}
	complete := 0
	for i := range 60 {
		if conserved(i % 3) {
			complete++
		}
	}
	if complete < 20 {
		t.Errorf("%d of 60 snapshots were complete", complete)
	}

	answer, err := clients[0].Snapshots.Take(t.Context(), &cirandav1.TakeRequest{Node: "3"})
	if err != nil || answer.GetSnapshot().GetInitiator() != 3 {
		t.Errorf("node 3, asked by node 1: got %v, %v", answer, err)
	}
	if _, err := clients[0].Snapshots.Take(t.Context(), &cirandav1.TakeRequest{Node: "9"}); api.AsError(err).Code != codes.NotFound && api.AsError(err).Code != codes.InvalidArgument {
		t.Errorf("node 9: got %v", err)
	}

	stop(t, nodes[1])
	answer, err = clients[0].Snapshots.Take(t.Context(), &cirandav1.TakeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	s := answer.GetSnapshot()
	verdict, detail := verdictOf(s, "money-conserved")
	if s.GetComplete() || len(s.GetMissing()) == 0 || s.GetMissing()[0].GetNode() != 2 || verdict != unexercised || detail != "n2 did not report" {
		t.Errorf("got %v", s)
	}
	nodes[1] = start(t, configs[1])
	waitFor(t, "a snapshot that is complete", func() bool {
		answer, err := clients[2].Snapshots.Take(t.Context(), &cirandav1.TakeRequest{})
		return err == nil && answer.GetSnapshot().GetComplete()
	})
	clients[1] = dial(t, configs[1].GRPC)
	waitFor(t, "one of the node that was away", func() bool { return conserved(1) })
}

// Known are nodes as a supervisor knows them.
type known []Member

func (k known) Members() []Member { return k }
func (k known) Last() protocol.ID { return protocol.None }

// A supervisor that has just given up its connection to a node asks the next one; if there is none it says so.
func TestSnapshotOfLostNode(t *testing.T) {
	configs := three(t)
	members := make(known, 3)
	for i, c := range configs {
		c.Spec.App = "bank"
		defer stop(t, start(t, c))
		members[i] = Member{Known: &cirandav1.NodeStatus{Id: uint32(i + 1), State: cirandav1.NodeState_NODE_STATE_UP}, Client: dial(t, c.GRPC)}
	}
	members[0].Client.Close()
	answer, err := (&Group{Dir: members}).Snapshots().Take(t.Context(), &cirandav1.TakeRequest{})
	if err != nil || answer.GetSnapshot().GetInitiator() != 2 {
		t.Errorf("got %v, %v", answer, err)
	}
	_, err = (&Group{Dir: members[:1]}).Snapshots().Take(t.Context(), &cirandav1.TakeRequest{})
	if e := api.AsError(err); e == nil || e.Code != codes.Aborted || e.Text != "node 1: it ended before it had answered" {
		t.Errorf("got %v", err)
	}
}

// waitFor waits until something is true.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !is(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Without an application there is nothing to take a snapshot of; too many at once are refused.
func TestSnapshotsRefused(t *testing.T) {
	c := three(t)[0]
	defer stop(t, start(t, c))
	_, err := dial(t, c.GRPC).Snapshots.Take(t.Context(), &cirandav1.TakeRequest{})
	if e := api.AsError(err); e == nil || e.Code != codes.FailedPrecondition || !strings.Contains(e.Text, "no application") {
		t.Errorf("got %v", err)
	}

	c = three(t)[0] // alone: the others never answer, so snapshots take their time
	c.Spec.App = "bank"
	defer stop(t, start(t, c))
	client := dial(t, c.GRPC)
	errs := make([]error, 12)
	var asked sync.WaitGroup
	for i := range errs {
		asked.Go(func() { _, errs[i] = client.Snapshots.Take(t.Context(), &cirandav1.TakeRequest{}) })
	}
	asked.Wait()
	if !slices.ContainsFunc(errs, func(err error) bool { e := api.AsError(err); return e != nil && e.Code == codes.ResourceExhausted }) {
		t.Errorf("got %v", errs)
	}
}

func TestPicture(t *testing.T) {
	n := &Node{cfg: Config{}, group: []protocol.ID{1, 2}}
	n.cfg.Spec.App = "bank"
	account := func(id protocol.ID, balance int64) snapshot.NodeState {
		a := bank.Account{Node: id, Balance: balance, Next: 1<<60 + 1}
		return snapshot.NodeState{Node: id, Incarnation: 1, State: snapshot.Message{Type: "bank.Account", Body: a}}
	}
	whole := snapshot.Taken{Complete: true, Consistent: true, Counted: 2, Nodes: []snapshot.NodeState{account(1, 70), account(2, 130)}}
	made := whole
	made.Nodes = []snapshot.NodeState{account(1, 70), account(2, 131)}
	wrong := whole
	wrong.Consistent, wrong.Wrong = false, "node 1 had got 5 packets"
	torn := snapshot.Taken{Consistent: true, Missing: []snapshot.Missing{{Node: 1, Why: "restarted, at node 2"}}, Nodes: whole.Nodes}
	for _, test := range []struct {
		snapshot.Taken
		money, detail, cut, why string
	}{
		{whole, holds, "200 = 200 in accounts + 0 in flight", holds, "on 2 channels of 2 what was sent is what was received and what was on its way"},
		{made, violated, "201 = 201 in accounts + 0 in flight; 200 were issued", holds, "on 2 channels of 2 what was sent is what was received and what was on its way"},
		{wrong, holds, "200 = 200 in accounts + 0 in flight", violated, "node 1 had got 5 packets"},
		{torn, unexercised, "what n1 sent is not known", unexercised, "no channel was counted at both ends"},
		{snapshot.Taken{Consistent: true, Missing: []snapshot.Missing{{Node: 1}, {Node: 2}}}, unexercised, "n1, n2 did not report", unexercised, "no channel was counted at both ends"},
	} {
		s, err := n.develop(test.Taken, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		money, detail := verdictOf(s, "money-conserved")
		cut, why := verdictOf(s, "cut-consistent")
		if money != test.money || detail != test.detail || cut != test.cut || why != test.why || s.GetElapsedMs() != 1000 {
			t.Errorf("got %s: %s and %s: %s", money, detail, cut, why)
		}
	}
	s, _ := n.develop(whole, 0)
	if got := s.GetNodes()[0].GetState().AsMap(); got["balance"] != 70.0 || got["next"] != "1152921504606846977" {
		t.Errorf("got %v", got)
	}
}

// A snapshot that is too large for an answer is cut down if messages are, and refused if states are.
func TestLargePicture(t *testing.T) {
	n := &Node{group: []protocol.ID{1, 2}}
	message := snapshot.Message{Type: "bank.Pay", Body: strings.Repeat("x", 1<<20)}
	many := snapshot.Taken{Channels: []snapshot.ChannelPart{{From: 1, To: 2, Count: 9, Messages: slices.Repeat([]snapshot.Message{message}, 9)}}}
	s, err := n.develop(many, 0)
	if err != nil || s.GetChannels()[0].GetCount() != 9 || len(s.GetChannels()[0].GetMessages()) > 5 {
		t.Errorf("got %d messages, %v", len(s.GetChannels()[0].GetMessages()), err)
	}
	large := snapshot.NodeState{Node: 1, State: message, More: slices.Repeat([]snapshot.Message{message}, 8)}
	if _, err := n.develop(snapshot.Taken{Nodes: []snapshot.NodeState{large}}, 0); api.AsError(err) == nil || api.AsError(err).Code != codes.ResourceExhausted {
		t.Errorf("got %v", err)
	}
	large.More = large.More[:1]
	if s, err := n.develop(snapshot.Taken{Nodes: []snapshot.NodeState{large}}, 0); err != nil || len(s.GetNodes()[0].GetState().AsMap()["pieces"].([]any)) != 2 {
		t.Errorf("got %v, %v", s, err)
	}
}
