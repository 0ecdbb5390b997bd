//go:build !linux && !darwin

package live

// Boot is the id of the machine's present run, between two starts of its system: clocks read by [Monotonic] under one
// id are one clock. It is empty where the system does not tell, as here.
func Boot() string { return "" }
