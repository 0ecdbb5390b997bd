package cli

import (
	"bytes"
	"strings"
	"testing"

	"ciranda.dev/protocol/invocation"
	"ciranda.dev/rmi"
)

// Who refers to objects of one another is named, also if it goes by a third. Objects that are kept make no cycle.
func TestMutualLeases(t *testing.T) {
	one, two, three, four := invocation.NodeClient(1), invocation.NodeClient(2), invocation.NodeClient(3), invocation.NodeClient(4)
	of := func(owner rmi.ID, strong bool, holders ...rmi.ID) rmi.Leases {
		return rmi.Leases{Node: owner, Exports: 3, Exported: []rmi.Exported{{Object: "0123456789abcdef", Interface: "a.B", Strong: strong, Holders: holders}}}
	}
	all := leasesJSON{Nodes: []rmi.Leases{of(one, false, two), of(two, false, three), of(three, false, one), of(four, true, one, four)}, Unknown: []rmi.ID{four}}
	all.Mutual = mutual(all.Nodes)
	if len(all.Mutual) != 1 || len(all.Mutual[0]) != 3 || all.Mutual[0][0] != one {
		t.Errorf("got %v", all.Mutual)
	}
	var b bytes.Buffer
	writeLeases(&b, all)
	for _, want := range []string{
		"OWNER   OBJECT            INTERFACE  KEPT  REFERRED TO BY  ON THEIR WAY\n",
		"node 1  0123456789abcdef  a.B        no    node 2          0\n",
		"node 4  and 2 more\n", "node 4 does not answer\n", "node 1, node 2, node 3 refer to objects of one another",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
}
