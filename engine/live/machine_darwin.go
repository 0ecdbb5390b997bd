package live

import "golang.org/x/sys/unix"

const monotonicClock = unix.CLOCK_UPTIME_RAW
