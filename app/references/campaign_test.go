package references_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ciranda.dev/app/references"
	"ciranda.dev/check"
	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/wire"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/dgc"
	"ciranda.dev/trace"
)

const (
	ms       = time.Millisecond
	calmAt   = 12 * time.Second
	duration = calmAt + 10*time.Second
)

// short has leases that partitions outlast, and travels that they outlast too.
var short = dgc.LayerOptions{Lease: time.Second, Resend: 40 * ms}

// A trial is what a campaign runs: nodes that give references to one another, while messages get lost, doubled and late, and nodes
// crash.
type trial struct {
	opts  dgc.LayerOptions
	every time.Duration
	few   int
	cuts  int  // how long a partition lasts at most, in ms
	slow  bool // now and then links are slow for a while
	still bool // nothing happens to nodes
	twice bool
}

func (c trial) build(self protocol.Self) (*protocol.Stack, error) {
	return protocol.NewStack(self, dgc.New(c.opts), references.New(references.Options{Every: c.every, Few: c.few}))
}

// A tally counts what happened in a run.
type tally struct {
	wrong  string
	checks []string // the properties that are violated

	made, given, held, lost, dropped, collected, ended, again int
}

func (t *tally) Record(e *trace.Event) {
	switch d := e.Data.(type) {
	case dgc.Exported:
		t.made++
	case dgc.Given:
		t.given++
	case dgc.Held:
		t.held++
		if d.Giver == protocol.None {
			t.again++
		}
	case dgc.Lost:
		t.lost++
	case dgc.Dropped:
		t.dropped++
	case dgc.Collected:
		t.collected++
	case dgc.Ended:
		t.ended++
	}
}

func (t *tally) add(o *tally) {
	t.made, t.given, t.held, t.lost = t.made+o.made, t.given+o.given, t.held+o.held, t.lost+o.lost
	t.dropped, t.collected, t.ended, t.again = t.dropped+o.dropped, t.collected+o.collected, t.ended+o.ended, t.again+o.again
}

// both hear all.
type both struct{ first, second trace.Sink }

func (b both) Record(e *trace.Event) {
	b.first.Record(e)
	b.second.Record(e)
}

// properties are all that speak of references.
func (c trial) properties(t testing.TB) *check.Suite {
	o := c.opts.WithDefaults()
	setup := check.Setup{Level: trace.Protocol, References: &check.References{Lease: o.Lease, Pin: o.Pin}, Nodes: []protocol.ID{1, 2, 3}}
	var all []check.Property
	for _, name := range check.Names() {
		if check.Lookup(name).Needs&check.NeedsReferences == 0 || name == "references-kept" && !c.still {
			continue
		}
		p, err := check.New(name, check.Params{}, setup)
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
	s, err := sim.New(sim.Config{World: config, Network: network.Link{Delay: network.Between(ms, 30*ms), Loss: 0.1, Duplicate: 0.1}, Seed: seed,
		Script: script, Calm: calmAt, Duration: duration, Queue: 10000})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	for _, r := range suite.Results() {
		switch r.Verdict {
		case check.Violated:
			sum.checks = append(sum.checks, r.Property)
			sum.wrong = fmt.Sprintf("%s: %s", r.Property, r.Why)
		case check.Unexercised:
			sum.wrong = fmt.Sprintf("%s is not exercised: %s", r.Property, r.Why)
		}
	}
	return sum
}

// disturb does something to a node or a link, and plans itself again, until the calm.
func (c trial) disturb(s *sim.Sim) {
	if s.Now() > calmAt-20*ms {
		return
	}
	f, all := s.Faults(), s.World().Group()
	p, q := all[f.Intn(len(all))], all[f.Intn(len(all))]
	switch n := f.Intn(8); {
	case n == 0 && !c.still:
		s.Crash(p, f.Intn(2) == 0, false)
		s.Plan(sim.Action{At: s.Now() + time.Duration(f.Intn(600))*ms, Do: func(s *sim.Sim) { s.Recover(p) }})
	case n == 1 && !c.still:
		s.Pause(p)
		s.Plan(sim.Action{At: s.Now() + time.Duration(f.Intn(1800))*ms, Do: func(s *sim.Sim) { s.Resume(p) }})
	case n < 5 && p != q && c.cuts > 0:
		s.Cut(p, q)
		s.Cut(q, p)
		s.Plan(sim.Action{At: s.Now() + time.Duration(f.Intn(c.cuts))*ms, Do: func(s *sim.Sim) { s.Mend(p, q); s.Mend(q, p) }})
	case p != q && c.slow:
		was := s.Link(p, q)
		late := was
		late.Delay = network.Between(ms, 1500*ms)
		s.SetLink(p, q, late)
		s.Plan(sim.Action{At: s.Now() + time.Duration(f.Intn(2000))*ms, Do: func(s *sim.Sim) {
			was.Cut = s.Link(p, q).Cut
			s.SetLink(p, q, was)
		}})
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

var (
	rough  = trial{opts: short, every: 20 * ms, cuts: 3500, slow: true}
	gentle = trial{opts: short, every: 20 * ms, cuts: 300, still: true}
)

// Whatever the network and the nodes do, no object is collected while somebody who has a lease refers to it, and in the end all are to
// which nobody refers. Where no partition is as long as a lease, and nobody dies, nothing is lost.
func TestCampaign(t *testing.T) {
	twice := rough
	twice.twice, twice.every = true, 100*ms
	for _, c := range []struct {
		name string
		trial
		seeds uint64
	}{{"rough", rough, 60}, {"gentle", gentle, 40}, {"twice", twice, 1}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var sum tally
			for seed := range c.seeds {
				run := c.run(t, seed)
				if run.wrong != "" {
					t.Fatalf("seed %d: %s", seed, run.wrong)
				}
				sum.add(run)
			}
			t.Logf("%d objects made, %d references given, %d held, %d lost, %d registered again, %d dropped, %d collected, %d sessions ended", sum.made,
				sum.given, sum.held, sum.lost, sum.again, sum.dropped, sum.collected, sum.ended)
			if sum.held == 0 || sum.collected == 0 || !c.still && (sum.lost == 0 || sum.ended == 0) {
				t.Error("too little happened, or too much")
			}
		})
	}
}

// Each mistake is noticed by the property that is there for it, in a run that the right rules pass.
func TestMistakesShow(t *testing.T) {
	for _, m := range []struct {
		name     string
		mistake  dgc.Mistake
		property string
		in       trial
		runs     uint64
	}{
		{"Unpinned", dgc.Unpinned, "references-safe", gentle, 5},
		{"AcksEarly", dgc.AcksEarly, "references-safe", gentle, 10},
		{"IgnoresSeq", dgc.IgnoresSeq, "references-collected", rough, 20},
		{"IgnoresSeq", dgc.IgnoresSeq, "references-in-order", gentle, 5},
		{"IgnoresSeq", dgc.IgnoresSeq, "references-safe", gentle, 10},
		{"Counts", dgc.Counts, "references-safe", gentle, 10},
		{"TrustsTraffic", dgc.TrustsTraffic, "references-safe", rough, 40},
		{"FromArrival", dgc.FromArrival, "references-safe", rough, 40},
		{"KeepsDead", dgc.KeepsDead, "references-collected", rough, 10},
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
