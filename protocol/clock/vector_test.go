package clock_test

import (
	"errors"
	"fmt"
	"testing"

	"ciranda.dev/protocol"
	. "ciranda.dev/protocol/clock"
	"pgregory.net/rapid"
)

// A vectorial is a vector clock, or a mistaken one.
type vectorial interface {
	Tick() Vector
	Receive(from Process, w Vector) (Vector, error)
}

// wrongVector is a vector clock with one mistake.
type wrongVector struct {
	fault string
	self  Process
	v     Vector
}

func (c *wrongVector) Tick() Vector {
	c.v[c.self]++
	if c.fault == "M1 the map itself is sent" {
		return c.v
	}
	return c.v.Clone()
}

func (c *wrongVector) Receive(_ Process, w Vector) (Vector, error) {
	c.v.Merge(w)
	if c.fault == "M2 no own increment at receive" {
		return c.v.Clone(), nil
	}
	return c.Tick(), nil
}

// stampVectors gives each event of h its vector. With M5 a receiver also merges the stamp of another event, as if of a
// message that it then discards.
func stampVectors(h *history, fault string) []Vector {
	clocks := map[Process]vectorial{}
	stamps := make([]Vector, len(h.events))
	for i, e := range h.events {
		if clocks[e.process] == nil {
			var past Vector
			if e.previous >= 0 {
				past = stamps[e.previous]
			}
			clocks[e.process] = newVectorial(fault, e.process, past)
		}
		c := clocks[e.process]
		if e.from < 0 {
			stamps[i] = c.Tick()
			continue
		}
		if w, ok := c.(*wrongVector); ok && fault == "M5 a discarded message is merged" && e.from+1 < i {
			w.v.Merge(stamps[e.from+1])
		}
		stamp, err := c.Receive(h.events[e.from].process, stamps[e.from])
		if err != nil {
			panic(err)
		}
		stamps[i] = stamp
	}
	return stamps
}

func newVectorial(fault string, self Process, past Vector) vectorial {
	if fault == "" {
		return NewVectorClock(self, nil, past)
	}
	v := Vector{}
	v.Merge(past)
	return &wrongVector{fault, self, v}
}

// checkV1 says that the order of the vectors is happened-before, both ways.
func checkV1(h *history, stamps []Vector, compare func(v, w Vector) Order) error {
	for i := range h.events {
		for j := range h.events {
			want := Concurrent
			switch {
			case i == j:
				want = Equal
			case h.before[i][j]:
				want = Before
			case h.before[j][i]:
				want = After
			}
			if got := compare(stamps[i], stamps[j]); got != want {
				return fmt.Errorf("CLK-V1: events %d %v and %d %v: %v, want %v", i, stamps[i], j, stamps[j], got, want)
			}
		}
	}
	return nil
}

// checkV2 says that an entry is the number of events of that process that are e or before e.
func checkV2(h *history, stamps []Vector) error {
	for i := range h.events {
		want := Vector{}
		for j, f := range h.events {
			if j == i || h.before[j][i] {
				want[f.process]++
			}
		}
		if stamps[i].Compare(want) != Equal {
			return fmt.Errorf("CLK-V2: event %d has %v, want %v", i, stamps[i], want)
		}
	}
	return nil
}

// checkV3 says that nobody knows more of a process than it does itself.
func checkV3(h *history, stamps []Vector) error {
	for i, e := range h.events {
		if e.from < 0 || e.previous < 0 {
			continue
		}
		if stamps[e.from][e.process] > stamps[e.previous][e.process] {
			return fmt.Errorf("CLK-V3: event %d gets %v, knows %v", i, stamps[e.from], stamps[e.previous])
		}
	}
	return nil
}

func TestVectorProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := random(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") })
		stamps := stampVectors(h, "")
		if err := errors.Join(checkV1(h, stamps, Vector.Compare), checkV2(h, stamps), checkV3(h, stamps)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestVectorMutants(t *testing.T) {
	v1 := func(h *history, s []Vector) error { return checkV1(h, s, Vector.Compare) }
	for _, c := range []struct {
		fault string
		check func(h *history, stamps []Vector) error
	}{
		{"M1 the map itself is sent", v1}, {"M1 the map itself is sent", checkV2},
		{"M2 no own increment at receive", v1},
		{"M3 a missing entry is incomparable", func(h *history, _ []Vector) error {
			return checkV1(h, stampVectors(h, ""), compareM3)
		}},
		{"M4 some entry smaller is before", func(h *history, _ []Vector) error {
			return checkV1(h, stampVectors(h, ""), compareM4)
		}},
		{"M5 a discarded message is merged", checkV2},
	} {
		n, first := caught(func(h *history) error { return c.check(h, stampVectors(h, c.fault)) })
		if n == 0 {
			t.Errorf("%s: not caught", c.fault)
		}
		t.Logf("%s: caught in %d histories, first %v", c.fault, n, first)
	}
}

func compareM3(v, w Vector) Order {
	for p := range v {
		if _, ok := w[p]; !ok {
			return Concurrent
		}
	}
	for p := range w {
		if _, ok := v[p]; !ok {
			return Concurrent
		}
	}
	return v.Compare(w)
}

func compareM4(v, w Vector) Order {
	for p, n := range w {
		if v[p] < n {
			return Before
		}
	}
	return v.Compare(w)
}

func TestVectorRefuses(t *testing.T) {
	me, you, stranger := Process{1, 1}, Process{2, 1}, Process{9, 1}
	large := Vector{you: 1}
	for i := range MaxEntries {
		large[Process{2, protocol.Incarnation(i + 2)}] = 1
	}
	for _, c := range []struct {
		got  Vector
		want Reason
	}{
		{Vector{you: 4}, ""}, {Vector{you: 4, me: 3}, ""}, {Vector{you: 3 + MaxJump}, ""},
		{Vector{me: 1}, Zero}, {nil, Zero}, {Vector{you: 4, me: 4}, KnowsMe}, {Vector{you: 4 + MaxJump}, TooFar},
		{Vector{you: Ceiling + 1}, TooHigh}, {Vector{you: 1<<64 - 1}, TooHigh}, {Vector{you: 4, stranger: 1}, Stranger},
		{large, TooMany},
	} {
		clock := NewVectorClock(me, []protocol.ID{1, 2}, Vector{me: 3, you: 3})
		before := clock.Time()
		_, err := clock.Receive(you, c.got)
		var r Reject
		errors.As(err, &r)
		if r.Reason != c.want {
			t.Errorf("receive %v: got %v, want %q", c.got, err, c.want)
		}
		if err != nil && clock.Time().Compare(before) != Equal {
			t.Errorf("refusing %v left the clock at %v", c.got, clock.Time())
		}
	}
}

func TestVectorAdoptsAtHandshake(t *testing.T) {
	me, you := Process{1, 2}, Process{2, 1}
	clock := NewVectorClock(me, nil, nil)
	far := Vector{you: 10 * MaxJump}
	if _, err := clock.Receive(you, far); err == nil {
		t.Error("a message far ahead was taken without a handshake")
	}
	if err := clock.Adopt(far); err != nil {
		t.Fatal(err)
	}
	stamp, err := clock.Receive(you, Vector{you: 10*MaxJump + 1})
	if err != nil || stamp[me] != 1 || stamp[you] != 10*MaxJump+1 {
		t.Errorf("after the handshake: got %v, %v", stamp, err)
	}
	if err := clock.Adopt(Vector{you: Ceiling + 1}); err == nil {
		t.Error("a handshake above the ceiling was adopted")
	}
}
