package ciranda_test

import (
	"errors"
	"strings"
	"testing"

	"ciranda.dev"
	"ciranda.dev/protocol/invocation"
	"ciranda.dev/rmi"
)

// What one member binds another looks up, and it leaves with the member.
func TestObjects(t *testing.T) {
	c, ctx := newCircle(t, 3), within(t)
	var nodes []*rmi.Node
	for id := 1; id <= 3; id++ {
		options, err := c.join(id, newDiary().group()).Objects()
		if err != nil {
			t.Fatal(err)
		}
		n, err := rmi.Listen("127.0.0.1:0", options)
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		nodes = append(nodes, n)
	}
	ref := rmi.Ref{Ref: invocation.Ref{Owner: invocation.NodeClient(1), Incarnation: 1, Interface: "Account", Object: invocation.ObjectID{1}}}
	bind := func() error { return nodes[0].Names().Bind(ctx, "bank/alice", ref, nil) }
	err := bind()
	for err != nil && strings.Contains(err.Error(), "nothing was done") { // there is no view yet
		err = bind()
	}
	if err != nil {
		t.Fatal(err)
	}
	if e, err := nodes[1].Names().Lookup(ctx, "bank/alice"); err != nil || e.Ref != ref {
		t.Errorf("got %+v, %v", e, err)
	}
	c.leave(1)
	for err == nil || strings.Contains(err.Error(), "nothing was done") { // until the view without it is here
		_, err = nodes[1].Names().Lookup(ctx, "bank/alice")
	}
	if !errors.Is(err, rmi.ErrNoName) {
		t.Errorf("what a member that left had: %v", err)
	}
}

// Without a group there are no names.
func TestObjectsNeedAGroup(t *testing.T) {
	if _, err := new(ciranda.Member).Objects(); err == nil || !strings.Contains(err.Error(), "no Group") {
		t.Errorf("got %v", err)
	}
}
