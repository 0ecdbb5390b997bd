package clock_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	. "ciranda.dev/protocol/clock"
	"pgregory.net/rapid"
)

// An hlc is a hybrid clock with l and c apart, in steps of Resolution, as the paper writes it; with a mistake or none.
type hlc struct {
	fault string
	l     uint64
	c     int
}

func (h *hlc) tick(pt uint64) {
	old := h.l
	h.l = max(old, pt)
	if h.fault == "M5 l goes back with the clock" {
		h.l = pt
	}
	h.c = step(h.l == old, h.c)
	h.wrap()
}

func (h *hlc) receive(pt, lm uint64, cm int) {
	old := h.l
	if h.fault == "M3 pt left out of the receive rule" {
		pt = 0
	}
	h.l = max(old, lm, pt)
	switch {
	case h.fault == "M1 c restarts at each message":
		h.c = 0
	case h.l == old && h.l == lm && h.fault == "M2 c+1 in place of the max":
		h.c++
	case h.l == old && h.l == lm:
		h.c = max(h.c, cm) + 1
	case h.l == old:
		h.c++
	case h.l == lm:
		h.c = cm + 1
	default:
		h.c = 0
	}
	h.wrap()
}

func step(same bool, c int) int {
	if same {
		return c + 1
	}
	return 0
}

func (h *hlc) wrap() {
	if h.fault == "M4 c wraps" { // at a size that a short history reaches
		h.c %= 2
	}
}

func (h *hlc) stamp() Time { return Time(h.l)<<16 | Time(h.c) }

func ticks(wall time.Duration) uint64 { return uint64(wall / Resolution) }

// stampPaper stamps h by the paper's rules.
func stampPaper(h *history, fault string) []Time {
	nodes, stamps := map[int]*hlc{}, make([]Time, len(h.events))
	for i, e := range h.events {
		n := nodes[int(e.process.Node)]
		if n == nil {
			n = &hlc{fault: fault}
			nodes[int(e.process.Node)] = n
		}
		if e.from >= 0 {
			m := stamps[e.from]
			n.receive(ticks(e.wall), uint64(m>>16), m.Count())
		} else {
			n.tick(ticks(e.wall))
		}
		stamps[i] = n.stamp()
	}
	return stamps
}

// stampHybrid stamps h with the real clock.
func stampHybrid(h *history) ([]Time, error) {
	nodes, stamps := map[int]*Hybrid{}, make([]Time, len(h.events))
	for i, e := range h.events {
		n := nodes[int(e.process.Node)]
		if n == nil {
			n = &Hybrid{}
			nodes[int(e.process.Node)] = n
		}
		var err error
		if e.from >= 0 {
			stamps[i], err = n.Receive(e.wall, stamps[e.from])
		} else {
			stamps[i], err = n.Tick(e.wall)
		}
		if err != nil {
			return nil, err
		}
	}
	return stamps, nil
}

func checkHLC1(h *history, s []Time) error {
	for i := range h.events {
		for j := range h.events {
			if h.before[i][j] && s[i] >= s[j] {
				return fmt.Errorf("HLC-1: event %d (%v) is before event %d (%v)", i, s[i], j, s[j])
			}
		}
	}
	return nil
}

func checkHLC2(h *history, s []Time) error {
	for i, e := range h.events {
		if uint64(s[i]>>16) < ticks(e.wall) {
			return fmt.Errorf("HLC-2: event %d has %v at %v", i, s[i], e.wall)
		}
	}
	return nil
}

func checkHLC3(h *history, s []Time) error {
	for i, e := range h.events {
		if s[i].Wall() > e.wall+h.skew {
			return fmt.Errorf("HLC-3: event %d has %v at %v", i, s[i], e.wall)
		}
	}
	return nil
}

func checkHLC4(h *history, s []Time) error {
	for i := range h.events {
		same := 0
		for j := range h.events {
			if h.before[j][i] && s[j]>>16 == s[i]>>16 {
				same++
			}
		}
		if s[i].Count() > same {
			return fmt.Errorf("HLC-4: event %d has %v after %d events of that time", i, s[i], same)
		}
	}
	return nil
}

func checkHLC5(h *history, s []Time) error {
	for i, e := range h.events {
		if e.previous >= 0 && s[e.previous] >= s[i] {
			return fmt.Errorf("HLC-5: event %d has %v after %v", i, s[i], s[e.previous])
		}
	}
	return nil
}

func TestHybridProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := random(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") })
		s, err := stampHybrid(h)
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(checkHLC1(h, s), checkHLC2(h, s), checkHLC3(h, s), checkHLC4(h, s), checkHLC5(h, s))
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range stampPaper(h, "") {
			if s[i] != want {
				t.Fatalf("event %d: got %v, the paper has %v", i, s[i], want)
			}
		}
	})
}

func TestHybridMutants(t *testing.T) {
	for _, c := range []struct {
		fault string
		check func(h *history, s []Time) error
	}{
		{"M1 c restarts at each message", checkHLC1}, {"M2 c+1 in place of the max", checkHLC1},
		{"M3 pt left out of the receive rule", checkHLC2}, {"M4 c wraps", checkHLC1},
		{"M5 l goes back with the clock", checkHLC5},
	} {
		n, first := caught(func(h *history) error { return c.check(h, stampPaper(h, c.fault)) })
		if n == 0 {
			t.Errorf("%s: not caught", c.fault)
		}
		t.Logf("%s: caught in %d histories, first %v", c.fault, n, first)
	}
}

// M6, and what a clock that runs ahead may do: a stamp beyond MaxDrift leaves no trace in the next stamp (HLC-3,
// CLK-R1).
func TestHybridRefusesBeforeMerging(t *testing.T) {
	wall := 1000 * time.Second
	fast := Hybrid{}
	ahead, err := fast.Tick(wall + DefaultMaxDrift + Resolution)
	if err != nil {
		t.Fatal(err)
	}
	var h Hybrid
	if _, err := h.Tick(wall); err != nil {
		t.Fatal(err)
	}
	_, err = h.Receive(wall, ahead)
	if r := (Reject{}); !errors.As(err, &r) || r.Reason != Ahead {
		t.Errorf("a stamp beyond MaxDrift: got %v", err)
	}
	next, err := h.Tick(wall)
	if err != nil || next.Wall() > wall || next.Count() != 1 {
		t.Errorf("after a refusal the next stamp is %v, %v", next, err)
	}
	merged := hlc{} // the mistake: merge, then look
	merged.receive(ticks(wall), uint64(ahead>>16), ahead.Count())
	if merged.stamp().Wall() <= wall+h.MaxDrift {
		t.Error("the mistake shows nothing, so this test shows nothing")
	}
	if _, err := h.Receive(wall+Resolution, ahead); err != nil {
		t.Errorf("at the limit: %v", err)
	}
}

func TestHybridNeverWraps(t *testing.T) {
	h := Hybrid{}
	if _, err := h.Tick(time.Hour); err != nil {
		t.Fatal(err)
	}
	var last Time
	for range 1<<16 - 1 {
		next, err := h.Tick(time.Minute) // the clock was set back
		if err != nil || next <= last {
			t.Fatalf("after %v: got %v, %v", last, next, err)
		}
		last = next
	}
	_, err := h.Tick(time.Minute)
	if r := (Reject{}); !errors.As(err, &r) || r.Reason != Overflow || h.Time() != last {
		t.Errorf("one event too many: got %v at %v", err, h.Time())
	}
	if next, err := h.Tick(time.Hour + Resolution); err != nil || next.Count() != 0 {
		t.Errorf("once the clock has caught up: got %v, %v", next, err)
	}
}

func TestHybridRefuses(t *testing.T) {
	h := Hybrid{MaxDrift: time.Millisecond}
	for _, c := range []struct {
		wall time.Duration
		got  Time
		want Reason
	}{
		{-1, 1, OutOfRange}, {1<<63 - 1, 1, OutOfRange}, {time.Second, 0, Zero}, {time.Second, 1<<64 - 1, Ahead},
		{time.Second, Time(62500+62) << 16, ""}, {time.Second, Time(62500+63) << 16, Ahead},
	} {
		before := h.Time()
		_, err := h.Receive(c.wall, c.got)
		var r Reject
		errors.As(err, &r)
		if r.Reason != c.want || err != nil && h.Time() != before {
			t.Errorf("at %v, receive %v: got %v, want %q", c.wall, c.got, err, c.want)
		}
	}
	if err := h.Adopt(time.Second, 1<<63); err == nil {
		t.Error("a handshake far ahead was adopted")
	}
	if err := h.Adopt(time.Second, Time(62500+62)<<16|7); err != nil || h.Time().Count() != 7 {
		t.Errorf("a handshake within MaxDrift: %v", err)
	}
}
