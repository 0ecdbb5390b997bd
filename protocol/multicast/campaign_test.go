package multicast_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ciranda.dev/check"
	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/wire"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector/heartbeat"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/link"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/trace"
)

const (
	ms       = time.Millisecond
	calmAt   = 5 * time.Second
	silentAt = calmAt + 2*time.Second
	duration = silentAt + 6*time.Second
)

// A trial is what a campaign runs: a group whose members shout in all lanes while much is done to them.
type trial struct {
	nodes int
	lanes []multicast.Lane // in which they shout; nil for all
	opts  multicast.Options
	views group.Mistake
	hole  bool    // one crash and one false suspicion, at the worst moment, and no other faults
	wild  bool    // more nodes fail at once than a group can bear
	loose bool    // without links: messages overtake each other, and some come twice
	loss  float64 // and some are lost
	quiet bool    // no faults
	twice bool
	trap  bool          // a panic is a finding
	hurry time.Duration // the longest time between two shouts; zero means 20 ms
}

// Windows of narrow streams are often full, and some messages take several batches.
var narrow = multicast.Options{Window: 600, Batch: 150, Largest: 500, Backlog: 5000, Patience: time.Second}

// paying has consumers that take a while.
var paying = multicast.Options{Window: 600, Batch: 150, Largest: 500, Backlog: 5000, Patience: time.Second, Credit: true}

// A cable takes the place of the links: it promises what it does not give.
type cable struct{ protocol.Base }

func (cable) String() string { return "" }
func (*cable) Traits() protocol.Traits {
	return protocol.Traits{Channel: "cable", Gives: protocol.FIFO | protocol.NoLoss}
}

func (c trial) build(self protocol.Self) (*protocol.Stack, error) {
	c.opts.Trace = true
	var links protocol.Layer = link.New(link.Options{})
	if c.loose {
		links = &cable{}
	}
	return protocol.NewStack(self, heartbeat.New(heartbeat.Options{}), links, group.New(group.Options{Traffic: true, Mistake: c.views}),
		multicast.New(c.opts), &shouter{slow: c.opts.Credit})
}

// properties are the checks that judge a run.
func properties() []string {
	names := []string{"group-same-set", "group-own-view", "group-excluded-silent"}
	for _, p := range check.Properties {
		if strings.HasPrefix(p.Name, "multicast-") {
			names = append(names, p.Name)
		}
	}
	return names
}

// wild are the checks that faults at a majority of a view, or at a node that leaves, may violate: then what only these held
// is lost.
var wild = []string{"multicast-uniform", "multicast-agreement", "multicast-total"}

// An outcome is the end of a run.
type outcome struct {
	sim.Result
	wrong    []string // what the checks find, by property
	examined map[string]int
	left     string // what is left over in the end, or ""
}

// by says whether a check noticed something.
func (o *outcome) by(property string) bool {
	return slices.ContainsFunc(o.wrong, func(w string) bool { return strings.HasPrefix(w, property) })
}

