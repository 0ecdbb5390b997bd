package group_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/wire"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector/heartbeat"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/link"
	"ciranda.dev/trace"
)

const (
	ms       = time.Millisecond
	calmAt   = 5 * time.Second
	duration = calmAt + 8*time.Second
)

// A trial is what a campaign runs: a group whose members shout while much is done to them.
type trial struct {
	nodes  int
	opts   group.Options
	gentle bool // no disk is lost
	twice  bool
}

func (c trial) build(self protocol.Self) (*protocol.Stack, error) {
	c.opts.Traffic = true
	return protocol.NewStack(self, heartbeat.New(heartbeat.Options{}), link.New(link.Options{}), group.New(c.opts), &crier{})
}

// A judge keeps what is needed to judge a run in its end.
type judge struct {
	views     map[uint64]group.View
	installed map[life][]uint64
	heard     map[life]map[uint64]map[string]bool
	cried     map[string]bool
	as        map[protocol.ID]group.Member // as which member each was last seen
	retired   map[group.Member]bool
	left      map[uint64][]protocol.ID // who left a view in good order
	calm      bool                     // no fault: who leaves is not given up
	wrong     string
	changes   int
}

// A life is one membership of a node at a time.
type life struct {
	node protocol.ID
	inc  protocol.Incarnation
	n    int
}

func (j *judge) fault(format string, args ...any) {
	if j.wrong == "" {
		j.wrong = fmt.Sprintf(format, args...)
	}
}

// A follower reads a run.
type follower struct {
	judge
	lives map[[2]uint32]int // exclusions of an incarnation
}

func newFollower() *follower {
	return &follower{judge{views: map[uint64]group.View{}, installed: map[life][]uint64{}, cried: map[string]bool{},
		heard: map[life]map[uint64]map[string]bool{}, left: map[uint64][]protocol.ID{},
		as: map[protocol.ID]group.Member{}, retired: map[group.Member]bool{}}, map[[2]uint32]int{}}
}

func (f *follower) Record(e *trace.Event) {
	at := [2]uint32{uint32(e.Node), uint32(e.Inc)}
	who := life{e.Node, e.Inc, f.lives[at]}
	switch d := e.Data.(type) {
	case group.Installed:
		f.install(who, d)
	case group.Excluded:
		f.retired[f.as[e.Node]] = true
		if f.lives[at]++; d.Why == group.Left {
			f.left[d.View] = append(f.left[d.View], e.Node)
		}
	case Cried:
		f.cried[fmt.Sprintf("%d/%d/%d", d.View, e.Node, d.Number)] = true
	case Heard:
		name := fmt.Sprintf("%d/%d/%d", d.View, d.Sender, d.Number)
		if !f.cried[name] {
			f.fault("%v hears %s, which nobody cried", who, name)
		}
		if f.heard[who] == nil {
			f.heard[who] = map[uint64]map[string]bool{}
		}
		if f.heard[who][d.View] == nil {
			f.heard[who][d.View] = map[string]bool{}
		}
		if f.heard[who][d.View][name] {
			f.fault("%v hears %s twice", who, name)
		}
		f.heard[who][d.View][name] = true
	}
}

func (f *follower) install(who life, d group.Installed) {
	f.changes++
	if known, there := f.views[d.View.ID]; there && !reflect.DeepEqual(known, d.View) {
		f.fault("view %d is %v, and at %v %v", d.View.ID, known.Members, who, d.View.Members)
	}
	f.views[d.View.ID] = d.View
	if d.View.Rank(who.node) < 0 {
		f.fault("%v installs %s", who, d.View)
	} else if m := d.View.Members[d.View.Rank(who.node)]; f.retired[m] {
		f.fault("%v comes back as the member %v that it was", who, m)
	} else {
		f.as[who.node] = m
	}
	all := f.installed[who]
	if len(all) > 0 && all[len(all)-1]+1 != d.View.ID {
		f.fault("%v installs view %d after %d", who, d.View.ID, all[len(all)-1])
	}
	f.installed[who] = append(all, d.View.ID)
}

// end compares what was heard in views that several members left for the same next.
func (f *follower) end() {
	type step struct{ from, to uint64 }
	first := map[step]life{}
	for who, all := range f.installed {
		for i := range len(all) - 1 {
			s := step{all[i], all[i+1]}
			f.gone(who, s.from)
			if other, there := first[s]; !there {
				first[s] = who
			} else if a, b := f.heard[who][s.from], f.heard[other][s.from]; len(a) != len(b) || len(a) > 0 && !reflect.DeepEqual(a, b) {
				f.fault("in view %d %v and %v heard different things: %d and %d", s.from, who, other, len(a), len(b))
			}
		}
	}
}

// gone compares what those cried who left a view with what was heard of it.
func (f *follower) gone(who life, view uint64) {
	for _, id := range f.left[view] {
		for n := uint64(1); f.cried[fmt.Sprintf("%d/%d/%d", view, id, n)]; n++ {
			if name := fmt.Sprintf("%d/%d/%d", view, id, n); !f.heard[who][view][name] && f.calm {
				f.fault("%v does not hear %s, though %d left in good order", who, name, id)
			}
		}
	}
}

