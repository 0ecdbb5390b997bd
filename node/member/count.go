package member

import (
	"sync/atomic"

	"ciranda.dev/protocol/multicast"
)

// A Count is how many messages there were in a lane, and their bytes.
type Count struct {
	multicast.Lane
	Messages, Bytes uint64
}

// counts are Counts by lane.
type counts [laneCount]struct{ messages, bytes atomic.Uint64 }

func (c *counts) add(l multicast.Lane, messages, bytes int) {
	at := &c[laneIndex(l)]
	at.messages.Add(uint64(messages))
	at.bytes.Add(uint64(bytes))
}

// list gives the lanes that had a message.
func (c *counts) list() []Count {
	var all []Count
	for o := multicast.Reliable; o <= multicast.Lamport; o++ {
		for _, uniform := range []bool{false, true} {
			l := multicast.Lane{Order: o, Uniform: uniform}
			if at := &c[laneIndex(l)]; at.messages.Load() > 0 {
				all = append(all, Count{l, at.messages.Load(), at.bytes.Load()})
			}
		}
	}
	return all
}

// Delivered is what was delivered here since the group began, by lane.
func (g *Group) Delivered() []Count { return g.delivered.list() }

// Sent is what was cast through the group and delivered here, by lane.
func (g *Group) Sent() []Count { return g.sent.list() }
