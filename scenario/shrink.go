package scenario

import (
	"context"
	"errors"
	"slices"
	"time"

	"ciranda.dev/check"
	"ciranda.dev/engine/shrink"
	"ciranda.dev/engine/world"
	"ciranda.dev/trace"
)

// A Shrunk is a violation with as little around it as could be found.
type Shrunk struct {
	Scenario *Scenario // with the steps that it takes
	Seed     uint64
	Property string        // that is violated
	Result   check.Result  // of the shortened run
	Steps    []world.Step  // the run
	Events   []trace.Event // its trace at level full, in the order of time

	Faults, FaultsBefore int // steps of the scenario
	Before, Cone, After  int // steps of the run: with those faults, of the violation's causes, and in the end
}

// ErrNothing says that a run violates nothing that could be shrunk.
var ErrNothing = errors.New("the run violates nothing")

// Shrink makes the run of a seed that violates a property short: first with fewer and earlier steps of the scenario,
// each time simulated anew; then, if the property is one of safety, with only the causes of the violation.
func (s *Scenario) Shrink(ctx context.Context, seed uint64) (*Shrunk, error) {
	at, err := s.violatedBy(ctx, seed)
	if err != nil {
		return nil, err
	}
	fails := func(t *Scenario) bool {
		o, err := t.run(ctx, seed, recording{})
		return err == nil && ctx.Err() == nil && o.results[at].Verdict == check.Violated
	}
	small := s.withSteps(shrink.Subset(len(s.Steps), func(keep []int) bool { return fails(s.withSteps(keep)) }))
	small = small.earlier(fails)
	r := &Shrunk{Scenario: small, Seed: seed, Property: s.demands()[at].Property, Faults: len(small.Steps), FaultsBefore: len(s.Steps)}
	if err := small.Record(ctx, seed, trace.Full, nil, func(st world.Step) { r.Steps = append(r.Steps, st) }); err != nil {
		return nil, err
	}
	r.causes(small, at)
	r.Events, r.Result, err = small.judge(r.Steps, at)
	return r, err
}

// violatedBy is the first property that the run of a seed violates, by its place among the demands.
func (s *Scenario) violatedBy(ctx context.Context, seed uint64) (int, error) {
	o, err := s.run(ctx, seed, recording{})
	if err != nil {
		return 0, err
	}
	at := slices.IndexFunc(o.results, func(r check.Result) bool { return r.Verdict == check.Violated })
	if at < 0 {
		return 0, ErrNothing
	}
	return at, nil
}

// withSteps is the scenario with some of its steps.
func (s *Scenario) withSteps(keep []int) *Scenario {
	t := *s
	t.Steps = nil
	for _, i := range keep {
		t.Steps = append(t.Steps, s.Steps[i])
	}
	return &t
}

// earlier takes time out of the scenario as long as it fails: all moments come at half their time, or a shorter run
// will do.
func (s *Scenario) earlier(fails func(*Scenario) bool) *Scenario {
	for range 4 {
		t := *s
		t.Steps = slices.Clone(s.Steps)
		for i := range t.Steps {
			t.Steps[i].At = (t.Steps[i].At / 2).Truncate(time.Millisecond)
			t.Steps[i].When.After = (t.Steps[i].When.After / 2).Truncate(time.Millisecond)
		}
		t.Calm, t.Duration = (s.Calm / 2).Truncate(time.Millisecond), (s.Duration / 2).Truncate(time.Millisecond)
		if !fails(&t) {
			break
		}
		s = &t
	}
	return s
}

// causes leaves only the causes of a violation in the run. A property that is judged in the calm is about the whole
// run: there nothing can be left out.
func (r *Shrunk) causes(s *Scenario, at int) {
	r.Before, r.Cone, r.After = groups(r.Steps), groups(r.Steps), groups(r.Steps)
	spec := check.Lookup(r.Property)
	if spec.Calm {
		return
	}
	run := shrink.Run{World: s.World(trace.Full, nil), Steps: r.Steps, Timed: spec.Basis == check.Global}
	run.Violated = func(events []trace.Event) ([]int, bool) {
		result, err := s.result(events, at)
		if err != nil || result.Verdict != check.Violated {
			return nil, false
		}
		return eventPlaces(events, result.Witnesses), true
	}
	shorter := run.Shrink()
	r.Steps, r.Cone, r.After = shorter.Steps, shorter.Cone, groups(shorter.Steps)
}

// groups counts the steps of a run; what they drew is no step of its own.
func groups(steps []world.Step) int {
	n := 0
	for _, st := range steps {
		if st.Do != world.Draw {
			n++
		}
	}
	return n
}

// result judges events by one of the scenario's properties.
func (s *Scenario) result(events []trace.Event, at int) (check.Result, error) {
	properties, err := s.properties(s.Setup(Sim, trace.Full))
	if err != nil {
		return check.Result{}, err
	}
	suite := check.NewSuite(properties[at])
	for i := range events {
		suite.Record(&events[i])
	}
	return suite.Results()[0], nil
}

// judge does a run again and judges it.
func (s *Scenario) judge(steps []world.Step, at int) ([]trace.Event, check.Result, error) {
	var m trace.Memory
	replay, err := world.NewReplay(s.World(trace.Full, &m), steps)
	if err != nil {
		return nil, check.Result{}, err
	}
	if err := replay.Run(); err != nil {
		return nil, check.Result{}, err
	}
	events := m.Events()
	slices.SortStableFunc(events, func(a, b trace.Event) int { return int(min(max(a.T-b.T, -1), 1)) })
	result, err := s.result(events, at)
	return events, result, err
}

// eventPlaces finds events among others by what identifies them.
func eventPlaces(events, wanted []trace.Event) []int {
	var found []int
	for _, w := range wanted {
		i := slices.IndexFunc(events, func(e trace.Event) bool {
			return e.Node == w.Node && e.Inc == w.Inc && e.N == w.N && e.T == w.T && e.Kind == w.Kind
		})
		if i >= 0 {
			found = append(found, i)
		}
	}
	return found
}

// Violation is the first property of the scenario that the events of a simulated run, recorded at a level, violate;
// nil if they violate none.
func (s *Scenario) Violation(events []trace.Event, level trace.Level) *check.Result {
	properties, err := s.properties(s.Setup(Sim, level))
	if err != nil {
		return nil
	}
	suite := check.NewSuite(properties...)
	for i := range events {
		suite.Record(&events[i])
	}
	for _, r := range suite.Results() {
		if r.Verdict == check.Violated {
			return &r
		}
	}
	return nil
}
