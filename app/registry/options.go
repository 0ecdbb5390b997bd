package registry

import (
	"fmt"
	"time"
)

// Options bound a registry. Entries, Bytes and Remember must be the same at all nodes.
type Options struct {
	// Entries is how many names there may be, 1 to 2^20. Zero means 65,536.
	Entries int
	// Bytes is how much room entries may take together, 1 to 2^30. Zero means 64 MiB.
	Bytes int
	// Remember is how many of the last changes are remembered for clients that ask again, 1 to 2^16. Zero means 4,096.
	Remember int
	// Piece is how many bytes of the table travel at once to those who join, 1 to 2^19. Zero means 256 KiB.
	Piece int
	// Patience is how long a call may wait for its place in the order before it is answered by Unknown, 1ms to an hour. Zero means 5s.
	Patience time.Duration
	// Mistake is a deliberate error for the tests of the checks.
	Mistake Mistake
}

// mostHeld is how many commands may wait until all members have the table.
const mostHeld = 1024

// WithDefaults gives the options with the defaults filled in.
func (p Options) WithDefaults() Options {
	for _, n := range []struct {
		option *int
		is     int
	}{{&p.Entries, 1 << 16}, {&p.Bytes, 64 << 20}, {&p.Remember, 4096}, {&p.Piece, 256 << 10}} {
		if *n.option == 0 {
			*n.option = n.is
		}
	}
	if p.Patience == 0 {
		p.Patience = 5 * time.Second
	}
	return p
}

// Validate says which of the options, defaults filled in, are out of bounds.
func (p Options) Validate() error {
	p = p.WithDefaults()
	for _, n := range []struct {
		name     string
		is, most int
	}{{"Entries", p.Entries, 1 << 20}, {"Bytes", p.Bytes, 1 << 30}, {"Remember", p.Remember, 1 << 16}, {"Piece", p.Piece, 1 << 19}} {
		if n.is < 1 || n.is > n.most {
			return fmt.Errorf("registry: %s is %d; it must be between 1 and %d", n.name, n.is, n.most)
		}
	}
	if p.Patience < time.Millisecond || p.Patience > time.Hour {
		return fmt.Errorf("registry: Patience is %v; it must be between 1ms and 1h", p.Patience)
	}
	if p.Mistake > lastMistake {
		return fmt.Errorf("registry: there is no mistake %d", p.Mistake)
	}
	return nil
}
