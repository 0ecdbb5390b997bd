package scenario

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"ciranda.dev/check"
	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/wire"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/stacks"
	"ciranda.dev/trace"
)

// Spec is the stack of the cluster's nodes on an engine. An engine's own profile is that of the place where it runs. In
// the simulator timeouts need not exceed what the scenario's network asks for; it may be slower than they allow for,
// which is a lesson.
func (s *Scenario) Spec(e Engine) stacks.Spec {
	c, profile := s.Cluster, stacks.Lab
	if e == Local || e == Docker {
		profile = stacks.Local
		c.Registry = c.Orders != "" // a real cluster with a group always keeps names
	}
	if named, err := stacks.ParseProfile(c.Profile); err == nil {
		profile = named
	}
	if e == Sim || e == Explore {
		profile.Delay = min(profile.Delay, s.Network.Delay.Bound())
	}
	profile.Answer = cmp.Or(c.Election.Answer, profile.Answer)
	profile.Coordinator = cmp.Or(c.Election.Coordinator, profile.Coordinator)
	profile.Beat = cmp.Or(c.Election.Beat, profile.Beat)
	d := c.Detector
	patience := int((d.Timeout + profile.Beat - 1) / profile.Beat) // a leader is not given up before it could be suspected
	profile.Silence = cmp.Or(c.Election.Silence, max(profile.Silence, patience))
	return stacks.Spec{Detector: d.Kind, Election: c.Election.Kind, Profile: profile,
		Interval: d.Interval, Timeout: d.Timeout, Verify: d.Verify, App: c.App, Orders: c.Orders, Registry: c.Registry, Notes: e == Sim && s.asksOfNotes()}
}

// asksOfNotes says whether a property is about what links carry, or what members of a group hold. Only the simulator lets
// them note it.
func (s *Scenario) asksOfNotes() bool {
	return slices.ContainsFunc(s.demands(), func(x Expectation) bool {
		return check.Lookup(x.Property).Needs&(check.NeedsLink|check.UsesLink|check.NeedsStreams) != 0
	})
}

// ringNeighbours is how many successors a node of the ring detector beats to, which a scenario cannot change.
const ringNeighbours = 2

// Setup is what checks must know of the scenario's runs on an engine, recorded at a level.
func (s *Scenario) Setup(e Engine, level trace.Level) check.Setup {
	spec := s.Spec(e).Filled()
	p := spec.Profile
	setup := check.Setup{
		Level:    level,
		Delay:    max(s.Network.Delay.Bound(), time.Millisecond),
		Detector: &check.Detector{Interval: p.Interval, Timeout: p.Timeout, Verify: p.Verify},
	}
	if spec.Detector == "ring" {
		setup.Detector.Neighbours = ringNeighbours
	}
	if spec.Election != "none" {
		setup.Election = &check.Election{Classic: spec.Has("classic"), Stable: spec.Has("stable"), Quorum: spec.Has("quorum")}
		setup.Election.Ask = p.Ask
		setup.Election.Silence = time.Duration(p.Silence-1) * p.Beat // a follower counts in its own beats
	}
	setup.Link = spec.Links() && spec.Notes
	if spec.Orders != "" {
		setup.Group = &check.Group{Lanes: s.lanes(), Casts: true, Notes: spec.Notes}
	}
	setup.Registry = spec.Registry
	if spec.App == "bank" {
		b := spec.Bank()
		setup.Bank = &check.Bank{Balance: b.Balance, Resend: b.Resend}
	}
	setup.Transfer, setup.Board, setup.Calls = spec.Transfers(), spec.App == "board", spec.Calls()
	if spec.References() {
		l := spec.Leases()
		setup.References = &check.References{Lease: l.Lease, Pin: l.Pin}
	}
	if spec.Pictures() {
		setup.Snapshot = &check.Snapshot{Within: spec.Snapshot().Within}
	}
	added := s.Own.Apply(network.Link{}).Delay.Bound() // to what messages between processes take
	switch e {
	case Local:
		setup.Engine, setup.Delay = check.OneHost, p.Delay+added
	case Docker:
		setup.Engine, setup.Delay = check.Containers, p.Delay+added
	}
	for id := range s.Cluster.Nodes {
		setup.Nodes = append(setup.Nodes, protocol.ID(id+1))
	}
	return setup
}

