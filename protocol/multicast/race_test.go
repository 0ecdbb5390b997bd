//go:build race

package multicast_test

// fewer is how many of so many runs are done: under the race detector few, for it makes them ten times slower, and a simulation is one
// goroutine.
func fewer(runs uint64) uint64 { return (runs + 3) / 4 }
