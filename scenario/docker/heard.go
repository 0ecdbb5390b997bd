package docker

import (
	"context"
	"fmt"
	"sync"

	"ciranda.dev/node"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// Follow hands over the events of all nodes. That some were lost on their way, that a node has ended by itself, or that
// the containers have another clock, is an error.
func (r *running) Follow(ctx context.Context, record func(trace.Event)) error {
	following, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	err := r.Nodes.Follow(following, func(e trace.Event) {
		if counts, err := r.heard.take(&e); err != nil {
			stop(err)
		} else if counts {
			record(e)
		}
	})
	if odd := context.Cause(following); odd != nil && ctx.Err() == nil {
		return odd
	}
	if err != nil {
		return err
	}
	return r.survivors(context.WithoutCancel(ctx))
}

// What was heard of nodes: when, on the monotonic clock.
type heard struct {
	mu    sync.Mutex
	nodes map[protocol.ID]*last
}

// A last is what was last heard of a node.
type last struct {
	started int64 // before its container was, for the first time
	at      int64 // the time of its last event
	dead    protocol.Incarnation
	died    int64 // when that life ended
}

func (h *heard) of(id protocol.ID) *last {
	if h.nodes[id] == nil {
		h.nodes[id] = &last{}
	}
	return h.nodes[id]
}

// begins says that a container is about to be started.
func (h *heard) begins(id protocol.ID, now int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l := h.of(id); l.started == 0 {
		l.started = now
	}
}

// ends says that a life has ended, after a time, and gives the moment that counts as its end.
func (h *heard) ends(id protocol.ID, life protocol.Incarnation, after int64) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.of(id)
	l.dead, l.died = life, max(after, l.at+1)
	return l.died
}

// take hears of an event, and says whether it counts: what a node is heard of late, once its life has ended, does not.
func (h *heard) take(e *trace.Event) (counts bool, err error) {
	if e.N == 0 {
		return true, nil // it was told here
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.of(e.Node)
	if begins := e.Kind == trace.Start || e.Kind == trace.Recover; begins && (e.T < l.started || e.T > node.Monotonic()) {
		return false, fmt.Errorf("the clock of the containers is not that of this machine: node %d began its life at %d, and was started "+
			"between %d and %d; the engine must run on this machine's kernel", e.Node, e.T, l.started, node.Monotonic())
	}
	if e.Inc == l.dead && e.T > l.died {
		return false, nil
	}
	l.at = max(l.at, e.T)
	return true, nil
}