func (c trial) run(t testing.TB, seed uint64, script ...sim.Action) (*follower, string) {
	t.Helper()
	f := newFollower()
	f.calm = script != nil
	config := world.Config{Nodes: c.nodes, Build: c.build, Level: trace.Protocol, Sink: f, Twice: c.twice,
		Requests: map[string]any{"shout": Shout{}, "leave": group.Leave{}, "join": group.Join{}}}
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
		script = []sim.Action{{At: ms, Do: turmoil(c)}, {At: ms, Do: chat}, {At: calmAt + ms, Do: backAll}, {At: calmAt + time.Second, Do: backAll}}
	}
	script = append(script, sim.Action{At: duration, Do: func(*sim.Sim) {}})
	s, err := sim.New(sim.Config{World: config, Network: network.Link{Delay: network.Between(ms, 10*ms)}, Seed: seed,
		Script: script, Calm: calmAt, Duration: duration, Queue: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.Run(); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	f.end()
	return f, unsettled(s)
}

// unsettled says what is missing at the end: all nodes that are up should be in the same view, if a majority of some last
// view is up.
func unsettled(s *sim.Sim) string {
	w := s.World()
	var last group.View
	status := map[protocol.ID]group.Status{}
	for _, id := range w.Group() {
		if answer, up := w.Ask(id, group.Query{}); up {
			status[id] = answer.(group.Status)
			if v := status[id].View; v.ID > last.ID {
				last = v
			}
		}
	}
	var out []string
	for _, id := range w.Group() {
		if st, up := status[id]; up && (!st.Member || st.View.ID != last.ID || last.Rank(id) < 0) {
			out = append(out, fmt.Sprintf("node %d: %s member=%v %q", id, st.View, st.Member, st.Blocked))
		}
	}
	if len(out) > 0 {
		return fmt.Sprintf("last view %s: %v", last, out)
	}
	return ""
}

// backAll brings back who is down, since its crash came after its recovery, and who has left.
func backAll(s *sim.Sim) {
	for _, id := range s.World().Group() {
		if s.World().Up(id) {
			s.Request(id, "join")
		} else {
			s.Recover(id)
		}
	}
}

func chat(s *sim.Sim) {
	f, all := s.Faults(), s.World().Group()
	s.Request(all[f.Intn(len(all))], "shout")
	if next := s.Now() + time.Duration(f.Intn(30))*ms; next < duration-2*time.Second {
		s.Plan(sim.Action{At: next, Do: chat})
	}
}

// turmoil makes links lossy and does something to the nodes again and again until the calm.
func turmoil(c trial) func(*sim.Sim) {
	return func(s *sim.Sim) {
		f := s.Faults()
		for _, p := range s.World().Group() {
			for _, q := range s.World().Group() {
				l := s.Link(p, q)
				l.Loss, l.Duplicate = 0.2*f.Float64(), 0.2*f.Float64()
				s.SetLink(p, q, l)
			}
		}
		s.Plan(sim.Action{At: time.Duration(f.Intn(600)) * ms, Do: c.disturb})
	}
}

func (c trial) disturb(s *sim.Sim) {
	if s.Now() > calmAt-20*ms {
		return
	}
	f, all := s.Faults(), s.World().Group()
	p, q := all[f.Intn(len(all))], all[f.Intn(len(all))]
	later := func(within int, do func(s *sim.Sim)) {
		s.Plan(sim.Action{At: s.Now() + time.Duration(f.Intn(within))*ms, Do: do})
	}
	switch f.Intn(12) {
	case 0:
		s.Crash(p, false, !c.gentle && f.Intn(3) == 0)
		later(1500, func(s *sim.Sim) { s.Recover(p) })
	case 1, 2:
		s.Crash(p, f.Intn(2) == 0, false)
		later(2500, func(s *sim.Sim) { s.Recover(p) })
	case 3:
		s.Crash(p, false, false)
		s.Recover(p)
	case 4, 5:
		if p != q {
			s.Cut(p, q)
			later(2500, func(s *sim.Sim) { s.Mend(p, q) })
		}
	case 6, 7:
		side := f.Intn(len(all)-1) + 1
		for _, a := range all[:side] {
			for _, b := range all[side:] {
				s.Cut(a, b)
				s.Cut(b, a)
			}
		}
		later(2500, func(s *sim.Sim) {
			for _, a := range all[:side] {
				for _, b := range all[side:] {
					s.Mend(a, b)
					s.Mend(b, a)
				}
			}
		})
	case 8:
		if !s.World().DiskSlow(p) {
			s.Pause(p)
			later(2500, func(s *sim.Sim) { s.Resume(p) })
		}
	case 9:
		if s.World().Up(p) && !s.World().Paused(p) {
			s.SlowDisk(p, time.Duration(1+f.Intn(400))*ms)
			later(1000, func(s *sim.Sim) { s.FastDisk(p) })
		}
	case 10:
		s.Request(p, "leave")
		later(2000, func(s *sim.Sim) { s.Request(p, "join") })
	case 11:
		for _, id := range all {
			s.Crash(id, false, false)
			later(1500, func(s *sim.Sim) { s.Recover(id) })
		}
	}
	s.Plan(sim.Action{At: s.Now() + time.Duration(f.Intn(700))*ms, Do: c.disturb})
}

// Whatever happens, views are the same everywhere, and those who go on together have heard the same.
func TestCampaign(t *testing.T) {
	for _, c := range []struct {
		name string
		trial
		seeds uint64
	}{
		{"three", trial{nodes: 3, gentle: true}, 150},
		{"five", trial{nodes: 5, gentle: true}, 80},
		{"disks are lost", trial{nodes: 5}, 60},
		{"twice", trial{nodes: 3, twice: true}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			changes, open := 0, 0
			for seed := range c.seeds {
				f, left := c.run(t, seed)
				if f.wrong != "" {
					t.Fatalf("seed %d: %s", seed, f.wrong)
				}
				if left != "" {
					if c.gentle {
						t.Fatalf("seed %d: %s", seed, left)
					}
					open++
				}
				changes += f.changes
			}
			t.Logf("%d views were installed, %d runs were left unsettled", changes, open)
		})
	}
}
