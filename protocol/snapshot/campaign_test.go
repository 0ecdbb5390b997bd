package snapshot_test

import (
	"cmp"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"ciranda.dev/app/bank"
	"ciranda.dev/check"
	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/wire"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector/heartbeat"
	"ciranda.dev/protocol/link"
	"ciranda.dev/protocol/snapshot"
	"ciranda.dev/trace"
)

var times = flag.Uint64("times", 1, "how many times as many runs a campaign has")

const (
	ms       = time.Millisecond
	calmAt   = 2 * time.Second
	duration = calmAt + 3500*ms
	within   = 1500 * ms
	most     = 5 // nodes
)

// A trial is what a campaign runs: nodes that send one another money while snapshots are taken.
type trial struct {
	opts  snapshot.Options
	still bool  // nobody crashes and nothing is lost: only delays and doubles
	mute  bool  // node 1 hands over no state
	bulk  []int // the bytes of further pieces of a state
	bank  bool  // a bank is what snapshots are taken of
	twice bool
	names []string // properties; nil: all
}

var properties = []string{"snapshot-consistent", "snapshot-channels", "snapshot-ends", "snapshot-completes"}

func size(seed uint64) int { return 2 + int(seed%(most-1)) }

func (c trial) build(self protocol.Self) (*protocol.Stack, error) {
	c.opts.Within, c.opts.Grace, c.opts.Trace = within, 150*ms, true
	if !c.bank {
		c.opts.Spacing = -1 // more at a time
	}
	var app protocol.Layer
	if c.bank {
		app = &account{bank.New(bank.Options{Resend: 100 * ms})}
	} else {
		p := newPurse(self)
		p.mute, p.bulk = c.mute && self.ID == 1, c.bulk
		app = p
	}
	return protocol.NewStack(self, heartbeat.New(heartbeat.Options{}), link.New(link.Options{Trace: true}), snapshot.New(c.opts), app)
}

// account is a bank that needs perfect links, so that snapshots see its messages.
type account struct{ *bank.Bank }

func (a *account) Traits() protocol.Traits {
	t := a.Bank.Traits()
	t.Needs |= reliable
	return t
}

// requests are all that clients ask in some run.
var requests = func() map[string]any {
	all := map[string]any{"snapshot": snapshot.Take{}}
	for to := 1; to <= most; to++ {
		for amount := range 20 {
			all[fmt.Sprintf("pay %d %d", to, amount)] = bank.Transfer{To: protocol.ID(to), Amount: int64(amount)}
			for _, times := range []int{1, 2, 5} {
				all[fmt.Sprintf("give %d %d %d", to, amount, times)] = Give{To: protocol.ID(to), Amount: int64(amount), Times: times}
			}
		}
	}
	return all
}()

// An outcome is what came of one run.
type outcome struct {
	results            []check.Result
	taken, complete    int
	inTransit, refused int
	wrong              string // with the states of a snapshot
	miscounted         string // by its counters
	left               snapshot.Status
}

func (c trial) run(t testing.TB, seed uint64) (out outcome) {
	t.Helper()
	setup := check.Setup{Level: trace.Protocol, Link: true, Snapshot: &check.Snapshot{Within: within}, Delay: 10 * ms,
		Detector: &check.Detector{Interval: 100 * ms, Timeout: 350 * ms, Verify: 30 * ms}}
	for id := range size(seed) {
		setup.Nodes = append(setup.Nodes, protocol.ID(id+1))
	}
	names := c.names
	if names == nil {
		names = properties
	}
	if c.bank {
		setup.Bank = &check.Bank{}
		if !slices.Contains(names, "snapshot-conserved") {
			names = append(slices.Clone(names), "snapshot-conserved")
		}
	}
	var all []check.Property
	for _, name := range names {
		p, err := check.New(name, nil, setup)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	suite := check.NewSuite(all...)
	w := world.Config{Nodes: size(seed), Build: c.build, Level: trace.Protocol, Sink: suite, Requests: requests, Twice: c.twice}
	if c.twice {
		w.Codec = codec(t, c)
	}
	script := []sim.Action{{At: ms, Do: c.begin}, {At: duration, Do: func(*sim.Sim) {}}}
	s, err := sim.New(sim.Config{World: w, Network: network.Link{Delay: network.Between(ms, 10*ms)}, Seed: seed, Script: script,
		Calm: calmAt, Duration: duration})
	if err != nil {
		t.Fatal(err)
	}
	s.OnLeave(func(_ protocol.ID, e protocol.Event) {
		switch body := e.(type) {
		case protocol.Reply:
			out.hear(body.Body, size(seed), c)
		}
	})
	if _, err := s.Run(); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	for _, id := range s.World().Group() {
		if a, up := s.World().Ask(id, snapshot.Query{}); up {
			out.left.Own += a.(snapshot.Status).Own
			out.left.Parts += a.(snapshot.Status).Parts
		}
	}
	out.results = suite.Results()
	return out
}

func codec(t testing.TB, c trial) *wire.Codec {
	stack, err := c.build(protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1}})
	if err != nil {
		t.Fatal(err)
	}
	codec, err := wire.New(stack.Traits())
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

