//go:build linux || darwin

package live

import "golang.org/x/sys/unix"

// machineClock is the machine's monotonic clock, ns: the same for all processes of a machine. It is the clock on
// which Go's own monotonic time rests.
func machineClock() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(monotonicClock, &t); err != nil {
		panic("live: no monotonic clock: " + err.Error())
	}
	return t.Nano()
}
