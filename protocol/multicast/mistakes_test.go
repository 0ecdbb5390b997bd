package multicast_test

import (
	"strings"
	"testing"

	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
)

// Each mistake is noticed by the check that is there for it, in a run that the right rules pass.
func TestMistakesShow(t *testing.T) {
	three, four, tight := trial{nodes: 3}, trial{nodes: 4, hurry: 4 * ms}, trial{nodes: 5, opts: narrow}
	loose, lossy := trial{nodes: 3, loose: true, quiet: true}, trial{nodes: 5, opts: narrow, loose: true, quiet: true, loss: 0.05}
	for _, m := range []struct {
		name     string
		mistake  multicast.Mistake
		in       trial
		property string
		runs     uint64
	}{
		{"TakesEarly", multicast.TakesEarly, loose, "multicast-fifo", 3},
		{"NoDrain", multicast.NoDrain, loose, "multicast-agreement", 3},
		{"TakesTwice", multicast.TakesTwice, loose, "multicast-once", 3},
		{"OwnEntryOnly", multicast.OwnEntryOnly, three, "multicast-causal", 3},
		{"CountsAtReceipt", multicast.CountsAtReceipt, three, "multicast-causal", 3},
		{"NoRescan", multicast.NoRescan, four, "group-same-set", 12},
		{"KeepsCounts", multicast.KeepsCounts, three, "multicast-causal", 3},
		{"OrdersTwice", multicast.OrdersTwice, three, "multicast-agreement", 3},
		{"AnybodyOrders", multicast.AnybodyOrders, three, "multicast-one-place", 3},
		{"SkipsMissing", multicast.SkipsMissing, three, "multicast-total", 3},
		{"OwnFirst", multicast.OwnFirst, three, "multicast-total", 3},
		{"TiesAnyhow", multicast.TiesAnyhow, three, "multicast-total", 3},
		{"Unheard", multicast.Unheard, three, "multicast-total", 3},
		{"HeardTooSoon", multicast.HeardTooSoon, loose, "multicast-total", 5},
		{"NoMerge", multicast.NoMerge, loose, "multicast-agreement", 3},
		{"NeverReports", multicast.NeverReports, three, "multicast-agreement", 3},
		{"HalfIsEnough", multicast.HalfIsEnough, three, "multicast-safe", 3},
		{"CoordinatorHurries", multicast.CoordinatorHurries, three, "multicast-total", 40},
		{"CollectsEarly", multicast.CollectsEarly, three, "multicast-held-by-all", 3},
		{"TellsHighest", multicast.TellsHighest, lossy, "multicast-agreement", 3},
		{"OldReports", multicast.OldReports, four, "multicast-safe", 25},
		{"ForgetsCredit", multicast.ForgetsCredit, trial{nodes: 3, opts: paying}, "multicast-forgotten", 5},
		{"GoesOn", multicast.GoesOn, tight, "group-same-set", 10},
		{"SendsOn", multicast.SendsOn, three, "multicast-agreement", 3},
		{"ReportsOn", multicast.ReportsOn, tight, "multicast-uniform", 60},
		{"DropsRest", multicast.DropsRest, three, "group-same-set", 5},
		{"KeepsBeyond", multicast.KeepsBeyond, four, "group-same-set", 10},
		{"GathersNothing", multicast.GathersNothing, three, "group-same-set", 10},
		{"TakesOldViews", multicast.TakesOldViews, three, "multicast-once", 10},
		{"OwnRestFirst", multicast.OwnRestFirst, four, "multicast-total", 10},
	} {
		t.Run(m.name+" by "+m.property, func(t *testing.T) {
			t.Parallel()
			wrong := m.in
			wrong.opts.Mistake, wrong.trap = m.mistake, true
			for seed := range m.runs {
				if run := wrong.run(t, seed); !run.by(m.property) {
					continue
				}
				if right := m.in.run(t, seed); len(right.wrong) > 0 {
					t.Fatalf("seed %d, without the mistake: %s", seed, strings.Join(right.wrong, "\n"))
				}
				t.Logf("after %d runs", seed+1)
				return
			}
			t.Errorf("%d runs, and %s notices nothing", m.runs, m.property)
		})
	}
}

// A voter that has forgotten what it held must not stand in for one that has not.
func TestForgetfulVoter(t *testing.T) {
	right := trial{nodes: 3, hole: true, hurry: 5 * ms}
	wrong := right
	wrong.views = group.TrustsAmnesia
	noticed := 0
	runs := fewer(40)
	for seed := range runs {
		if run := right.run(t, seed); len(run.wrong) > 0 || run.left != "" {
			t.Fatalf("seed %d: %s%s", seed, strings.Join(run.wrong, "\n"), run.left)
		}
		if run := wrong.run(t, seed); run.by("multicast-uniform") {
			noticed++
		}
	}
	if t.Logf("the mistake shows in %d of %d runs", noticed, runs); noticed == 0 {
		t.Errorf("multicast-uniform notices nothing in %d runs", runs)
	}
}
