package node

import (
	"slices"
	"testing"

	"ciranda.dev/protocol"
)

// Nodes in words are nodes of the group, ascending, each once.
func FuzzResolve(f *testing.F) {
	for _, seed := range []string{"3", "1,2", "all", "leader", "last", " 1 , 5", "", ",", "6", "0", "70000", "leader,leader,all", "1-3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		asked := 0
		n := naming{group: five, last: 4, leader: func() (protocol.ID, error) { asked++; return 5, nil }}
		ids, err := n.resolve("nodes", text)
		if asked > 1 {
			t.Errorf("%q: the leader was asked for %d times", text, asked)
		}
		if err != nil {
			return
		}
		if len(ids) == 0 || !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
			t.Errorf("%q: got %v", text, ids)
		}
		for _, id := range ids {
			if !slices.Contains(five, id) {
				t.Errorf("%q: got %v", text, ids)
			}
		}
	})
}

// Peers that are read have a number and an address.
func FuzzParsePeers(f *testing.F) {
	for _, seed := range []string{"1=a:1,2=b:2", "1=[::1]:7000", "", "1=", "0=a:1", "1=a:1,1=b:1", "65536=a:1", "1=a", "=a:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		peers, err := ParsePeers(text)
		if err == nil && len(peers) == 0 {
			t.Errorf("%q: got none", text)
		}
		for id, address := range peers {
			if id == protocol.None || address == "" {
				t.Errorf("%q: got node %d at %q", text, id, address)
			}
		}
	})
}
