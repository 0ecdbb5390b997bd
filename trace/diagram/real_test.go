package diagram_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/stacks"
	"ciranda.dev/trace"
	"ciranda.dev/trace/diagram"
)

// simulate runs a cluster with a script and gives what was recorded.
func simulate(t testing.TB, nodes int, spec stacks.Spec, seed uint64, length time.Duration, link network.Link, script ...sim.Action) *trace.Trace {
	t.Helper()
	var m trace.Memory
	h := trace.Header{Engine: "sim", Level: trace.Full, Seed: seed}
	build := func(self protocol.Self) (*protocol.Stack, error) {
		s, err := spec.Build(self)
		if err == nil {
			h.SetStack(s.Traits())
			h.Members = self.Group
		}
		return s, err
	}
	s, err := sim.New(sim.Config{
		World: world.Config{Nodes: nodes, Build: build, Level: trace.Full, Sink: &m},
		Seed:  seed, Network: link, Script: script, Duration: length,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(); err != nil {
		t.Fatal(err)
	}
	return &trace.Trace{Header: h, Events: m.Events()}
}

// Runs of the simulator are drawn. UPDATE=1 also records the two that the other tests are about.
func TestSimulations(t *testing.T) {
	link := network.Link{Delay: network.Between(time.Millisecond, 20*time.Millisecond)}
	crash := simulate(t, 5, stacks.Spec{Profile: stacks.Lab}, 1, 1500*time.Millisecond, link,
		sim.Action{At: 700 * time.Millisecond, Do: func(s *sim.Sim) { s.Crash(5, false, false) }})
	crash.Header.Scenario = "The leader crashes"
	link.Loss, link.Duplicate = 0.05, 0.05
	partition := simulate(t, 5, stacks.Spec{Profile: stacks.Lab, Election: "bully+quorum"}, 2, 3500*time.Millisecond, link,
		sim.Action{At: 700 * time.Millisecond, Do: func(s *sim.Sim) { s.Partition([][]protocol.ID{{1, 2, 3}, {4, 5}}) }},
		sim.Action{At: 1900 * time.Millisecond, Do: func(s *sim.Sim) { s.Heal() }},
		sim.Action{At: 2300 * time.Millisecond, Do: func(s *sim.Sim) { s.Pause(2) }},
		sim.Action{At: 2800 * time.Millisecond, Do: func(s *sim.Sim) { s.Resume(2) }})
	partition.Header.Scenario = "A partition, with a quorum"
	for name, tr := range map[string]*trace.Trace{"crash": crash, "partition": partition} {
		all := texts(parse(t, draw(t, tr, diagram.Options{})))
		if n := countPrefix(all, "leads, term "); n < 2 {
			t.Errorf("%s: got %d reigns, want two at least", name, n)
		}
		if os.Getenv("UPDATE") != "" {
			record(t, filepath.Join("testdata", name+".jsonl.zst"), tr)
		}
	}
}

func countPrefix(all []string, prefix string) (n int) {
	for _, s := range all {
		if strings.HasPrefix(s, prefix) {
			n++
		}
	}
	return n
}

func record(t *testing.T, path string, tr *trace.Trace) {
	t.Helper()
	var b bytes.Buffer
	w, err := trace.NewWriter(&b, tr.Header, trace.WriteOptions{Compress: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range tr.Events {
		w.Record(&tr.Events[i])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Any run gives a picture.
func TestManySimulations(t *testing.T) {
	link := network.Link{Delay: network.Between(time.Millisecond, 20*time.Millisecond), Loss: 0.1, Duplicate: 0.1}
	for seed := range uint64(12) {
		at := func(n int) time.Duration { return time.Duration(300+200*n) * time.Millisecond }
		one, other := protocol.ID(1+seed%4), protocol.ID(1+(seed+2)%4)
		tr := simulate(t, 4, stacks.Spec{Profile: stacks.Lab, Election: stacks.Elections[seed%5]}, seed, 2*time.Second, link,
			sim.Action{At: at(0), Do: func(s *sim.Sim) { s.Crash(one, true, seed%2 == 0) }},
			sim.Action{At: at(1), Do: func(s *sim.Sim) { s.Cut(other, one) }},
			sim.Action{At: at(2), Do: func(s *sim.Sim) { s.Recover(one) }},
			sim.Action{At: at(3), Do: func(s *sim.Sim) { s.Reset(1, 2) }},
			sim.Action{At: at(4), Do: func(s *sim.Sim) { s.Stop(other) }},
			sim.Action{At: at(5), Do: func(s *sim.Sim) { s.Heal() }})
		for from := range 4 {
			o := diagram.Options{From: time.Duration(from) * 400 * time.Millisecond, MaxSteps: 60, Width: 900}
			svg := draw(t, tr, o)
			parse(t, svg)
			if svg != draw(t, tr, o) {
				t.Errorf("seed %d: drawn twice, the picture differs", seed)
			}
		}
	}
}
