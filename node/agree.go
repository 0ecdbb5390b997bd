package node

import (
	"fmt"
	"slices"
	"strings"

	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/protocol"
)

// agree finds the leader that all nodes which are up and not paused hold in the same term, or says in words why there
// is none. The leader must be one of them.
func agree(nodes []*cirandav1.NodeStatus) (leader uint32, term *cirandav1.Term, why string) {
	up := slices.DeleteFunc(slices.Clone(nodes), func(n *cirandav1.NodeStatus) bool {
		return n.State != cirandav1.NodeState_NODE_STATE_UP
	})
	if len(up) == 0 {
		return 0, nil, "no node is up"
	}
	for _, reason := range []func([]*cirandav1.NodeStatus) string{silent, divided, leaderless, inTwoTerms, doubtful} {
		if why := reason(up); why != "" {
			return 0, nil, why
		}
	}
	leader = up[0].Leader
	if why := absent(nodes, leader); why != "" {
		return 0, nil, why
	}
	if term := up[0].Term; term.GetCounter() != 0 {
		return leader, term, ""
	}
	return leader, nil, ""
}

func silent(up []*cirandav1.NodeStatus) string {
	for _, n := range up {
		if n.Problem != "" {
			return fmt.Sprintf("node %d does not answer", n.Id)
		}
	}
	return ""
}

// divided says who follows whom, if that is more than one leader.
func divided(up []*cirandav1.NodeStatus) string {
	followers := map[uint32][]protocol.ID{}
	var leaders []uint32
	for _, n := range up {
		if n.Leader != 0 && followers[n.Leader] == nil {
			leaders = append(leaders, n.Leader)
		}
		followers[n.Leader] = append(followers[n.Leader], protocol.ID(n.Id))
	}
	if len(leaders) < 2 {
		return ""
	}
	slices.Sort(leaders)
	var parts []string
	for _, l := range leaders {
		parts = append(parts, fmt.Sprintf("%s for node %d", numbered(followers[l]), l))
	}
	return "the nodes are divided: " + strings.Join(parts, "; ")
}

// numbered names nodes for people: "node 3", "nodes 1-3, 5".
func numbered(ids []protocol.ID) string {
	if len(ids) == 1 {
		return "node " + ids[0].String()
	}
	return "nodes " + ranges(ids)
}

func leaderless(up []*cirandav1.NodeStatus) string {
	for _, n := range up {
		if n.Leader == 0 && n.Phase == "" {
			return "the nodes run no election"
		}
		if n.Leader == 0 {
			return fmt.Sprintf("node %d has no leader (%s)", n.Id, n.Phase)
		}
	}
	return ""
}

func inTwoTerms(up []*cirandav1.NodeStatus) string {
	for _, n := range up[1:] {
		if a, b := up[0].Term, n.Term; a.GetCounter() != b.GetCounter() || a.GetLeader() != b.GetLeader() {
			return fmt.Sprintf("nodes %d and %d follow node %d in different terms (%d and %d)",
				up[0].Id, n.Id, n.Leader, a.GetCounter(), b.GetCounter())
		}
	}
	return ""
}

func doubtful(up []*cirandav1.NodeStatus) string {
	for _, n := range up {
		if n.LeaderLost {
			return fmt.Sprintf("node %d holds its leader, node %d, for lost", n.Id, n.Leader)
		}
	}
	return ""
}

// absent says that the leader is itself not up.
func absent(nodes []*cirandav1.NodeStatus, leader uint32) string {
	for _, n := range nodes {
		if n.Id != leader {
			continue
		}
		switch n.State {
		case cirandav1.NodeState_NODE_STATE_UP:
			return ""
		case cirandav1.NodeState_NODE_STATE_PAUSED:
			return fmt.Sprintf("all follow node %d still, which is paused", leader)
		}
	}
	return fmt.Sprintf("all follow node %d still, which is down", leader)
}
