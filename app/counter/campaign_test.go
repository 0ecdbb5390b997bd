package counter_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ciranda.dev/app/counter"
	"ciranda.dev/check"
	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/wire"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector/heartbeat"
	"ciranda.dev/protocol/invocation"
	"ciranda.dev/trace"
)

const (
	ms       = time.Millisecond
	calmAt   = 8 * time.Second
	duration = calmAt + 6*time.Second
	within   = 2500 * ms // of call-ends
)

// A trial is what a campaign runs: nodes that call one another, while messages get lost, doubled and late, and nodes crash.
type trial struct {
	opts   invocation.LayerOptions
	calls  counter.Options
	slow   bool // now and then links are slow for a while
	twice  bool
	still  bool // nothing happens to nodes
	hasty  bool // nodes come back at once
	unseen bool // there is no detector, so that messages of former lives arrive
}

// short has leases that partitions outlast.
var short = invocation.Options{Lease: 2 * time.Second, Resend: 40 * ms, Longest: 300 * ms}

var busy = counter.Options{Every: 30 * ms, Work: 120 * ms, Timeout: 900 * ms}

func (c trial) build(self protocol.Self) (*protocol.Stack, error) {
	var layers []protocol.Layer
	if !c.unseen {
		layers = append(layers, heartbeat.New(heartbeat.Options{}))
	}
	return protocol.NewStack(self, append(layers, invocation.New(c.opts), counter.New(c.calls))...)
}

// A tally counts what happened in a run.
type tally struct {
	wrong  string
	checks []string // the properties that are violated

	calls, ok, unknown, again, nested, expired int
}

func (t *tally) Record(e *trace.Event) {
	switch d := e.Data.(type) {
	case invocation.Called:
		t.calls++
		if d.Parent.Seq != 0 {
			t.nested++
		}
	case invocation.Again:
		t.again++
	case invocation.Ended:
		t.expired++
	case invocation.Returned:
		switch {
		case d.Status == invocation.OK.String():
			t.ok++
		case d.Knowledge == invocation.Unknown.String():
			t.unknown++
		}
	}
}

// both hear all.
type both struct{ first, second trace.Sink }

func (b both) Record(e *trace.Event) {
	b.first.Record(e)
	b.second.Record(e)
}

// properties are all that speak of calls.
func (c trial) properties(t testing.TB) *check.Suite {
	setup := check.Setup{Level: trace.Protocol, Calls: true, Nodes: []protocol.ID{1, 2, 3}}
	var all []check.Property
	for _, name := range check.Names() {
		if spec := check.Lookup(name); spec.Needs&(check.NeedsCalls|check.NeedsCounter) == 0 ||
			name == "counted-once" && c.calls.Semantics != invocation.AtMostOnce {
			continue
		}
		params := check.Params{}
		if name == "call-ends" {
			params["within"] = within
		}
		p, err := check.New(name, params, setup)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return check.NewSuite(all...)
}

// run runs a trial.
func (c trial) run(t testing.TB, seed uint64) *tally {
	t.Helper()
	sum, suite := &tally{}, c.properties(t)
	config := world.Config{Nodes: 3, Build: c.build, Level: trace.Protocol, Sink: both{sum, suite}, Twice: c.twice}
	if c.twice {
		stack, err := c.build(protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1}})
		if err != nil {
			t.Fatal(err)
		}
		if config.Codec, err = wire.New(stack.Traits()); err != nil {
			t.Fatal(err)
		}
	}
	script := []sim.Action{{At: 300 * ms, Do: c.disturb}, {At: calmAt + ms, Do: backAll}, {At: duration, Do: func(*sim.Sim) {}}}
	s, err := sim.New(sim.Config{World: config, Network: network.Link{Delay: network.Between(ms, 10*ms), Loss: 0.1, Duplicate: 0.1}, Seed: seed,
		Script: script, Calm: calmAt, Duration: duration, Queue: 10000})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	for _, r := range suite.Results() {
		if r.Verdict == check.Violated {
			sum.checks = append(sum.checks, r.Property)
			sum.wrong = fmt.Sprintf("%s: %s", r.Property, r.Why)
		}
	}
	return sum
}

// disturb does something to a node or a link, and plans itself again, until the calm.
func (c trial) disturb(s *sim.Sim) {
	if s.Now() > calmAt-20*ms || c.still {
		return
	}
	f, all := s.Faults(), s.World().Group()
	p, q := all[f.Intn(len(all))], all[f.Intn(len(all))]
	switch f.Intn(8) {
	case 0, 1, 2:
		away := 600
		if c.hasty {
			away = 15
		}
		s.Crash(p, f.Intn(2) == 0, false)
		s.Plan(sim.Action{At: s.Now() + time.Duration(f.Intn(away))*ms, Do: func(s *sim.Sim) { s.Recover(p) }})
	case 3:
		s.Pause(p)
		s.Plan(sim.Action{At: s.Now() + time.Duration(f.Intn(900))*ms, Do: func(s *sim.Sim) { s.Resume(p) }})
	case 4, 5:
		if p != q {
			s.Cut(p, q)
			s.Cut(q, p)
			s.Plan(sim.Action{At: s.Now() + time.Duration(f.Intn(3500))*ms, Do: func(s *sim.Sim) { s.Mend(p, q); s.Mend(q, p) }})
		}
	default:
		if p != q && c.slow {
			was := s.Link(p, q)
			late := was
			late.Delay = network.Between(ms, 1500*ms)
			s.SetLink(p, q, late)
			s.Plan(sim.Action{At: s.Now() + time.Duration(f.Intn(2000))*ms, Do: func(s *sim.Sim) {
				was.Cut = s.Link(p, q).Cut
				s.SetLink(p, q, was)
			}})
		}
	}
	s.Plan(sim.Action{At: s.Now() + time.Duration(50+f.Intn(500))*ms, Do: c.disturb})
}

