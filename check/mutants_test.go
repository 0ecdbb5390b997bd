package check_test

import (
	"testing"
	"time"

	"ciranda.dev/check"
	"ciranda.dev/engine/sim"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/detector/heartbeat"
	"ciranda.dev/protocol/detector/ring"
	"ciranda.dev/protocol/election/bully"
)

// A mutant is a protocol with a deliberate mistake, and the property that must notice it.
type mutant struct {
	name     string
	property string
	runs     int // within which it must be noticed
	wrong    cluster
	params   check.Params
}

// right is the same cluster without the mistake.
func (m mutant) right() cluster {
	c := m.wrong
	c.heartbeat.Mistake, c.neighbour.Mistake = 0, 0
	if c.bully != nil {
		opts := *c.bully
		opts.Mistake = bully.NoMistake
		c.bully = &opts
	}
	return c
}

func beats(m detector.Mistake) cluster { return cluster{heartbeat: heartbeat.Options{Mistake: m}} }

func neighbours(m detector.Mistake) cluster {
	return cluster{ring: true, nodes: 7, neighbour: ring.Options{Mistake: m}}
}

func elects(opts bully.Options, m bully.Mistake) cluster {
	opts.Mistake = m
	return cluster{bully: &opts}
}

// under puts a cluster of n nodes, or of 2 to 5 if n is 0, under another script than turmoil.
func (c cluster) under(n int, script func(s *sim.Sim)) cluster {
	c.nodes, c.script = n, script
	return c
}

// slow lets messages take longer.
func (c cluster) slow(delay time.Duration) cluster {
	c.delay = delay
	return c
}

var (
	plain    = bully.Options{}
	beatless = bully.Options{NoBeat: true} // the beat heals much
	stable   = bully.Options{Stable: true}
	quorum   = bully.Options{Quorum: true}
	careful  = bully.Options{Quorum: true, Stable: true}
)