func (c trial) run(t testing.TB, seed uint64) *outcome {
	t.Helper()
	ids := []protocol.ID{}
	for i := range c.nodes {
		ids = append(ids, protocol.ID(i+1))
	}
	setup := check.Setup{Nodes: ids, Level: trace.Protocol, Group: &check.Group{Casts: true, Notes: true},
		Detector: &check.Detector{Interval: 100 * ms, Timeout: 350 * ms, Verify: 30 * ms}}
	var suite []check.Property
	for _, name := range properties() {
		p, err := check.New(name, nil, setup)
		if err != nil {
			t.Fatal(err)
		}
		suite = append(suite, p)
	}
	ear := &ear{told: map[place]string{}, said: map[string]place{}}
	judges := check.NewSuite(suite...)
	config := world.Config{Nodes: c.nodes, Build: c.build, Level: trace.Protocol, Sink: tee{judges, ear}, Twice: c.twice,
		Requests: c.requests()}
	if c.twice {
		stack, err := c.build(protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1}})
		if err != nil {
			t.Fatal(err)
		}
		if config.Codec, err = wire.New(stack.Traits()); err != nil {
			t.Fatal(err)
		}
	}
	script := []sim.Action{{At: ms, Do: c.chat}, {At: calmAt + ms, Do: backAll}}
	switch {
	case c.hole:
		script = append(script, hole...)
	case !c.quiet:
		script = append(script, sim.Action{At: 300 * ms, Do: c.disturb()})
	}
	script = append(script, sim.Action{At: duration, Do: func(*sim.Sim) {}})
	model := network.Link{Delay: network.Between(ms, 10*ms)}
	if c.loose {
		model.Duplicate, model.Loss = 0.1, c.loss
	}
	s, err := sim.New(sim.Config{World: config, Network: model, Seed: seed, Script: script, Calm: calmAt, Duration: duration, Queue: 10000})
	if err != nil {
		t.Fatal(err)
	}
	result, err := s.Run()
	if err != nil && !c.trap {
		t.Fatalf("seed %d: %v", seed, err)
	}
	out := &outcome{Result: result, examined: map[string]int{}, left: leftOver(s)}
	if ear.wrong != "" {
		out.wrong = append(out.wrong, "content: "+ear.wrong)
	}
	if err != nil {
		out.wrong = append(out.wrong, "panic: "+err.Error())
	}
	for _, r := range judges.Results() {
		out.examined[r.Property] += r.Examined
		if r.Verdict == check.Violated && !(c.wild && slices.Contains(wild, r.Property)) {
			out.wrong = append(out.wrong, describe(r))
		}
	}
	return out
}

// requests are shouts in the lanes, alone and many at once, short and long, and questions.
func (c trial) requests() map[string]any {
	all := map[string]any{"leave": group.Leave{}, "join": group.Join{}}
	for i, lane := range c.lanesUsed() {
		all[fmt.Sprintf("say %d", i)] = Shout{Lane: lane}
		all[fmt.Sprintf("tell %d", i)] = Shout{Lane: lane, Count: 10}
		all[fmt.Sprintf("yell %d", i)] = Shout{Lane: lane, Count: 2, Bytes: 300}
		all[fmt.Sprintf("ask %d", i)] = Shout{Lane: lane, Ask: true}
	}
	return all
}

func (c trial) lanesUsed() []multicast.Lane {
	if c.lanes == nil {
		return allLanes()
	}
	return c.lanes
}

// chat has nodes shout, now and then, until a while after the calm.
func (c trial) chat(s *sim.Sim) {
	f, all := s.Faults(), s.World().Group()
	kind := []string{"say", "say", "tell", "yell", "ask", "ask"}[f.Intn(6)]
	s.Request(all[f.Intn(len(all))], fmt.Sprintf("%s %d", kind, f.Intn(len(c.lanesUsed()))))
	hurry := c.hurry
	if hurry == 0 {
		hurry = 20 * ms
	}
	if next := s.Now() + time.Duration(f.Intn(int(hurry/ms)+1))*ms; next < silentAt {
		s.Plan(sim.Action{At: next, Do: c.chat})
	}
}

func backAll(s *sim.Sim) {
	for _, id := range s.World().Group() {
		if s.World().Up(id) {
			s.Request(id, "join")
		}
	}
}

// disturb gives the action that does something to the nodes, and plans itself again, until the calm. If it is not wild, the
// faults before must be over, and all nodes together again, before the next.
func (c trial) disturb() func(s *sim.Sim) {
	var over time.Duration // when the last of them is made good
	var again func(s *sim.Sim)
	again = func(s *sim.Sim) {
		if s.Now() > calmAt-20*ms {
			return
		}
		f, all := s.Faults(), s.World().Group()
		if c.wild || s.Now() > over+noticed && together(s) {
			victims := 1
			if !c.wild {
				victims += f.Intn((len(all) - 1) / 2)
			}
			for _, i := range choose(f, len(all), victims) {
				over = max(over, c.strike(s, all[i]))
			}
		}
		s.Plan(sim.Action{At: s.Now() + time.Duration(f.Intn(500))*ms, Do: again})
	}
	return again
}