// Level is the least at which all of the scenario's properties can be judged.
func (s *Scenario) Level() trace.Level {
	level := trace.Protocol
	for _, x := range s.demands() {
		level = max(level, check.Lookup(x.Property).Level)
	}
	return level
}

// demands are all properties of the scenario: those expected, then those to violate.
func (s *Scenario) demands() []Expectation {
	return append(s.Expect[:len(s.Expect):len(s.Expect)], s.Violates...)
}

// properties are the checks of one run.
func (s *Scenario) properties(setup check.Setup) ([]check.Property, error) {
	var all []check.Property
	for _, x := range s.demands() {
		p, err := check.New(x.Property, x.Parameters, setup)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", s.File, x.Line, err)
		}
		all = append(all, p)
	}
	return all, nil
}

// World is that of a simulated run: its nodes and their stacks, recorded by sink at a level.
func (s *Scenario) World(level trace.Level, sink trace.Sink) world.Config {
	spec := s.Spec(Sim)
	return world.Config{Nodes: s.Cluster.Nodes, Build: spec.Build, Requests: stacks.Requests, Request: named, Level: level, Sink: sink}
}

// A recording says what is kept of a run, and how it is done.
type recording struct {
	level trace.Level      // at least that of the properties
	sink  trace.Sink       // may be nil
	steps func(world.Step) // may be nil
	twice bool
	build func(protocol.Self) (*protocol.Stack, error) // in place of the scenario's own stack, for tests; may be nil
}

// Record does the run of one seed again and hands its events to sink, at a level or what the properties need, and its
// steps to steps, if that is not nil.
func (s *Scenario) Record(ctx context.Context, seed uint64, level trace.Level, sink trace.Sink, steps func(world.Step)) error {
	_, err := s.run(ctx, seed, recording{level: level, sink: sink, steps: steps})
	return err
}

// run does the run of one seed.
func (s *Scenario) run(ctx context.Context, seed uint64, r recording) (outcome, error) {
	r.level = max(r.level, s.Level())
	properties, err := s.properties(s.Setup(Sim, r.level))
	if err != nil {
		return outcome{}, err
	}
	p := &player{scenario: s, cast: cast{view: newView(s.Cluster.Nodes)},
		slow: map[protocol.ID]bool{}, stalls: map[protocol.ID]time.Duration{}, awaited: map[callID]awaited{}}
	suite := check.NewSuite(properties...)
	cfg := s.config(ctx, seed, r, &tee{p.cast.view, suite, r.sink})
	if r.twice {
		if cfg.World.Codec, err = s.codec(cfg.World); err != nil {
			return outcome{}, err
		}
	}
	cfg.Script = []sim.Action{{Do: p.start}}
	engine, err := sim.New(cfg)
	if err != nil {
		return outcome{}, err
	}
	engine.OnLeave(p.hear)
	if r.steps != nil {
		engine.World().Record(r.steps)
	}
	result, err := engine.Run()
	if err != nil {
		return outcome{}, err
	}
	return outcome{seed: seed, events: result.Steps, messages: result.Messages, results: suite.Results(), left: p.left()}, nil
}

func (s *Scenario) config(ctx context.Context, seed uint64, r recording, sink trace.Sink) sim.Config {
	c := sim.Config{World: s.World(r.level, sink), Seed: seed, Network: s.Network, Calm: s.Calm, Duration: s.Duration}
	c.World.Twice = r.twice
	if r.build != nil {
		c.World.Build = r.build
	}
	c.DiskLimit = s.Spec(Sim).Filled().Profile.Timeout
	c.Halt = func() bool { return ctx.Err() != nil }
	return c
}

// codec is how the messages of the scenario's nodes would travel over a wire.
func (s *Scenario) codec(w world.Config) (*wire.Codec, error) {
	stack, err := w.Build(protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1}})
	if err != nil {
		return nil, err
	}
	return wire.New(stack.Traits())
}

// A tee hands events to all who want them.
type tee struct {
	view  *view
	suite *check.Suite
	more  trace.Sink
}

// Record passes the event on.
func (t *tee) Record(e *trace.Event) {
	t.view.Record(e)
	t.suite.Record(e)
	if t.more != nil {
		t.more.Record(e)
	}
}
