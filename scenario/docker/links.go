package docker

import (
	"context"
	"slices"
	"time"

	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/engine/network"
	"ciranda.dev/node"
	"ciranda.dev/protocol"
	"ciranda.dev/scenario"
)

// SetLinks makes links what is said. A node that is then cut off from all others, both ways, is taken off the network;
// all else nodes do from within.
func (r *running) SetLinks(ctx context.Context, text string, links []scenario.LinkState) error {
	for _, l := range links {
		r.links[l.Pair] = l
	}
	leave, come := r.moves()
	if err := r.each(leave, func(c *container) error { return r.disconnect(ctx, c) }); err != nil {
		return err
	}
	for _, c := range leave {
		c.apart = true
	}
	for _, c := range come {
		c.apart = false
	}
	if err := r.group.SetLinks(ctx, text, r.within()); err != nil {
		return err
	}
	if err := r.each(come, func(c *container) error { return r.connect(ctx, c) }); err != nil {
		return err
	}
	return r.redial(ctx, come)
}

// moves are the containers that are to leave the peers' network, and those that are to come back to it.
func (r *running) moves() (leave, come []*container) {
	for _, c := range r.containers {
		switch alone := r.alone(c.id); {
		case alone && !c.apart:
			leave = append(leave, c)
		case !alone && c.apart:
			come = append(come, c)
		}
	}
	return leave, come
}

// alone says whether a node is cut off from all others, both ways.
func (r *running) alone(id protocol.ID) bool {
	for _, c := range r.containers {
		if c.id != id && !(r.links[scenario.Pair{From: id, To: c.id}].Link.Cut && r.links[scenario.Pair{From: c.id, To: id}].Link.Cut) {
			return false
		}
	}
	return true
}

// within are the links as nodes are told of them: a cut that the network makes is none of theirs.
func (r *running) within() map[node.Pair]network.Link {
	told := map[node.Pair]network.Link{}
	for p, l := range r.links {
		if r.container(p.From).apart || r.container(p.To).apart {
			l.Link.Cut = false
		}
		told[node.Pair{From: p.From, To: p.To}] = l.Link
	}
	return told
}

// redialTime is how long nodes may take to answer that they dial anew.
const redialTime = 5 * time.Second

// redial has nodes that came back to the network, and those they talk to, give up their old connections. Who was away may
// have another address now, and the connections would lead nowhere for half a minute; where it has the same one, TCP
// would be silent about as long again as it was away.
func (r *running) redial(ctx context.Context, came []*container) error {
	if len(came) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, redialTime)
	defer cancel()
	return r.each(r.containers, func(c *container) error {
		var peers []uint32
		for _, other := range r.containers {
			if other != c && (slices.Contains(came, c) || slices.Contains(came, other)) {
				peers = append(peers, uint32(other.id))
			}
		}
		if len(peers) == 0 || c.state != cirandav1.NodeState_NODE_STATE_UP {
			return nil
		}
		_, err := c.client.Node.BreakLinks(ctx, &cirandav1.BreakLinksRequest{Peers: peers})
		return err
	})
}