// In the hole node 2 suspects node 3 in vain, and node 1 has just come back: both may vote.
var hole = []sim.Action{
	{At: 3 * time.Second, Do: func(s *sim.Sim) { cutOff(s, 2, s.Cut) }},
	{At: 3300 * ms, Do: func(s *sim.Sim) { cutOff(s, 2, s.Mend) }},
	{At: 3310 * ms, Do: func(s *sim.Sim) { s.Crash(1, false, false) }},
	{At: 3370 * ms, Do: func(s *sim.Sim) { s.Recover(1) }},
}

// cutOff does something to both directions between a node and all others.
func cutOff(s *sim.Sim, node protocol.ID, do func(p, q protocol.ID)) {
	for _, id := range s.World().Group() {
		if id != node {
			do(id, node)
			do(node, id)
		}
	}
}

// noticed is how long it takes at most until a fault that is over has no more consequences.
const noticed = 600 * ms

// choose draws some of the numbers from 0 to n-1.
func choose(f *network.Source, n, count int) (chosen []int) {
	for len(chosen) < count {
		if i := f.Intn(n); !slices.Contains(chosen, i) {
			chosen = append(chosen, i)
		}
	}
	return chosen
}

// together says whether all nodes are up and in one view.
func together(s *sim.Sim) bool {
	w := s.World()
	for _, id := range w.Group() {
		answer, up := w.Ask(id, group.Query{})
		if !up || w.Paused(id) {
			return false
		}
		st := answer.(group.Status)
		if !st.Member || len(st.View.Members) != len(w.Group()) {
			return false
		}
		for _, m := range st.View.Members {
			if m.Incarnation != w.Incarnation(m.Node) {
				return false
			}
		}
	}
	return true
}

// strike does something to a node, and makes it good again. It says when.
func (c trial) strike(s *sim.Sim, p protocol.ID) (over time.Duration) {
	f, all := s.Faults(), s.World().Group()
	over = s.Now()
	later := func(within int, do func(s *sim.Sim)) {
		over = s.Now() + time.Duration(f.Intn(within))*ms
		s.Plan(sim.Action{At: over, Do: do})
	}
	each := func(do func(q protocol.ID)) {
		for _, q := range all {
			if q != p {
				do(q)
			}
		}
	}
	switch f.Intn(9) {
	case 0, 1, 2:
		s.Crash(p, f.Intn(2) == 0, false)
		later(1500, func(s *sim.Sim) { s.Recover(p) })
	case 3:
		s.Crash(p, false, false)
		s.Recover(p)
	case 4:
		if q := all[f.Intn(len(all))]; p != q {
			s.Cut(p, q)
			later(1000, func(s *sim.Sim) { s.Mend(p, q) })
		}
	case 5:
		each(func(q protocol.ID) { s.Cut(p, q) })
		later(1500, func(s *sim.Sim) { each(func(q protocol.ID) { s.Mend(p, q) }) })
	case 6:
		each(func(q protocol.ID) { s.Cut(p, q); s.Cut(q, p) })
		later(1500, func(s *sim.Sim) { each(func(q protocol.ID) { s.Mend(p, q); s.Mend(q, p) }) })
	case 7:
		if !s.World().DiskSlow(p) {
			s.Pause(p)
			later(1500, func(s *sim.Sim) { s.Resume(p) })
		}
	case 8:
		s.Request(p, "leave")
		later(1000, func(s *sim.Sim) { s.Request(p, "join") })
	}
	return over
}

