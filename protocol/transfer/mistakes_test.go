package transfer_test

import (
	"testing"

	"ciranda.dev/protocol/transfer"
)

// Each mistake is noticed, in a run that the right rules pass.
func TestMistakesShow(t *testing.T) {
	three, five := trial{nodes: 3, opts: small}, trial{nodes: 5, opts: small}
	for _, m := range []struct {
		name    string
		mistake transfer.Mistake
		in      trial
		runs    uint64
	}{
		{"AsksLate", transfer.AsksLate, three, 5},
		{"LiveState", transfer.LiveState, three, 5},
		{"DeliversEarly", transfer.DeliversEarly, three, 5},
		{"ResumesAnyhow", transfer.ResumesAnyhow, five, 40},
		{"DropsHeld", transfer.DropsHeld, three, 10},
		{"KeepsOlder", transfer.KeepsOlder, five, 40},
		{"ReadyAtOnce", transfer.ReadyAtOnce, three, 5},
		{"StaysWithDead", transfer.StaysWithDead, five, 40},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			wrong := m.in
			wrong.opts.Mistake, wrong.trap = m.mistake, true
			for seed := range m.runs {
				run := wrong.run(t, seed)
				if run.wrong == "" {
					continue
				}
				if right := m.in.run(t, seed); right.wrong != "" {
					t.Fatalf("seed %d, without the mistake: %s", seed, right.wrong)
				}
				t.Logf("after %d runs: %s", seed+1, run.wrong)
				return
			}
			t.Errorf("%d runs, and nothing is noticed", m.runs)
		})
	}
}
