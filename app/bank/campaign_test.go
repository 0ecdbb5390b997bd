package bank_test

import (
	"fmt"
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
	"ciranda.dev/protocol/election/bully"
	"ciranda.dev/trace"
)

const (
	ms       = time.Millisecond
	calmAt   = 4 * time.Second
	duration = calmAt + 3500*ms
	nodes    = 5  // at most
	numbers  = 60 // of a client's requests
)

// A run is one bank in turmoil.
type run struct {
	seed  uint64
	opts  bank.Options
	level trace.Level
	twice bool
	over  bool     // a failure detector and an election
	names []string // the properties that judge it; nil: all of the bank
}

var properties = []string{"no-overdraft", "applied-once", "applied-after-debit", "request-once", "debits-applied",
	"none-acknowledged-lost", "money-conserved"}

func (r run) size() int { return 2 + int(r.seed%(nodes-1)) }

func (r run) build(self protocol.Self) (*protocol.Stack, error) {
	r.opts.Resend = 100 * ms
	if r.seed%3 == 0 {
		r.opts.Window, r.opts.Remember = 3, 4
	}
	if r.over {
		return protocol.NewStack(self, heartbeat.New(heartbeat.Options{}), bully.New(bully.Options{}), bank.New(r.opts))
	}
	return protocol.NewStack(self, bank.New(r.opts))
}

// requests are all that clients ask in some run. Client 3 is that of node 3, and its request 7 is always the same.
var requests = func() map[string]any {
	all := map[string]any{"balance": bank.Balance{}}
	for client := 1; client <= nodes; client++ {
		for n := 1; n <= numbers; n++ {
			for to := 1; to <= nodes; to++ {
				t := bank.Transfer{To: protocol.ID(to), Amount: int64(1 + (n*7+client)%45), Wait: n%5 == 0}
				all[fmt.Sprintf("pay %d %d", t.Amount, to)] = t
				t.Request = bank.Request{Client: fmt.Sprintf("client %d", client), Number: uint64(n), Below: uint64(max(0, n-6))}
				all[fmt.Sprintf("request %d/%d to %d", client, n, to)] = t
			}
		}
	}
	return all
}()

// judge gives what the properties say of the run.
func (r run) judge(t *testing.T) []check.Result {
	t.Helper()
	if r.level == trace.Off {
		r.level = trace.Full
	}
	setup := check.Setup{Level: r.level, Bank: &check.Bank{Resend: 100 * ms}}
	for id := range r.size() {
		setup.Nodes = append(setup.Nodes, protocol.ID(id+1))
	}
	suite := []check.Property{}
	for _, name := range r.names {
		p, err := check.New(name, nil, setup)
		if err != nil {
			t.Fatal(err)
		}
		suite = append(suite, p)
	}
	s := check.NewSuite(suite...)
	r.feed(t, s)
	return s.Results()
}

func (r run) feed(t testing.TB, sink trace.Sink) {
	t.Helper()
	w := world.Config{Nodes: r.size(), Build: r.build, Level: r.level, Sink: sink, Requests: requests, Twice: r.twice}
	if r.twice {
		stack, err := r.build(protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1, 2}})
		if err != nil {
			t.Fatal(err)
		}
		codec, err := wire.New(stack.Traits())
		if err != nil {
			t.Fatal(err)
		}
		w.Codec = codec
	}
	s, err := sim.New(sim.Config{World: w, Network: network.Link{Delay: network.Between(ms, 10*ms)}, Seed: r.seed,
		Script: []sim.Action{{Do: turmoil}}, Calm: calmAt, Duration: duration})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(); err != nil {
		t.Fatalf("seed %d: %v", r.seed, err)
	}
}

// turmoil lets clients ask and faults happen until the calm. After it every node comes back.
func turmoil(s *sim.Sim) {
	f := s.Faults()
	slowest := []time.Duration{10 * ms, 50 * ms, 300 * ms}[f.Intn(3)]
	for _, p := range s.World().Group() {
		for _, q := range s.World().Group() {
			l := s.Link(p, q)
			l.Loss, l.Duplicate, l.Delay = 0.3*f.Float64(), 0.3*f.Float64(), network.Between(ms, slowest)
			s.SetLink(p, q, l)
		}
	}
	s.Plan(sim.Action{At: 10 * ms, Do: disturb})
	last := make([]int, nodes+1)
	s.Plan(sim.Action{At: 10 * ms, Do: func(s *sim.Sim) { ask(s, last) }})
	s.Plan(sim.Action{At: duration, Do: func(*sim.Sim) {}})                             // a run ends when nothing is left to be done
	for _, at := range []time.Duration{calmAt, calmAt + 500*ms, calmAt + time.Second} { // a crash may be due yet
		s.Plan(sim.Action{At: at, Do: func(s *sim.Sim) {
			for _, id := range s.World().Group() {
				s.Recover(id)
			}
		}})
	}
}

