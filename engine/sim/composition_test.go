package sim_test

import (
	"testing"
	"time"

	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/wire"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/election"
	"ciranda.dev/stacks"
)

// The same election runs over any detector, without an edit: a leader crashes, another is agreed on, and none of the
// layers cheats.
func TestOneElectionOverEveryDetector(t *testing.T) {
	for _, detector := range stacks.Detectors {
		for _, elect := range stacks.Elections[:5] {
			for seed := range uint64(10) {
				crashTheLeader(t, stacks.Spec{Detector: detector, Election: elect, Profile: stacks.Lab}, seed)
			}
		}
	}
}

func crashTheLeader(t *testing.T, spec stacks.Spec, seed uint64) {
	t.Helper()
	stack, err := spec.Build(protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1}})
	if err != nil {
		t.Fatal(err)
	}
	codec, err := wire.New(stack.Traits())
	if err != nil {
		t.Fatal(err)
	}
	s, err := sim.New(sim.Config{
		World:    world.Config{Nodes: 5, Build: spec.Build, Twice: true, Codec: codec},
		Network:  network.Link{Delay: network.Between(time.Millisecond, 10*time.Millisecond)},
		Script:   []sim.Action{{At: 2 * time.Second, Do: func(s *sim.Sim) { s.Crash(5, false, false) }}},
		Duration: 5 * time.Second,
		Seed:     seed,
		Oracle:   spec.Detector == "oracle",
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(); err != nil {
		t.Fatalf("%s, seed %d: %v", spec.Text(), seed, err)
	}
	for id := range protocol.ID(4) {
		answer, _ := s.World().Ask(id+1, election.Query{})
		if got := answer.(election.Opinion).Leader; got != 4 {
			t.Errorf("%s, seed %d: node %d follows %d, not 4", spec.Text(), seed, id+1, got)
		}
	}
}
