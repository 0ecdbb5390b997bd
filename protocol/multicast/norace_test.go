//go:build !race

package multicast_test

// fewer is how many of so many runs are done: all.
func fewer(runs uint64) uint64 { return runs }
