package bully_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/election/bully"
)

// Random runs show these mistakes, most of them in a few dozen seeds.
func TestTurmoilShowsMistakes(t *testing.T) {
	none, stable := bully.Options{}, bully.Options{Stable: true}
	quorum, both := bully.Options{Quorum: true}, bully.Options{Quorum: true, Stable: true}
	for _, m := range []struct {
		name     string
		mistake  bully.Mistake
		opts     bully.Options
		property string
	}{
		{"M4", bully.M4, none, "EL-4"}, {"M6", bully.M6, none, "EL-4"}, {"M7", bully.M7, none, "EL-1"},
		{"M9", bully.M9, none, "EL-6"}, {"M10", bully.M10, none, "EL-3"}, {"M12", bully.M12, none, "EL-3"},
		{"SM1", bully.SM1, stable, "EL-8"}, {"SM3", bully.SM3, both, "EL-3"}, {"SM4", bully.SM4, both, "EL-3"},
		{"SM6", bully.SM6, both, "EL-8"},
		{"QM1", bully.QM1, quorum, "EL-9"}, {"QM2", bully.QM2, quorum, "EL-9"}, {"QM3", bully.QM3, quorum, "EL-9"},
		{"QM4", bully.QM4, quorum, "EL-9"}, {"QM5", bully.QM5, quorum, "EL-2b"}, {"QM8", bully.QM8, quorum, "EL-3"},
		{"QM9", bully.QM9, both, "EL-10"}, {"classic", bully.NoMistake, bully.Options{Classic: true}, "EL-3"},
	} {
		t.Run(m.name, func(t *testing.T) {
			m.opts.Mistake = m.mistake
			for seed := range uint64(2000) {
				if w := turmoil(seed, m.opts, over("oracle", m.opts)); w.watch.found(m.property) {
					t.Logf("%s after %d runs", m.property, seed+1)
					return
				}
			}
			t.Errorf("no violation of %s in 2000 runs", m.property)
		})
	}
}

// Some mistakes need a schedule made for them: the beat and the detector heal the rest too fast. Each schedule ends
// well with the right rules.
func TestSchedulesShowMistakes(t *testing.T) {
	for _, s := range []struct {
		name     string
		size     int
		rules    string
		mistake  bully.Mistake
		schedule string
		node     string
		right    string // the state of that node in the end
	}{
		{"M1: the one that answered dies", 3, "nobeat", bully.M1, `
			start; deliver; crash 3; event 1 suspect 3
			deliver 1 2; deliver 2 1; crash 2; run 1s`, "1", "leader 1, term 3.1"},
		{"M3: only the lowest notices", 3, "nobeat", bully.M3, `
			start; deliver; crash 3; call 1 campaign; run 1s`, "1", "leader 2, term 3.2"},
		{"M8: an answer comes late", 3, "nobeat", bully.M8, `
			start; deliver; crash 3; call 1 campaign; deliver 1 2; crash 2
			fire 1 answer; deliver 2 1; run 1s`, "1", "leader 1, term 2.1"},
		{"M11: the leader dies after its word was sent", 2, "nobeat", bully.M11, `
			start; deliver; event 1 suspect 2; drop 1 2; fire 1 answer; deliver 1 2; crash 2; deliver 2 1
			event 1 suspect 2; run 1s`, "1", "leader 1, term 4.1"},
		{"SM2: a node comes back while the leader is lost", 3, "stable", bully.SM2, `
			start; deliver; fire 3 ask; deliver; crash 2; crash 3; event 1 suspect 3; recover 2; deliver`,
			"2", "no leader"},
		{"SM5: a node comes back with a higher floor", 2, "stable", bully.SM5, `
			start 2; fire 2 ask; call 2 campaign; call 2 campaign; drop; crash 2
			start 1; deliver; fire 1 ask; drop; fire 1 answer; drop
			recover 2; run 1s`, "1", "leader 1, term 4.1"},
	} {
		t.Run(s.name, func(t *testing.T) {
			if got := play(t, s.size, s.rules, s.schedule, s.node); !strings.Contains(got, s.right) {
				t.Fatalf("the right rules end in %q, not in %q", got, s.right)
			}
			if got := play(t, s.size, fmt.Sprint(s.rules, " ", s.mistake), s.schedule, s.node); strings.Contains(got, s.right) {
				t.Errorf("the mistake does not show: %q", got)
			}
		})
	}
}

