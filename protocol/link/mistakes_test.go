package link_test

import (
	"testing"

	"ciranda.dev/check"
	"ciranda.dev/engine/sim"
	"ciranda.dev/protocol/link"
)

// Each mistake is noticed by the check that is there for it, in a run that the right rules pass.
func TestMistakesShow(t *testing.T) {
	for _, m := range []struct {
		name     string
		mistake  link.Mistake
		opts     link.Options
		property string
		runs     uint64
	}{
		{"Overflows", link.Overflows, tight, "link-delivers", 20},
		{"CountsTwice", link.CountsTwice, narrow, "link-delivers", 20},
		{"KeepsCount", link.KeepsCount, narrow, "link-delivers", 20},
		{"KeepsCount", link.KeepsCount, narrow, "link-order", 50},
		{"Renumbers", link.Renumbers, narrow, "link-order", 20},
		{"Readdresses", link.Readdresses, narrow, "link-order", 20},
		{"AnyLife", link.AnyLife, narrow, "link-order", 50},
		{"AcksHeld", link.AcksHeld, narrow, "link-delivers", 50},
	} {
		t.Run(m.name+" by "+m.property, func(t *testing.T) {
			right := trial{opts: m.opts, rude: true}
			wrong := right
			wrong.opts.Mistake = m.mistake
			for seed := range m.runs {
				if r := verdict(t, right, seed, m.property); r.Verdict == check.Violated {
					t.Fatalf("seed %d, without the mistake: %s", seed, describe(r))
				}
				if r := verdict(t, wrong, seed, m.property); r.Verdict == check.Violated {
					t.Logf("after %d runs: %s", seed+1, describe(r))
					return
				}
			}
			t.Errorf("%d runs, and %s notices nothing", m.runs, m.property)
		})
	}
}

func verdict(t *testing.T, c trial, seed uint64, property string) check.Result {
	t.Helper()
	for _, r := range c.run(t, seed).results {
		if r.Property == property {
			return r
		}
	}
	t.Fatalf("%s was not judged", property)
	return check.Result{}
}

// Who does not acknowledge again leaves senders that never come to rest.
func TestForgetfulShows(t *testing.T) {
	opts := narrow
	opts.Mistake = link.Forgetful
	for seed := range uint64(20) {
		if left := (trial{opts: opts}).run(t, seed).rest.owed; left != "" {
			t.Logf("after %d runs: %s", seed+1, left)
			return
		}
	}
	t.Error("20 runs, and all came to rest")
}

// A network that loses and doubles nothing costs one message beside each word, and none of them twice.
func TestPerfectNetwork(t *testing.T) {
	words := uint64(0)
	talk := sim.Action{At: ms, Do: func(s *sim.Sim) {
		var again func(s *sim.Sim)
		again = func(s *sim.Sim) {
			if s.Now() < calmAt {
				words++
				s.Request(1, "say 2 0")
				s.Plan(sim.Action{At: s.Now() + 20*ms, Do: again})
			}
		}
		again(s)
	}}
	run := trial{opts: link.Options{Trace: true}}.run(t, 1, talk)
	if run.Messages != 2*words+2 { // an Ask and its answer come first
		t.Errorf("%d words took %d messages", words, run.Messages)
	}
}
