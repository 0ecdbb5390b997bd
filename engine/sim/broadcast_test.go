package sim_test

import (
	"testing"

	"ciranda.dev/check"
	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// A broadcast is sent once, and each of the others gets it, or does not, for itself: late, twice, never. The trace stays in
// order, and the run can be taken again.
func TestBroadcast(t *testing.T) {
	for seed := range uint64(20) {
		m := &memory{}
		cfg := config(m, honest)
		cfg.Seed, cfg.World.Broadcasts = seed, 1000
		s, err := sim.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var steps []world.Step
		s.World().Record(func(st world.Step) { steps = append(steps, st) })
		if _, err := s.Run(); err != nil {
			t.Fatal(err)
		}
		judge(t, m.events)
		again := &memory{}
		cfg.World.Sink = again
		r, err := world.NewReplay(cfg.World, steps)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Run(); err != nil || m.hash() != again.hash() {
			t.Fatalf("seed %d: the run taken again differs: %v", seed, err)
		}
	}
}

// judge looks at a trace of broadcasts with the checks that hold for every trace.
func judge(t *testing.T, events []trace.Event) {
	t.Helper()
	setup := check.Setup{Nodes: []protocol.ID{1, 2, 3, 4, 5}, Level: trace.Full}
	var properties []check.Property
	for _, name := range []string{"well-formed", "no-creation", "clock-condition", "incarnations-rise"} {
		p, err := check.New(name, nil, setup)
		if err != nil {
			t.Fatal(err)
		}
		properties = append(properties, p)
	}
	suite := check.NewSuite(properties...)
	got := map[trace.MessageID]map[protocol.ID]bool{}
	broadcasts := 0
	for i := range events {
		suite.Record(&events[i])
		switch e := &events[i]; e.Kind {
		case trace.Send:
			if e.Peer == protocol.None {
				broadcasts++
				got[e.Message()] = map[protocol.ID]bool{}
			}
		case trace.Receive:
			if got[e.Message()] != nil {
				got[e.Message()][e.Node] = true
			}
		}
	}
	for _, r := range suite.Results() {
		if r.Verdict != check.Holds {
			t.Errorf("%+v", r)
		}
	}
	reached := map[int]int{}
	for _, nodes := range got {
		reached[len(nodes)]++
	}
	if broadcasts < 100 || reached[4] == 0 || reached[3] == 0 || reached[2] == 0 {
		t.Errorf("%d broadcasts, which reached so many nodes so often: %v", broadcasts, reached)
	}
}

// Over a mute link what is sent to a node arrives, and what is broadcast does not.
func TestMuteLink(t *testing.T) {
	m := &memory{}
	cfg := config(m, honest)
	cfg.World.Broadcasts, cfg.Script = 1000, nil
	cfg.Network = network.Link{Mute: true}
	cfg.Calm = 0
	s, err := sim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(); err != nil {
		t.Fatal(err)
	}
	count := map[trace.Kind]int{}
	for _, e := range m.events {
		count[e.Kind]++
	}
	if sent, lost := count[trace.Send], count[trace.Drop]; sent == 0 || lost != 4*sent || count[trace.Receive] != 0 {
		t.Errorf("of %d broadcasts to four nodes %d are lost and %d received", sent, lost, count[trace.Receive])
	}
}
