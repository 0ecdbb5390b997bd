package live

import (
	"math/bits"
	"unsafe"

	"golang.org/x/sys/windows"
)

var (
	kernel    = windows.NewLazySystemDLL("kernel32.dll")
	counter   = kernel.NewProc("QueryPerformanceCounter")
	frequency = kernel.NewProc("QueryPerformanceFrequency")
)

// machineClock is the machine's performance counter, ns: the same for all processes of a machine. Go's own monotonic
// time may drift from it, by some milliseconds an hour.
func machineClock() int64 {
	var ticks, perSecond uint64
	_, _, _ = counter.Call(uintptr(unsafe.Pointer(&ticks)))
	_, _, _ = frequency.Call(uintptr(unsafe.Pointer(&perSecond))) // neither fails since Windows XP
	hi, lo := bits.Mul64(ticks, 1e9)
	ns, _ := bits.Div64(hi, lo, perSecond)
	return int64(ns)
}
