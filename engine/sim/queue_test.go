package sim

import (
	"slices"
	"testing"
	"time"

	"ciranda.dev/engine/network"
)

// The queue gives entries by time, and those of one moment as they came, near or far.
func TestQueueOrder(t *testing.T) {
	for _, nodes := range []int{1, 500, 10_000} {
		q, random := newQueue(nodes), network.NewSource(uint64(nodes), 1)
		var want []entry
		now := time.Duration(0)
		for range 100_000 {
			if q.len() > 0 && random.Intn(100) < 49 {
				i := 0
				for j := range want {
					if order(want[j], want[i]) < 0 {
						i = j
					}
				}
				if at := q.peek(); at != want[i].at {
					t.Fatalf("the first is at %s, not %s", at, want[i].at)
				}
				got := q.pop()
				if got != want[i] {
					t.Fatalf("%+v came before %+v", got, want[i])
				}
				now = got.at
				want = slices.Delete(want, i, i+1)
				continue
			}
			at := now + time.Duration(random.Uint64n([]uint64{1, 1e4, 1e7, 1e9, 1e11}[random.Intn(5)]))
			q.push(at, entry{})
			want = append(want, entry{at: at, tie: q.ties})
			if len(want) > 300 {
				break
			}
		}
		count := 0
		q.each(func(*entry) { count++ })
		if count != len(want) || q.len() != len(want) {
			t.Errorf("%d entries are shown and %d counted, of %d", count, q.len(), len(want))
		}
	}
}
