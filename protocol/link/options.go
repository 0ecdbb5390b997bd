package link

import (
	"fmt"
	"time"
)

// Options set the sizes and times of the links. They are each node's own affair; but a receiver whose Window is smaller
// than the sender's may have to be sent things twice.
type Options struct {
	// Window is how many bytes may be on their way to one node without having been acknowledged, and how many from one
	// node are kept until what is missing before them has come: 1 to 2^30. A larger packet travels alone. Zero means
	// 1 MiB. Bytes are estimated, see [Sizer].
	Window int
	// Backlog is how many bytes to one node may wait for room in the window, 1 to 2^30. A node for which more would
	// wait is ejected. Zero means 4 MiB.
	Backlog int
	// Resend is how long the oldest packet waits for its acknowledgement before it is sent again; it should exceed a
	// round trip. Each further time it doubles, up to Longest; an acknowledgement begins anew. 1ms to Longest. Zero
	// means 40ms.
	Resend time.Duration
	// Longest is the greatest time between two sendings of a packet, up to an hour. Zero means 1s.
	Longest time.Duration
	// Patience is how long a node whose window is full may acknowledge nothing before it is ejected, measured in
	// steps of up to Longest; up to a day. Zero means for ever.
	Patience time.Duration
	// Trace notes every packet that is sent and delivered, as the checks of links need it: see [Sent].
	Trace bool
	// Mistake is a deliberate error for the tests of the checks.
	Mistake Mistake
}

// The bounds of options.
const (
	most        = 1 << 30
	longestWait = time.Hour
	patience    = 24 * time.Hour
)

// WithDefaults gives the options with the defaults filled in.
func (p Options) WithDefaults() Options {
	if p.Window == 0 {
		p.Window = 1 << 20
	}
	if p.Backlog == 0 {
		p.Backlog = 4 << 20
	}
	if p.Resend == 0 {
		p.Resend = 40 * time.Millisecond
	}
	if p.Longest == 0 {
		p.Longest = time.Second
	}
	return p
}

// Validate says which of the options, defaults filled in, are out of bounds.
func (p Options) Validate() error {
	p = p.WithDefaults()
	switch {
	case p.Window < 1 || p.Window > most:
		return fmt.Errorf("link: Window is %d bytes; it must be between 1 and %d", p.Window, most)
	case p.Backlog < 1 || p.Backlog > most:
		return fmt.Errorf("link: Backlog is %d bytes; it must be between 1 and %d", p.Backlog, most)
	case p.Longest < 0 || p.Longest > longestWait:
		return fmt.Errorf("link: Longest is %v; it must be between 0 and %v", p.Longest, longestWait)
	case p.Resend < time.Millisecond || p.Resend > p.Longest:
		return fmt.Errorf("link: Resend is %v; it must be between 1ms and Longest = %v", p.Resend, p.Longest)
	case p.Patience < 0 || p.Patience > patience:
		return fmt.Errorf("link: Patience is %v; it must be between 0 and %v", p.Patience, patience)
	case p.Mistake > lastMistake:
		return fmt.Errorf("link: there is no mistake %d", p.Mistake)
	}
	return nil
}
