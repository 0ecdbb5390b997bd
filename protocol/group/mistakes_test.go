package group_test

import (
	"testing"
	"time"

	"ciranda.dev/engine/sim"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
)

// Each mistake is noticed, in a run that the right rules pass.
func TestMistakesShow(t *testing.T) {
	for _, m := range []struct {
		name    string
		mistake group.Mistake
		nodes   int
		runs    uint64
		script  func(seed uint64) []sim.Action // nil: turmoil
	}{
		{"FoundsAmongFound", group.FoundsAmongFound, 3, 300, nil},
		{"Forgets", group.Forgets, 3, 200, forget},
		{"BeginsAgain", group.BeginsAgain, 3, 300, nil},
		{"NoBeacon", group.NoBeacon, 3, 300, nil},
		{"SameLife", group.SameLife, 3, 300, nil},
		{"OwnCut", group.OwnCut, 3, 300, nil},
		{"IgnoresAccepted", group.IgnoresAccepted, 3, 600, nil},
		{"NoMajority", group.NoMajority, 3, 300, nil},
		{"SomeFlush", group.SomeFlush, 5, 300, nil},
		{"LeavesEarly", group.LeavesEarly, 3, 50, leaveAlone},
		{"VotesWithAmnesia", group.VotesWithAmnesia, 3, 20, amnesia},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			right := trial{nodes: m.nodes, gentle: true}
			wrong := right
			wrong.opts.Mistake = m.mistake
			for seed := range m.runs {
				var script []sim.Action
				if m.script != nil {
					script = m.script(seed)
				}
				if f, left := right.run(t, seed, script...); f.wrong != "" || left != "" && m.mistake != group.VotesWithAmnesia {
					t.Fatalf("seed %d, without the mistake: %s%s", seed, f.wrong, left)
				}
				if f, left := wrong.run(t, seed, script...); f.wrong != "" || left != "" && m.mistake != group.VotesWithAmnesia {
					t.Logf("after %d runs: %s%s", seed+1, f.wrong, left)
					return
				}
			}
			t.Errorf("%d runs, and nothing is noticed", m.runs)
		})
	}
}

// leaveAlone has a node leave while nothing else happens: what it cried is heard by all.
func leaveAlone(uint64) []sim.Action {
	return []sim.Action{
		{At: ms, Do: chat},
		{At: time.Second, Do: func(s *sim.Sim) {
			s.Request(2, "shout")
			s.Request(2, "leave")
		}},
		{At: 4 * time.Second, Do: func(s *sim.Sim) { s.Request(2, "join") }},
	}
}

// forget has node 1 change the view with node 2 while node 3 is out of its sight, and node 2 crash about when it votes.
// Then it sees node 3 only.
func forget(seed uint64) []sim.Action {
	at := 1250*ms + time.Duration(seed)*ms
	return []sim.Action{
		{At: time.Second, Do: func(s *sim.Sim) { s.Cut(1, 3); s.Cut(3, 1) }},
		{At: at, Do: func(s *sim.Sim) { split(s, 1, s.Cut); s.Crash(2, false, false) }},
		{At: at + 100*ms, Do: func(s *sim.Sim) { s.Recover(2) }},
		{At: 4 * time.Second, Do: func(s *sim.Sim) { split(s, 1, s.Mend) }},
	}
}

// amnesia has a view agreed on by a node that then loses its disk, and meets the one who was not there.
func amnesia(uint64) []sim.Action {
	return []sim.Action{
		{At: time.Second, Do: func(s *sim.Sim) { split(s, 3, s.Cut) }},
		{At: 4 * time.Second, Do: func(s *sim.Sim) {
			s.Crash(1, false, false)
			s.Crash(2, false, true)
			split(s, 3, s.Mend)
		}},
		{At: 4100 * ms, Do: func(s *sim.Sim) { s.Recover(2) }},
		{At: calmAt + 2*time.Second, Do: func(s *sim.Sim) { s.Recover(1) }},
	}
}

// split does something to both directions between a node and all others.
func split(s *sim.Sim, node protocol.ID, do func(p, q protocol.ID)) {
	for _, id := range s.World().Group() {
		if id != node {
			do(id, node)
			do(node, id)
		}
	}
}
