package local

import (
	"context"

	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/protocol"
)

// Snapshot asks a node for a snapshot, and waits for its end.
func (n *Nodes) Snapshot(ctx context.Context, id protocol.ID) {
	if c := n.client(id); c != nil {
		c.Snapshots.Take(ctx, &cirandav1.TakeRequest{}) // what comes of it is in the events
	}
}
