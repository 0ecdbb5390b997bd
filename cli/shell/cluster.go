package shell

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// leaderText says who leads, or why nobody does.
func leaderText(s *cirandav1.StatusResponse) string {
	switch {
	case s.GetLeader() == 0:
		return fmt.Sprintf("%s: no leader: %s", s.GetCluster(), s.GetWhyNoLeader())
	case s.GetTerm().GetCounter() == 0:
		return fmt.Sprintf("%s: node %d leads", s.GetCluster(), s.GetLeader())
	default:
		return fmt.Sprintf("%s: node %d leads in term %s", s.GetCluster(), s.GetLeader(), termText(s.GetTerm()))
	}
}

func termText(t *cirandav1.Term) string {
	if t.GetCounter() == 0 {
		return "-"
	}
	return fmt.Sprintf("%d.%d", t.GetCounter(), t.GetLeader())
}

// state is a node's state in a word.
func state(n *cirandav1.NodeStatus) string {
	switch n.GetState() {
	case cirandav1.NodeState_NODE_STATE_DOWN:
		return "down"
	case cirandav1.NodeState_NODE_STATE_PAUSED:
		return "paused"
	case cirandav1.NodeState_NODE_STATE_UP:
		if n.GetProblem() != "" {
			return "silent"
		}
		return "up"
	default:
		return "unknown"
	}
}

// list names numbers, such as "1, 2 and 4"; none of them is "nobody".
func list(ids []uint32) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = number(id)
	}
	switch n := len(words); n {
	case 0:
		return "nobody"
	case 1:
		return words[0]
	default:
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
}

// nodes names nodes, such as "node 1" or "nodes 1 and 2".
func nodes(ids []uint32) string {
	if len(ids) == 1 {
		return "node " + number(ids[0])
	}
	return "nodes " + list(ids)
}

// find gives the node that a word names: a number, or leader.
func (s *shell) find(ctx context.Context, word string) (*cirandav1.NodeStatus, *cirandav1.StatusResponse, error) {
	r, err := s.status(ctx)
	if err != nil {
		return nil, nil, err
	}
	id := r.GetLeader()
	switch {
	case word != "leader":
		if id, err = readNode("node", word); err != nil {
			return nil, nil, err
		}
	case id == 0:
		return nil, nil, api.Failed("name a node by its number", "there is no leader: %s", r.GetWhyNoLeader())
	}
	i := slices.IndexFunc(r.GetNodes(), func(n *cirandav1.NodeStatus) bool { return n.GetId() == id })
	if i < 0 {
		return nil, nil, api.Wrong("node", "there is no node %d; expected one of %s", id, list(s.nodes))
	}
	return r.GetNodes()[i], r, nil
}

func queryNode(ctx context.Context, s *shell, args []string) error {
	n, r, err := s.find(ctx, args[0])
	if err != nil {
		return err
	}
	s.out.sayAs(bold, "node %d is %s%s", n.GetId(), state(n), life(n))
	if p := n.GetProblem(); p != "" {
		s.out.sayAs(bad, "  problem: %s", p)
	}
	if n.GetState() == cirandav1.NodeState_NODE_STATE_UP && n.GetProblem() == "" {
		s.out.say("  %s", opinion(n))
		s.out.say("  it suspects %s", list(n.GetSuspects()))
		s.out.say("  its Lamport clock is at %d", n.GetLamport())
	}
	if by := suspectedBy(r, n.GetId()); len(by) > 0 {
		s.out.sayAs(bad, "  suspected by %s", list(by))
	}
	s.sayAccount(ctx, n.GetId())
	s.out.say("  ports: %s", ports(n))
	return nil
}

func life(n *cirandav1.NodeStatus) string {
	var words string
	if n.GetIncarnation() > 0 {
		words = fmt.Sprintf(", in its life %d", n.GetIncarnation())
	}
	if n.GetPid() > 0 {
		words += fmt.Sprintf(", process %d", n.GetPid())
	}
	return words
}

