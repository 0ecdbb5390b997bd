package bench

import (
	"fmt"
	"testing"
	"time"

	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/world"
	"ciranda.dev/stacks"
	"ciranda.dev/trace"
)

// One operation is one message of a quiet cluster. Run it with -cpu 1.
func BenchmarkSim(b *testing.B) {
	lab := func(detector, election string) stacks.Spec {
		return stacks.Spec{Detector: detector, Election: election, Profile: stacks.Lab}
	}
	for _, bm := range []struct {
		nodes int
		spec  stacks.Spec
		level trace.Level
	}{
		{5, lab("heartbeat", "bully"), trace.Off},
		{5, lab("heartbeat", "bully"), trace.Full},
		{5, lab("ring", "none"), trace.Off},
		{50, lab("ring", "none"), trace.Off},
		{1000, lab("ring", "none"), trace.Off},
		{10_000, lab("ring", "none"), trace.Off},
	} {
		b.Run(fmt.Sprintf("%d/%s/trace=%s", bm.nodes, bm.spec.Text(), bm.level), func(b *testing.B) {
			benchmarkSim(b, bm.nodes, bm.spec, bm.level)
		})
	}
}

func benchmarkSim(b *testing.B, nodes int, spec stacks.Spec, level trace.Level) {
	s, err := sim.New(sim.Config{
		World:    world.Config{Nodes: nodes, Build: spec.Build, Level: level, Sink: &rolling{&trace.Memory{}}},
		Network:  network.Link{Delay: network.Between(time.Millisecond, 10*time.Millisecond)},
		Duration: time.Second,
	})
	if err != nil {
		b.Fatal(err)
	}
	warm, err := s.Run() // founding: elections, first beats
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	r, err := s.Continue(time.Second + time.Duration(b.N)*time.Second/time.Duration(warm.Messages))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(r.Messages-warm.Messages)/b.Elapsed().Seconds(), "messages/s")
}
