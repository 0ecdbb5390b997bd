package live

// Monotonic is the machine's monotonic clock in nanoseconds, on which the times of all nodes' traces are: for what is
// seen from outside of a node, such as its death.
func Monotonic() int64 { return machineClock() }
