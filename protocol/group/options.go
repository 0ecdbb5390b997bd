package group

import (
	"fmt"
	"time"
)

// Options set the times of a group. They are each node's own affair.
type Options struct {
	// Traffic says that a layer above carries the group's messages, and takes part in each change by Held and Gathered. All
	// nodes must have the same.
	Traffic bool
	// Seek is how often a node that is no member asks who is there, 1ms to 1m; it should exceed a round trip. Zero means 200ms.
	Seek time.Duration
	// Found is how long a node that finds a majority of the last view, and no member, waits for the rest of it before it
	// founds the next; up to 10m. Zero means 500ms.
	Found time.Duration
	// Gather is how long a proposer waits for others to join once one does, up to 1m. Zero means 50ms.
	Gather time.Duration
	// Attempt is how long a round of a change may take before it is begun anew, 1ms to 1m; it should exceed a round trip.
	// It doubles, up to ten times as much. Zero means 200ms.
	Attempt time.Duration
	// Beacon is how often nodes that are no members are told of the view, 1ms to 10m. Zero means 1s.
	Beacon time.Duration
	// Lack is how long a member tries to fetch what a decided change needs, before it gives its membership up; up to 10m.
	// Zero means 3s.
	Lack time.Duration
	// Leave is how long a member that leaves waits for the view without it, up to 10m. Zero means 3s.
	Leave time.Duration
	// Mistake is a deliberate error for the tests of the checks.
	Mistake Mistake
}

// WithDefaults gives the options with the defaults filled in.
func (p Options) WithDefaults() Options {
	for _, d := range []struct {
		option *time.Duration
		is     time.Duration
	}{
		{&p.Seek, 200 * time.Millisecond}, {&p.Found, 500 * time.Millisecond}, {&p.Gather, 50 * time.Millisecond},
		{&p.Attempt, 200 * time.Millisecond}, {&p.Beacon, time.Second}, {&p.Lack, 3 * time.Second}, {&p.Leave, 3 * time.Second},
	} {
		if *d.option == 0 {
			*d.option = d.is
		}
	}
	return p
}

// Validate says which of the options, defaults filled in, are out of bounds.
func (p Options) Validate() error {
	p = p.WithDefaults()
	for _, d := range []struct {
		name            string
		is, least, most time.Duration
	}{
		{"Seek", p.Seek, time.Millisecond, time.Minute}, {"Found", p.Found, 0, 10 * time.Minute}, {"Gather", p.Gather, 0, time.Minute},
		{"Attempt", p.Attempt, time.Millisecond, time.Minute}, {"Beacon", p.Beacon, time.Millisecond, 10 * time.Minute},
		{"Lack", p.Lack, 0, 10 * time.Minute}, {"Leave", p.Leave, 0, 10 * time.Minute},
	} {
		if d.is < d.least || d.is > d.most {
			return fmt.Errorf("group: %s is %v; it must be between %v and %v", d.name, d.is, d.least, d.most)
		}
	}
	if p.Mistake > lastMistake {
		return fmt.Errorf("group: there is no mistake %d", p.Mistake)
	}
	return nil
}