// Not here are mistakes that cost time and violate nothing (SM2), one that simulated runs have not shown yet (SM5), and
// QM9, for which there is no property. Mistake M2 shows in the figures.
var mutants = []mutant{
	{"hint is proof", "hints-verified", 20, beats(detector.HintIsProof), nil},
	{"old hint", "hints-verified", 400, beats(detector.OldHint), nil},
	{"verify anyway", "hints-verified", 20, beats(detector.VerifyAnyway), nil},
	{"reset without timer", "reset-answered", 200,
		cluster{heartbeat: heartbeat.Options{Mistake: detector.ResetWithoutTimer}, bully: &plain}, nil},
	{"old life", "suspicions-alternate", 50, beats(detector.OldLife).slow(200 * ms), nil},
	{"old life", "detector-lives", 200, beats(detector.OldLife).slow(200 * ms), nil},
	{"no self-check", "no-false-suspicion", 20, beats(detector.NoSelfCheck).under(0, standstill), nil},
	{"deaf", "detector-accurate", 50, beats(heartbeat.Deaf), nil},
	{"no margin", "no-false-suspicion", 20, beats(heartbeat.NoMargin).under(0, losses), nil},
	{"late watch", "detector-complete", 20, beats(heartbeat.LateWatch), nil},
	{"not closed", "detector-complete", 20, neighbours(ring.NotClosed), nil},
	{"no news", "detector-complete", 20, neighbours(ring.NoNews), nil},
	{"timed from before", "detector-accurate", 20, neighbours(ring.TimedFromBefore), nil},
	{"no round", "detector-accurate", 500, neighbours(ring.NoRound), nil},
	{"no reproach", "detector-accurate", 20, neighbours(ring.NoReproach), nil},
	{"no sendme", "detector-accurate", 50, neighbours(ring.NoSendMe), nil},

	{"M1", "election-ends", 20, elects(beatless, bully.M1).under(3, takeover), nil},
	{"M3", "election-ends", 20, elects(beatless, bully.M3).under(3, farewell), nil},
	{"M4", "highest-leads", 50, elects(plain, bully.M4), nil},
	{"M5", "one-leader-at-a-time", 20, elects(plain, bully.M5).under(4, death), nil},
	{"M6", "highest-leads", 20, elects(plain, bully.M6), nil},
	{"M7", "terms-never-decrease", 20, elects(plain, bully.M7), nil},
	{"M7", "one-leader-per-term", 20, elects(plain, bully.M7), nil},
	{"M8", "leader-stable", 20, elects(beatless, bully.M8).under(4, lateAnswer), check.Params{"within": 50 * ms}},
	{"M9", "terms-never-decrease", 20, elects(beatless, bully.M9).under(0, deaths), nil},
	{"M10", "leader-agreed", 20, elects(plain, bully.M10), nil},
	{"M11", "leader-agreed", 50, elects(beatless, bully.M11).under(3, lastWords), nil},
	{"M12", "leader-agreed", 400, elects(plain, bully.M12), nil},
	{"SM1", "stable-return", 20, elects(stable, bully.SM1), nil},
	{"SM3", "leader-agreed", 2000, elects(careful, bully.SM3), nil},
	{"SM4", "leader-agreed", 50, elects(careful, bully.SM4), nil},
	{"SM6", "stable-return", 50, elects(stable, bully.SM6).under(3, secondThoughts), nil},
	{"QM1", "majority-granted", 50, elects(quorum, bully.QM1), nil},
	{"QM2", "majority-granted", 50, elects(quorum, bully.QM2), nil},
	{"QM3", "majority-granted", 20, elects(quorum, bully.QM3), nil},
	{"QM3", "one-leader-per-term", 50, elects(quorum, bully.QM3), nil},
	{"QM4", "majority-granted", 20, elects(quorum, bully.QM4), nil},
	{"QM5", "one-leader-at-a-time", 200, elects(quorum, bully.QM5), nil},
	{"QM6", "one-leader-at-a-time", 20, elects(quorum, bully.QM6).under(3, grantorBetween), nil},
	{"QM7", "one-leader-at-a-time", 50, elects(quorum, bully.QM7).under(3, lateEchoes), nil},
	{"QM8", "leader-agreed", 100, elects(quorum, bully.QM8), nil},
}

// passes runs the right protocol: the property finds nothing in it.
func (m mutant) passes(t *testing.T, seed uint64, params map[string]check.Params) {
	t.Helper()
	if r := m.right().judge(t, seed, m.property, params); r.Verdict == check.Violated {
		t.Fatalf("seed %d, without the mistake: %s", seed, describe(r))
	}
}

// Every mistake is noticed by the property that is there for it, in a run that the right protocol passes.
func TestMutantsAreCaught(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name+" by "+m.property, func(t *testing.T) {
			params := overlaps(m.wrong)
			if m.params != nil {
				params = map[string]check.Params{m.property: m.params}
			}
			for seed := range uint64(m.runs) {
				r := m.wrong.judge(t, seed, m.property, params)
				caught := r.Verdict == check.Violated
				if caught || seed < 50 {
					m.passes(t, seed, params)
				}
				if caught {
					t.Logf("after %d runs: %s", seed+1, describe(r))
					return
				}
			}
			t.Errorf("%d runs, and %s notices nothing", m.runs, m.property)
		})
	}
}

// Who begins an election again and again makes a storm. That violates nothing, and shows in the figures.
func TestStormShows(t *testing.T) {
	elections := func(m bully.Mistake) (n int) {
		for seed := range uint64(20) {
			q := &check.Quality{}
			elects(plain, m).under(5, death).feed(t, seed, q)
			n += q.Figures().Elections
		}
		return n
	}
	if right, wrong := elections(bully.NoMistake), elections(bully.M2); wrong < 2*right {
		t.Errorf("%d elections with the mistake, %d without", wrong, right)
	}
}
