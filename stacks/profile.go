package stacks

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Profile is a set of timeouts that fit together, named by the place whose delays they assume.
type Profile struct {
	Name  string
	Delay time.Duration // the longest that a message is assumed to take, handling included

	Interval time.Duration // between heartbeats
	Timeout  time.Duration // of silence, until a node is suspected
	Verify   time.Duration // that a node has to answer a probe after its connections closed

	Answer      time.Duration // that higher nodes have to answer a candidate
	Coordinator time.Duration // that a higher node has to announce itself after it answered
	Ask         time.Duration // that a node which comes back waits for word of a leader
	Grant       time.Duration // that nodes have to grant a candidate
	Beat        time.Duration // between a leader's repetitions of its announcement
	Silence     int           // beats without the leader, or without a majority, until a reign ends
}

const ms = time.Millisecond

// The profiles.
var (
	// Local fits real processes on one machine, every core possibly busy.
	Local = Profile{"Local", 10 * ms, 100 * ms, 1000 * ms, 100 * ms, 50 * ms, 100 * ms, 50 * ms, 50 * ms, 100 * ms, 10}
	// LAN fits machines in one building.
	LAN = Profile{"LAN", 50 * ms, 200 * ms, 1500 * ms, 150 * ms, 150 * ms, 300 * ms, 150 * ms, 150 * ms, 200 * ms, 8}
	// WAN fits machines on several continents.
	WAN = Profile{"WAN", 500 * ms, 1000 * ms, 6000 * ms, 1500 * ms, 1500 * ms, 3000 * ms, 1500 * ms, 1500 * ms, 1000 * ms, 8}
	// Lab fits lessons in the simulator: short enough to watch, for delays up to 25ms.
	Lab = Profile{"Lab", 25 * ms, 100 * ms, 350 * ms, 60 * ms, 60 * ms, 120 * ms, 60 * ms, 60 * ms, 100 * ms, 5}
)

var profiles = []Profile{Local, LAN, WAN, Lab}

// ProfileNames are the names that ParseProfile reads.
func ProfileNames() []string {
	names := make([]string, len(profiles))
	for i, p := range profiles {
		names[i] = p.Name
	}
	return names
}

// ParseProfile finds a profile by its name; case does not matter.
func ParseProfile(name string) (Profile, error) {
	i := slices.IndexFunc(profiles, func(p Profile) bool { return strings.EqualFold(p.Name, name) })
	if i < 0 {
		return Profile{}, fmt.Errorf("found the profile %q; expected %s", name, strings.Join(ProfileNames(), ", "))
	}
	return profiles[i], nil
}
