// Package local runs scenarios on clusters of real processes of this machine.
//
// [Place] is such a place. Each run has a fresh cluster under a name of its own, run-PID-NUMBER, which can be watched
// like any other; its processes end with the run, and its directory is removed. The nodes are processes of this very
// program, so whoever opens one must have the command node.
//
// It does not promise that a run is alone: other runs, and whatever else the machine does, take time from the nodes.
// Of a node that is killed, what it recorded in its last moments may be missing from the events.
package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"ciranda.dev/cluster"
	"ciranda.dev/engine/network"
	"ciranda.dev/protocol"
	"ciranda.dev/scenario"
	"ciranda.dev/trace"
)

// A Place is this machine. It is a [scenario.Place].
type Place struct{}

// Engine is scenario.Local.
func (Place) Engine() scenario.Engine { return scenario.Local }

// Nodes is how many nodes a cluster of one machine has.
func (Place) Nodes() (least, most int) { return 2, cluster.MaxNodes }

// The limits of what can be done to a process.
const (
	maxSlow = time.Minute
	maxJump = 24 * time.Hour
)

// Supports says why something cannot be done to a process; nil if it can.
func (Place) Supports(a scenario.Action) error {
	switch a := a.(type) {
	case scenario.Change:
		return supportsLink(a.To)
	case scenario.Slow:
		return upTo(a.Step, maxSlow)
	case scenario.SlowDisk:
		return upTo(a.Write, maxSlow)
	case scenario.Jump:
		return upTo(max(a.By, -a.By), maxJump)
	}
	return nil
}

func supportsLink(c scenario.LinkChange) error {
	if c.Delay != nil && c.Delay.Law == network.LogNormal {
		return errors.New("found a log-normal delay; expected a constant, uniform or exponential one")
	}
	if c.FIFO != nil && *c.FIFO {
		return errors.New("processes have no order for messages that are delayed")
	}
	return nil
}

// upTo refuses times that the API does not carry.
func upTo(d, most time.Duration) error {
	if d > most || d%time.Millisecond != 0 {
		return fmt.Errorf("found %s; expected whole milliseconds, at most %s", d, most)
	}
	return nil
}

// runs counts the clusters of this process.
var runs atomic.Int64

// Open starts a fresh cluster for a run of the scenario.
func (Place) Open(ctx context.Context, s *scenario.Scenario, level trace.Level) (scenario.Live, error) {
	name := fmt.Sprintf("run-%d-%d", os.Getpid(), runs.Add(1))
	supervisor, err := cluster.Open(ctx, cluster.Config{Name: name, Fresh: true, Level: level.String(), Shape: shape(s)})
	if err != nil {
		return nil, errors.Join(err, remove(name))
	}
	nodes, err := NewNodes(supervisor.Group(), s)
	if err != nil {
		return nil, errors.Join(err, supervisor.Close(), remove(name))
	}
	return &running{nodes, name, supervisor}, nil
}

// shape is that of the scenario's cluster.
func shape(s *scenario.Scenario) cluster.Shape {
	spec := s.Spec(scenario.Local).Filled()
	return cluster.Shape{Nodes: s.Cluster.Nodes, Election: spec.Election, Detector: spec.Detector, Profile: spec.Profile.String(),
		App: cmp.Or(spec.App, "none"), Orders: cmp.Or(spec.Orders, "none")}
}

// headerOf has what is needed to read the events of the nodes: the names of their layers.
func headerOf(s *scenario.Scenario) (*trace.Header, error) {
	self := protocol.Self{ID: 1, Incarnation: 1}
	for id := range s.Cluster.Nodes {
		self.Group = append(self.Group, protocol.ID(id+1))
	}
	stack, err := s.Spec(scenario.Local).Build(self)
	if err != nil {
		return nil, err
	}
	h := &trace.Header{}
	h.SetStack(stack.Traits())
	return h, nil
}

// remove removes what a cluster has left.
func remove(name string) error {
	dir, err := cluster.Dir(name)
	if err != nil {
		return err
	}
	return os.RemoveAll(dir)
}