// backAll has all nodes up.
func backAll(s *sim.Sim) {
	for _, id := range s.World().Group() {
		if !s.World().Up(id) {
			s.Recover(id)
		}
	}
}

// Whatever the network and the nodes do, all that is promised of calls holds.
func TestCampaign(t *testing.T) {
	with := func(s invocation.Semantics) counter.Options {
		o := busy
		o.Semantics = s
		return o
	}
	for _, c := range []struct {
		name string
		trial
		seeds uint64
	}{
		{"at-most-once, tables lost", trial{opts: invocation.LayerOptions{Options: short}, calls: busy, slow: true}, 10},
		{"at-most-once, tables stored", trial{opts: invocation.LayerOptions{Options: short, Durable: true}, calls: busy, slow: true}, 10},
		{"at-least-once", trial{opts: invocation.LayerOptions{Options: short}, calls: with(invocation.AtLeastOnce), slow: true}, 5},
		{"maybe", trial{opts: invocation.LayerOptions{Options: short}, calls: with(invocation.Maybe), slow: true}, 5},
		{"no detector", trial{opts: invocation.LayerOptions{Options: short}, calls: busy, slow: true, unseen: true, hasty: true}, 10},
		{"twice", trial{opts: invocation.LayerOptions{Options: short, Durable: true}, calls: counter.Options{Every: 100 * ms, Work: 120 * ms, Timeout: 900 * ms},
			slow: true, twice: true}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var sum tally
			for seed := range c.seeds {
				run := c.run(t, seed)
				if run.wrong != "" {
					t.Fatalf("seed %d: %s", seed, run.wrong)
				}
				sum.calls += run.calls
				sum.ok += run.ok
				sum.unknown += run.unknown
				sum.again += run.again
				sum.nested += run.nested
				sum.expired += run.expired
			}
			t.Logf("%d calls, %d of them within others, %d executed, %d unknown; %d copies sent, %d sessions ended", sum.calls, sum.nested, sum.ok,
				sum.unknown, sum.again, sum.expired)
			if sum.ok == 0 || sum.nested == 0 || sum.expired == 0 || sum.unknown == 0 || sum.again == 0 && c.calls.Semantics != invocation.Maybe {
				t.Error("too little happened")
			}
		})
	}
}

// Each mistake is noticed by the property that is there for it, in a run that the right rules pass.
func TestMistakesShow(t *testing.T) {
	plain := trial{opts: invocation.LayerOptions{Options: short}, calls: busy, slow: true}
	durable, hasty, small, maybe := plain, plain, plain, plain
	durable.opts.Durable = true
	hasty.unseen, hasty.hasty = true, true
	small.opts.Entries = 8
	maybe.calls.Semantics = invocation.Maybe
	for _, m := range []struct {
		name     string
		mistake  invocation.Mistake
		property string
		in       trial
		runs     uint64
	}{
		{"KeyedBySeq", invocation.KeyedBySeq, "call-true-result", hasty, 40},
		{"ForgetsRunning", invocation.ForgetsRunning, "call-at-most-once", plain, 5},
		{"Evicts", invocation.Evicts, "call-at-most-once", small, 20},
		{"Evicts", invocation.Evicts, "call-reply-kept", small, 20},
		{"Renumbers", invocation.Renumbers, "call-one-id", plain, 5},
		{"Renumbers", invocation.Renumbers, "counted-once", plain, 5},
		{"RepliesFirst", invocation.RepliesFirst, "call-at-most-once", durable, 40},
		{"AcksHighest", invocation.AcksHighest, "call-reply-kept", plain, 5},
		{"OtherServer", invocation.OtherServer, "call-at-most-once", plain, 5},
		{"IgnoresRestart", invocation.IgnoresRestart, "call-at-most-once", hasty, 20},
		{"MatchesLate", invocation.MatchesLate, "call-true-result", plain, 5},
		{"SessionPerSocket", invocation.SessionPerSocket, "call-at-most-once", plain, 20},
		{"LeaseFromAnswer", invocation.LeaseFromAnswer, "session-lease", plain, 40},
		{"CommitsLate", invocation.CommitsLate, "call-no-orphans", plain, 20},
		{"CommitsLate", invocation.CommitsLate, "session-over", plain, 20},
		{"ServesOldLives", invocation.ServesOldLives, "call-no-orphans", hasty, 40},
		{"ServesOldRoots", invocation.ServesOldRoots, "call-no-orphans", plain, 40},
		{"ServesAlone", invocation.ServesAlone, "call-ends", plain, 5},
		{"AbsoluteBudget", invocation.AbsoluteBudget, "call-in-time", plain, 10},
		{"OwnDeadline", invocation.OwnDeadline, "call-nested-in-time", plain, 5},
		{"RepeatsMaybe", invocation.RepeatsMaybe, "call-maybe-once", maybe, 5},
		{"DeniesAll", invocation.DeniesAll, "call-true-word", plain, 5},
		{"Reopens", invocation.Reopens, "session-over", plain, 40},
	} {
		t.Run(m.name+" by "+m.property, func(t *testing.T) {
			t.Parallel()
			wrong := m.in
			wrong.opts.Mistake = m.mistake
			for seed := range m.runs {
				if run := wrong.run(t, seed); !slices.Contains(run.checks, m.property) {
					continue
				}
				if right := m.in.run(t, seed); right.wrong != "" {
					t.Fatalf("seed %d, without the mistake: %s", seed, right.wrong)
				}
				t.Logf("after %d runs", seed+1)
				return
			}
			t.Errorf("%d runs, and nothing is noticed", m.runs)
		})
	}
}
