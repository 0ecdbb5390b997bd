package hosted

import (
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/snapshot"
)

// StateOf is the state of a node's program in a snapshot.
func StateOf(n *snapshot.NodeState) []byte {
	var whole []byte
	for _, m := range pieces(n) {
		whole = append(whole, m.Bytes...)
	}
	return whole
}

// pieces are those of a node's part.
func pieces(n *snapshot.NodeState) (all []State) {
	for _, m := range append([]snapshot.Message{n.State}, n.More...) {
		if s, is := m.Body.(State); is {
			all = append(all, s)
		}
	}
	return all
}

// A Flight is what was on its way from one node's program to another's, in order.
type Flight struct {
	From, To protocol.ID
	Data     [][]byte
}

// Flying is all that was on its way in a snapshot, by sender and receiver: what was between two nodes, and then what waited
// at the sender.
func Flying(t *snapshot.Taken) (all []Flight) {
	for _, c := range t.Channels {
		for _, m := range c.Messages {
			if d, is := m.Body.(Data); is {
				all = fly(all, c.From, c.To, d.Bytes)
			}
		}
	}
	for i := range t.Nodes {
		for _, s := range pieces(&t.Nodes[i]) {
			for _, w := range s.Waiting {
				all = fly(all, t.Nodes[i].Node, w.To, w.Data...)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Flight) int {
		if by := protocol.ByID(a.From, b.From); by != 0 {
			return by
		}
		return protocol.ByID(a.To, b.To)
	})
	return all
}

func fly(all []Flight, from, to protocol.ID, data ...[]byte) []Flight {
	i := slices.IndexFunc(all, func(f Flight) bool { return f.From == from && f.To == to })
	if i < 0 {
		i = len(all)
		all = append(all, Flight{From: from, To: to})
	}
	all[i].Data = append(all[i].Data, data...)
	return all
}
