package snapshot_test

import (
	"testing"

	"ciranda.dev/check"
	"ciranda.dev/protocol/snapshot"
)

// The counters notice most mistakes too, in a run that the right rules pass.
func TestMistakesAreCounted(t *testing.T) {
	for name, m := range map[string]snapshot.Mistake{"MarksLate": snapshot.MarksLate, "StopsEarly": snapshot.StopsEarly,
		"FirstOpen": snapshot.FirstOpen, "MixesUp": snapshot.MixesUp, "Overtakes": snapshot.Overtakes, "Presumes": snapshot.Presumes,
		"ClaimsComplete": snapshot.ClaimsComplete} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(50) {
				c := trial{still: m != snapshot.Presumes && m != snapshot.ClaimsComplete, names: properties[2:3]}
				if right := c.run(t, seed); right.miscounted != "" {
					t.Fatalf("seed %d, without the mistake: %s", seed, right.miscounted)
				}
				c.opts.Mistake = m
				if wrong := c.run(t, seed); wrong.miscounted != "" {
					t.Logf("after %d runs: %s", seed+1, wrong.miscounted)
					return
				}
			}
			t.Error("50 runs, and the counters notice nothing")
		})
	}
}

// Each mistake is noticed by the property that is there for it, in a run that the right rules pass.
func TestMistakesShow(t *testing.T) {
	for _, m := range []struct {
		name     string
		mistake  snapshot.Mistake
		property string
		still    bool
		runs     uint64
	}{
		{"MarksLate", snapshot.MarksLate, "snapshot-consistent", true, 20},
		{"StateLate", snapshot.StateLate, "snapshot-channels", true, 20},
		{"StopsEarly", snapshot.StopsEarly, "snapshot-channels", true, 20},
		{"FirstOpen", snapshot.FirstOpen, "snapshot-channels", true, 20},
		{"MixesUp", snapshot.MixesUp, "snapshot-channels", true, 20},
		{"Overtakes", snapshot.Overtakes, "snapshot-channels", true, 20},
		{"Overtakes", snapshot.Overtakes, "snapshot-consistent", true, 20},
		{"SkipsOne", snapshot.SkipsOne, "snapshot-completes", true, 20},
		{"Presumes", snapshot.Presumes, "snapshot-channels", false, 50},
		{"Presumes", snapshot.Presumes, "snapshot-consistent", false, 50},
		{"Restarts", snapshot.Restarts, "snapshot-consistent", false, 50},
		{"ClaimsComplete", snapshot.ClaimsComplete, "snapshot-consistent", false, 20},
		{"MarksLate", snapshot.MarksLate, "snapshot-conserved", true, 20},
		{"StateLate", snapshot.StateLate, "snapshot-conserved", true, 20},
		{"Overtakes", snapshot.Overtakes, "snapshot-conserved", true, 20},
		{"ClaimsComplete", snapshot.ClaimsComplete, "snapshot-conserved", false, 20},
	} {
		t.Run(m.name+" by "+m.property, func(t *testing.T) {
			t.Parallel()
			right := trial{still: m.still, names: []string{m.property}, bank: m.property == "snapshot-conserved"}
			wrong := right
			wrong.opts.Mistake = m.mistake
			for seed := range m.runs {
				if r := right.run(t, seed).results[0]; r.Verdict == check.Violated {
					t.Fatalf("seed %d, without the mistake: %s", seed, describe(r))
				}
				if r := wrong.run(t, seed).results[0]; r.Verdict == check.Violated {
					t.Logf("after %d runs: %s", seed+1, describe(r))
					return
				}
			}
			t.Errorf("%d runs, and %s notices nothing", m.runs, m.property)
		})
	}
}
