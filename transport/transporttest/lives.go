package transporttest

import (
	"fmt"
	"testing"

	"ciranda.dev/protocol"
	"ciranda.dev/transport"
)

// Nodes that do not agree are turned away at both ends, in words that name the difference.
func testDisagreement(t *testing.T, kit Kit) {
	for name, test := range map[string]struct {
		change      func(*transport.Hello)
		here, there []string
	}{
		"cluster": {func(h *transport.Hello) { h.Cluster = "other" }, []string{"cluster", `"kit" here`, `"other" there`}, []string{"cluster", `"other" here`, `"kit" there`}},
		"stack":   {func(h *transport.Hello) { h.Stack = "echo loud" }, []string{"stack", `"echo" here`, `"echo loud" there`}, []string{"stack"}},
		"group":   {func(h *transport.Hello) { h.Group = []protocol.ID{1, 2} }, []string{"group", "[1 2 3] here", "[1 2] there"}, []string{"group"}},
		"id":      {func(h *transport.Hello) { h.ID = 1 }, []string{"number 1", "duplicate id"}, []string{"number 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := open(t, kit, hello(1, 1))
			h := hello(2, 1)
			test.change(&h)
			b := open(t, kit, h)
			if h.ID == 1 {
				b.SetPeer(2, a.Addr())
			} else {
				b.SetPeer(1, a.Addr())
			}
			a.expectRefusal(test.here...)
			b.expectRefusal(test.there...)
			b.quiet()
			good := open(t, kit, hello(3, 1))
			connect(t, a, good)
			a.quiet()
			if a.Stats().Refused == 0 {
				t.Error("the refusal was not counted")
			}
		})
	}
}

func testSecret(t *testing.T, kit Kit) {
	a := open(t, kit, hello(1, 1))
	b := open(t, kit, hello(2, 1), func(s *Setup, _ *node) { s.Secret = []byte("another") })
	b.SetPeer(1, a.Addr())
	a.expectRefusal("secret")
	b.expectRefusal("secret")
	b.quiet()
	a.quiet()
}

func testOlderLife(t *testing.T, kit Kit) {
	a, b := open(t, kit, hello(1, 1)), open(t, kit, hello(2, 5))
	b.SetPeer(1, a.Addr())
	a.expect(up(b))
	b.close()
	a.expect(down(b))
	old := open(t, kit, hello(2, 4))
	old.SetPeer(1, a.Addr())
	a.expectRefusal("node 2", "incarnation 4", "5")
	old.expectRefusal("incarnation 4", "5")
	old.quiet()
	a.quiet()
}

func testDuplicate(t *testing.T, kit Kit) {
	a, b := pair(t, kit)
	twin := open(t, kit, hello(2, 1))
	twin.SetPeer(1, a.Addr())
	a.expectRefusal("node 2", "duplicate id")
	twin.expectRefusal("node 2", "duplicate id")
	twin.quiet()
	a.send(2, "still there")
	b.expect("still there")
	a.quiet()
}

// Who closes is told nothing; the other end hears Down once, after the last message.
func testDown(t *testing.T, kit Kit) {
	const count = 500
	a, b := open(t, kit, hello(1, 1)), open(t, kit, hello(2, 1))
	b.SetPeer(1, a.Addr()) // a cannot redial: so no redial can be refused
	a.expect(up(b))
	b.expect(up(a))
	for i := range count {
		b.send(1, payload(i))
	}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for i := range count {
		a.expect(payload(i))
	}
	a.expect(down(b))
	if err := a.Send(2, nil, nil); err != transport.ErrDown {
		t.Errorf("got %v for a node that closed", err)
	}
	a.quiet()
	b.quiet()
}

func testRefusedRedial(t *testing.T, kit Kit) {
	a, b := open(t, kit, hello(1, 1)), open(t, kit, hello(2, 1))
	address := b.Addr()
	b.SetPeer(1, a.Addr())
	a.expect(up(b))
	b.expect(up(a))
	b.close()
	a.expect(down(b))
	a.SetPeer(2, address)
	a.expect(down(b)) // the first that is refused
	a.Redial(2)
	a.expect(down(b)) // and each that was asked for
	a.Redial(3)       // a node that was never there is not down
	a.quiet()
}

func testRestart(t *testing.T, kit Kit) {
	a, b := pair(t, kit)
	b.close()
	a.expect(down(b))
	again := open(t, kit, hello(2, 2))
	a.SetPeer(2, again.Addr())
	again.expect(up(a))
	again.send(1, "back")
	a.send2(again)
	for {
		switch news := a.news.next(t, "the second life"); news {
		case down(b): // a redial was refused
		case up(again):
			a.expect("back")
			a.quiet()
			return
		default:
			t.Fatalf("node 1 was told %.60q", news)
		}
	}
}

// send2 sends to a node as soon as there is a connection, and waits until it has arrived.
func (n *node) send2(to *node) {
	n.t.Helper()
	for n.Send(to.hello.ID, []byte("welcome"), nil) == transport.ErrDown {
		n.Redial(to.hello.ID)
	}
	to.expect("welcome")
}

// A new life comes while the connection of the old one still stands.
func testOvertaken(t *testing.T, kit Kit) {
	a, b := open(t, kit, hello(1, 1)), open(t, kit, hello(2, 1))
	b.SetPeer(1, a.Addr())
	a.expect(up(b))
	b.expect(up(a))
	b.send(1, "from the first life")
	a.expect("from the first life")
	next := open(t, kit, hello(2, 2))
	next.SetPeer(1, a.Addr())
	next.expect(up(a))
	next.send(1, "from the second life")
	a.expect(up(next))
	a.expect("from the second life")
	b.expect(down(a))
	b.expectRefusal("incarnation 1", "2")
	a.quiet()
}

func testReset(t *testing.T, kit Kit) {
	a, b := pair(t, kit)
	for range 5 {
		a.Reset(2)
		a.expect(down(b))
		b.expect(down(a))
		a.expect(up(b))
		b.expect(up(a))
		a.send(2, "again")
		b.expect("again")
	}
	a.quiet()
}

// However dials cross, the nodes agree on one connection, and nothing sent on it is lost.
func testBothDial(t *testing.T, kit Kit) {
	const rounds, count = 30, 20
	for range rounds {
		a, b := open(t, kit, hello(1, 1)), open(t, kit, hello(2, 1))
		connect(t, a, b)
		for i := range count {
			a.send(2, fmt.Sprint("a", i))
			b.send(1, fmt.Sprint("b", i))
		}
		for i := range count {
			a.expect(fmt.Sprint("b", i))
			b.expect(fmt.Sprint("a", i))
		}
		a.quiet()
		b.close()
	}
}
