package clock

import "cmp"

// A Lamport is a scalar clock: the number of the last event. The zero Lamport has seen none.
type Lamport struct{ time uint64 }

// Time is the stamp of the last event.
func (c *Lamport) Time() uint64 { return c.time }

// Tick counts an event of the process, the sending of a message too, and gives its stamp. A message carries it.
func (c *Lamport) Tick() uint64 {
	c.time++
	return c.time
}

// Receive counts the receipt of a message that carries t, and gives its stamp: one above both clocks. The error is a
// [Reject].
func (c *Lamport) Receive(t uint64) (uint64, error) {
	if t-1 >= c.time+MaxJump || t > Ceiling {
		return c.time, c.refuse(t)
	}
	c.time = max(c.time, t) + 1
	return c.time, nil
}

// Adopt takes over what the other end of a new connection says its clock is, or what a former life stored. It is no
// event. Only the ceiling applies: a process that knows nothing must be able to join one that has run for long.
func (c *Lamport) Adopt(t uint64) error {
	if t > Ceiling {
		return Reject{TooHigh, t, Ceiling}
	}
	c.time = max(c.time, t)
	return nil
}

func (c *Lamport) refuse(t uint64) error {
	switch {
	case t == 0:
		return Reject{Zero, t, c.time + MaxJump}
	case t > Ceiling:
		return Reject{TooHigh, t, Ceiling}
	default:
		return Reject{TooFar, t, c.time + MaxJump}
	}
}

// A Stamp is a Lamport time with the process whose event it is of. Stamps are unique and totally ordered.
type Stamp struct {
	Time    uint64  `json:"time"`
	Process Process `json:"process"`
}

// Compare orders stamps by time, then by process: -1, 0 or +1. An event that happened before another compares less;
// the converse does not hold.
func (s Stamp) Compare(t Stamp) int {
	return cmp.Or(cmp.Compare(s.Time, t.Time), s.Process.Compare(t.Process))
}
