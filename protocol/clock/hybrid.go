package clock

import (
	"fmt"
	"time"
)

// Resolution is the step of a hybrid clock's physical part.
const Resolution = 16 * time.Microsecond

const (
	countBits = 16
	maxCount  = 1<<countBits - 1
	maxTicks  = 1<<48 - 1
)

// A Time is a stamp of a hybrid clock in its packed form: 48 bits of physical time in steps of [Resolution] since
// the Unix epoch, which lasts until 2112, then 16 bits that count events at one such time. Times compare as numbers.
type Time uint64

// Wall is the physical part: the largest wall clock reading heard of, rounded down, since the Unix epoch.
func (t Time) Wall() time.Duration { return time.Duration(t>>countBits) * Resolution }

// Count is the logical part.
func (t Time) Count() int { return int(t & maxCount) }

func (t Time) String() string { return fmt.Sprintf("%s+%d", t.Wall(), t.Count()) }

// A Hybrid is a clock that stays close to the wall clock and yet orders events as Lamport's does. The zero Hybrid has
// seen no event.
//
// It survives a wall clock that is set back: then it counts, up to 65,535 events, until the wall clock has caught up.
// It never counts on from there, but refuses.
type Hybrid struct {
	// MaxDrift is how far ahead of the own wall clock a received stamp may be. Zero means 250 ms.
	MaxDrift time.Duration

	last Time
}

// DefaultMaxDrift is [Hybrid.MaxDrift] if that is zero.
const DefaultMaxDrift = 250 * time.Millisecond

// Time is the stamp of the last event.
func (h *Hybrid) Time() Time { return h.last }

// Tick counts an event, the sending of a message too, at a reading of the wall clock since the Unix epoch, and gives
// its stamp. The error is a [Reject]: of Overflow, or OutOfRange for a reading before 1970 or after 2112.
func (h *Hybrid) Tick(wall time.Duration) (Time, error) {
	now, err := physical(wall)
	if err != nil {
		return h.last, err
	}
	return h.advance(now, h.last)
}

// Receive counts the receipt of a message that carries t, and gives its stamp. The error is a [Reject].
func (h *Hybrid) Receive(wall time.Duration, t Time) (Time, error) {
	now, err := physical(wall)
	if err != nil {
		return h.last, err
	}
	if t == 0 {
		return h.last, Reject{Zero, 0, uint64(now)}
	}
	if err := h.check(now, t); err != nil {
		return h.last, err
	}
	return h.advance(now, max(h.last, t))
}

// Adopt takes over the stamp of a handshake or of a former life. It is no event. MaxDrift applies here too: the
// physical time of a correct process is never far ahead.
func (h *Hybrid) Adopt(wall time.Duration, t Time) error {
	now, err := physical(wall)
	if err != nil {
		return err
	}
	if err := h.check(now, t); err != nil {
		return err
	}
	h.last = max(h.last, t)
	return nil
}

// advance moves to the least time after highest that is not before now. With packed times the three cases of the
// paper's receive rule are one: the greater of two (l, c) pairs, plus one.
func (h *Hybrid) advance(now, highest Time) (Time, error) {
	switch {
	case now > highest:
		h.last = now
	case highest.Count() == maxCount:
		return h.last, Reject{Overflow, maxCount + 1, maxCount}
	default:
		h.last = highest + 1
	}
	return h.last, nil
}

func (h *Hybrid) check(now, t Time) error {
	drift := h.MaxDrift
	if drift == 0 {
		drift = DefaultMaxDrift
	}
	limit := now>>countBits + Time(drift/Resolution)
	if ticks := t >> countBits; ticks > limit {
		return Reject{Ahead, uint64(ticks), uint64(limit)}
	}
	return nil
}

// physical is the earliest Time at a reading of the wall clock.
func physical(wall time.Duration) (Time, error) {
	if ticks := wall / Resolution; wall >= 0 && ticks <= maxTicks {
		return Time(ticks) << countBits, nil
	}
	return 0, Reject{OutOfRange, uint64(max(wall, 0) / Resolution), maxTicks}
}
