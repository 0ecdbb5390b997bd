package sim_test

import (
	"slices"
	"testing"
	"time"

	"ciranda.dev/engine/sim"
)

// An action may plan what comes after it; what is planned for the past is done at once.
func TestPlan(t *testing.T) {
	var times []time.Duration
	note := func(s *sim.Sim) { times = append(times, s.Now()) }
	cfg := config(&memory{}, func() *gossip { return &gossip{} })
	cfg.Script = []sim.Action{{At: time.Second, Do: func(s *sim.Sim) {
		s.Plan(sim.Action{At: s.Now() + 300*time.Millisecond, Do: note})
		s.Plan(sim.Action{Do: note})
	}}}
	s, err := sim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(); err != nil {
		t.Fatal(err)
	}
	if want := []time.Duration{time.Second, 1300 * time.Millisecond}; !slices.Equal(times, want) {
		t.Errorf("got %v, want %v", times, want)
	}
}
