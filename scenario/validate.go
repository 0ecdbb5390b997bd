package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ciranda.dev/check"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
	"github.com/goccy/go-yaml/ast"
)

// validate refuses what reads well and makes no sense.
func (r *reader) validate(s *Scenario, at *places) {
	r.checkTimes(s, at)
	r.checkCluster(s, at)
	for i, step := range s.Steps {
		r.checkStep(s, i, step, at)
	}
	r.checkLives(s, at)
	r.checkExpectations(s, at)
}

func (r *reader) checkTimes(s *Scenario, at *places) {
	if s.Calm > s.Duration {
		r.wrong(at.of("calm"), fmt.Sprintf("a calm at %s, after the end", s.Calm),
			fmt.Sprintf("at most the duration, %s", s.Duration))
	}
	before := time.Duration(0)
	for i, step := range s.Steps {
		n := at.steps[i]
		switch {
		case step.When.Kind != "":
			continue
		case step.At < before:
			r.wrong(n, fmt.Sprintf("a step at %s after one at %s", step.At, before), "steps in the order of their times")
		case step.At >= s.Duration:
			r.wrong(n, fmt.Sprintf("a step at %s, after the end", step.At),
				fmt.Sprintf("it before the duration, %s", s.Duration))
		case s.Calm > 0 && step.At >= s.Calm && !gentle(step.Do):
			r.wrong(n, fmt.Sprintf("%s at %s, in the calm from %s on", step.Do, step.At, s.Calm), "faults before the calm")
		}
		before = step.At
	}
}

// gentle actions are no faults: they may be done in the calm.
func gentle(a Action) bool {
	switch a.(type) {
	case Elect, Transfer, Load, Snapshot, Multicast, Multicasts, Names, Leave, Join, HealAll, Heal, Resume, Recover:
		return true
	}
	return false
}

func (r *reader) checkCluster(s *Scenario, at *places) {
	onlyExplore := len(s.On) == 1 && s.On[0] == Explore
	if s.Cluster.Detector.Kind == "oracle" && !onlyExplore {
		r.wrong(at.of("cluster"), "the oracle as detector", "it with on: [explore] only; it knows no time")
	}
	for _, e := range s.On {
		if err := s.Spec(e).Validate(); err != nil {
			r.refused(at.of("cluster"), err)
		}
	}
}

// checkStep refuses a step that would have no effect.
func (r *reader) checkStep(s *Scenario, i int, step Step, at *places) {
	n := at.steps[i]
	if i == len(s.Steps)-1 && s.Calm == 0 && lasts(step.Do) {
		r.wrong(n, fmt.Sprintf("%s as the last step", step.Do),
			"a calm, such as `calm: 10s`; without one all is healed as soon as the last step is done")
	}
	crashed := slices.ContainsFunc(s.Steps[:i], func(b Step) bool { _, is := b.Do.(Crash); return is })
	if !crashed && (Mentions(step.Do, Last) || step.When.Nodes.Who == Last) {
		r.wrong(n, "last, and no step before crashes a node", someNodes)
	}
	if w := step.When.Nodes.Who; w == Leader || w == Coordinator {
		r.wrong(n, fmt.Sprintf("a suspicion of the %s as a condition", w), "nodes by number, or last")
	}
	r.checkBank(s, step, n)
	r.checkGroup(s, step, n)
	r.checkNames(s, step, n)
	if Mentions(step.Do, Coordinator) && s.Cluster.Orders == "" {
		r.wrong(n, "the coordinator, and no group", "cluster: {orders: all}")
	}
}

// lasts says whether an action begins something that the calm would end at once.
func lasts(a Action) bool {
	switch a.(type) {
	case Pause, Partition, Isolate, Cut, Change, StallDisk, SlowDisk, Slow, Rate:
		return true
	}
	return false
}

// standing is what is known of a node before anything runs.
type standing uint8

const (
	no standing = iota
	perhaps
	yes
)

// lives follows which nodes are down and which are paused, as far as the steps alone say.
type lives struct{ down, paused []standing }

// set notes that nodes came to be (yes) or not to be (no) in a state. Of nodes that are not known yet it may be any.
func set(of []standing, n Nodes, to standing) {
	for i := range of {
		switch {
		case n.Who == All || n.Who == Named && slices.Contains(n.IDs, protocol.ID(i+1)):
			of[i] = to
		case n.Who != Named && of[i] != to:
			of[i] = perhaps
		}
	}
}

// checkLives refuses to crash who is down for certain, and to bring back who certainly was not away.
func (r *reader) checkLives(s *Scenario, at *places) {
	l := lives{make([]standing, s.Cluster.Nodes), make([]standing, s.Cluster.Nodes)}
	for i, step := range s.Steps {
		n := at.steps[i]
		switch a := step.Do.(type) {
		case Crash:
			r.refuse(n, l.down, a.Nodes, yes, "is down already", "nodes that are up")
			set(l.down, a.Nodes, yes)
			set(l.paused, a.Nodes, no)
		case Recover:
			r.refuse(n, l.down, a.Nodes, no, "is not down", "nodes that an earlier step crashes")
			set(l.down, a.Nodes, no)
		case Pause:
			r.refuse(n, l.down, a.Nodes, yes, "is down", "nodes that are up")
			r.refuse(n, l.paused, a.Nodes, yes, "is paused already", "nodes that are not")
			set(l.paused, a.Nodes, yes)
		case Resume:
			r.refuse(n, l.paused, a.Nodes, no, "is not paused", "nodes that an earlier step pauses")
			set(l.paused, a.Nodes, no)
		}
	}
}

func (r *reader) refuse(n ast.Node, of []standing, who Nodes, state standing, found, expected string) {
	for _, id := range who.IDs {
		if of[id-1] == state {
			r.wrong(n, fmt.Sprintf("node %s, which %s", id, found), expected)
		}
	}
}

func (r *reader) checkExpectations(s *Scenario, at *places) {
	if len(s.Expect)+len(s.Violates) == 0 {
		r.wrong(at.root, "nothing that is expected", "expect or violates with a property, such as expect: [leader-agreed]")
	}
	for i, e := range s.Expect {
		r.checkExpectation(s, e, at.expect[i])
	}
	for i, e := range s.Violates {
		r.checkExpectation(s, e, at.violates[i])
		r.checkContradiction(s, e, at.violates[i])
	}
}

func (r *reader) checkExpectation(s *Scenario, e Expectation, n ast.Node) {
	for _, engine := range append([]Engine{Sim}, s.On...) {
		if err := check.Lookup(e.Property).Refuses(s.Setup(engine, trace.Full)); err != nil {
			r.refused(n, err)
		}
	}
	within := e.Parameters["within"]
	if within > 0 && s.Calm+within > s.Duration {
		r.wrong(n, fmt.Sprintf("%s within %s of a calm at %s", e.Property, within, s.Calm),
			fmt.Sprintf("a time that is over at the end, %s", s.Duration))
	}
}

// refused takes over what another package says of a value: "found …; expected …".
func (r *reader) refused(n ast.Node, err error) {
	found, expected, both := strings.Cut(strings.TrimPrefix(err.Error(), "found "), "; expected ")
	if !both {
		expected = "settings that fit together"
	}
	r.wrong(n, found, expected)
}

// checkContradiction refuses to expect that a property holds and that it is violated.
func (r *reader) checkContradiction(s *Scenario, e Expectation, n ast.Node) {
	for _, other := range s.Expect {
		if other.Property == e.Property && maps.Equal(other.Parameters, e.Parameters) {
			r.wrong(n, e.Property+" in expect and in violates", "it in one of them")
		}
	}
}