// leftOver says what the nodes still wait for or keep.
func leftOver(s *sim.Sim) string {
	w := s.World()
	for _, id := range w.Group() {
		answer, up := w.Ask(id, multicast.Query{})
		if !up {
			continue
		}
		st := answer.(multicast.Status)
		if view, _ := w.Ask(id, group.Query{}); len(view.(group.Status).View.Members) < len(w.Group()) {
			continue // some are down, or were and are not back
		}
		if st.View == 0 || st.Waiting+st.Unstable+st.Kept+st.Early > 0 || st.Full {
			return fmt.Sprintf("node %d is left with %+v", id, st)
		}
	}
	return ""
}

type tee []trace.Sink

func (t tee) Record(e *trace.Event) {
	for _, s := range t {
		s.Record(e)
	}
}

// An ear listens to what is said: a message is the same everywhere, and no two are.
type ear struct {
	told  map[place]string
	said  map[string]place
	wrong string
}

type place struct {
	view   uint64
	sender protocol.ID
	lane   multicast.Lane
	number uint64
}

func (r *ear) Record(e *trace.Event) {
	h, ok := e.Data.(Heard)
	if !ok {
		return
	}
	for i, text := range h.Texts {
		p := place{h.View, h.Sender, h.Lane, h.First + uint64(i)}
		if known, heard := r.told[p]; heard && known != text {
			r.fault("node %d hears %q as %+v, which is %q elsewhere", e.Node, text, p, known)
		}
		if other, heard := r.said[text]; heard && other != p {
			r.fault("node %d hears %q as %+v, and it was %+v", e.Node, text, p, other)
		}
		if !strings.HasPrefix(text, fmt.Sprintf("%d/", h.Sender)) {
			r.fault("node %d hears %q of node %d", e.Node, text, h.Sender)
		}
		r.told[p], r.said[text] = text, p
	}
}

func (r *ear) fault(format string, args ...any) {
	if r.wrong == "" {
		r.wrong = fmt.Sprintf(format, args...)
	}
}

func describe(r check.Result) string {
	text := fmt.Sprintf("%s: %s", r.Property, r.Why)
	for i := range r.Witnesses {
		e := &r.Witnesses[i]
		text += fmt.Sprintf("\n\t%s node %d, life %d: %s %+v", time.Duration(e.T), e.Node, e.Inc, e.Kind, e.Data)
	}
	return text
}

// Whatever the network and the nodes do, all lanes keep their promises, and in the end nothing is left over.
func TestCampaign(t *testing.T) {
	for _, c := range []struct {
		name string
		trial
		seeds uint64
	}{
		{"three", trial{nodes: 3}, 8},
		{"five", trial{nodes: 5}, 4},
		{"narrow", trial{nodes: 5, opts: narrow}, 4},
		{"busy", trial{nodes: 3, opts: narrow, hurry: 2 * ms}, 1},
		{"wild three", trial{nodes: 3, wild: true}, 8},
		{"wild five", trial{nodes: 5, wild: true}, 4},
		{"wild narrow", trial{nodes: 3, wild: true, opts: narrow}, 12},
		{"wild busy", trial{nodes: 4, wild: true, opts: narrow, hurry: 2 * ms}, 1},
		{"loose", trial{nodes: 3, loose: true, quiet: true}, 5},
		{"lossy", trial{nodes: 4, loose: true, quiet: true, loss: 0.02}, 5},
		{"consumed slowly", trial{nodes: 3, opts: paying}, 6},
		{"twice", trial{nodes: 3, twice: true, opts: narrow, hurry: 300 * ms}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			examined := map[string]int{}
			for seed := range fewer(c.seeds) {
				run := c.run(t, seed)
				if len(run.wrong) > 0 {
					t.Fatalf("seed %d: %s", seed, strings.Join(run.wrong, "\n"))
				}
				if run.left != "" {
					t.Fatalf("seed %d: %s", seed, run.left)
				}
				for name, n := range run.examined {
					examined[name] += n
				}
			}
			t.Logf("examined %v", examined)
		})
	}
}
