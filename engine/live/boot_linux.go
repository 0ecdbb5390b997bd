package live

import (
	"os"
	"strings"
)

// Boot is the id of the machine's present run, between two starts of its system: clocks read by [Monotonic] under one
// id are one clock. It is empty where the system does not tell.
func Boot() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
