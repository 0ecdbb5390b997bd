package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/cluster"
	"ciranda.dev/engine/network"
	"ciranda.dev/node"
	"ciranda.dev/protocol"
	"ciranda.dev/scenario"
	"ciranda.dev/trace"
)

// A running cluster is a [scenario.Live].
type running struct {
	name       string
	supervisor *cluster.Supervisor
	group      *node.Group
	header     *trace.Header
	owed       map[protocol.ID][]func(context.Context) error // what is to be done to nodes that are paused, once they go on
}

// Now is the machine's monotonic clock.
func (r *running) Now() time.Duration { return time.Duration(node.Monotonic()) }

// Close ends all processes and removes what they stored.
func (r *running) Close() error { return errors.Join(r.supervisor.Close(), remove(r.name)) }

// Kill ends a node without notice.
func (r *running) Kill(ctx context.Context, id protocol.ID) error {
	delete(r.owed, id)
	_, err := r.supervisor.Kill(ctx, &cirandav1.KillRequest{Nodes: id.String()})
	return err
}

// Recover starts a node that is down.
func (r *running) Recover(ctx context.Context, id protocol.ID, diskLost bool) error {
	_, err := r.supervisor.Restart(ctx, &cirandav1.RestartRequest{Nodes: id.String(), LoseDisk: diskLost})
	return err
}

// Pause makes a node stand still.
func (r *running) Pause(ctx context.Context, id protocol.ID) error {
	r.owed[id] = []func(context.Context) error{}
	_, err := r.supervisor.Pause(ctx, &cirandav1.PauseRequest{Nodes: id.String()})
	return err
}

// Resume lets a paused node go on, and does to it what was to be done meanwhile.
func (r *running) Resume(ctx context.Context, id protocol.ID) error {
	_, err := r.supervisor.Resume(ctx, &cirandav1.ResumeRequest{Nodes: id.String()})
	for _, do := range r.owed[id] {
		if err == nil {
			err = do(ctx)
		}
	}
	delete(r.owed, id)
	return err
}

// SetLinks makes links what is said.
func (r *running) SetLinks(ctx context.Context, text string, links []scenario.LinkState) error {
	states := map[node.Pair]network.Link{}
	for _, l := range links {
		states[node.Pair{From: l.From, To: l.To}] = l.Link
	}
	return r.group.SetLinks(ctx, text, states)
}

// Reset breaks the connection of two nodes.
func (r *running) Reset(ctx context.Context, a, b protocol.ID) error {
	return r.fault(ctx, &cirandav1.Fault{Kind: &cirandav1.Fault_ResetLinks{
		ResetLinks: &cirandav1.Fault_Reset{From: a.String(), To: b.String()}}})
}

// SetDisk stalls a disk, slows it, or makes it well.
func (r *running) SetDisk(ctx context.Context, id protocol.ID, stall bool, write time.Duration) error {
	return r.disturb(ctx, id, func(ctx context.Context) error {
		if !stall && write == 0 {
			return r.group.MendDisk(ctx, id)
		}
		return r.fault(ctx, &cirandav1.Fault{Kind: &cirandav1.Fault_Disk_{
			Disk: &cirandav1.Fault_Disk{Nodes: id.String(), Stall: stall, SlowMs: uint32(write.Milliseconds())}}})
	})
}

// SetSlow lets each step of a node take so long.
func (r *running) SetSlow(ctx context.Context, id protocol.ID, step time.Duration) error {
	return r.disturb(ctx, id, func(ctx context.Context) error {
		return r.fault(ctx, &cirandav1.Fault{Kind: &cirandav1.Fault_Slow_{
			Slow: &cirandav1.Fault_Slow{Nodes: id.String(), StepMs: uint32(step.Milliseconds())}}})
	})
}

// JumpClock sets a node's wall clock forward or back.
func (r *running) JumpClock(ctx context.Context, id protocol.ID, by time.Duration) error {
	return r.setClock(ctx, id, &cirandav1.Fault_Clock{JumpMs: by.Milliseconds()})
}

// SetRate lets a node's clocks run faster or slower.
func (r *running) SetRate(ctx context.Context, id protocol.ID, rate float64) error {
	return r.setClock(ctx, id, &cirandav1.Fault_Clock{Rate: rate})
}

func (r *running) setClock(ctx context.Context, id protocol.ID, c *cirandav1.Fault_Clock) error {
	c.Nodes = id.String()
	return r.disturb(ctx, id, func(ctx context.Context) error {
		return r.fault(ctx, &cirandav1.Fault{Kind: &cirandav1.Fault_Clock_{Clock: c}})
	})
}

func (r *running) fault(ctx context.Context, f *cirandav1.Fault) error {
	_, err := r.group.SetFault(ctx, &cirandav1.SetFaultRequest{Fault: f})
	return err
}

// disturb does something to a node: to one that is paused once it goes on, to one that is down not at all. Its next
// life begins well.
func (r *running) disturb(ctx context.Context, id protocol.ID, do func(context.Context) error) error {
	switch state, err := r.state(id); {
	case err != nil:
		return err
	case state == cirandav1.NodeState_NODE_STATE_PAUSED:
		r.owed[id] = append(r.owed[id], do)
		return nil
	case state == cirandav1.NodeState_NODE_STATE_DOWN:
		return nil
	}
	return do(ctx)
}

func (r *running) state(id protocol.ID) (cirandav1.NodeState, error) {
	for _, m := range r.supervisor.Members() {
		if m.Known.GetId() == uint32(id) {
			return m.Known.GetState(), nil
		}
	}
	return 0, fmt.Errorf("there is no node %d", id)
}

// Elect calls for an election at a node, which may refuse it, or not come to answer: a node whose disk has stalled does
// not.
func (r *running) Elect(ctx context.Context, id protocol.ID) error {
	_, err := r.group.Elect(ctx, &cirandav1.ElectRequest{Node: id.String()})
	if e := api.AsError(err); e != nil && ctx.Err() == nil {
		switch e.Code {
		case codes.FailedPrecondition, codes.DeadlineExceeded, codes.Unknown:
			return nil
		}
	}
	return err
}
