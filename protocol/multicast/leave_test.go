package multicast_test

import (
	"testing"
	"time"

	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/trace"
)

// A clerk notes when views are installed, and who is excluded.
type clerk struct {
	installed map[protocol.ID]time.Duration // the last, by node
	excluded  map[protocol.ID]group.Why
}

func (c *clerk) Record(e *trace.Event) {
	switch d := e.Data.(type) {
	case group.Installed:
		c.installed[e.Node] = time.Duration(e.T)
	case group.Excluded:
		c.excluded[e.Node] = d.Why
	}
}

// What node 3 sends before it leaves does not reach node 2, and never will: node 2 has it from node 1, who goes on, and does not
// wait for node 3, who is gone.
func TestNobodyWaitsForWhoHasLeft(t *testing.T) {
	c := trial{nodes: 3}
	clerk := &clerk{map[protocol.ID]time.Duration{}, map[protocol.ID]group.Why{}}
	leaves := 2 * time.Second
	script := []sim.Action{
		{At: leaves - 20*ms, Do: func(s *sim.Sim) { s.Cut(3, 2) }},
		{At: leaves - 10*ms, Do: func(s *sim.Sim) { s.Request(3, "tell 0") }},
		{At: leaves, Do: func(s *sim.Sim) { s.Request(3, "leave") }},
		{At: leaves + 5*time.Second, Do: func(*sim.Sim) {}},
	}
	s, err := sim.New(sim.Config{
		World:   world.Config{Nodes: c.nodes, Build: c.build, Level: trace.Protocol, Sink: clerk, Requests: c.requests()},
		Network: network.Link{Delay: network.Between(ms, 10*ms)}, Seed: 1, Script: script, Duration: leaves + 5*time.Second, Queue: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(); err != nil {
		t.Fatal(err)
	}
	if why := clerk.excluded[3]; why != group.Left {
		t.Errorf("node 3 is excluded: %q; want %q", why, group.Left)
	}
	if why, out := clerk.excluded[2]; out {
		t.Errorf("node 2 is excluded: %s", why)
	}
	if took := clerk.installed[2] - leaves; took > 300*ms {
		t.Errorf("node 2 has the next view after %v; want 300ms at most", took)
	}
	if st, _ := s.World().Ask(2, multicast.Query{}); st.(multicast.Status).Kept > 0 {
		t.Errorf("in the end node 2 has %+v", st)
	}
}
