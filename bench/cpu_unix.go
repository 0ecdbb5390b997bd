//go:build unix

package bench

import (
	"syscall"
	"time"
)

// cpuTime is the time for which this process has kept processors busy, in its own code and in the system's for it.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