// opinion is what a node believes of the leadership.
func opinion(n *cirandav1.NodeStatus) string {
	in := ""
	if n.GetTerm().GetCounter() > 0 {
		in = " in term " + termText(n.GetTerm())
	}
	var text string
	switch {
	case n.GetLeader() == 0:
		text = "it follows nobody"
	case n.GetLeader() == n.GetId():
		text = "it leads" + in
	default:
		text = fmt.Sprintf("it follows node %d%s", n.GetLeader(), in)
	}
	if n.GetLeaderLost() {
		text += ", and holds that leader for lost"
	}
	if n.GetPhase() != "" {
		text += "; its election: " + n.GetPhase()
	}
	return text
}

func suspectedBy(r *cirandav1.StatusResponse, id uint32) []uint32 {
	var by []uint32
	for _, n := range r.GetNodes() {
		if slices.Contains(n.GetSuspects(), id) {
			by = append(by, n.GetId())
		}
	}
	return by
}

func ports(n *cirandav1.NodeStatus) string {
	var words []string
	for _, p := range []struct{ name, address string }{
		{"peers", n.GetPeerAddress()}, {"gRPC", n.GetGrpcAddress()}, {"HTTP", n.GetHttpAddress()}, {"socket", n.GetSocketAddress()},
	} {
		if p.address != "" {
			words = append(words, p.name+" "+p.address)
		}
	}
	if len(words) == 0 {
		return "none are known"
	}
	return strings.Join(words, ", ")
}

func queryAll(ctx context.Context, s *shell, _ []string) error {
	r, err := s.status(ctx)
	if err != nil {
		return err
	}
	s.out.sayAs(bold, "%s", leaderText(r))
	rows := [][]string{{"NODE", "STATE", "FOLLOWS", "TERM", "SUSPECTS", "CLOCK", "LIFE"}}
	for _, n := range r.GetNodes() {
		rows = append(rows, []string{number(n.GetId()), state(n), follows(n), termText(n.GetTerm()), list(n.GetSuspects()),
			fmt.Sprint(n.GetLamport()), number(n.GetIncarnation())})
	}
	s.out.table(rows...)
	for _, n := range r.GetNodes() {
		if n.GetProblem() != "" {
			s.out.sayAs(bad, "node %d: %s", n.GetId(), n.GetProblem())
		}
	}
	return nil
}

func follows(n *cirandav1.NodeStatus) string {
	switch {
	case n.GetLeader() == 0:
		return "-"
	case n.GetLeader() == n.GetId():
		return "leads"
	case n.GetLeaderLost():
		return number(n.GetLeader()) + " (lost)"
	default:
		return number(n.GetLeader())
	}
}

func elect(ctx context.Context, s *shell, args []string) error {
	r := &cirandav1.ElectRequest{}
	if len(args) == 1 {
		r.Node = args[0]
	}
	if _, err := s.status(ctx); err != nil { // it finds another server if this one is lost
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errEnough)
	defer cancel()
	e, err := s.to.Cluster.Elect(ctx, r) // not asked again: it might be a second election
	if err != nil {
		return err
	}
	s.out.say("node %d has begun an election", e.GetNode())
	return s.sayWinner(ctx, e.GetCounter())
}

// sayWinner waits until an election of that counter is over, and says who won: somebody in a term as high, or the leader
// from before, who may go on in its term; then the nodes only come to rest. Counter 0 is that of no election.
func (s *shell) sayWinner(ctx context.Context, counter uint64) error {
	for {
		r, err := s.status(ctx)
		switch won := r.GetTerm().GetCounter(); {
		case errors.Is(context.Cause(ctx), errEnough):
			return api.Failed("status shows what each node believes", "the nodes have not come to rest")
		case err != nil:
			return err
		case r.GetLeader() != 0 && (won >= counter && counter > 0 || atRest(r)):
			s.out.say("%s", leaderText(r))
			return nil
		}
		sleep(ctx, firstPause)
	}
}

// atRest says whether no node takes part in an election.
func atRest(r *cirandav1.StatusResponse) bool {
	return !slices.ContainsFunc(r.GetNodes(), func(n *cirandav1.NodeStatus) bool {
		return n.GetPhase() != "idle" && n.GetPhase() != ""
	})
}
