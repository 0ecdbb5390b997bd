package link_test

import (
	"fmt"
	"testing"
	"time"

	"ciranda.dev/check"
	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/wire"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector/heartbeat"
	"ciranda.dev/protocol/link"
	"ciranda.dev/trace"
)

const (
	ms       = time.Millisecond
	calmAt   = 2 * time.Second
	duration = calmAt + 4*time.Second
	nodes    = 3
)

// A trial is what a campaign runs: nodes that talk over links while much is done to them.
type trial struct {
	opts     link.Options
	rude     bool // it talks on when a link is full
	detector bool // a heartbeat runs below the link
	vouched  bool // a voucher does
	twice    bool
}

// Windows of narrow links are often full. The backlog has room for what a node says in one breath; in tight ones it
// has not.
var (
	narrow = link.Options{Window: 600, Backlog: 10_000, Trace: true}
	tight  = link.Options{Window: 600, Backlog: 1500, Trace: true}
)

func (c trial) build(self protocol.Self) (*protocol.Stack, error) {
	layers := []protocol.Layer{}
	if c.detector {
		layers = append(layers, heartbeat.New(heartbeat.Options{}))
	}
	if c.vouched {
		layers = append(layers, &voucher{})
	}
	layers = append(layers, link.New(c.opts), &talker{Name: "gossip"}, &talker{Name: "talk", Needs: reliable, polite: !c.rude, stores: true})
	return protocol.NewStack(self, layers...)
}

// requests are words for every node, alone and many at once, short and long; one asks for an answer.
func requests() map[string]any {
	all := map[string]any{}
	for to := protocol.ID(1); to <= nodes; to++ {
		all[fmt.Sprintf("vouch %d", to)], all[fmt.Sprintf("revoke %d", to)] = Vouch{to, true}, Vouch{to, false}
		all[fmt.Sprintf("ask %d", to)] = Say{Talker: "talk", To: to, Text: "question"}
		all[fmt.Sprintf("gossip %d", to)] = Say{Talker: "gossip", To: to, Text: "psst"}
		for i, times := range []int{1, 3, 10} {
			all[fmt.Sprintf("say %d %d", to, i)] = Say{Talker: "talk", To: to, Times: times}
			all[fmt.Sprintf("tell %d %d", to, i)] = Say{Talker: "talk", To: to, Times: times, Bytes: 300 * i}
		}
	}
	return all
}

// An outcome is the end of one run, and what the checks of links say of it.
type outcome struct {
	sim.Result
	rest    rest
	results []check.Result
}

func (c trial) run(t testing.TB, seed uint64, script ...sim.Action) outcome {
	t.Helper()
	setup := check.Setup{Nodes: []protocol.ID{1, 2, 3}, Level: trace.Protocol, Link: true}
	var properties []check.Property
	for _, name := range []string{"link-order", "link-delivers"} {
		p, err := check.New(name, nil, setup)
		if err != nil {
			t.Fatal(err)
		}
		properties = append(properties, p)
	}
	suite := check.NewSuite(properties...)
	config := world.Config{Nodes: nodes, Build: c.build, Level: trace.Protocol, Sink: suite, Requests: requests(), Twice: c.twice}
	if c.twice {
		stack, err := c.build(protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1}})
		if err != nil {
			t.Fatal(err)
		}
		if config.Codec, err = wire.New(stack.Traits()); err != nil {
			t.Fatal(err)
		}
	}
	if script == nil {
		script = []sim.Action{{At: ms, Do: turmoil}, {At: ms, Do: chat}}
	}
	script = append(script, sim.Action{At: duration, Do: func(*sim.Sim) {}}) // so that time passes until then
	s, err := sim.New(sim.Config{World: config, Network: network.Link{Delay: network.Between(ms, 10*ms)}, Seed: seed,
		Script: script, Calm: calmAt, Duration: duration, Queue: 1000})
	if err != nil {
		t.Fatal(err)
	}
	result, err := s.Run()
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	return outcome{result, restOf(s), suite.Results()}
}

// chat lets nodes talk, now and then, until a while after the calm.
func chat(s *sim.Sim) {
	f, group := s.Faults(), s.World().Group()
	id, to := group[f.Intn(len(group))], group[f.Intn(len(group))]
	kind := []string{"ask %d", "gossip %d", "say %d 0", "say %d 1", "say %d 2", "tell %d 0", "tell %d 1", "tell %d 2"}[f.Intn(8)]
	s.Request(id, fmt.Sprintf(kind, to))
	if next := s.Now() + time.Duration(f.Intn(60))*ms; next < calmAt+500*ms {
		s.Plan(sim.Action{At: next, Do: chat})
	}
}

