package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// tick is the unit of a process's time in /proc, on all machines that Linux runs on today.
const tick = 10 * time.Millisecond

// cpuOf is the time for which a process has kept processors busy. It is not ok if that cannot be seen.
func cpuOf(pid uint32) (busy time.Duration, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:]) // the first is the third, behind the name
	for _, i := range []int{11, 12} {
		if i >= len(fields) {
			return 0, false
		}
		n, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil {
			return 0, false
		}
		busy += time.Duration(n) * tick
	}
	return busy, true
}
