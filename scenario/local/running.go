package local

import (
	"context"
	"errors"

	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/cluster"
	"ciranda.dev/protocol"
)

// A running cluster is a [scenario.Live].
type running struct {
	*Nodes
	name       string
	supervisor *cluster.Supervisor
}

// Close ends all processes and removes what they stored.
func (r *running) Close() error { return errors.Join(r.supervisor.Close(), remove(r.name)) }

// Kill ends a node without notice.
func (r *running) Kill(ctx context.Context, id protocol.ID) error {
	r.Killed(id)
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
	r.Paused(id)
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
	r.Killed(id)
	return err
}
