package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/node"
	"ciranda.dev/trace"
)

// gatherTime is how long nodes are given to hand over their last events.
const gatherTime = 10 * time.Second

// Follow hands over the events of all nodes. That some were lost on their way is an error.
func (n *Nodes) Follow(ctx context.Context, record func(trace.Event)) error {
	f := follower{group: n.group, decoder: trace.NewDecoder(n.header), record: record, cursor: api.FromStart}
	err := f.watch(ctx, false)
	switch {
	case f.failed != nil:
		return f.failed
	case ctx.Err() == nil && err != nil:
		return err
	case ctx.Err() == nil:
		return errors.New("their stream ended")
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), gatherTime)
	defer cancel()
	if err := n.group.Gather(last); err != nil {
		return err
	}
	return f.watch(last, true)
}

// A follower reads the merged stream.
type follower struct {
	group   *node.Group
	decoder *trace.Decoder
	record  func(trace.Event)
	cursor  string
	failed  error // what was wrong with the events
}

// watch reads from the cursor on until ctx ends; if atHand, only what is there.
func (f *follower) watch(ctx context.Context, atHand bool) error {
	request := &cirandav1.WatchRequest{Cursor: f.cursor, AtHand: atHand}
	return f.group.Watch(ctx, request, func(r *cirandav1.WatchResponse) error {
		f.cursor = r.GetCursor()
		if f.failed = f.take(r); f.failed != nil {
			return f.failed
		}
		return ctx.Err()
	})
}

func (f *follower) take(r *cirandav1.WatchResponse) error {
	if r.GetLost() > 0 {
		return fmt.Errorf("%d events were lost: they come faster than they can be judged", r.GetLost())
	}
	for _, e := range r.GetEvents() {
		if e.GetLost() > 0 {
			return fmt.Errorf("%d events of node %d were lost: it tells them faster than they can be gathered", e.GetLost(), e.GetNode())
		}
		var event trace.Event
		if err := f.decoder.Decode([]byte(e.GetJson()), &event); err != nil {
			return fmt.Errorf("an event of node %d: %w", e.GetNode(), err)
		}
		f.record(event)
	}
	return nil
}
