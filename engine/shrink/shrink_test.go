package shrink_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ciranda.dev/engine/network"
	"ciranda.dev/engine/shrink"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

func TestSubset(t *testing.T) {
	for _, need := range [][]int{{}, {0}, {7}, {3, 4}, {0, 9, 19}} {
		got := shrink.Subset(20, func(keep []int) bool {
			for _, n := range need {
				if !slices.Contains(keep, n) {
					return false
				}
			}
			return true
		})
		if !slices.Equal(got, need) {
			t.Errorf("of what needs %v, %v is left", need, got)
		}
	}
}

// A chatter sends a number to all in every beat; whoever hears a greater one than its own, adopts it.
type chatter struct {
	protocol.Base
	best uint64
}

type say struct{ Best uint64 }

type adopted struct{ Best uint64 }

func (adopted) Kind() string { return "adopted" }

func (c *chatter) Start(o *protocol.Out) {
	c.best = uint64(o.Self().ID)
	o.Set(protocol.Timer{}, 100*time.Millisecond)
}

func (c *chatter) Expire(_ protocol.Timer, o *protocol.Out) {
	o.SendAll(say{c.best})
	o.Set(protocol.Timer{}, 100*time.Millisecond)
}

func (c *chatter) Receive(_ protocol.ID, m protocol.Message, o *protocol.Out) {
	if best := m.(say).Best; best > c.best {
		c.best = best
		o.Indicate(adopted{best})
	}
}

func (c *chatter) Traits() protocol.Traits {
	return protocol.Traits{Channel: "chatter", Messages: []protocol.Message{say{}}, Timers: []string{"beat"}}
}

func (c *chatter) String() string { return fmt.Sprint(c.best) }

// "Node 1 never adopts 5" is violated. What is left is a chain of messages from 5 to 1, and nothing that could be left
// out. Shrinking a run that does not show the violation gives it back as it was.
func TestShrinkToTheCause(t *testing.T) {
	cfg := world.Config{Nodes: 5, Build: func(self protocol.Self) (*protocol.Stack, error) {
		return protocol.NewStack(self, &chatter{})
	}}
	s, err := sim.New(sim.Config{World: cfg, Seed: 1, Duration: time.Second,
		Network: network.Link{Delay: network.Between(time.Millisecond, 90*time.Millisecond), Loss: 0.3}})
	if err != nil {
		t.Fatal(err)
	}
	var steps []world.Step
	s.World().Record(func(st world.Step) { steps = append(steps, st) })
	if _, err := s.Run(); err != nil {
		t.Fatal(err)
	}
	violated := func(events []trace.Event) ([]int, bool) {
		i := slices.IndexFunc(events, func(e trace.Event) bool { return e.Node == 1 && e.Data == adopted{5} })
		return []int{i}, i >= 0
	}
	timed := shrink.Run{World: cfg, Steps: steps, Violated: violated, Timed: true}.Shrink()
	if len(timed.Steps) >= len(steps) || len(timed.Steps) != timed.Cone {
		t.Errorf("of %d steps %d are causes, and %d are left", len(steps), timed.Cone, len(timed.Steps))
	}
	untimed := shrink.Run{World: cfg, Steps: steps, Violated: violated}.Shrink()
	if len(untimed.Steps) > 8 {
		t.Errorf("%d steps are left: %v", len(untimed.Steps), untimed.Steps)
	}
	for i := range untimed.Steps[:len(untimed.Steps)-1] { // all but the end
		without := slices.Concat(untimed.Steps[:i], untimed.Steps[i+1:])
		if again := (shrink.Run{World: cfg, Steps: without, Violated: violated}).Shrink(); len(again.Steps) < len(without) {
			t.Errorf("%s could be left out", untimed.Steps[i])
		}
	}
}
