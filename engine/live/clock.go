package live

import "time"

// A nodeClock gives the node's readings of time. All rest on the runtime's monotonic clock.
type nodeClock struct {
	start   time.Time
	machine int64 // the machine's monotonic clock at start, ns
	// The monotonic clock of the node ran local up to since, and runs at rate from there.
	since time.Time
	local time.Duration
	rate  float64
	jump  time.Duration // of the wall clock
}

func newClock(now time.Time) nodeClock {
	return nodeClock{start: now, machine: machineClock(), since: now, rate: 1}
}

// trace is the machine's monotonic clock, whatever the node's own shows.
func (c *nodeClock) trace(now time.Time) int64 { return c.machine + int64(now.Sub(c.start)) }

// monotonic is the node's monotonic clock.
func (c *nodeClock) monotonic(now time.Time) time.Duration {
	d := now.Sub(c.since)
	if c.rate != 1 {
		d = time.Duration(float64(d) * c.rate)
	}
	return c.local + d
}

// wall is the node's wall clock, since the Unix epoch.
func (c *nodeClock) wall(now time.Time) time.Duration {
	gained := c.monotonic(now) - now.Sub(c.start)
	return time.Duration(now.UnixNano()) + gained + c.jump
}

// until is the true time that passes until the node's monotonic clock shows at.
func (c *nodeClock) until(at time.Duration, now time.Time) time.Duration {
	d := at - c.monotonic(now)
	if c.rate != 1 {
		d = time.Duration(float64(d)/c.rate) + 1 // rather a little late than early, which would be a wait of zero
	}
	return d
}

func (c *nodeClock) setRate(rate float64, now time.Time) {
	c.local, c.since = c.monotonic(now), now
	c.rate = rate
}
