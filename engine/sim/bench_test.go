package sim_test

import (
	"fmt"
	"testing"
	"time"

	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector/heartbeat"
	"ciranda.dev/trace"
)

// A quiet cluster with heartbeats only, bare and with the full trace in memory. One operation is one message.
func BenchmarkMessages(b *testing.B) {
	for _, nodes := range []int{5, 50} {
		for _, level := range []trace.Level{trace.Off, trace.Full} {
			b.Run(fmt.Sprintf("nodes=%d/trace=%s", nodes, level), func(b *testing.B) { benchmark(b, nodes, level) })
		}
	}
}

func benchmark(b *testing.B, nodes int, level trace.Level) {
	m := &trace.Memory{}
	perSecond := nodes * (nodes - 1) * 10
	cfg := sim.Config{
		World: world.Config{Nodes: nodes, Level: level, Sink: m, Build: func(self protocol.Self) (*protocol.Stack, error) {
			return protocol.NewStack(self, heartbeat.New(heartbeat.Options{}))
		}},
		Network:  network.Link{Delay: network.Between(time.Millisecond, 10*time.Millisecond)},
		Duration: time.Duration(b.N)*time.Second/time.Duration(perSecond) + time.Second,
	}
	s, err := sim.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	r, err := s.Run()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(r.Messages)/b.Elapsed().Seconds(), "messages/s")
}
