package bench

import (
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// keepApart lets two processes run on one processor each, not the same, until free is called. Without that a system may
// place two processes that take turns on one processor, and a round trip costs no wake-up of another: less than any
// exchange between machines, or between processes that do more. Where there is one processor only, or the system does
// not allow it, nothing changes.
func keepApart(pid, other int) (free func()) {
	var all unix.CPUSet
	if unix.SchedGetaffinity(0, &all) != nil || all.Count() < 2 {
		return func() {}
	}
	first, last := -1, 0
	for i := range 8 * len(all) * 8 {
		if all.IsSet(i) {
			if last = i; first < 0 {
				first = i
			}
		}
	}
	place(pid, only(first))
	place(other, only(last))
	return func() {
		place(pid, all)
		place(other, all)
	}
}

func only(processor int) (set unix.CPUSet) {
	set.Set(processor)
	return set
}

// place says where the threads of a process run. New ones begin where the one ran that makes them.
func place(pid int, on unix.CPUSet) {
	threads, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*"))
	for _, t := range threads {
		if id, err := strconv.Atoi(filepath.Base(t)); err == nil {
			_ = unix.SchedSetaffinity(id, &on) // a thread that has just ended needs no place
		}
	}
}
