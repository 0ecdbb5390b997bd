package stacks

import (
	"strings"
	"testing"

	"ciranda.dev/app/board"
	"ciranda.dev/protocol"
)

// The board and a hosted program are above state transfer. Snapshots are taken of what talks to other nodes.
func TestApps(t *testing.T) {
	self := protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1, 2, 3}}
	for _, c := range []struct {
		spec Spec
		want string
	}{
		{Spec{App: "board", Orders: AllOrders}, "heartbeat link bully group multicast transfer board"},
		{Spec{App: Hosted, Orders: "total"}, "heartbeat link bully group multicast transfer snapshot hosted"},
		{Spec{App: Hosted, Election: "none"}, "heartbeat link snapshot hosted"},
		{Spec{App: "bank", Orders: AllOrders}, "heartbeat link bully group multicast snapshot bank"},
		{Spec{App: "counter", Election: "none"}, "heartbeat invocation counter"},
		{Spec{App: "references", Election: "none"}, "heartbeat dgc references"},
		{Spec{App: "counter-maybe", Orders: AllOrders}, "heartbeat link bully group multicast invocation counter"},
	} {
		s, err := c.spec.Build(self)
		if err != nil {
			t.Fatal(err)
		}
		var channels []string
		for _, tr := range s.Traits() {
			channels = append(channels, tr.Channel)
		}
		if got := strings.Join(channels, " "); got != c.want || c.spec.Validate() != nil {
			t.Errorf("got %s, %v, want %s", got, c.spec.Validate(), c.want)
		}
	}
	for _, p := range profiles {
		if err := (Spec{Profile: p}).Invocation().Validate(); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if err := (Spec{Profile: p}).Leases().Validate(); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		for _, app := range []string{"board", Hosted} {
			o := Spec{Profile: p, App: app}.Transfer()
			if err := o.Validate(); err != nil {
				t.Error(err)
			}
			if link := (Spec{Profile: p}).link().WithDefaults(); o.Window*o.Chunk > link.Window {
				t.Errorf("%s: %d chunks of %d bytes are on their way; a link takes %d bytes", p.Name, o.Window, o.Chunk, link.Window)
			}
		}
	}
}

// A board needs its order.
func TestBoardNeedsOrder(t *testing.T) {
	for orders, ok := range map[string]bool{"": false, "fifo": false, "fifo+total": true, AllOrders: true} {
		err := Spec{App: "board", Orders: orders}.Validate()
		if (err == nil) != ok || !ok && !strings.Contains(err.Error(), "the app board with the orders") {
			t.Errorf("%q: %v", orders, err)
		}
	}
	s, err := Spec{App: "board", Orders: AllOrders}.Build(protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1}})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Answer(board.Query{}); !ok {
		t.Error("there is no board")
	}
}
