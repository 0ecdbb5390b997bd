package live

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"ciranda.dev/protocol"
)

// The heap does what a sorted list does.
func TestTimersAgainstAList(t *testing.T) {
	type entry struct {
		name  timerName
		at    time.Duration
		order int
	}
	random := rand.New(rand.NewPCG(1, 2))
	heap := timers{byName: map[timerName]*armed{}}
	var list []entry
	forget := func(name timerName) bool {
		before := len(list)
		list = slices.DeleteFunc(list, func(e entry) bool { return e.name == name })
		return len(list) < before
	}
	fired := 0
	for i := range 100_000 {
		name := timerName{uint8(random.IntN(3)), protocol.Timer{Kind: uint32(random.IntN(3)), Arg: uint32(random.IntN(9))}}
		at := time.Duration(random.IntN(50))
		switch random.IntN(6) {
		case 0:
			if got, want := heap.cancel(name), forget(name); got != want {
				t.Fatalf("step %d: cancel says %v", i, got)
			}
		case 1, 2, 3:
			forget(name)
			list = append(list, entry{name, at, i})
			heap.set(name, at)
		default:
			slices.SortFunc(list, func(a, b entry) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.order, b.order)) })
			got, _, ok := heap.pop(at)
			if due := len(list) > 0 && list[0].at <= at; ok != due || due && got != list[0].name {
				t.Fatalf("step %d: popped %v %v, list %v", i, got, ok, list)
			}
			if ok {
				fired++
				list = list[1:]
			}
		}
		if next, ok := heap.next(); ok != (len(list) > 0) {
			t.Fatalf("step %d: next %v %v, list %v", i, next, ok, list)
		}
	}
	if fired < 1000 {
		t.Fatalf("only %d fired", fired)
	}
}
