package snapshot

import (
	"cmp"
	"fmt"
	"slices"

	"ciranda.dev/protocol"
)

// A collection is a snapshot that this node was asked for.
type collection struct {
	id      ID
	call    uint64
	nodes   int      // of the group
	reports []report // ascending
	missing []Missing
}

// A report is one with its sender.
type report struct {
	node protocol.ID
	life protocol.Incarnation
	Report
}

// take begins a snapshot.
func (l *Layer) take(call uint64, o *protocol.Out) {
	if len(l.own) >= l.opts.Most {
		why := fmt.Sprintf("%d snapshots that this node was asked for are under way; expected fewer than %d", len(l.own), l.opts.Most)
		o.Indicate(protocol.Reply{ID: call, Body: protocol.Refused{Why: why}})
		return
	}
	l.number++
	id := ID{l.self, o.Self().Incarnation, l.number}
	l.own = append(l.own, collection{id: id, call: call, nodes: len(o.Self().Group)})
	o.Indicate(Started{id})
	o.Set(endOf(id), l.opts.Within)
	l.begin(id, o)
}

// endOf is the timer of a snapshot of this node's. Of those under way no two have the same.
func endOf(id ID) protocol.Timer { return protocol.Timer{Kind: endTimer, Arg: uint32(id.Number)} }

// collect takes a report of another node.
func (l *Layer) collect(from protocol.ID, life protocol.Incarnation, r Report, o *protocol.Out) {
	l.keep(from, life, r)
	l.review(o)
}

// keep keeps the first report of each node.
func (l *Layer) keep(from protocol.ID, life protocol.Incarnation, r Report) {
	i := slices.IndexFunc(l.own, func(c collection) bool { return c.id == r.ID })
	if i < 0 {
		return
	}
	c := &l.own[i]
	j, found := c.search(from)
	if found {
		return
	}
	c.reports = slices.Insert(c.reports, j, report{from, life, r})
	c.missing = slices.DeleteFunc(c.missing, func(m Missing) bool { return m.Node == from })
}

func (c *collection) search(node protocol.ID) (int, bool) {
	return slices.BinarySearchFunc(c.reports, node, func(r report, id protocol.ID) int { return protocol.ByID(r.node, id) })
}

// miss notes that a node is not waited for.
func (l *Layer) miss(id ID, node protocol.ID, why string) {
	for i := range l.own {
		if l.own[i].id == id {
			l.own[i].miss(node, why)
		}
	}
}

// miss keeps the first reason of each node without a report.
func (c *collection) miss(node protocol.ID, why string) {
	if _, found := c.search(node); !found {
		c.lacks(node, why)
	}
}

func (c *collection) lacks(node protocol.ID, why string) {
	if !slices.ContainsFunc(c.missing, func(m Missing) bool { return m.Node == node }) {
		c.missing = append(c.missing, Missing{node, why})
	}
}

// over says whether nothing more is waited for.
func (c *collection) over() bool { return len(c.reports)+len(c.missing) >= c.nodes }

// overdue ends a snapshot that takes too long.
func (l *Layer) overdue(number uint32, o *protocol.Out) {
	i := slices.IndexFunc(l.own, func(c collection) bool { return uint32(c.id.Number) == number })
	if i < 0 {
		return
	}
	for _, id := range o.Self().Group {
		l.own[i].miss(id, noReport)
	}
	l.end(i, o)
}

// end tells what came of a snapshot.
func (l *Layer) end(i int, o *protocol.Out) {
	c := l.own[i]
	l.own = slices.Delete(l.own, i, i+1)
	o.Cancel(endOf(c.id))
	if j := l.find(c.id); j >= 0 {
		l.drop(j, o)
	}
	c.compare(o.Self().Group, l.opts.Mistake)
	if l.opts.Mistake == ClaimsComplete {
		c.missing = nil
	}
	slices.SortFunc(c.missing, func(a, b Missing) int { return protocol.ByID(a.Node, b.Node) })
	done := Done{ID: c.id, Complete: len(c.missing) == 0, Missing: c.missing, Nodes: []Life{}}
	for _, r := range c.reports {
		if r.Why == "" {
			done.Nodes = append(done.Nodes, Life{r.node, r.life})
		}
	}
	o.Indicate(done)
	o.Indicate(protocol.Reply{ID: c.call, Body: l.taken(&c)})
}

// compare finds what is missing of the reports: each channel must have been closed by the life of its sender that reported.
func (c *collection) compare(group []protocol.ID, mistake Mistake) {
	for _, r := range c.reports {
		if r.Why != "" {
			c.lacks(r.node, r.Why)
		}
	}
	for _, r := range c.reports {
		for _, from := range group {
			if from == r.node || r.Why != "" {
				continue
			}
			if why := c.broken(&r, from, mistake); why != "" {
				c.lacks(from, fmt.Sprintf("%s, at node %d", why, r.node))
			}
		}
	}
}

// broken says what is wrong with a channel to a node that reported; empty if nothing is.
func (c *collection) broken(r *report, from protocol.ID, mistake Mistake) string {
	i := slices.IndexFunc(r.Channels, func(ch Channel) bool { return ch.From == from })
	switch {
	case mistake == Presumes:
		return ""
	case i < 0:
		return noMarker
	case r.Channels[i].Why != "" || r.Channels[i].Incarnation == 0:
		return cmp.Or(r.Channels[i].Why, noMarker)
	}
	if j, found := c.search(from); found && c.reports[j].life != r.Channels[i].Incarnation {
		return otherLife
	}
	return ""
}

// taken is the snapshot as the client gets it.
func (l *Layer) taken(c *collection) Taken {
	t := Taken{ID: c.id, Complete: len(c.missing) == 0, Consistent: c.consistent(), Missing: c.missing, Nodes: []NodeState{}}
	for _, r := range c.reports {
		if r.Why != "" {
			continue
		}
		t.Nodes = append(t.Nodes, NodeState{r.node, r.life, l.message(r.State)})
		for _, ch := range r.Channels {
			if len(ch.Packets) > 0 {
				t.Channels = append(t.Channels, ChannelPart{ch.From, r.node, l.messages(ch.Packets)})
			}
		}
	}
	return t
}

// consistent says whether nobody had received more from a life than that had sent.
func (c *collection) consistent() bool {
	for _, r := range c.reports {
		for _, n := range r.Received {
			if j, found := c.search(n.Node); found && c.reports[j].life == n.Incarnation && c.reports[j].Why == "" {
				if n.Packets > c.reports[j].sentTo(r.node) {
					return false
				}
			}
		}
	}
	return true
}

func (r *report) sentTo(node protocol.ID) uint64 {
	for _, n := range r.Sent {
		if n.Node == node {
			return n.Packets
		}
	}
	return 0
}
