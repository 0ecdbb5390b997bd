package transfer_test

import (
	"slices"
	"testing"

	"ciranda.dev/protocol/transfer"
)

// Each mistake is noticed by the property that is there for it, in a run that the right rules pass.
func TestMistakesShow(t *testing.T) {
	three, five := trial{nodes: 3, opts: small}, trial{nodes: 5, opts: small}
	for _, m := range []struct {
		name     string
		mistake  transfer.Mistake
		property string
		in       trial
		runs     uint64
	}{
		{"AsksLate", transfer.AsksLate, "transfer-same-state", three, 5},
		{"LiveState", transfer.LiveState, "transfer-same-state", three, 5},
		{"DeliversEarly", transfer.DeliversEarly, "transfer-one-history", three, 5},
		{"ResumesAnyhow", transfer.ResumesAnyhow, "transfer-one-history", five, 40},
		{"DropsHeld", transfer.DropsHeld, "transfer-one-history", three, 10},
		{"KeepsOlder", transfer.KeepsOlder, "transfer-one-history", five, 40},
		{"ReadyAtOnce", transfer.ReadyAtOnce, "transfer-one-history", three, 5},
		{"StaysWithDead", transfer.StaysWithDead, "transfer-ends", five, 40},
	} {
		t.Run(m.name+" by "+m.property, func(t *testing.T) {
			t.Parallel()
			wrong := m.in
			wrong.opts.Mistake, wrong.trap = m.mistake, true
			for seed := range m.runs {
				run := wrong.run(t, seed)
				if !slices.Contains(run.checks, m.property) {
					continue
				}
				if right := m.in.run(t, seed); right.wrong != "" {
					t.Fatalf("seed %d, without the mistake: %s", seed, right.wrong)
				}
				t.Logf("after %d runs", seed+1)
				return
			}
			t.Errorf("%d runs, and nothing is noticed", m.runs)
		})
	}
}
