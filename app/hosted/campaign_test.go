package hosted_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"ciranda.dev/app/hosted"
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

const ms = time.Millisecond

// A program is one outside of the stack, as it were: it does one thing after the other, each takes it a while, and what it is
// told waits. It holds money and sends some of it to others.
type program struct {
	protocol.Base
	slow   time.Duration `layer:"const"`
	early  bool          `layer:"const"` // a mistake: it answers a Cut at once, ahead of its place
	money  uint64
	todo   []protocol.Event
	asleep bool
}

// Give is a call: send some money to a node, in a message of so many bytes.
type Give struct {
	To     protocol.ID
	Amount uint64
	Bytes  int
}

func (Give) Kind() string { return "give" }

func (p *program) String() string {
	return fmt.Sprintf("has %d, and %d things to do", p.money, len(p.todo))
}
func (*program) Traits() protocol.Traits {
	return protocol.Traits{Channel: "program", Timers: []string{"next"}}
}

func (p *program) Request(r any, o *protocol.Out) bool {
	g, is := r.(protocol.Call).Body.(Give)
	if is {
		p.later(g, o)
	}
	return is
}

func (p *program) Indicate(e protocol.Event, o *protocol.Out) bool {
	switch e := e.(type) {
	case hosted.Received:
		p.later(e, o)
	case snapshot.Cut:
		if p.early {
			p.do(e, o)
		} else {
			p.later(e, o)
		}
	default:
		return false
	}
	return true
}

func (p *program) later(e protocol.Event, o *protocol.Out) {
	if p.todo = append(p.todo, e); !p.asleep {
		p.asleep = true
		o.Set(protocol.Timer{}, p.slow)
	}
}

func (p *program) Expire(_ protocol.Timer, o *protocol.Out) {
	e := p.todo[0]
	p.todo = p.todo[1:]
	p.do(e, o)
	if p.asleep = len(p.todo) > 0; p.asleep {
		o.Set(protocol.Timer{}, p.slow)
	}
}

func (p *program) do(e protocol.Event, o *protocol.Out) {
	switch e := e.(type) {
	case Give:
		if e.To == o.Self().ID || e.Amount > p.money {
			return
		}
		p.money -= e.Amount
		o.Request(hosted.Send{To: e.To, Data: append(binary.BigEndian.AppendUint64(nil, e.Amount), make([]byte, e.Bytes)...)})
	case hosted.Received:
		p.money += binary.BigEndian.Uint64(e.Data)
		o.Request(hosted.Consumed{From: e.From, Messages: 1, Bytes: len(e.Data)})
	case snapshot.Cut:
		o.Request(hosted.Picture{ID: e.ID, State: binary.BigEndian.AppendUint64(nil, p.money)})
	}
}

// each is how much money a program has at first.
const each = 1000

// A judge adds up the money in each complete snapshot.
type judge struct {
	nodes    int
	crashes  bool
	complete int
	flying   int
	waiting  int
	wrong    string
}

func (j *judge) Record(e *trace.Event) {
	d, is := e.Data.(snapshot.Done)
	if !is || !d.Complete {
		return
	}
	j.complete++
	total := uint64(0)
	for i := range d.Nodes {
		total += binary.BigEndian.Uint64(hosted.StateOf(&d.Nodes[i]))
		j.waiting += len(d.Nodes[i].More)
	}
	for _, f := range hosted.Flying(&d.Taken) {
		for _, data := range f.Data {
			total += binary.BigEndian.Uint64(data)
			j.flying++
		}
	}
	if want := uint64(j.nodes * each); total != want && !j.crashes || !d.Consistent {
		j.wrong = fmt.Sprintf("%d, not %d, in snapshot %s, consistent: %t %s", total, want, d.ID, d.Consistent, d.Wrong)
	}
}

type trial struct {
	nodes   int
	slow    time.Duration
	early   bool
	crashes bool
	twice   bool
}

