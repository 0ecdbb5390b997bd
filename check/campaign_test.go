package check_test

import (
	"fmt"
	"testing"
	"time"

	"ciranda.dev/check"
	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/detector/heartbeat"
	"ciranda.dev/protocol/detector/ring"
	"ciranda.dev/protocol/election"
	"ciranda.dev/protocol/election/bully"
	"ciranda.dev/trace"
)

const ms = time.Millisecond

// A cluster is what a campaign runs: any of the two detectors, with or without an election over it.
type cluster struct {
	nodes     int // 0: from 2 to 5, by the seed
	ring      bool
	heartbeat heartbeat.Options
	neighbour ring.Options
	bully     *bully.Options
	delay     time.Duration    // the longest of a message; 0: 10 ms
	level     trace.Level      // zero: Full
	script    func(s *sim.Sim) // what is done to it; nil: turmoil
}

const (
	calmAt   = 4 * time.Second
	duration = calmAt + 4500*ms
)

func (c cluster) size(seed uint64) int {
	if c.nodes > 0 {
		return c.nodes
	}
	return 2 + int(seed%4)
}

func (c cluster) build(self protocol.Self) (*protocol.Stack, error) {
	var layers []protocol.Layer
	if c.ring {
		layers = append(layers, ring.New(c.neighbour))
	} else {
		layers = append(layers, heartbeat.New(c.heartbeat))
	}
	if c.bully != nil {
		layers = append(layers, bully.New(*c.bully))
	} else {
		layers = append(layers, &watcher{})
	}
	return protocol.NewStack(self, layers...)
}

func (c cluster) setup(seed uint64) check.Setup {
	s := check.Setup{Level: c.recorded(), Delay: c.delay, Detector: &check.Detector{Interval: 100 * ms, Timeout: 350 * ms, Verify: 30 * ms}}
	if c.ring {
		s.Detector.Neighbours = 2
	}
	if c.bully != nil {
		s.Election = &check.Election{Classic: c.bully.Classic, Stable: c.bully.Stable, Quorum: c.bully.Quorum, Ask: 50 * ms, Silence: 400 * ms}
	}
	for i := range c.size(seed) {
		s.Nodes = append(s.Nodes, protocol.ID(i+1))
	}
	return s
}

// run gives what the properties say of one run. Those that the cluster cannot exercise are left out.
func (c cluster) run(t *testing.T, seed uint64, params map[string]check.Params) []check.Result {
	t.Helper()
	var properties []check.Property
	for _, name := range check.Names() {
		if p, err := check.New(name, params[name], c.setup(seed)); err == nil {
			properties = append(properties, p)
		}
	}
	suite := check.NewSuite(properties...)
	c.feed(t, seed, suite)
	return suite.Results()
}

// judge gives what one property says of one run.
func (c cluster) judge(t *testing.T, seed uint64, name string, params map[string]check.Params) check.Result {
	t.Helper()
	p, err := check.New(name, params[name], c.setup(seed))
	if err != nil {
		t.Fatal(err)
	}
	suite := check.NewSuite(p)
	c.feed(t, seed, suite)
	return suite.Results()[0]
}

