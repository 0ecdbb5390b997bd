package trace_test

import (
	"slices"
	"sync"
	"testing"

	"ciranda.dev/trace"
)

func TestMemory(t *testing.T) {
	var m trace.Memory
	for round, size := range []int{0, 1, 255, 256, 257, 100_000, 3, 70_000} {
		m.Reset()
		for i := range size {
			e := trace.Event{N: uint64(i), Seq: uint64(round)}
			m.Record(&e)
		}
		n := 0
		for i, e := range m.All() {
			if i != n || e.N != uint64(n) || e.Seq != uint64(round) {
				t.Fatalf("round %d: event %d is %+v", round, i, e)
			}
			n++
		}
		if n != size || m.Len() != size || len(m.Events()) != size {
			t.Errorf("round %d: got %d, Len %d, Events %d; want %d", round, n, m.Len(), len(m.Events()), size)
		}
	}
}

func TestMemoryStopsWhenAsked(t *testing.T) {
	var m trace.Memory
	for i := range 1000 {
		m.Record(&trace.Event{N: uint64(i)})
	}
	for i := range m.All() {
		if i == 300 {
			break
		}
	}
}

// The second run through a Memory costs no memory.
func TestMemoryIsReused(t *testing.T) {
	var m trace.Memory
	e := trace.Event{Kind: trace.Send}
	fill := func() {
		m.Reset()
		for range 50_000 {
			m.Record(&e)
		}
	}
	fill()
	if n := testing.AllocsPerRun(3, fill); n > 0 {
		t.Errorf("a second run makes %v allocations", n)
	}
}

func TestRing(t *testing.T) {
	r := trace.NewRing(4)
	if events, next, missed := r.Since(0, 10); len(events) != 0 || next != 0 || missed != 0 {
		t.Errorf("an empty ring: got %v, %d, %d", events, next, missed)
	}
	for i := range uint64(10) {
		r.Record(&trace.Event{N: i})
	}
	for _, c := range []struct {
		from         uint64
		limit        int
		want         []uint64
		next, missed uint64
	}{
		{0, 10, []uint64{6, 7, 8, 9}, 10, 6}, {7, 10, []uint64{7, 8, 9}, 10, 0}, {7, 2, []uint64{7, 8}, 9, 0},
		{10, 10, nil, 10, 0}, {99, 10, nil, 10, 0}, {0, 0, nil, 6, 6}, {5, 1, []uint64{6}, 7, 1},
	} {
		events, next, missed := r.Since(c.from, c.limit)
		var got []uint64
		for _, e := range events {
			got = append(got, e.N)
		}
		if !slices.Equal(got, c.want) || next != c.next || missed != c.missed {
			t.Errorf("since %d, %d: got %v, %d, %d; want %+v", c.from, c.limit, got, next, missed, c)
		}
	}
	<-r.Changed(9) // there is an event 9
}

// Those who follow see each event once, while others record.
func TestRingIsFollowed(t *testing.T) {
	const total = 2000
	r := trace.NewRing(total)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range total / 2 {
				r.Record(&trace.Event{Kind: trace.Send})
			}
		})
	}
	var from, seen uint64
	for seen < total {
		<-r.Changed(from)
		events, next, missed := r.Since(from, 100)
		seen += uint64(len(events)) + missed
		from = next
	}
	wg.Wait()
	if seen != total || r.Next() != total {
		t.Errorf("saw %d, next %d", seen, r.Next())
	}
}
