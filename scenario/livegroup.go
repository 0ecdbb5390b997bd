package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/multicast"
)

// mostLive bounds what real processes take in one call, in bytes.
const mostLive = 200_000

// fits refuses multicasts that real processes cannot do.
func fits(every time.Duration, m Message) error {
	switch {
	case every > 0 && every < leastEvery:
		return fmt.Errorf("found one every %s; expected %s or more", every, leastEvery)
	case m.Count*max(m.Size, len(m.Text)) > mostLive:
		return fmt.Errorf("found %d messages of %d bytes; expected at most %d bytes", m.Count, max(m.Size, len(m.Text)), mostLive)
	}
	return nil
}

// fitsGroup refuses what real processes cannot do of a group's steps.
func fitsGroup(a Action) error {
	switch a := a.(type) {
	case Multicast:
		return fits(a.Every, a.Message)
	case Multicasts:
		return fits(a.Every, a.Message)
	}
	return nil
}

// doGroup carries out an action of a group, if it is one.
func (r *liveRun) doGroup(a Action) (done bool) {
	switch a := a.(type) {
	case Multicast:
		ids, _ := r.cast.resolve(a.Nodes)
		r.clients.multicast(r.asking, slices.Clone(ids), a)
	case Multicasts:
		ids, _ := r.cast.resolve(a.Nodes)
		r.clients.multicasts(r.asking, slices.Clone(ids), a)
	case Leave:
		r.ask(a.Nodes, r.cluster.Leave)
	case Join:
		r.ask(a.Nodes, r.cluster.Join)
	default:
		return false
	}
	return true
}

// ask begins to ask nodes for something, if they are up and not paused.
func (r *liveRun) ask(n Nodes, do func(context.Context, protocol.ID)) {
	ids, _ := r.cast.resolve(n)
	for _, id := range slices.Clone(ids) {
		if r.cast.nodes[id-1].acts() {
			r.clients.busy.Go(func() { do(r.asking, id) })
		}
	}
}

// send begins to cast, once. It does not if too many wait.
func (c *clients) send(ctx context.Context, node protocol.ID, call multicast.Cast) {
	select {
	case c.places <- struct{}{}:
	default:
		return
	}
	c.busy.Go(func() {
		defer func() { <-c.places }()
		once, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		c.cluster.Cast(once, node, call)
	})
}

// multicast casts the messages of a step, all at once or one after the other.
func (c *clients) multicast(ctx context.Context, ids []protocol.ID, m Multicast) {
	lane := m.lanes()[0]
	if m.Every == 0 {
		for _, id := range ids {
			c.send(ctx, id, m.cast(lane, 1, m.Count).cast())
		}
		return
	}
	c.busy.Go(func() {
		tick := time.NewTicker(m.Every)
		defer tick.Stop()
		for i := range m.Count {
			for _, id := range ids {
				c.send(ctx, id, m.cast(lane, i+1, 1).cast())
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// multicasts casts for a time: who and in which order is drawn.
func (c *clients) multicasts(ctx context.Context, ids []protocol.ID, m Multicasts) {
	lanes := m.lanes()
	c.busy.Go(func() {
		tick, end := time.NewTicker(m.Every), time.NewTimer(m.For)
		defer tick.Stop()
		defer end.Stop()
		for number := 1; ; number += m.Count {
			lane := lanes[rand.IntN(len(lanes))]
			c.send(ctx, ids[rand.IntN(len(ids))], m.cast(lane, number, m.Count).cast())
			select {
			case <-tick.C:
			case <-end.C:
				return
			case <-ctx.Done():
				return
			}
		}
	})
}
