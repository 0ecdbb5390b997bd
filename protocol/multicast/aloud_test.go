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
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/trace"
)

// datagram is how many bytes a broadcast may have in these tests, as in a network of Ethernet.
const datagram = 1300

// A broadcast trial is a trial on a network that carries broadcasts, loses some and brings the sender's own back.
type broadcastTrial struct {
	trial
	loss      float64       // of broadcasts and of what the links send
	mute      bool          // no broadcast arrives
	strangers bool          // as many nodes again are another group on the same network
	silent    time.Duration // from when on nobody shouts; zero for a while after the calm
	level     trace.Level
	watch     func(*trace.Event)
}

// A talk is the end of such a run.
type talk struct {
	wrong, left string
	air         multicast.Broadcasts // of all nodes that are up in the end
	batches     map[trace.MessageID]bool
	lost        int // copies of batches that were broadcast
	asked       int // pleas and wants
	on, off     int // how often a node began to broadcast, and ceased to
}

func (c broadcastTrial) run(t testing.TB, seed uint64) *talk {
	t.Helper()
	c.opts.Datagrams = true
	setup := check.Setup{Level: trace.Protocol, Group: &check.Group{Casts: true, Notes: true},
		Detector: &check.Detector{Interval: 100 * ms, Timeout: 350 * ms, Verify: 30 * ms}}
	for i := range c.nodes {
		setup.Nodes = append(setup.Nodes, protocol.ID(i+1))
	}
	var suite []check.Property
	for _, name := range properties() {
		p, err := check.New(name, nil, setup)
		if err != nil {
			t.Fatal(err)
		}
		suite = append(suite, p)
	}
	out := &talk{batches: map[trace.MessageID]bool{}}
	ear := &ear{told: map[place]string{}, said: map[string]place{}}
	judges := check.NewSuite(suite...)
	sink := sinkFunc(func(e *trace.Event) {
		if c.watch != nil {
			c.watch(e)
		}
		out.count(e)
		if int(e.Node) <= c.nodes { // of the other group only what comes over counts
			judges.Record(e)
			ear.Record(e)
		}
	})
	config := world.Config{Nodes: c.nodes, Build: c.build, Level: max(trace.Protocol, c.level), Sink: sink, Requests: c.requests(),
		Broadcasts: datagram, Loops: true}
	if c.strangers {
		config.Nodes *= 2
		config.Build = c.buildTwo
	}
	script := []sim.Action{{At: ms, Do: c.talk}, {At: calmAt + ms, Do: backAll}, {At: duration, Do: func(*sim.Sim) {}}}
	if !c.quiet {
		script = append(script, sim.Action{At: 300 * ms, Do: c.disturb()})
	}
	link := network.Link{Delay: network.Between(ms, 10*ms), Loss: c.loss, Duplicate: c.loss, Mute: c.mute}
	s, err := sim.New(sim.Config{World: config, Network: link, Seed: seed, Script: script, Calm: calmAt, Duration: duration})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(); err != nil && !c.trap {
		t.Fatalf("seed %d: %v", seed, err)
	}
	out.judge(c, ear, judges)
	out.ask(s)
	return out
}

// talk is chat until it is to be silent.
func (c broadcastTrial) talk(s *sim.Sim) {
	if c.silent == 0 {
		c.chat(s)
		return
	}
	f, all := s.Faults(), s.World().Group()
	s.Request(all[f.Intn(len(all))], fmt.Sprintf("say %d", f.Intn(len(c.lanesUsed()))))
	if next := s.Now() + time.Duration(f.Intn(20))*ms; next < c.silent {
		s.Plan(sim.Action{At: next, Do: c.talk})
	}
}

type sinkFunc func(*trace.Event)

func (f sinkFunc) Record(e *trace.Event) { f(e) }

// buildTwo makes stacks of two groups that know nothing of each other.
func (c broadcastTrial) buildTwo(self protocol.Self) (*protocol.Stack, error) {
	group := self.Group
	self.Group = group[:c.nodes]
	if !slices.Contains(self.Group, self.ID) {
		self.Group = group[c.nodes:]
	}
	return c.build(self)
}

func (o *talk) count(e *trace.Event) {
	switch d := e.Data.(type) {
	case multicast.Broadcasting:
		if d.Is {
			o.on++
		} else {
			o.off++
		}
	case multicast.Plea:
		if e.Kind == trace.Send {
			o.asked++
		}
	case multicast.Batch:
		if e.Kind == trace.Send && e.Peer == protocol.None {
			o.batches[e.Message()] = true
		}
	case trace.Loss:
		if o.batches[e.Message()] && e.Peer != e.Node {
			o.lost++
		}
	}
}

func (o *talk) judge(c broadcastTrial, ear *ear, judges *check.Suite) {
	if ear.wrong != "" {
		o.wrong = "content: " + ear.wrong + "\n"
	}
	for _, r := range judges.Results() {
		if r.Verdict == check.Violated && !(c.wild && slices.Contains(wild, r.Property)) {
			o.wrong += describe(r) + "\n"
		}
	}
}

