package rumour_test

import (
	"fmt"
	"testing"
	"time"

	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/world"
	"ciranda.dev/examples/rumour"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

func build(self protocol.Self) (*protocol.Stack, error) {
	return protocol.NewStack(self, &rumour.Node{})
}

// spread runs five nodes for a second: node 1 is told a rumour, and then the script happens. It gives what was heard.
func spread(seed uint64, network network.Link, script ...sim.Action) (*trace.Memory, error) {
	heard := &trace.Memory{}
	tell := sim.Action{At: 100 * time.Millisecond, Do: func(s *sim.Sim) { s.Request(1, "tell") }}
	s, err := sim.New(sim.Config{
		World: world.Config{
			Nodes: 5, Build: build, Level: trace.Protocol, Sink: heard, Twice: true,
			Requests: map[string]any{"tell": rumour.Tell{Text: "the bridge is closed"}},
		},
		Seed:     seed,
		Network:  network,
		Script:   append(script, tell),
		Duration: time.Second,
	})
	if err != nil {
		return nil, err
	}
	_, err = s.Run()
	return heard, err
}

var slow = network.Link{Delay: network.Between(time.Millisecond, 20*time.Millisecond)}

// A run prints the same on every machine: it is a function of the seed.
func Example() {
	heard, err := spread(1, slow)
	if err != nil {
		fmt.Println(err)
	}
	for _, e := range heard.All() {
		if h, ok := e.Data.(rumour.Heard); ok {
			fmt.Printf("%6.1f ms  node %d hears that %s\n", float64(e.T)/1e6, e.Node, h.Text)
		}
	}
	// Output:
	//  100.0 ms  node 1 hears that the bridge is closed
	//  105.9 ms  node 4 hears that the bridge is closed
	//  111.7 ms  node 5 hears that the bridge is closed
	//  114.6 ms  node 2 hears that the bridge is closed
	//  117.7 ms  node 3 hears that the bridge is closed
}

// Even if the node that was told crashes while it tells, the others hear of it all or none, in a thousand different
// orders.
func TestAllOrNone(t *testing.T) {
	all, none := 0, 0
	for seed := range uint64(1000) {
		crash := sim.Action{At: 90 * time.Millisecond, Do: func(s *sim.Sim) { s.Crash(1, true, false) }}
		heard, err := spread(seed, slow, crash)
		if err != nil {
			t.Fatal(err)
		}
		others := 0
		for _, e := range heard.All() {
			if _, ok := e.Data.(rumour.Heard); ok && e.Node != 1 {
				others++
			}
		}
		switch others {
		case 4:
			all++
		case 0:
			none++
		default:
			t.Errorf("seed %d: %d of the 4 others heard", seed, others)
		}
	}
	if all == 0 || none == 0 {
		t.Errorf("all heard in %d runs and none in %d: one of the two was never put to the test", all, none)
	}
}