func (out *outcome) hear(body any, nodes int, c trial) {
	t, ok := body.(snapshot.Taken)
	switch {
	case !ok && c.bank: // a transfer's
		return
	case !ok:
		out.refused++
		return
	}
	out.taken++
	switch channels := nodes * (nodes - 1); {
	case !t.Consistent:
		out.miscounted = fmt.Sprintf("snapshot %s: %s", t.ID, t.Wrong)
	case t.Complete && t.Counted != channels:
		out.miscounted = fmt.Sprintf("snapshot %s is complete, and %d channels of %d were counted", t.ID, t.Counted, channels)
	}
	if t.Complete {
		out.complete++
		out.inTransit += len(t.Channels)
	}
	if c.bank {
		return
	}
	if why := wrong(t, nodes, !c.still); why != "" && out.wrong == "" {
		out.wrong = fmt.Sprintf("snapshot %s: %s", t.ID, why)
	}
}

// begin lets clients ask and, if it is not still, faults happen.
func (c trial) begin(s *sim.Sim) {
	f := s.Faults()
	for _, p := range s.World().Group() {
		for _, q := range s.World().Group() {
			l := s.Link(p, q)
			l.Duplicate = 0.2 * f.Float64()
			if f.Intn(3) == 0 {
				l.Delay = network.Between(ms, []time.Duration{20 * ms, 60 * ms, 150 * ms}[f.Intn(3)])
			}
			if !c.still {
				l.Loss = 0.3 * f.Float64()
			}
			s.SetLink(p, q, l)
		}
	}
	s.Plan(sim.Action{At: 20 * ms, Do: c.ask})
	s.Plan(sim.Action{At: 50 * ms, Do: look})
	if !c.still {
		s.Plan(sim.Action{At: 100 * ms, Do: disturb})
	}
	for _, at := range []time.Duration{calmAt, calmAt + 500*ms} { // a crash may be due yet
		s.Plan(sim.Action{At: at, Do: func(s *sim.Sim) {
			for _, id := range s.World().Group() {
				s.Recover(id)
			}
		}})
	}
}

// ask lets money move until shortly before the end.
func (c trial) ask(s *sim.Sim) {
	f, group := s.Faults(), s.World().Group()
	from, what := group[f.Intn(len(group))], fmt.Sprintf("%d %d", group[f.Intn(len(group))], f.Intn(20))
	if c.bank {
		s.Request(from, "pay "+what)
	} else {
		s.Request(from, fmt.Sprintf("give %s %d", what, []int{1, 1, 2, 5}[f.Intn(4)]))
	}
	if next := s.Now() + time.Duration(f.Intn(12))*ms; next < duration-200*ms {
		s.Plan(sim.Action{At: next, Do: c.ask})
	}
}

// look takes snapshots, often several at once.
func look(s *sim.Sim) {
	f, group := s.Faults(), s.World().Group()
	for range 1 + f.Intn(2) {
		s.Request(group[f.Intn(len(group))], "snapshot")
	}
	if next := s.Now() + time.Duration(f.Intn(150))*ms; next < duration-within-100*ms {
		s.Plan(sim.Action{At: next, Do: look})
	}
}

