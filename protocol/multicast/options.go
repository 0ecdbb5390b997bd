package multicast

import (
	"fmt"
	"slices"
	"time"
)

// Options set the sizes and times of multicast. Orders must be the same at all nodes, the others should be.
type Options struct {
	// Orders are those that are run, each plain and uniform. Casts in others are refused. Nil means all.
	Orders []Order
	// Window is how many bytes of this node's messages may be sent that not all members are known to hold, from Batch to
	// 2^30. It bounds what each member keeps of each other. Zero means 2 MiB.
	Window int
	// Backlog is how many bytes may be cast and wait, for the window or a view: 1 to 2^30. Casts beyond are refused. Zero
	// means 4 MiB.
	Backlog int
	// Largest is the size of the largest message in bytes, 1 to 2^26. Zero means 1 MiB, or Backlog if that is less. A message
	// that is larger than a batch travels in parts.
	Largest int
	// Batch is how many bytes are sent at once, 64 to 2^20. Each message counts 16 bytes beside its own. Zero means 60 KiB,
	// so that a batch fits a frame of 64 KiB; or Window if that is less.
	Batch int
	// Patience is how long messages may wait without any being known to have arrived everywhere, before the group is asked
	// to exclude the slowest member; 1ms to a day. Zero means 2s.
	Patience time.Duration
	// Credit says that whoever takes the deliveries of this node tells what it has consumed ([Consumed]). While that is more
	// than Window behind, by [Weight], the node does not say any more what it holds, so that in the end the senders wait.
	Credit bool
	// Datagrams has this node broadcast what fits into a datagram, where the network carries that ([protocol.Carries]), in
	// place of sending it to each member. All members must have it. What is lost is repaired, which takes some 10 to 20 ms;
	// if that is too much links take over for a while. No more than 64 KiB are on their way then, whatever the window.
	Datagrams bool
	// Inner has the layer carry what layers above say among themselves ([Within]). All members must have it.
	Inner bool
	// Trace notes what the checks of streams need: [Holds], [Streamed] and [Ordered].
	Trace bool
	// Mistake is a deliberate error for the tests of the checks.
	Mistake Mistake
}

// The bounds of options.
const (
	most        = 1 << 30
	mostLargest = 1 << 26
	leastBatch  = 64
	mostBatch   = 1 << 20
	patience    = 24 * time.Hour
)

// WithDefaults gives the options with the defaults filled in.
func (p Options) WithDefaults() Options {
	if p.Orders == nil {
		p.Orders = []Order{Reliable, FIFO, Causal, Total, Lamport}
	}
	if p.Window == 0 {
		p.Window = 2 << 20
	}
	if p.Backlog == 0 {
		p.Backlog = 4 << 20
	}
	if p.Largest == 0 {
		p.Largest = min(1<<20, p.Backlog)
	}
	if p.Batch == 0 {
		p.Batch = min(60<<10, p.Window)
	}
	if p.Patience == 0 {
		p.Patience = 2 * time.Second
	}
	return p
}

// Validate says which of the options, defaults filled in, are out of bounds.
func (p Options) Validate() error {
	p = p.WithDefaults()
	for _, b := range []struct {
		name            string
		is, least, most int
	}{
		{"Batch", p.Batch, leastBatch, mostBatch}, {"Window", p.Window, p.Batch, most}, {"Backlog", p.Backlog, 1, most},
		{"Largest", p.Largest, 1, min(mostLargest, p.Backlog)},
	} {
		if b.is < b.least || b.is > b.most {
			return fmt.Errorf("multicast: %s is %d bytes; it must be between %d and %d", b.name, b.is, b.least, b.most)
		}
	}
	if p.Patience < time.Millisecond || p.Patience > patience {
		return fmt.Errorf("multicast: Patience is %v; it must be between 1ms and %v", p.Patience, patience)
	}
	for i, r := range p.Orders {
		if r < Reliable || r > Lamport || slices.Contains(p.Orders[:i], r) {
			return fmt.Errorf("multicast: Orders has %s; it must be different orders from reliable to lamport", r)
		}
	}
	if p.Mistake > lastMistake {
		return fmt.Errorf("multicast: there is no mistake %d", p.Mistake)
	}
	return nil
}
