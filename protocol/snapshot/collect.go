package snapshot

import (
	"cmp"
	"fmt"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/link"
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
	states []protocol.Packet
	found  [][]protocol.Packet // by Report.Channels
	bytes  int
	more   bool // the rest has not come yet
}

// take begins a snapshot, or lets it wait.
func (l *Layer) take(call uint64, o *protocol.Out) {
	if n := len(l.own) + len(l.queue); n >= l.opts.Most {
		why := fmt.Sprintf("%d snapshots that this node was asked for are under way; expected fewer than %d", n, l.opts.Most)
		o.Indicate(protocol.Reply{ID: call, Body: protocol.Refused{Why: why}})
		return
	}
	l.queue = append(l.queue, call)
	if !l.spaced {
		l.beginNext(o)
	}
}

// beginNext begins the snapshot that has waited longest, if one does.
func (l *Layer) beginNext(o *protocol.Out) {
	l.spaced = len(l.queue) > 0 && l.opts.Spacing > 0
	if len(l.queue) == 0 {
		return
	}
	call := l.queue[0]
	l.queue = l.queue[1:]
	if l.spaced {
		o.Set(protocol.Timer{Kind: spaceTimer}, l.opts.Spacing)
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

// collect takes a report of another node, and asks for the rest if that was not all.
func (l *Layer) collect(from protocol.ID, life protocol.Incarnation, r Report, o *protocol.Out) {
	if l.keep(from, life, r) {
		o.Send(from, Next{r.ID})
	}
	l.review(o)
}

// collectRest takes more of a report.
func (l *Layer) collectRest(from protocol.ID, life protocol.Incarnation, m Rest, o *protocol.Out) {
	c := l.collection(m.ID)
	if c == nil {
		return
	}
	i, found := c.search(from)
	if !found || c.reports[i].life != life || !c.reports[i].more {
		return
	}
	if l.absorb(c, &c.reports[i], m.Content) {
		o.Send(from, Next{m.ID})
	}
	l.review(o)
}

// keep keeps the first report of each node, and says whether more of it should come.
func (l *Layer) keep(from protocol.ID, life protocol.Incarnation, r Report) (more bool) {
	c := l.collection(r.ID)
	if c == nil {
		return false
	}
	i, found := c.search(from)
	if found {
		return false
	}
	content := r.Content
	r.Content = Content{}
	c.reports = slices.Insert(c.reports, i, report{node: from, life: life, Report: r, found: make([][]protocol.Packet, len(r.Channels))})
	c.missing = slices.DeleteFunc(c.missing, func(m Missing) bool { return m.Node == from })
	more = l.absorb(c, &c.reports[i], content)
	for _, ch := range r.Channels { // with one that is not known the snapshot cannot be complete: its sender is not waited for
		if ch.Why != "" && l.opts.Mistake != Presumes {
			c.miss(ch.From, fmt.Sprintf("%s, at node %d", ch.Why, from))
		}
	}
	return more
}

// collection is a snapshot that this node was asked for and that is not over; nil if there is none of that name.
func (l *Layer) collection(id ID) *collection {
	i := slices.IndexFunc(l.own, func(c collection) bool { return c.id == id })
	if i < 0 {
		return nil
	}
	return &l.own[i]
}

// absorb adds to what a node reported, as far as there is room, and says whether more should come.
func (l *Layer) absorb(c *collection, r *report, content Content) (more bool) {
	r.more = content.More
	for _, p := range content.States {
		r.bytes += link.Size(p)
	}
	r.states = append(r.states, content.States...)
	for _, f := range content.Found {
		for _, p := range f.Packets {
			r.bytes += link.Size(p)
		}
		if i := r.channel(f.From); i >= 0 {
			r.found[i] = append(r.found[i], f.Packets...)
		}
	}
	switch most := wholeTo * l.opts.Bytes; {
	case r.bytes > l.opts.Bytes:
		r.giveUp(fmt.Sprintf(tooLargeBy, l.opts.Bytes))
	case c.size() > most:
		r.giveUp(fmt.Sprintf(wholeBy, most))
	}
	return r.more
}

// channel is the place of a channel; -1 if nothing was said of it.
func (r *report) channel(from protocol.ID) int {
	return slices.IndexFunc(r.Channels, func(c Channel) bool { return c.From == from })
}

func (r *report) giveUp(why string) {
	*r = report{node: r.node, life: r.life, Report: Report{ID: r.ID, Why: why}}
}

// size is how much the reports take.
func (c *collection) size() (bytes int) {
	for i := range c.reports {
		bytes += c.reports[i].bytes
	}
	return bytes
}

func (c *collection) search(node protocol.ID) (int, bool) {
	return slices.BinarySearchFunc(c.reports, node, func(r report, id protocol.ID) int { return protocol.ByID(r.node, id) })
}

// miss notes that a node is not waited for.
func (l *Layer) miss(id ID, node protocol.ID, why string) {
	if c := l.collection(id); c != nil {
		c.miss(node, why)
	}
}

// miss keeps the first reason of each node without a whole report.
func (c *collection) miss(node protocol.ID, why string) {
	i, found := c.search(node)
	if found && !c.reports[i].more {
		return
	}
	if found {
		c.reports = slices.Delete(c.reports, i, i+1)
	}
	c.lacks(node, why)
}

func (c *collection) lacks(node protocol.ID, why string) {
	if !slices.ContainsFunc(c.missing, func(m Missing) bool { return m.Node == node }) {
		c.missing = append(c.missing, Missing{node, why})
	}
}

// over says whether nothing more is waited for.
func (c *collection) over() bool {
	return len(c.reports)+len(c.missing) >= c.nodes && !slices.ContainsFunc(c.reports, func(r report) bool { return r.more })
}

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
	t := l.taken(&c)
	o.Indicate(Done{l.told(t, c.size())})
	o.Tell(protocol.Reply{ID: c.call, Body: t})
}

// told is as much of a snapshot as belongs into the trace.
func (l *Layer) told(t Taken, bytes int) Taken {
	if bytes <= traced || l.opts.Trace {
		return t
	}
	t.Nodes, t.Channels = slices.Clone(t.Nodes), slices.Clone(t.Channels)
	for i := range t.Nodes {
		t.Nodes[i].State, t.Nodes[i].More = Message{Type: t.Nodes[i].State.Type}, nil
	}
	for i := range t.Channels {
		t.Channels[i].Messages = nil
	}
	return t
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
	i := r.channel(from)
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
	t := Taken{ID: c.id, Complete: len(c.missing) == 0, Missing: c.missing, Nodes: []NodeState{}}
	t.Counted, t.Wrong = c.count()
	t.Consistent = t.Wrong == ""
	for _, r := range c.reports {
		if r.Why != "" {
			continue
		}
		t.Nodes = append(t.Nodes, l.state(&r))
		for i, packets := range r.found {
			if len(packets) > 0 {
				t.Channels = append(t.Channels, ChannelPart{r.Channels[i].From, r.node, len(packets), l.messages(packets)})
			}
		}
	}
	return t
}

func (l *Layer) state(r *report) NodeState {
	s := NodeState{Node: r.node, Incarnation: r.life, Lamport: r.Lamport}
	for i, piece := range l.messages(r.states) {
		if i == 0 {
			s.State = piece
		} else {
			s.More = append(s.More, piece)
		}
	}
	return s
}

// count holds the channels against the counters of both ends, and says on how many it could, and what is wrong first.
func (c *collection) count() (counted int, wrong string) {
	for i := range c.reports {
		r := &c.reports[i]
		for j, ch := range r.Channels {
			k, found := c.search(ch.From)
			if !found || ch.Incarnation == 0 || ch.Why != "" || c.reports[k].life != ch.Incarnation || c.reports[k].Why != "" {
				continue
			}
			counted++
			sent, got, on := c.reports[k].sentTo(r.node), r.receivedOf(ch.From, ch.Incarnation), uint64(len(r.found[j]))
			if wrong == "" && got+on != sent {
				wrong = fmt.Sprintf("node %d had got %d packets of node %d, which had sent %d, and %d were on their way", r.node, got, ch.From, sent, on)
			}
		}
	}
	return counted, wrong
}

func (r *report) sentTo(node protocol.ID) uint64 {
	for _, n := range r.Sent {
		if n.Node == node {
			return n.Packets
		}
	}
	return 0
}

func (r *report) receivedOf(node protocol.ID, life protocol.Incarnation) uint64 {
	for _, n := range r.Received {
		if n.Node == node && n.Incarnation == life {
			return n.Packets
		}
	}
	return 0
}