func disturb(s *sim.Sim) {
	if s.Now() > calmAt-20*ms {
		return
	}
	f, group := s.Faults(), s.World().Group()
	p, q := group[f.Intn(len(group))], group[f.Intn(len(group))]
	later := func(do func(s *sim.Sim)) {
		s.Plan(sim.Action{At: s.Now() + time.Duration(f.Intn(500))*ms, Do: do})
	}
	switch f.Intn(10) {
	case 0, 1:
		s.Crash(p, true, false)
		later(func(s *sim.Sim) { s.Recover(p) })
	case 2, 3:
		s.Crash(p, false, false)
		s.Recover(p)
	case 4:
		s.Crash(p, false, false)
		later(func(s *sim.Sim) { s.Recover(p) })
	case 5:
		if p != q {
			s.Cut(p, q)
			later(func(s *sim.Sim) { s.Mend(p, q) })
		}
	case 6:
		if p != q {
			s.Reset(p, q)
		}
	case 7:
		if !s.World().DiskSlow(p) {
			s.Pause(p)
			later(func(s *sim.Sim) { s.Resume(p) })
		}
	case 8:
		s.Slow(p, time.Duration(f.Intn(4))*ms)
	case 9:
		if s.World().Up(p) && !s.World().Paused(p) {
			s.SlowDisk(p, time.Duration(1+f.Intn(300))*ms)
			later(func(s *sim.Sim) { s.FastDisk(p) })
		}
	}
	s.Plan(sim.Action{At: s.Now() + time.Duration(f.Intn(300))*ms, Do: disturb})
}

func describe(r check.Result) string {
	text := fmt.Sprintf("%s is %s: %s", r.Property, r.Verdict, r.Why)
	for i := range r.Witnesses {
		e := &r.Witnesses[i]
		text += fmt.Sprintf("\n\t%s node %d, life %d: %s", time.Duration(e.T), e.Node, e.Inc, trace.Text(e, &trace.Header{}))
	}
	return text
}

// failure is what is wrong with a run; empty if nothing is.
func (out *outcome) failure() string {
	for _, r := range out.results {
		if r.Verdict == check.Violated {
			return describe(r)
		}
	}
	return cmp.Or(out.wrong, out.miscounted)
}

// Whatever happens, snapshots that are complete are right, all end, and nothing is left over; in calm all are complete.
func TestCampaign(t *testing.T) {
	for _, c := range []struct {
		name string
		trial
		seeds uint64
	}{
		{"still", trial{still: true}, 20},
		{"turmoil", trial{}, 50},
		{"bank", trial{bank: true}, 25},
		{"one at a time", trial{opts: snapshot.Options{Most: 1}}, 15},
		{"small", trial{opts: snapshot.Options{Bytes: 1 << 10}, names: properties[:3]}, 15},
		{"large", trial{bulk: []int{140_000, 130_000}, names: properties[:3]}, 1},
		{"twice", trial{twice: true}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			examined, sum := map[string]int{}, outcome{}
			for seed := range c.seeds * *times {
				out := c.run(t, seed)
				if why := out.failure(); why != "" {
					t.Fatalf("seed %d: %s", seed, why)
				}
				if out.left != (snapshot.Status{}) {
					t.Fatalf("seed %d: %+v is left", seed, out.left)
				}
				for _, r := range out.results {
					examined[r.Property] += r.Examined
				}
				sum.taken, sum.complete = sum.taken+out.taken, sum.complete+out.complete
				sum.inTransit, sum.refused = sum.inTransit+out.inTransit, sum.refused+out.refused
			}
			t.Logf("%d snapshots, %d complete with %d channels that were not empty, %d refused; %v",
				sum.taken, sum.complete, sum.inTransit, sum.refused, examined)
			if sum.complete == 0 || sum.inTransit == 0 || len(examined) == 0 || c.still && sum.complete < sum.taken {
				t.Error("the campaign shows too little")
			}
		})
	}
}
