package multicast_test

import (
	"strings"
	"testing"
	"time"

	"ciranda.dev/check"
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

// leaving is a run of three nodes in which node 3 leaves, and something is done shortly before.
func leaving(t *testing.T, before ...sim.Action) (*clerk, *sim.Sim, check.Result) {
	t.Helper()
	c := trial{nodes: 3}
	agreement, err := check.New("multicast-agreement", nil, check.Setup{Nodes: []protocol.ID{1, 2, 3}, Level: trace.Protocol,
		Group: &check.Group{Casts: true}, Detector: &check.Detector{Interval: 100 * ms, Timeout: 350 * ms, Verify: 30 * ms}})
	if err != nil {
		t.Fatal(err)
	}
	suite, clerk := check.NewSuite(agreement), &clerk{map[protocol.ID]time.Duration{}, map[protocol.ID]group.Why{}}
	end := leaves + 6*time.Second
	script := append(before, sim.Action{At: leaves, Do: func(s *sim.Sim) { s.Request(3, "leave") }}, sim.Action{At: end, Do: func(*sim.Sim) {}})
	s, err := sim.New(sim.Config{
		World:   world.Config{Nodes: c.nodes, Build: c.build, Level: trace.Protocol, Sink: tee{clerk, suite}, Requests: c.requests()},
		Network: network.Link{Delay: network.Between(ms, 10*ms)}, Seed: 1, Script: script, Duration: end, Queue: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(); err != nil {
		t.Fatal(err)
	}
	return clerk, s, suite.Results()[0]
}

const leaves = 2 * time.Second

// What node 3 sends before it leaves does not reach node 2, and never will: node 2 has it from node 1, who goes on, and does not
// wait for node 3, who is gone.
func TestNobodyWaitsForWhoHasLeft(t *testing.T) {
	clerk, s, agreement := leaving(t,
		sim.Action{At: leaves - 20*ms, Do: func(s *sim.Sim) { s.Cut(3, 2) }},
		sim.Action{At: leaves - 10*ms, Do: func(s *sim.Sim) { s.Request(3, "tell 0") }})
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
	if agreement.Verdict == check.Violated {
		t.Error(agreement.Why)
	}
}

// Node 3 leaves while it is cut off. Nobody hears of it, and what it has just sent is lost: it does not say that it left in good
// order, and nobody takes its messages for settled.
func TestLeavesAlone(t *testing.T) {
	clerk, _, agreement := leaving(t,
		sim.Action{At: leaves - 20*ms, Do: func(s *sim.Sim) { cutOff(s, 3, s.Cut) }},
		sim.Action{At: leaves - 10*ms, Do: func(s *sim.Sim) { s.Request(3, "tell 0") }})
	if why := clerk.excluded[3]; why != group.Abrupt {
		t.Errorf("node 3 is excluded: %q; want %q", why, group.Abrupt)
	}
	if agreement.Verdict == check.Violated {
		t.Error(agreement.Why)
	}
}

// A node that is told to come back while it leaves takes casts when it is out: they wait for the view that lets it in.
func TestTakesCastsOnItsWayBack(t *testing.T) {
	s, o := one(t, multicast.Options{})
	s.Call(protocol.Call{ID: 5, Body: group.Leave{}}, protocol.Inputs{}, o)
	s.Call(protocol.Call{ID: 6, Body: group.Join{}}, protocol.Inputs{}, o)
	left, _ := views["excluded"]([]string{"1", "left"})
	s.Notify(left, protocol.Inputs{}, o)
	s.Call(protocol.Call{ID: 7, Body: multicast.Cast{Order: multicast.FIFO, Payloads: [][]byte{nil}}}, protocol.Inputs{}, o)
	if waiting := status(s).Waiting; waiting != 16 {
		t.Errorf("%d bytes wait; want 16; effects are %v", waiting, o.Effects())
	}
}

// Of a cast some was sent in a view that is over. It is not refused when the node is out: that would say that nothing was sent.
func TestKnowsWhatWasSentBefore(t *testing.T) {
	s, o := one(t, multicast.Options{Window: 200, Batch: 100})
	s.Call(protocol.Call{ID: 7, Body: multicast.Cast{Order: multicast.FIFO, Payloads: [][]byte{make([]byte, 60), make([]byte, 60), make([]byte, 60)}}},
		protocol.Inputs{}, o)
	s.Flush(protocol.Inputs{}, o)
	for _, command := range []string{"flush 1 1", "view 2 1,2,3 upto 2,0,0", "excluded 2 passed"} {
		words := strings.Fields(command)
		e, err := views[words[0]](words[1:])
		if err != nil {
			t.Fatal(err)
		}
		s.Notify(e, protocol.Inputs{}, o)
	}
	answered := false
	for _, e := range o.Effects() {
		if r, is := e.Body.(protocol.Reply); is {
			answered = true
			if _, unknown := r.Body.(multicast.Unknown); !unknown {
				t.Errorf("the answer is %T %+v; want that nothing is known", r.Body, r.Body)
			}
		}
	}
	if !answered {
		t.Error("there is no answer")
	}
}

// Node 1 wants to go on without node 3, which holds everybody up, when node 2 comes back and has forgotten everything. Then node 3 is
// needed: the group must not stand still for want of what node 3 could say.
func TestWhoHoldsUpMayBeNeeded(t *testing.T) {
	c := trial{nodes: 3}
	requests := c.requests()
	requests["expel"] = group.Exclude{Member: group.Member{Node: 3, Incarnation: 1, Life: 1}, Why: "a test"}
	end := 7 * time.Second
	s, err := sim.New(sim.Config{
		World:   world.Config{Nodes: c.nodes, Build: c.build, Level: trace.Off, Requests: requests},
		Network: network.Link{Delay: network.Between(ms, 10*ms)}, Seed: 1, Duration: end, Queue: 1000,
		Script: []sim.Action{
			{At: leaves, Do: func(s *sim.Sim) {
				s.Crash(2, false, false)
				s.Recover(2)
				s.Request(1, "expel")
			}},
			{At: end, Do: func(*sim.Sim) {}},
		}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(); err != nil {
		t.Fatal(err)
	}
	if !together(s) {
		st, _ := s.World().Ask(1, group.Query{})
		t.Errorf("the nodes are not in one view: at node 1 it is %+v", st)
	}
}