// feed gives the events of one run to a sink.
func (c cluster) feed(t testing.TB, seed uint64, sink trace.Sink) {
	t.Helper()
	s, err := sim.New(sim.Config{
		World: world.Config{Nodes: c.size(seed), Build: c.build, Level: c.recorded(), Sink: sink,
			Requests: map[string]any{"elect": election.Campaign{}}},
		Network: network.Link{Delay: network.Between(ms, max(c.delay, 10*ms))},
		Seed:    seed, Script: []sim.Action{{Do: c.begin}}, Calm: calmAt, Duration: duration,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
}

func (c cluster) recorded() trace.Level {
	if c.level == trace.Off {
		return trace.Full
	}
	return c.level
}

func (c cluster) begin(s *sim.Sim) {
	if c.script != nil {
		c.script(s)
		return
	}
	turmoil(s)
}

// turmoil does something to the group, again and again until the calm, and then brings a majority up.
func turmoil(s *sim.Sim) {
	lossy := s.Faults().Intn(2) == 0
	if lossy {
		for _, p := range s.World().Group() {
			for _, q := range s.World().Group() {
				l := s.Link(p, q)
				l.Loss = 0.2 * s.Faults().Float64()
				s.SetLink(p, q, l)
			}
		}
	}
	s.Plan(sim.Action{At: 200 * ms, Do: disturb})
	s.Plan(sim.Action{At: calmAt - ms, Do: func(s *sim.Sim) {
		up := 0
		for _, id := range s.World().Group() {
			if s.World().Up(id) {
				up++
			}
		}
		for _, id := range s.World().Group() {
			if !s.World().Up(id) && (up <= len(s.World().Group())/2 || s.Faults().Intn(3) == 0) {
				s.Recover(id)
				up++
			}
		}
	}})
}

func disturb(s *sim.Sim) {
	if s.Now() > calmAt-10*ms {
		return
	}
	f, group := s.Faults(), s.World().Group()
	p, q := group[f.Intn(len(group))], group[f.Intn(len(group))]
	switch f.Intn(12) {
	case 0, 1:
		s.Crash(p, true, false)
	case 2:
		s.Crash(p, false, false)
		if f.Intn(2) == 0 {
			s.Recover(p)
		}
	case 3, 4:
		s.Recover(p)
	case 5:
		if p != q {
			s.Cut(p, q)
		}
	case 6:
		rest := []protocol.ID{}
		for _, id := range group {
			if id != p {
				rest = append(rest, id)
			}
		}
		s.Partition([][]protocol.ID{{p}, rest})
	case 7:
		s.Heal()
	case 8:
		s.Request(p, "elect")
	case 9:
		if p != q {
			s.Reset(p, q)
		}
	case 10:
		if !s.World().DiskSlow(p) {
			s.Pause(p)
		}
		s.Plan(sim.Action{At: s.Now() + time.Duration(f.Intn(900))*ms, Do: func(s *sim.Sim) { s.Resume(p) }})
	case 11:
		if s.World().Up(p) && !s.World().Paused(p) {
			s.SlowDisk(p, time.Duration(1+f.Intn(300))*ms)
		}
		s.Plan(sim.Action{At: s.Now() + time.Duration(f.Intn(900))*ms, Do: func(s *sim.Sim) { s.FastDisk(p) }})
	}
	s.Plan(sim.Action{At: s.Now() + time.Duration(f.Intn(400))*ms, Do: disturb})
}

// A watcher asks the detector for all nodes, and takes campaigns.
type watcher struct{ protocol.Base }

func (*watcher) Start(o *protocol.Out) {
	for _, id := range o.Self().Group {
		if id != o.Self().ID {
			o.Request(detector.Watch{Node: id})
		}
	}
}

func (*watcher) Request(any, *protocol.Out) bool { return true }

func (*watcher) Traits() protocol.Traits {
	return protocol.Traits{Channel: "watcher", Needs: protocol.FailureDetection}
}

func (*watcher) String() string { return "watches" }

// The right protocols satisfy every property, and each property is put to the test.
func TestTheRightOnesPass(t *testing.T) {
	for name, c := range map[string]cluster{
		"heartbeat":       {},
		"ring":            {ring: true, nodes: 7},
		"default":         {bully: &bully.Options{}},
		"stable":          {bully: &bully.Options{Stable: true}},
		"quorum":          {bully: &bully.Options{Quorum: true}},
		"quorum+stable":   {bully: &bully.Options{Quorum: true, Stable: true}},
		"ring and stable": {ring: true, nodes: 5, bully: &bully.Options{Stable: true}},
	} {
		t.Run(name, func(t *testing.T) {
			judged := map[string]int{}
			for seed := range uint64(60) {
				for _, r := range c.run(t, seed, overlaps(c)) {
					if r.Verdict == check.Violated && !outside(r.Property, c) {
						t.Errorf("seed %d: %s", seed, describe(r))
					}
					judged[r.Property] += r.Examined
				}
			}
			for p, n := range judged {
				if n == 0 && !(p == "durable-first" && c.bully == nil) {
					t.Errorf("%s was never exercised", p)
				}
			}
		})
	}
}

// outside says that turmoil is more than a property allows for: in it nodes are suspected wrongly, and without a quorum
// both sides of a partition have a leader.
func outside(property string, c cluster) bool {
	return property == "no-false-suspicion" || property == "one-leader-at-a-time" && !c.bully.Quorum
}

// overlaps allows the overlap of reigns that a quorum allows.
func overlaps(c cluster) map[string]check.Params {
	if c.bully == nil || !c.bully.Quorum {
		return nil
	}
	return map[string]check.Params{"one-leader-at-a-time": {"overlap": 500 * ms}}
}

func describe(r check.Result) string {
	text := fmt.Sprintf("%s is %s: %s", r.Property, r.Verdict, r.Why)
	for i := range r.Witnesses {
		e := &r.Witnesses[i]
		text += fmt.Sprintf("\n\t%s node %d, life %d: %s", time.Duration(e.T), e.Node, e.Inc, trace.Text(e, &trace.Header{}))
	}
	return text
}