// turmoil makes links lossy, and does something to the nodes again and again until the calm.
func turmoil(s *sim.Sim) {
	f := s.Faults()
	for _, p := range s.World().Group() {
		for _, q := range s.World().Group() {
			l := s.Link(p, q)
			l.Loss, l.Duplicate = 0.4*f.Float64(), 0.3*f.Float64()
			if f.Intn(4) == 0 {
				l.Delay.Max = 150 * ms
			}
			s.SetLink(p, q, l)
		}
	}
	s.Plan(sim.Action{At: 100 * ms, Do: disturb})
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
	switch f.Intn(11) {
	case 0, 1:
		s.Crash(p, true, false)
		later(func(s *sim.Sim) { s.Recover(p) })
	case 2:
		s.Crash(p, false, false)
		s.Recover(p)
	case 3:
		s.Crash(p, false, false)
		later(func(s *sim.Sim) { s.Recover(p) })
	case 4, 5:
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
		s.Slow(p, time.Duration(f.Intn(5))*ms)
	case 9:
		if s.World().Up(p) && !s.World().Paused(p) {
			s.SlowDisk(p, time.Duration(1+f.Intn(400))*ms)
			later(func(s *sim.Sim) { s.FastDisk(p) })
		}
	case 10:
		s.SetRate(p, int64(f.Intn(200_000))-100_000)
	}
	s.Plan(sim.Action{At: s.Now() + time.Duration(f.Intn(300))*ms, Do: disturb})
}

// A rest is what the links of living nodes with each other are left with in the end.
type rest struct {
	owed    string // the first that is owed something, or ""
	ejected int    // ends of links
}

func restOf(s *sim.Sim) (r rest) {
	w := s.World()
	status := map[[2]protocol.ID]link.PeerStatus{}
	for _, id := range w.Group() {
		if answer, up := w.Ask(id, link.Query{}); up {
			for _, p := range answer.(link.Status).Peers {
				status[[2]protocol.ID{id, p.Node}] = p
			}
		}
	}
	for _, id := range w.Group() {
		for _, other := range w.Group() {
			p, there := status[[2]protocol.ID{id, other}], status[[2]protocol.ID{other, id}]
			if !w.Up(id) || !w.Up(other) {
				continue
			}
			if p.Ejected {
				r.ejected++
			}
			goesOn := p.Incarnation == w.Incarnation(other) && !there.Ejected // what is held may yet be delivered
			if p.Packets > 0 || p.Full || p.Held > 0 && goesOn {
				r.owed = fmt.Sprintf("node %d is left with %+v", id, p)
			}
		}
	}
	return r
}

func describe(r check.Result) string {
	text := fmt.Sprintf("%s is %s: %s", r.Property, r.Verdict, r.Why)
	for i := range r.Witnesses {
		e := &r.Witnesses[i]
		text += fmt.Sprintf("\n\t%s node %d, life %d: %s", time.Duration(e.T), e.Node, e.Inc, trace.Text(e, &trace.Header{}))
	}
	return text
}

// Whatever the network and the nodes do, links keep their promises, and in the end nothing is left over. Who listens to
// Full is never ejected, but for impatience.
func TestCampaign(t *testing.T) {
	for _, c := range []struct {
		name string
		trial
		seeds  uint64
		ejects bool
	}{
		{"wide", trial{opts: link.Options{Trace: true}}, 400, false},
		{"narrow", trial{opts: narrow}, 400, false},
		{"rude", trial{opts: tight, rude: true}, 400, true},
		{"impatient", trial{opts: link.Options{Window: 600, Patience: 300 * ms, Longest: 100 * ms, Trace: true}}, 400, true},
		{"over a detector", trial{opts: narrow, detector: true}, 150, false},
		{"twice", trial{opts: narrow, detector: true, twice: true}, 6, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			examined, ejected := map[string]int{}, 0
			for seed := range c.seeds {
				run := c.run(t, seed)
				for _, r := range run.results {
					if r.Verdict == check.Violated {
						t.Fatalf("seed %d: %s", seed, describe(r))
					}
					examined[r.Property] += r.Examined
				}
				if run.rest.owed != "" {
					t.Fatalf("seed %d: %s", seed, run.rest.owed)
				}
				ejected += run.rest.ejected
			}
			if c.ejects != (ejected > 0) || examined["link-order"] == 0 || examined["link-delivers"] == 0 {
				t.Errorf("examined %v, %d ends of links were ejected", examined, ejected)
			}
			t.Logf("examined %v, %d ends of links were ejected", examined, ejected)
		})
	}
}
