package node

import (
	"strings"
	"testing"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// nodes reads "1 up 5@2" (node 1 is up and follows node 5 in term 2), with ? for a leader held for lost, ! for a node
// that does not answer.
func nodes(t *testing.T, text string) []*cirandav1.NodeStatus {
	t.Helper()
	states := map[string]cirandav1.NodeState{
		"up": cirandav1.NodeState_NODE_STATE_UP, "down": cirandav1.NodeState_NODE_STATE_DOWN, "paused": cirandav1.NodeState_NODE_STATE_PAUSED,
	}
	var all []*cirandav1.NodeStatus
	for i, word := range strings.Split(text, ", ") {
		state, opinion, _ := strings.Cut(word, " ")
		n := &cirandav1.NodeStatus{Id: uint32(i + 1), State: states[state], Phase: "idle"}
		if strings.HasSuffix(opinion, "?") {
			n.LeaderLost, opinion = true, strings.TrimSuffix(opinion, "?")
		}
		if opinion == "!" {
			n.Problem = "does not answer"
		} else if leader, term, ok := strings.Cut(opinion, "@"); ok {
			n.Leader = uint32(leader[0] - '0')
			n.Term = &cirandav1.Term{Counter: uint64(term[0] - '0'), Leader: n.Leader}
		}
		all = append(all, n)
	}
	return all
}

func TestAgree(t *testing.T) {
	for text, want := range map[string]string{
		"up 3@1, up 3@1, up 3@1":     "",
		"up 2@1, up 2@1, down":       "",
		"up 2@1, up 2@1, paused 3@1": "",
		"up 2@0, up 2@0, down":       "",
		"down, down, down":           "no node is up",
		"paused 1@1, down, down":     "no node is up",
		"up 3@1, up 3@1, down":       "all follow node 3 still, which is down",
		"up 3@1, up 3@1, paused 3@1": "all follow node 3 still, which is paused",
		"up 1@1, up 3@1, up 3@1":     "the nodes are divided: node 1 for node 1; nodes 2, 3 for node 3",
		"up 3@1, up 0@1, up 3@1":     "node 2 has no leader (idle)",
		"up 3@1, up 3@2, up 3@2":     "nodes 1 and 2 follow node 3 in different terms (1 and 2)",
		"up 3@1?, up 3@1, up 3@1":    "node 1 holds its leader, node 3, for lost",
		"up 3@1, up !, up 3@1":       "node 2 does not answer",
	} {
		leader, term, why := agree(nodes(t, text))
		if why != want || (leader == 0) != (why != "") {
			t.Errorf("%s: got node %d in %v, %q; want %q", text, leader, term, why, want)
		}
	}
	if leader, term, _ := agree(nodes(t, "up 2@7, up 2@7, down")); leader != 2 || term.GetCounter() != 7 {
		t.Errorf("got node %d in %v", leader, term)
	}
	if _, _, why := agree([]*cirandav1.NodeStatus{{Id: 1, State: cirandav1.NodeState_NODE_STATE_UP}}); why != "the nodes run no election" {
		t.Errorf("without an election: got %q", why)
	}
	if leader, term, _ := agree(nodes(t, "up 1@0")); leader != 1 || term != nil {
		t.Errorf("without terms: got node %d in %v", leader, term)
	}
}