func (c trial) build(self protocol.Self) (*protocol.Stack, error) {
	return protocol.NewStack(self, heartbeat.New(heartbeat.Options{}), link.New(link.Options{}), snapshot.New(snapshot.Options{Trace: true, Spacing: -1}),
		hosted.New(hosted.Options{Largest: 200, Window: 600, Backlog: 4000}), &program{slow: c.slow, early: c.early, money: each})
}

func (c trial) run(t *testing.T, seed uint64) *judge {
	t.Helper()
	j := &judge{nodes: c.nodes, crashes: c.crashes}
	requests := map[string]any{"picture": snapshot.Take{}}
	for to := range c.nodes {
		for i, size := range []int{0, 40, 150} {
			requests[fmt.Sprintf("give %d %d", to+1, i)] = Give{protocol.ID(to + 1), uint64(3 + size), size}
		}
	}
	config := world.Config{Nodes: c.nodes, Build: c.build, Level: trace.Protocol, Sink: j, Requests: requests, Twice: c.twice}
	if c.twice {
		stack, err := c.build(protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1}})
		if err != nil {
			t.Fatal(err)
		}
		if config.Codec, err = wire.New(stack.Traits()); err != nil {
			t.Fatal(err)
		}
	}
	var act func(s *sim.Sim)
	act = func(s *sim.Sim) {
		f, all := s.Faults(), s.World().Group()
		node := all[f.Intn(len(all))]
		switch n := f.Intn(100); {
		case n < 4:
			s.Request(node, "picture")
		case n < 5 && c.crashes:
			s.Crash(node, false, false)
			s.Recover(node)
		default:
			s.Request(node, fmt.Sprintf("give %d %d", 1+f.Intn(c.nodes), f.Intn(3)))
		}
		if next := s.Now() + time.Duration(f.Intn(5))*ms; next < 3*time.Second {
			s.Plan(sim.Action{At: next, Do: act})
		}
	}
	s, err := sim.New(sim.Config{World: config, Network: network.Link{Delay: network.Between(ms, 10*ms)}, Seed: seed,
		Script: []sim.Action{{At: ms, Do: act}, {At: 4 * time.Second, Do: func(*sim.Sim) {}}}, Calm: 3 * time.Second, Duration: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	for _, id := range s.World().Group() {
		if answer, _ := s.World().Ask(id, hosted.Query{}); answer.(hosted.Status).Waiting > 0 {
			j.wrong = fmt.Sprintf("in the end node %d has %+v", id, answer)
		}
	}
	return j
}

// However slow the programs are, all money is in each complete picture, at programs, on its way or waiting to be sent.
func TestPictures(t *testing.T) {
	for _, c := range []trial{{nodes: 3, slow: ms}, {nodes: 4, slow: 8 * ms}, {nodes: 3, slow: 4 * ms, crashes: true}, {nodes: 3, slow: 3 * ms, twice: true}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			t.Parallel()
			var sum judge
			seeds := uint64(6)
			if c.twice {
				seeds = 1
			}
			for seed := range seeds {
				j := c.run(t, seed)
				if j.wrong != "" {
					t.Fatalf("seed %d: %s", seed, j.wrong)
				}
				sum.complete += j.complete
				sum.flying += j.flying
				sum.waiting += j.waiting
			}
			t.Logf("%d complete pictures with %d messages on their way, %d of them waiting", sum.complete, sum.flying, sum.waiting)
			if sum.complete == 0 || sum.flying == 0 || c.slow == 8*ms && sum.waiting == 0 {
				t.Error("too little happened")
			}
		})
	}
}

// A program that answers ahead of its place spoils the picture, and that is seen.
func TestEarlyPicture(t *testing.T) {
	if j := (trial{nodes: 3, slow: 4 * ms, early: true}).run(t, 1); j.wrong == "" {
		t.Error("nothing is noticed")
	}
}