// ask lets a client of a node ask something: for a transfer, for the same again, or for the balance.
func ask(s *sim.Sim, last []int) {
	if s.Now() > calmAt+200*ms {
		return
	}
	f, group := s.Faults(), s.World().Group()
	from := group[f.Intn(len(group))]
	n := last[from]
	switch f.Intn(8) {
	case 0:
		s.Request(from, "balance")
	case 1, 2:
		s.Request(from, fmt.Sprintf("pay %d %d", 1+f.Intn(45), group[f.Intn(len(group))]))
	default:
		if n < numbers && f.Intn(2) == 0 {
			last[from]++
			n++
		} else {
			n = max(1, n-f.Intn(4))
		}
		to := group[(int(from)+n)%len(group)]
		s.Request(from, fmt.Sprintf("request %d/%d to %d", from, n, to))
	}
	s.Plan(sim.Action{At: s.Now() + time.Duration(f.Intn(40))*ms, Do: func(s *sim.Sim) { ask(s, last) }})
}

func disturb(s *sim.Sim) {
	if s.Now() > calmAt-10*ms {
		return
	}
	f, group := s.Faults(), s.World().Group()
	p, q := group[f.Intn(len(group))], group[f.Intn(len(group))]
	later := func(do func(s *sim.Sim)) {
		s.Plan(sim.Action{At: s.Now() + time.Duration(f.Intn(500))*ms, Do: do})
	}
	switch f.Intn(9) {
	case 0, 1:
		s.Crash(p, true, false)
	case 2:
		s.Crash(p, false, false)
	case 3, 4:
		s.Recover(p)
	case 5:
		if p != q {
			s.Cut(p, q)
			later(func(s *sim.Sim) { s.Mend(p, q) })
		}
	case 6:
		if !s.World().DiskSlow(p) {
			s.Pause(p)
			later(func(s *sim.Sim) { s.Resume(p) })
		}
	case 7:
		if s.World().Up(p) && !s.World().Paused(p) {
			if f.Intn(2) == 0 {
				s.StallDisk(p)
			} else {
				s.SlowDisk(p, time.Duration(1+f.Intn(60))*ms)
			}
			later(func(s *sim.Sim) { s.FastDisk(p) })
		}
	case 8: // all at once
		for _, id := range group {
			s.Crash(id, false, false)
		}
		later(func(s *sim.Sim) {
			for _, id := range group {
				s.Recover(id)
			}
		})
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

// The right rules keep every promise, and each promise is put to the test.
func TestTheBankSurvivesTurmoil(t *testing.T) {
	all := append([]string{"well-formed", "no-creation", "durable-first"}, properties...)
	examined := map[string]int{}
	for seed := range uint64(300) {
		r := run{seed: seed, names: all, twice: seed%10 == 0}
		if seed%4 == 0 {
			r.level, r.names, r.over = trace.Protocol, properties, seed%16 == 0
		}
		for _, v := range r.judge(t) {
			if v.Verdict == check.Violated {
				t.Fatalf("seed %d: %s", seed, describe(v))
			}
			examined[v.Property] += v.Examined
		}
	}
	for _, name := range all {
		if examined[name] == 0 {
			t.Errorf("%s was never exercised", name)
		}
	}
	t.Log(examined)
}

// Each mistake is noticed by the property that is there for it, in a run that the right rules pass.
func TestMistakesAreNoticed(t *testing.T) {
	for _, m := range []struct {
		mistake  bank.Mistake
		property string
		runs     uint64
	}{
		{bank.M1, "money-conserved", 20}, {bank.M1, "debits-applied", 20},
		{bank.M2, "money-conserved", 20}, {bank.M3, "debits-applied", 20}, {bank.M4, "debits-applied", 20},
		{bank.M5, "money-conserved", 20}, {bank.M5, "debits-applied", 20}, {bank.M6, "applied-once", 20},
		{bank.M7, "money-conserved", 20}, {bank.M8, "request-once", 20}, {bank.M9, "none-acknowledged-lost", 20},
		{bank.M3, "none-acknowledged-lost", 20}, {bank.M10, "no-overdraft", 20}, {bank.M11, "applied-after-debit", 20},
	} {
		t.Run(fmt.Sprintf("M%d by %s", m.mistake, m.property), func(t *testing.T) {
			for seed := range m.runs {
				r := run{seed: seed, names: []string{m.property}, opts: bank.Options{Mistake: m.mistake}}
				wrong := r.judge(t)[0]
				r.opts.Mistake = bank.NoMistake
				if right := r.judge(t)[0]; right.Verdict == check.Violated {
					t.Fatalf("seed %d, without the mistake: %s", seed, describe(right))
				}
				if wrong.Verdict == check.Violated {
					t.Logf("after %d runs: %s", seed+1, describe(wrong))
					return
				}
			}
			t.Errorf("%d runs, and %s notices nothing", m.runs, m.property)
		})
	}
}
