package local

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/engine/network"
	"ciranda.dev/node"
	"ciranda.dev/protocol"
	"ciranda.dev/scenario"
	"ciranda.dev/trace"
)

// Nodes are a running cluster as its API shows it: what a run hears of the nodes, and what it does to them from within.
// Whoever starts the processes adds the rest of a [scenario.Live].
type Nodes struct {
	group  *node.Group
	header *trace.Header
	owed   map[protocol.ID][]func(context.Context) error // what is to be done to nodes that are paused, once they go on
}

// NewNodes makes those of a group that runs the scenario.
func NewNodes(group *node.Group, s *scenario.Scenario) (*Nodes, error) {
	header, err := headerOf(s)
	if err != nil {
		return nil, err
	}
	return &Nodes{group, header, map[protocol.ID][]func(context.Context) error{}}, nil
}

// Now is the machine's monotonic clock.
func (n *Nodes) Now() time.Duration { return time.Duration(node.Monotonic()) }

// Killed says that a node is being killed: nothing is to be done to it any more.
func (n *Nodes) Killed(id protocol.ID) { delete(n.owed, id) }

// Paused says that a node is being paused: what is to be done to it waits from now on.
func (n *Nodes) Paused(id protocol.ID) { n.owed[id] = nil }

// Resumed says that a node goes on, and does to it what was to be done meanwhile.
func (n *Nodes) Resumed(ctx context.Context, id protocol.ID) error {
	owed := n.owed[id]
	delete(n.owed, id)
	for _, do := range owed {
		if err := do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// SetLinks makes links what is said.
func (n *Nodes) SetLinks(ctx context.Context, text string, links []scenario.LinkState) error {
	states := map[node.Pair]network.Link{}
	for _, l := range links {
		states[node.Pair{From: l.From, To: l.To}] = l.Link
	}
	return n.group.SetLinks(ctx, text, states)
}

// Reset breaks the connection of two nodes.
func (n *Nodes) Reset(ctx context.Context, a, b protocol.ID) error {
	return n.fault(ctx, &cirandav1.Fault{Kind: &cirandav1.Fault_ResetLinks{
		ResetLinks: &cirandav1.Fault_Reset{From: a.String(), To: b.String()}}})
}

// SetDisk stalls a disk, slows it, or makes it well.
func (n *Nodes) SetDisk(ctx context.Context, id protocol.ID, stall bool, write time.Duration) error {
	return n.disturb(ctx, id, func(ctx context.Context) error {
		if !stall && write == 0 {
			return n.group.MendDisk(ctx, id)
		}
		return n.fault(ctx, &cirandav1.Fault{Kind: &cirandav1.Fault_Disk_{
			Disk: &cirandav1.Fault_Disk{Nodes: id.String(), Stall: stall, SlowMs: uint32(write.Milliseconds())}}})
	})
}

// SetSlow lets each step of a node take so long.
func (n *Nodes) SetSlow(ctx context.Context, id protocol.ID, step time.Duration) error {
	return n.disturb(ctx, id, func(ctx context.Context) error {
		return n.fault(ctx, &cirandav1.Fault{Kind: &cirandav1.Fault_Slow_{
			Slow: &cirandav1.Fault_Slow{Nodes: id.String(), StepMs: uint32(step.Milliseconds())}}})
	})
}

// JumpClock sets a node's wall clock forward or back.
func (n *Nodes) JumpClock(ctx context.Context, id protocol.ID, by time.Duration) error {
	return n.setClock(ctx, id, &cirandav1.Fault_Clock{JumpMs: by.Milliseconds()})
}

// SetRate lets a node's clocks run faster or slower.
func (n *Nodes) SetRate(ctx context.Context, id protocol.ID, rate float64) error {
	return n.setClock(ctx, id, &cirandav1.Fault_Clock{Rate: rate})
}

func (n *Nodes) setClock(ctx context.Context, id protocol.ID, c *cirandav1.Fault_Clock) error {
	c.Nodes = id.String()
	return n.disturb(ctx, id, func(ctx context.Context) error {
		return n.fault(ctx, &cirandav1.Fault{Kind: &cirandav1.Fault_Clock_{Clock: c}})
	})
}

func (n *Nodes) fault(ctx context.Context, f *cirandav1.Fault) error {
	_, err := n.group.SetFault(ctx, &cirandav1.SetFaultRequest{Fault: f})
	return err
}

// disturb does something to a node: to one that is paused once it goes on, to one that is down not at all. Its next
// life begins well.
func (n *Nodes) disturb(ctx context.Context, id protocol.ID, do func(context.Context) error) error {
	switch state, err := n.state(id); {
	case err != nil:
		return err
	case state == cirandav1.NodeState_NODE_STATE_PAUSED:
		n.owed[id] = append(n.owed[id], do)
		return nil
	case state == cirandav1.NodeState_NODE_STATE_DOWN:
		return nil
	}
	return do(ctx)
}

func (n *Nodes) state(id protocol.ID) (cirandav1.NodeState, error) {
	for _, m := range n.group.Dir.Members() {
		if m.Known.GetId() == uint32(id) {
			return m.Known.GetState(), nil
		}
	}
	return 0, fmt.Errorf("there is no node %d", id)
}

// Elect calls for an election at a node, which may refuse it, or not come to answer: a node whose disk has stalled does
// not.
func (n *Nodes) Elect(ctx context.Context, id protocol.ID) error {
	_, err := n.group.Elect(ctx, &cirandav1.ElectRequest{Node: id.String()})
	if e := api.AsError(err); e != nil && ctx.Err() == nil {
		switch e.Code {
		case codes.FailedPrecondition, codes.DeadlineExceeded, codes.Unknown:
			return nil
		}
	}
	return err
}
