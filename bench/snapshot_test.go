package bench

import (
	"testing"

	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/node"
)

// The places are those of tables of the sign test.
func TestMedianBetween(t *testing.T) {
	for n, want := range map[int]int{1: 0, 2: 0, 5: 0, 6: 0, 9: 1, 12: 2, 20: 5, 30: 9, 50: 17, 100: 39} {
		if low, high := medianBetween(n); low != want || high != n-1-want {
			t.Errorf("of %d figures: got %d and %d, want %d and %d", n, low, high, want, n-1-want)
		}
	}
}

func TestSnapshotResult(t *testing.T) {
	m := &snapshots{o: SnapshotOptions{Pairs: 3}, dir: nobody{}, taking: 1e9, took: []float64{3, 1, 2},
		without: []float64{100, 200, 400}, with: []float64{90, 200, 200},
		cost: [2]cost{{100, 3e9}, {50, 2e9}}}
	wrong := &cirandav1.Snapshot_Check{Name: "money-conserved", Verdict: "violated", Detail: "501"}
	m.judge(&cirandav1.Snapshot{Complete: true, Checks: []*cirandav1.Snapshot_Check{{Verdict: "holds"}}})
	m.judge(&cirandav1.Snapshot{Id: "1#1:2", Complete: true, Checks: []*cirandav1.Snapshot_Check{wrong, wrong}})
	m.judge(&cirandav1.Snapshot{Checks: []*cirandav1.Snapshot_Check{{Verdict: "unexercised"}}})
	r := m.result()
	if r.Ratio != 0.9 || *r.CPURatio != 0.75 || r.RatioLow != 0.5 || r.RatioHigh != 1 || r.Complete != 2 || r.Violated != 1 || r.PerSecond != 3 ||
		r.P50 != 2 || r.First != "1#1:2: money-conserved: 501" || r.Conserved != nil {
		t.Errorf("got %+v", r)
	}
}

// nobody is a directory of no nodes.
type nobody struct{ node.Directory }

func (nobody) Members() []node.Member { return nil }
