package sim

import (
	"slices"
	"testing"
	"time"

	"ciranda.dev/engine/network"
)

// The queue gives entries by time, and those of one moment as they came.
func TestQueueOrder(t *testing.T) {
	for seed := range uint64(20) {
		q, random := &queue{}, network.NewSource(seed, 1)
		var want []entry
		now := time.Duration(0)
		for range 100_000 {
			if q.len() > 0 && random.Intn(100) < 49 {
				i := 0
				for j := range want {
					if before(&want[j], &want[i]) {
						i = j
					}
				}
				got := q.first().pop()
				if got != want[i] {
					t.Fatalf("%+v came before %+v", got, want[i])
				}
				now = got.at
				want = slices.Delete(want, i, i+1)
				continue
			}
			at := now + time.Duration(random.Uint64n([]uint64{1, 1e4, 1e7, 1e9, 1e11}[random.Intn(5)]))
			kind := []entryKind{deliver, timer}[random.Intn(2)]
			q.push(at, entry{kind: kind})
			want = append(want, entry{at: at, tie: q.ties, kind: kind})
			if len(want) > 300 {
				break
			}
		}
	}
}
