package live

import "golang.org/x/sys/unix"

// Boot is the id of the machine's present run, between two starts of its system: clocks read by [Monotonic] under one
// id are one clock. It is empty where the system does not tell.
func Boot() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}