// play carries out a schedule and gives the state of a node.
func play(t *testing.T, size int, rules, schedule, node string) string {
	t.Helper()
	b := kit.New(size, strings.Fields(rules)...)
	for command := range strings.FieldsFuncSeq(schedule+"\nstate "+node, func(r rune) bool { return r == ';' || r == '\n' }) {
		if _, err := b.Do(strings.TrimSpace(command)); err != nil {
			t.Fatalf("%s: %v", command, err)
		}
	}
	text, err := b.Do("state " + node)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Inside its model (all nodes begin together and none comes back, no message is late, no suspicion wrong) no two
// nodes ever lead at once. With M5 they do: an answer takes up to two delays.
func TestNoTwoLeadersInsideTheModel(t *testing.T) {
	longest := func(m bully.Mistake) (longest time.Duration) {
		for seed := range uint64(100) {
			opts := bully.Options{Mistake: m}
			w := newNetwork(seed, 2+int(seed%4), opts, over("oracle", opts))
			for _, id := range w.group {
				w.up(id)
			}
			for range len(w.group) - 1 {
				w.after(time.Duration(w.rng.Int64N(int64(2*time.Second))), func() { w.down(w.any(w.group)) })
			}
			w.run(3 * time.Second)
			longest = max(longest, w.watch.overlap(w.now))
		}
		return longest
	}
	if d := longest(bully.NoMistake); d != 0 {
		t.Errorf("two reigns overlap for %v", d)
	}
	if longest(bully.M5) == 0 {
		t.Errorf("M5 does not show")
	}
}

// With Quorum two reigns overlap for Silence beats at most, whatever the network does.
func TestOverlapWithQuorumIsBounded(t *testing.T) {
	for _, s := range []struct {
		name     string
		schedule func(w *network)
		mistake  bully.Mistake
	}{
		{"QM6: a grantor hears both sides, one after the other", grantorBetween, bully.QM6},
		{"QM7: echoes arrive late", lateEchoes, bully.QM7},
	} {
		t.Run(s.name, func(t *testing.T) {
			longest := func(m bully.Mistake) (longest time.Duration) {
				for seed := range uint64(20) {
					opts := bully.Options{Quorum: true, Mistake: m}
					w := newNetwork(seed, 3, opts, over("oracle", opts))
					for _, id := range w.group {
						w.up(id)
					}
					w.run(time.Second)
					s.schedule(w)
					w.run(4 * time.Second)
					longest = max(longest, w.watch.overlap(w.now))
				}
				return longest
			}
			if d := longest(bully.NoMistake); d > beta {
				t.Errorf("two reigns overlap for %v", d)
			}
			if d := longest(s.mistake); d <= beta {
				t.Errorf("the mistake does not show: the longest overlap is %v", d)
			}
		})
	}
}

// lateEchoes cuts the leader's beats off, while what its followers sent is still on its way.
func lateEchoes(w *network) {
	for _, id := range []protocol.ID{1, 2} {
		w.cut[[2]protocol.ID{3, id}] = true
		w.slow[[2]protocol.ID{id, 3}] = 300 * ms
	}
}

// grantorBetween cuts nodes 2 and 3 off from each other. Node 1 grants node 2 its counter and for a while hears only
// node 3, then only node 2.
func grantorBetween(w *network) {
	w.cut[[2]protocol.ID{2, 3}], w.cut[[2]protocol.ID{3, 2}] = true, true
	for w.watch.reigns[len(w.watch.reigns)-1].id != 2 {
		w.run(w.now + ms)
	}
	w.cut[[2]protocol.ID{2, 1}] = true
	w.run(w.now + 300*ms)
	w.cut[[2]protocol.ID{2, 1}] = false
	w.cut[[2]protocol.ID{1, 3}], w.cut[[2]protocol.ID{3, 1}] = true, true
}