// ask asks the nodes what is left over, and what they broadcast.
func (o *talk) ask(s *sim.Sim) {
	o.left = leftOver(s)
	for _, id := range s.World().Group() {
		if answer, up := s.World().Ask(id, multicast.Query{}); up {
			b := answer.(multicast.Status).Broadcasts
			o.air.Sent += b.Sent
			o.air.Heard += b.Heard
			o.air.Pleas += b.Pleas
			o.air.Repairs += b.Repairs
		}
	}
}

// With datagrams of which one of ten is lost and one of ten comes twice all promises are kept, whatever else happens.
func TestBroadcasts(t *testing.T) {
	for _, c := range []struct {
		name string
		broadcastTrial
		seeds uint64
	}{
		{"three", broadcastTrial{trial: trial{nodes: 3}, loss: 0.1}, 20},
		{"five", broadcastTrial{trial: trial{nodes: 5}, loss: 0.1}, 10},
		{"narrow", broadcastTrial{trial: trial{nodes: 3, opts: narrow}, loss: 0.1}, 15},
		{"wild", broadcastTrial{trial: trial{nodes: 3, wild: true}, loss: 0.1}, 20},
		{"quiet", broadcastTrial{trial: trial{nodes: 5, quiet: true}, loss: 0.1}, 10},
		{"busy", broadcastTrial{trial: trial{nodes: 3, quiet: true, hurry: 2 * ms}, loss: 0.1}, 5},
		{"two groups", broadcastTrial{trial: trial{nodes: 3, quiet: true}, loss: 0.1, strangers: true}, 5},
		{"mute", broadcastTrial{trial: trial{nodes: 3, quiet: true}, mute: true}, 5},
		{"lossless", broadcastTrial{trial: trial{nodes: 3, quiet: true}}, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			all := multicast.Broadcasts{}
			for seed := range fewer(c.seeds) {
				r := c.run(t, seed)
				if r.wrong != "" || r.left != "" && !c.strangers {
					t.Fatalf("seed %d: %s%s", seed, r.wrong, r.left)
				}
				all.Sent += r.air.Sent
				all.Heard += r.air.Heard
				all.Pleas += r.air.Pleas
				all.Repairs += r.air.Repairs
				if c.mute && r.off == 0 {
					t.Errorf("seed %d: on a network that carries none nobody ceases to broadcast", seed)
				}
			}
			t.Logf("%+v", all)
			if repairs := all.Pleas+all.Repairs > 0; all.Sent == 0 || (all.Heard == 0) != c.mute || !repairs && c.loss > 0 {
				t.Error("this is no test of broadcasts")
			}
		})
	}
}

// The mistakes that concern broadcasts are noticed.
func TestBroadcastMistakes(t *testing.T) {
	quiet := broadcastTrial{trial: trial{nodes: 3, quiet: true}, loss: 0.1}
	two := quiet
	two.strangers = true
	brief := quiet // the last messages are cast while some are lost
	brief.silent = calmAt - 200*ms
	for _, c := range []struct {
		name    string
		mistake multicast.Mistake
		broadcastTrial
		by string // the check that notices it
	}{
		{"what comes back is taken", multicast.HearsItself, quiet, "multicast-once"},
		{"what is not of a member is taken", multicast.TakesForeign, two, "multicast-once"},
		{"nobody asks", multicast.NeverPolls, brief, "multicast-forgotten"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.opts.Mistake, c.trap = c.mistake, true
			for seed := range uint64(30) {
				r := c.run(t, seed)
				if strings.Contains(r.wrong, c.by) {
					t.Logf("noticed in run %d", seed+1)
					return
				}
			}
			t.Error("it is not noticed")
		})
	}
}

// A copy that is lost is asked for once at most, on the average; with the mistake Nags much more often.
func TestPleasAreFew(t *testing.T) {
	c := broadcastTrial{trial: trial{nodes: 5, quiet: true}, loss: 0.1, level: trace.Full}
	rate := func(m multicast.Mistake) float64 {
		c.opts.Mistake = m
		lost, asked := 0, 0
		for seed := range uint64(4) {
			r := c.run(t, seed)
			lost += r.lost
			asked += r.asked
		}
		return float64(asked) / float64(lost)
	}
	few, many := rate(multicast.NoMistake), rate(multicast.Nags)
	t.Logf("pleas for each copy lost: %.2f, and with the mistake %.2f", few, many)
	if few > 1 || many < 5 {
		t.Error("too many, or the mistake makes no difference")
	}
}

// A datagram takes no more bytes than the layer counts, so that the engine does not refuse it.
func TestSizesAreBounds(t *testing.T) {
	c := broadcastTrial{trial: trial{nodes: 5, quiet: true}, loss: 0.1, level: trace.Full}
	stack, err := c.build(protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1}})
	if err != nil {
		t.Fatal(err)
	}
	codec, err := wire.New(stack.Traits())
	if err != nil {
		t.Fatal(err)
	}
	largest := 0
	c.watch = func(e *trace.Event) {
		if e.Kind == trace.Send && e.Peer == protocol.None {
			b, err := codec.Encode(nil, protocol.Packet{Channel: e.Layer, Body: e.Data})
			if err != nil {
				t.Fatal(err)
			}
			largest = max(largest, len(b))
		}
	}
	c.run(t, 1)
	if largest > datagram || largest < datagram/2 {
		t.Errorf("the largest datagram has %d bytes; expected nearly %d", largest, datagram)
	}
}
