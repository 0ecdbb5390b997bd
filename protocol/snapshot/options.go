package snapshot

import (
	"fmt"
	"time"
)

// Options are the rules of snapshots. They should be the same at all nodes.
type Options struct {
	// Within is how long a snapshot takes at most, on the clock of the node that was asked: 10ms to an hour. After half of
	// it a node reports without the channels that are still open. Zero means 10s.
	Within time.Duration
	// Grace is how long a node that is suspected when a snapshot begins has to show that it lives, up to half of Within. It
	// should exceed two round trips. Zero means 500ms, or half of Within if that is less.
	Grace time.Duration
	// Most is how many snapshots that one node was asked for may be under way or wait, 1 to 64. Zero means 4.
	Most int
	// Spacing is how long a node waits from the begin of one snapshot that it was asked for to that of the next, up to half
	// of Within: each takes some of the nodes' time, and those who ask again and again must not take it from the
	// application. Zero means 50ms, or half of Within if that is less; below zero there is none.
	Spacing time.Duration
	// Bytes is how much a node's part of one snapshot may take, its state and what was on its way to it, as the links
	// estimate it: 1 KiB to 1 GiB. A part that takes more is missing, and so are parts that together take more than four
	// times as much at the node that was asked. Zero means 64 MiB.
	Bytes int
	// Trace puts all that is recorded into the trace, however large, and marks the messages, so that checks can compare them
	// with what links note: see [Message].
	Trace bool
	// Mistake is a deliberate error for the tests of the checks.
	Mistake Mistake
}

const (
	mostMost  = 64        // snapshots
	mostBytes = 1 << 30   // of a part
	wholeTo   = 4         // times Bytes may take what one snapshot has at the node that was asked
	mostPiece = 768 << 10 // bytes of a piece of a state, or of a message on its way: a report must carry it
	piece     = 256 << 10 // bytes that a report or a rest carries, about; what is on its way to others must not wait for long
	traced    = 4 << 10   // bytes of a snapshot that are in the trace in any case
)

// WithDefaults gives the options with each zero replaced by its default.
func (p Options) WithDefaults() Options {
	if p.Within == 0 {
		p.Within = 10 * time.Second
	}
	if p.Grace == 0 {
		p.Grace = min(500*time.Millisecond, p.Within/2)
	}
	if p.Most == 0 {
		p.Most = 4
	}
	if p.Spacing == 0 {
		p.Spacing = min(50*time.Millisecond, p.Within/2)
	}
	if p.Bytes == 0 {
		p.Bytes = 64 << 20
	}
	return p
}

// Validate says which option, with its default, is out of its bounds.
func (p Options) Validate() error {
	p = p.WithDefaults()
	switch {
	case p.Within < 10*time.Millisecond || p.Within > time.Hour:
		return fmt.Errorf("snapshot: Within is %v; it must be between 10ms and 1h", p.Within)
	case p.Grace < 0 || p.Grace > p.Within/2:
		return fmt.Errorf("snapshot: Grace is %v; it must be between 0s and half of Within, %v", p.Grace, p.Within/2)
	case p.Spacing > p.Within/2:
		return fmt.Errorf("snapshot: Spacing is %v; it must be at most half of Within, %v", p.Spacing, p.Within/2)
	case p.Most < 1 || p.Most > mostMost:
		return fmt.Errorf("snapshot: Most is %d; it must be between 1 and %d snapshots", p.Most, mostMost)
	case p.Bytes < 1<<10 || p.Bytes > mostBytes:
		return fmt.Errorf("snapshot: Bytes is %d; it must be between %d and %d", p.Bytes, 1<<10, mostBytes)
	case p.Mistake > lastMistake:
		return fmt.Errorf("snapshot: there is no mistake %d", p.Mistake)
	}
	return nil
}
