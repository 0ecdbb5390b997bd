package cli

import "os"

// spare is memory that nobody uses. The collector counts it as live and waits until the heap has doubled, so a small
// process makes 64 MiB of garbage before it is collected, in place of 4. It takes none of the machine's memory, for it is
// never touched.
var spare []byte

// relieveCollector spares a node most collections: under full load there were some 60 a second, of a heap of a few
// megabytes. With spare memory a node that multicasts 1 KiB needs a quarter less of the processor for each delivery
// (1.9 µs become 1.4 µs, total and uniform; 1.5 become 1.2, FIFO), and up to 64 MiB more memory, 130 in place of 65.
// Whoever sets GOGC or GOMEMLIMIT has decided otherwise.
func relieveCollector() {
	if spare == nil && os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		spare = make([]byte, 64<<20)
	}
}
