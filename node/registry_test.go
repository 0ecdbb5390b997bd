package node

import (
	"context"
	"errors"
	"strings"
	"testing"

	"ciranda.dev/api"
	"ciranda.dev/pki"
	"ciranda.dev/rmi"
	"ciranda.dev/stacks"
)

// A listener gets changes.
type listener chan rmi.Change

func (l listener) Changed(ctx context.Context, changes []rmi.Change) error {
	for _, c := range changes {
		select {
		case l <- c:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// withRegistry has nodes keep names.
func withRegistry(configs []Config) []Config {
	for i := range configs {
		configs[i].Spec.Orders, configs[i].Spec.Registry = stacks.AllOrders, true
	}
	return configs
}

// dial connects a program to a node.
func dialObjects(t *testing.T, c Config, access api.Access) *rmi.Node {
	t.Helper()
	var o rmi.Options
	ObjectAccess(access, &o)
	n, err := rmi.Dial(t.Context(), c.GRPC, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// What a node binds is found at all nodes, by programs too, and leaves with the node. Who may not bind is told so.
func TestNames(t *testing.T) {
	o, configs := secure(t)
	configs = withRegistry(configs)
	nodes := make([]*Node, len(configs))
	for i, c := range configs {
		nodes[i] = start(t, c)
	}
	defer stop(t, nodes[0])
	defer stop(t, nodes[1])
	ref, err := adderRemote.Export(nodes[2].Objects(), &sum{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	waitFor(t, "a view", func() bool {
		err = nodes[2].Objects().Names().Bind(ctx, "sums/a", ref, map[string]string{"of": "3"})
		return err == nil || !strings.Contains(err.Error(), "nothing was done")
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nodes[2].Objects().Names().Bind(ctx, "sums/a", ref, nil); !errors.Is(err, rmi.ErrTaken) {
		t.Errorf("bound twice: %v", err)
	}
	operator, client := dialObjects(t, configs[0], o.access(t, pki.Operator, "olga")), dialObjects(t, configs[1], o.access(t, pki.Client, "alice"))
	heard := make(listener, 10)
	if entries, revision, err := operator.Names().Watch(ctx, "sums/", heard); err != nil || len(entries) > 1 || revision > 1 {
		t.Errorf("watching gives %v at %d, %v", entries, revision, err)
	}
	if err := operator.Names().Bind(ctx, "sums/b", ref, nil); err != nil {
		t.Error(err)
	}
	for _, bind := range []func() error{func() error { return client.Names().Rebind(ctx, "sums/a", ref, nil) },
		func() error { return client.Names().Unbind(ctx, "sums/a") }} {
		if err := bind(); !errors.Is(err, rmi.ErrForbidden) {
			t.Errorf("a client changes names: %v", err)
		}
	}
	found, err := adderRemote.Lookup(ctx, client, "sums/a")
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := found.Add(ctx, 2); err != nil || sum != 2 {
		t.Errorf("got %d, %v", sum, err)
	}
	if entries, revision, err := client.Names().List(ctx, "sums/"); err != nil || len(entries) != 2 || revision != 2 || entries[0].Tags["of"] != "3" {
		t.Errorf("got %v at %d, %v", entries, revision, err)
	}
	stop(t, nodes[2])
	gone := map[string]bool{}
	for len(gone) < 2 {
		if c := <-heard; c.Ref.IsZero() {
			gone[c.Name] = true
		}
	}
	if _, err := client.Names().Lookup(ctx, "sums/a"); !errors.Is(err, rmi.ErrNoName) {
		t.Errorf("what a stopped node had is found: %v", err)
	}
}

// What a program bound leaves with its session.
func TestNamesOfPrograms(t *testing.T) {
	configs := withRegistry(three(t))
	for _, c := range configs {
		n := start(t, c)
		defer stop(t, n)
	}
	ctx := t.Context()
	owner, other := dialObjects(t, configs[0], configs[0].Access), dialObjects(t, configs[1], configs[1].Access)
	ref, err := adderRemote.Export(owner, &sum{})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a view", func() bool {
		err = owner.Names().Bind(ctx, "sums/a", ref, nil)
		return err == nil || !strings.Contains(err.Error(), "nothing was done")
	})
	heard := make(listener, 10)
	entries, _, watches := other.Names().Watch(ctx, "sums/", heard)
	if err := errors.Join(err, watches); err != nil {
		t.Fatal(err)
	}
	if len(entries) == 0 {
		<-heard // that it is bound
	}
	owner.Close()
	if c := <-heard; c.Name != "sums/a" || !c.Ref.IsZero() {
		t.Errorf("got %+v, want that sums/a is gone", c)
	}
}
