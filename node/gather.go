package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/protocol"
)

// How a group gathers the events of its nodes into one stream.

// Follow begins to gather the nodes' events, if that has not begun.
func (g *Group) Follow() {
	g.follow.Do(func() {
		for _, id := range g.ids() {
			g.running.Go(func() { g.followNode(id) })
		}
	})
}

// again is how long a follower waits before it asks a node once more.
const again = 50 * time.Millisecond

// followNode gathers the events of one node through all its lives.
func (g *Group) followNode(id protocol.ID) {
	cursor := api.FromStart
	for g.ctx.Err() == nil {
		if m, err := g.member(id); err == nil {
			cursor = g.gather(m, cursor)
		}
		select {
		case <-time.After(again):
		case <-g.ctx.Done():
		}
	}
}

// gather reads one stream of a node to its end, and gives the cursor behind what was read.
func (g *Group) gather(m Member, cursor string) string {
	stream, err := m.Client.Node.Follow(g.ctx, &cirandav1.FollowRequest{Cursor: cursor}, grpc.WaitForReady(true))
	for err == nil {
		var r *cirandav1.FollowResponse
		if r, err = stream.Recv(); err != nil {
			break
		}
		cursor = r.GetCursor()
		for i, e := range r.GetEvents() {
			if i == 0 {
				e.Lost = r.GetLost()
			}
			g.append(e)
		}
		g.reached.set(m.id(), cursor)
	}
	if status.Code(err) == codes.InvalidArgument {
		return api.FromStart // the cursor is of no use to this life of the node
	}
	return cursor
}

// Reached is how far the nodes' events have been gathered.
type reached struct {
	mu      sync.Mutex
	cursors map[protocol.ID]string
	moved   chan struct{} // closed at the next change
}

func (r *reached) set(id protocol.ID, cursor string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cursors[id] = cursor
	close(r.moved)
	r.moved = make(chan struct{})
}

func (r *reached) get(id protocol.ID) (cursor string, moved <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cursors[id], r.moved
}

// Gather returns when all that the nodes which are up had recorded when it was called is in the stream. A node that
// ends meanwhile is waited for no longer.
func (g *Group) Gather(ctx context.Context) error {
	g.Follow()
	var asked sync.WaitGroup
	members := g.Dir.Members()
	errs := make([]error, len(members))
	for i, m := range members {
		if m.up() {
			asked.Go(func() { errs[i] = g.gathered(ctx, m) })
		}
	}
	asked.Wait()
	return errors.Join(errs...)
}

// gathered waits for the events that a node has recorded by now.
func (g *Group) gathered(ctx context.Context, m Member) error {
	goal, err := m.end(ctx)
	for err == nil {
		cursor, moved := g.reached.get(m.id())
		if api.Reached(cursor, goal) {
			return nil
		}
		select {
		case <-moved:
		case <-time.After(again):
			_, err = g.member(m.id())
		case <-ctx.Done():
			return fmt.Errorf("node: the events of node %d do not arrive: %w", m.id(), ctx.Err())
		}
	}
	if _, gone := g.member(m.id()); gone != nil {
		return nil
	}
	return relay(ctx, m, err)
}

// end is the cursor behind the last event that a node has recorded.
func (m Member) end(ctx context.Context) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := m.Client.Node.Follow(ctx, &cirandav1.FollowRequest{AtHand: true})
	if err != nil {
		return "", err
	}
	r, err := stream.Recv()
	return r.GetCursor(), err
}
