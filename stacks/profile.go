package stacks

import (
	"fmt"
	"slices"
	"strconv"
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

// ParseProfile finds a profile by its name; case does not matter. Settings behind the name take the place of the
// profile's own: "Local,timeout=2s,silence=20".
func ParseProfile(text string) (Profile, error) {
	name, settings, tuned := strings.Cut(text, ",")
	i := slices.IndexFunc(profiles, func(p Profile) bool { return strings.EqualFold(p.Name, name) })
	if i < 0 {
		return Profile{}, fmt.Errorf("found the profile %.60q; expected %s", name, strings.Join(ProfileNames(), ", "))
	}
	p := profiles[i]
	if !tuned {
		return p, nil
	}
	for setting := range strings.SplitSeq(settings, ",") {
		if err := p.set(setting); err != nil {
			return Profile{}, err
		}
	}
	return p, nil
}

// durations are the profile's times, by the names that settings give them.
func (p *Profile) durations() []namedDuration {
	return []namedDuration{{"delay", &p.Delay}, {"interval", &p.Interval}, {"timeout", &p.Timeout}, {"verify", &p.Verify},
		{"answer", &p.Answer}, {"coordinator", &p.Coordinator}, {"ask", &p.Ask}, {"grant", &p.Grant}, {"beat", &p.Beat}}
}

type namedDuration struct {
	name  string
	value *time.Duration
}

// set reads one setting, such as timeout=2s.
func (p *Profile) set(setting string) error {
	name, text, _ := strings.Cut(setting, "=")
	if name == "silence" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return fmt.Errorf("found the setting %.60q; expected a number of beats above 0, such as silence=10", setting)
		}
		p.Silence = n
		return nil
	}
	var names []string
	for _, d := range p.durations() {
		if d.name == name {
			value, err := time.ParseDuration(text)
			if err != nil || value <= 0 {
				return fmt.Errorf("found the setting %.60q; expected a time above 0, such as %s=%s", setting, name, *d.value)
			}
			*d.value = value
			return nil
		}
		names = append(names, d.name)
	}
	return fmt.Errorf("found the setting %.60q; expected one of %s or silence, such as timeout=2s", setting, strings.Join(names, ", "))
}

// String is the profile as ParseProfile reads it: its name, and what differs from the profile of that name.
func (p Profile) String() string {
	named, _ := ParseProfile(p.Name)
	parts := []string{p.Name}
	was := named.durations()
	for i, d := range p.durations() {
		if *d.value != *was[i].value {
			parts = append(parts, d.name+"="+d.value.String())
		}
	}
	if p.Silence != named.Silence {
		parts = append(parts, "silence="+strconv.Itoa(p.Silence))
	}
	return strings.Join(parts, ",")
}
