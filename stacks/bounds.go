package stacks

import (
	"fmt"
	"time"
)

// A Bound is a derived figure: what it bounds, the formula and its value.
type Bound struct {
	Name    string        `json:"name"`
	Formula string        `json:"formula"`
	Value   time.Duration `json:"value"`
	Meaning string        `json:"meaning"`
}

// The names of bounds that others ask for.
const (
	CrashNoticed  = "crash noticed"
	SilentNoticed = "silence noticed"
	LeaderAfter   = "new leader after a crash"
	LeaderSilent  = "new leader after silence"
	PauseForgiven = "pause forgiven"
	StepDown      = "two leaders at most"
	ViewAfter     = "new view after a crash"
	ViewSilent    = "new view after silence"
)

// Bounds are the spec's derived figures, for messages that take no longer than the profile's delay.
func (s Spec) Bounds() []Bound {
	s = s.Filled()
	p := s.Profile
	d := p.Delay
	news, sum, values := time.Duration(0), "", "" // of a suspicion, to those who do not watch the node themselves
	if s.Detector == "ring" {
		news, sum, values = 2*d, " + 2*delay", fmt.Sprintf(" + 2*%s", d)
	}
	bounds := []Bound{
		{CrashNoticed, fmt.Sprintf("delay + verify%s = %s + %s%s", sum, d, p.Verify, values), d + p.Verify + news,
			"from a crash that closes connections until every node suspects; sooner if a redial is refused"},
		{SilentNoticed, fmt.Sprintf("timeout + delay%s = %s + %s%s", sum, p.Timeout, d, values), p.Timeout + d + news,
			"from the moment a node falls silent, its connections open, until every node suspects"},
		{PauseForgiven, fmt.Sprintf("timeout - interval - delay = %s - %s - %s", p.Timeout, p.Interval, d), p.Timeout - p.Interval - d,
			"the longest pause of a node that raises no suspicion"},
	}
	if s.Detector == "ring" {
		bounds = append(bounds, Bound{"a neighbourhood's crash noticed", fmt.Sprintf("2*(timeout + 2*delay) + 2*delay = 2*(%s + 2*%s) + 2*%s", p.Timeout, d, d),
			2*(p.Timeout+2*d) + 2*d, "from a crash of up to four nodes next to each other on the ring until every node suspects all of them"})
	}
	bounds = append(bounds, s.groupBounds(d+p.Verify+news, p.Timeout+d+news)...)
	if s.Election == "none" {
		return bounds
	}
	elect, formula := p.Answer+2*d, fmt.Sprintf("answer + 2*delay = %s + 2*%s", p.Answer, d)
	if s.Has("quorum") {
		elect, formula = elect+2*d, formula+fmt.Sprintf(" + 2*%s (grants)", d)
		if s.Has("stable") {
			elect, formula = elect+2*d, formula+fmt.Sprintf(" + 2*%s (question first)", d)
		}
	}
	bounds = append(bounds,
		Bound{"election", formula, elect, "from the first suspicion until every node knows the new leader"},
		Bound{LeaderAfter, "crash noticed + election", d + p.Verify + news + elect, "from a crash of the leader until every node knows the new one"},
		Bound{LeaderSilent, "silence noticed + election", p.Timeout + d + news + elect, "from a pause or a cut of the leader until every node knows the new one"},
	)
	if !s.Has("classic") {
		reign := time.Duration(p.Silence) * p.Beat
		bounds = append(bounds, Bound{"silence of a leader", fmt.Sprintf("silence * beat = %d * %s", p.Silence, p.Beat), reign,
			"without the leader's announcement until followers look for another"})
		if s.Has("quorum") {
			bounds = append(bounds, Bound{StepDown, fmt.Sprintf("silence * beat = %d * %s", p.Silence, p.Beat), reign,
				"two reigns overlap no longer, but for pauses of the deposed leader"})
		}
	}
	return bounds
}

// Bound is the value of a bound by its name; zero if the spec has none of that name.
func (s Spec) Bound(name string) time.Duration {
	for _, b := range s.Bounds() {
		if b.Name == name {
			return b.Value
		}
	}
	return 0
}

// Agreement is how long after the last fault all nodes should hold the same leader, at the latest.
func (s Spec) Agreement() time.Duration { return 2*s.Filled().Profile.Timeout + 2*time.Second }
