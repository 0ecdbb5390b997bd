package check_test

import (
	"testing"
	"time"

	"ciranda.dev/check"
	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector/heartbeat"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/link"
	"ciranda.dev/trace"
)

// A gang is a group to which much is done.
type gang struct {
	nodes   int
	group   group.Options
	forgets bool                     // disks are lost too
	script  func(s *sim.Sim, f gang) // what is done to it; nil: riot
}

const (
	gangCalm = 5 * time.Second
	gangEnd  = gangCalm + 7*time.Second
)

func (g gang) build(self protocol.Self) (*protocol.Stack, error) {
	return protocol.NewStack(self, heartbeat.New(heartbeat.Options{}), link.New(link.Options{}), group.New(g.group))
}

func (g gang) setup() check.Setup {
	s := check.Setup{Level: trace.Protocol, Detector: &check.Detector{Interval: 100 * ms, Timeout: 350 * ms, Verify: 30 * ms}, Group: &check.Group{}}
	for i := range g.nodes {
		s.Nodes = append(s.Nodes, protocol.ID(i+1))
	}
	return s
}

// run judges one run by all properties that such a gang can exercise.
func (g gang) run(t testing.TB, seed uint64) []check.Result {
	t.Helper()
	var properties []check.Property
	for _, name := range check.Names() {
		if spec := check.Lookup(name); spec.Needs&(check.NeedsGroup|check.NeedsCasts) != 0 && spec.Refuses(g.setup()) == nil {
			p, err := check.New(name, nil, g.setup())
			if err != nil {
				t.Fatal(err)
			}
			properties = append(properties, p)
		}
	}
	suite := check.NewSuite(properties...)
	s, err := sim.New(sim.Config{
		World: world.Config{Nodes: g.nodes, Build: g.build, Level: trace.Protocol, Sink: suite,
			Requests: map[string]any{"leave": group.Leave{}, "join": group.Join{}}},
		Network: network.Link{Delay: network.Between(ms, 10*ms)},
		Seed:    seed, Script: []sim.Action{{At: ms, Do: g.begin}}, Calm: gangCalm, Duration: gangEnd,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	return suite.Results()
}

func (g gang) begin(s *sim.Sim) {
	if g.script != nil {
		g.script(s, g)
		return
	}
	f := s.Faults()
	for _, p := range s.World().Group() {
		for _, q := range s.World().Group() {
			l := s.Link(p, q)
			l.Loss, l.Duplicate = 0.2*f.Float64(), 0.2*f.Float64()
			s.SetLink(p, q, l)
		}
	}
	plan(s, time.Duration(f.Intn(600))*ms, g.riot)
	plan(s, gangCalm-5*ms, func(s *sim.Sim) {
		for _, id := range s.World().Group() {
			if f.Intn(4) > 0 {
				s.Recover(id)
			}
			if f.Intn(4) > 0 {
				s.Request(id, "join")
			}
		}
	})
}

// riot does something to the nodes, again and again until the calm.
func (g gang) riot(s *sim.Sim) {
	if s.Now() > gangCalm-20*ms {
		return
	}
	f, all := s.Faults(), s.World().Group()
	p, q := all[f.Intn(len(all))], all[f.Intn(len(all))]
	later := func(within int, do func(s *sim.Sim)) { plan(s, s.Now()+time.Duration(f.Intn(within))*ms, do) }
	switch f.Intn(11) {
	case 0, 1:
		lost := g.forgets && f.Intn(3) == 0
		s.Crash(p, !lost && f.Intn(2) == 0, lost)
		later(2000, func(s *sim.Sim) { s.Recover(p) })
	case 2:
		s.Crash(p, false, false)
		s.Recover(p)
	case 3, 4:
		if p != q {
			s.Cut(p, q)
			later(2500, func(s *sim.Sim) { s.Mend(p, q) })
		}
	case 5, 6:
		n := 1 + f.Intn(len(all)-1)
		s.Partition([][]protocol.ID{all[:n], all[n:]})
		later(2500, func(s *sim.Sim) { s.Heal() })
	case 7:
		if !s.World().DiskSlow(p) {
			s.Pause(p)
			later(2000, func(s *sim.Sim) { s.Resume(p) })
		}
	case 8:
		if s.World().Up(p) && !s.World().Paused(p) {
			s.SlowDisk(p, time.Duration(1+f.Intn(300))*ms)
			later(1000, func(s *sim.Sim) { s.FastDisk(p) })
		}
	case 9:
		s.Request(p, "leave")
		later(2000, func(s *sim.Sim) { s.Request(p, "join") })
	case 10:
		for _, id := range all {
			s.Crash(id, false, false)
			later(1500, func(s *sim.Sim) { s.Recover(id) })
		}
	}
	plan(s, s.Now()+time.Duration(f.Intn(700))*ms, g.riot)
}

// Right groups satisfy every property, and each is put to the test.
func TestGangs(t *testing.T) {
	for name, g := range map[string]gang{
		"three": {nodes: 3}, "five": {nodes: 5}, "disks are lost": {nodes: 4, forgets: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			judged := map[string]int{}
			for seed := range uint64(60) {
				for _, r := range g.run(t, seed) {
					if r.Verdict == check.Violated {
						t.Errorf("seed %d: %s", seed, describe(r))
					}
					judged[r.Property] += r.Examined
				}
			}
			for p, n := range judged {
				if n == 0 {
					t.Errorf("%s was never exercised", p)
				}
			}
		})
	}
}

// Each mistake of a group is noticed by the property that is there for it, in a run that the right rules pass.
func TestGangMutants(t *testing.T) {
	for _, m := range []struct {
		name, property string
		mistake        group.Mistake
		nodes, runs    int
	}{
		{"FoundsAmongFound", "group-one-view", group.FoundsAmongFound, 3, 300},
		{"Forgets", "group-one-view", group.Forgets, 3, 3000},
		{"BeginsAgain", "group-one-view", group.BeginsAgain, 3, 300},
		{"BeginsAgain", "group-no-gap", group.BeginsAgain, 3, 300},
		{"NoBeacon", "group-settles", group.NoBeacon, 3, 300},
		{"SameLife", "group-excluded-silent", group.SameLife, 3, 300},
		{"IgnoresAccepted", "group-one-view", group.IgnoresAccepted, 3, 3000},
		{"NoMajority", "group-one-view", group.NoMajority, 3, 300},
	} {
		t.Run(m.name+" by "+m.property, func(t *testing.T) {
			t.Parallel()
			right := gang{nodes: m.nodes}
			wrong := right
			wrong.group.Mistake = m.mistake
			for seed := range uint64(m.runs) {
				if r := wrong.judge(t, seed, m.property); r.Verdict == check.Violated {
					if r := right.judge(t, seed, m.property); r.Verdict == check.Violated {
						t.Fatalf("seed %d, without the mistake: %s", seed, describe(r))
					}
					t.Logf("after %d runs: %s", seed+1, describe(r))
					return
				}
			}
			t.Errorf("%d runs, and %s notices nothing", m.runs, m.property)
		})
	}
}

// judge gives what one property says of one run.
func (g gang) judge(t testing.TB, seed uint64, property string) check.Result {
	for _, r := range g.run(t, seed) {
		if r.Property == property {
			return r
		}
	}
	t.Fatalf("the gang cannot exercise %s", property)
	return check.Result{}
}
