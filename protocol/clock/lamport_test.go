package clock_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	. "ciranda.dev/protocol/clock"
	"pgregory.net/rapid"
)

// A scalar is Lamport's clock, or a mistaken one.
type scalar interface {
	local() (stamp, carried uint64)
	receive(t uint64) uint64
	recover()
}

type right struct{ Lamport }

func (c *right) local() (uint64, uint64) { t := c.Tick(); return t, t }
func (c *right) receive(t uint64) uint64 { n, _ := c.Receive(t); return n }
func (c *right) recover()                { stored := c.Time(); c.Lamport = Lamport{}; _ = c.Adopt(stored) }
func makeScalar(fault string) func() scalar {
	return func() scalar {
		if fault == "" {
			return &right{}
		}
		return &wrongScalar{fault: fault}
	}
}

type wrongScalar struct {
	fault string
	c     uint64
}

func (c *wrongScalar) local() (uint64, uint64) {
	c.c++
	if c.fault == "M3 stamped before the increment" {
		return c.c - 1, c.c - 1
	}
	return c.c, c.c
}

func (c *wrongScalar) receive(t uint64) uint64 {
	switch c.fault {
	case "M1 max without +1":
		c.c = max(c.c, t)
	case "M2 +1 without max":
		c.c++
	default:
		c.c = max(c.c, t) + 1
	}
	return c.c
}

func (c *wrongScalar) recover() {
	if c.fault == "M5 restarts at 0" {
		c.c = 0
	}
}

// stampScalar gives each event of h its stamp, and each sent message what it carries.
func stampScalar(h *history, make func() scalar) (stamps, carried []uint64) {
	clocks := map[int]scalar{}
	for _, e := range h.events {
		node := int(e.process.Node)
		if clocks[node] == nil {
			clocks[node] = make()
		}
		c := clocks[node]
		if e.first {
			c.recover()
		}
		var s, t uint64
		if e.from >= 0 {
			s = c.receive(carried[e.from])
		} else {
			s, t = c.local()
		}
		stamps, carried = append(stamps, s), append(carried, t)
	}
	return stamps, carried
}

// checkL1 is the clock condition: e before f implies L(e) < L(f).
func checkL1(h *history, stamps []uint64) error {
	for i := range h.events {
		for j := range h.events {
			if h.before[i][j] && stamps[i] >= stamps[j] {
				return fmt.Errorf("CLK-L1: event %d (%d) is before event %d (%d)", i, stamps[i], j, stamps[j])
			}
		}
	}
	return nil
}

// checkL2 says that no two events of a node have one stamp.
func checkL2(h *history, stamps []uint64) error {
	seen := map[[2]uint64]bool{}
	for i, e := range h.events {
		key := [2]uint64{uint64(e.process.Node), stamps[i]}
		if seen[key] {
			return fmt.Errorf("CLK-L2: two events of node %d have stamp %d", e.process.Node, stamps[i])
		}
		seen[key] = true
	}
	return nil
}

// checkL3 is the exact rule.
func checkL3(h *history, stamps, carried []uint64) error {
	for i, e := range h.events {
		want := uint64(1)
		if e.previous >= 0 {
			want = stamps[e.previous] + 1
		}
		if e.from >= 0 {
			want = max(want, carried[e.from]+1)
		}
		if stamps[i] != want {
			return fmt.Errorf("CLK-L3: event %d has stamp %d, want %d", i, stamps[i], want)
		}
	}
	return nil
}

func TestLamportProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := random(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") })
		stamps, carried := stampScalar(h, makeScalar(""))
		if err := errors.Join(checkL1(h, stamps), checkL2(h, stamps), checkL3(h, stamps, carried)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLamportMutants(t *testing.T) {
	l1 := func(h *history, s, _ []uint64) error { return checkL1(h, s) }
	l2 := func(h *history, s, _ []uint64) error { return checkL2(h, s) }
	for _, c := range []struct {
		fault string
		check func(h *history, stamps, carried []uint64) error
	}{
		{"M1 max without +1", l1}, {"M2 +1 without max", l1}, {"M3 stamped before the increment", checkL3},
		{"M3 stamped before the increment", l1}, {"M3 stamped before the increment", l2},
		{"M5 restarts at 0", l1}, {"M5 restarts at 0", l2},
	} {
		n, first := caught(func(h *history) error {
			stamps, carried := stampScalar(h, makeScalar(c.fault))
			return c.check(h, stamps, carried)
		})
		if n == 0 {
			t.Errorf("%s: not caught", c.fault)
		}
		t.Logf("%s: caught in %d histories, first %v", c.fault, n, first)
	}
}

// M4: an order by time alone, ties as they arrive, differs between nodes. The order of stamps does not.
func TestStampsAreTotallyOrdered(t *testing.T) {
	byTime := func(a, b Stamp) int { return int(a.Time) - int(b.Time) }
	differ := func(order func(a, b Stamp) int) bool {
		for seed := range uint64(50) {
			r := rand.New(rand.NewPCG(seed, 2))
			h := random(r.IntN)
			times, _ := stampScalar(h, makeScalar(""))
			here := make([]Stamp, len(times))
			for i, e := range h.events {
				here[i] = Stamp{times[i], e.process}
			}
			there := slices.Clone(here)
			r.Shuffle(len(there), func(i, j int) { there[i], there[j] = there[j], there[i] })
			slices.SortStableFunc(here, order)
			slices.SortStableFunc(there, order)
			if !slices.Equal(here, there) {
				return true
			}
		}
		return false
	}
	if !differ(byTime) {
		t.Error("an order by time alone was the same everywhere")
	}
	if differ(Stamp.Compare) {
		t.Error("two nodes order the same stamps differently")
	}
}

func TestLamportRefuses(t *testing.T) {
	for _, c := range []struct {
		known, got uint64
		want       Reason
	}{
		{5, 0, Zero}, {5, 1, ""}, {5, 5, ""}, {5, 6, ""}, {5, 5 + MaxJump, ""}, {5, 6 + MaxJump, TooFar},
		{5, Ceiling + 1, TooHigh}, {5, 1<<64 - 1, TooHigh}, {Ceiling, Ceiling, ""}, {Ceiling - 1, Ceiling + 1, TooHigh},
		{0, 1, ""}, {0, MaxJump, ""}, {0, MaxJump + 1, TooFar},
	} {
		var clock Lamport
		if err := clock.Adopt(c.known); err != nil {
			t.Fatal(err)
		}
		stamp, err := clock.Receive(c.got)
		var r Reject
		errors.As(err, &r)
		if r.Reason != c.want {
			t.Errorf("at %d, receive %d: got %v, want %q", c.known, c.got, err, c.want)
		}
		if err != nil && (clock.Time() != c.known || stamp != c.known) {
			t.Errorf("at %d, refusing %d moved the clock to %d", c.known, c.got, clock.Time())
		}
		if err == nil && stamp != max(c.known, c.got)+1 {
			t.Errorf("at %d, receive %d: got %d", c.known, c.got, stamp)
		}
	}
}

// A node that restarts with nothing stored, after the others' clocks have passed MaxJump, hears them only if it adopts
// what they say at the handshake.
func TestLamportAdoptsAtHandshake(t *testing.T) {
	var old, adopted, not Lamport
	if err := old.Adopt(10 * MaxJump); err != nil {
		t.Fatal(err)
	}
	message := old.Tick()
	if _, err := not.Receive(message); err == nil {
		t.Error("a message far ahead was taken without a handshake")
	}
	if err := adopted.Adopt(old.Time()); err != nil {
		t.Fatal(err)
	}
	if stamp, err := adopted.Receive(message); err != nil || stamp != message+1 {
		t.Errorf("after the handshake: got %d, %v", stamp, err)
	}
	if err := adopted.Adopt(Ceiling + 1); err == nil {
		t.Error("a handshake above the ceiling was adopted")
	}
}

func BenchmarkLamport(b *testing.B) {
	var c Lamport
	for b.Loop() {
		if _, err := c.Receive(c.Tick()); err != nil {
			b.Fatal(err)
		}
	}
}
