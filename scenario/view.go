package scenario

import (
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/election"
	"ciranda.dev/protocol/group"
	"ciranda.dev/trace"
)

// A view is what the events so far say of the nodes: enough to know who is meant by a step, and when its condition
// holds. It is the same on every engine. It is a trace.Sink.
type view struct {
	nodes []known // by id, less 1
}

// known is what is known of a node.
type known struct {
	up, paused bool
	inc        protocol.Incarnation
	leader     protocol.ID // that it holds
	suspects   map[protocol.ID]protocol.Incarnation
	group      group.View // that is in force at it; ID 0 if none is
	left       bool       // it has left the group
}

func newView(nodes int) *view { return &view{make([]known, nodes)} }

// Record takes the next event.
func (v *view) Record(e *trace.Event) {
	if e.Node == protocol.None || int(e.Node) > len(v.nodes) {
		return
	}
	n := &v.nodes[e.Node-1]
	switch e.Kind {
	case trace.Start, trace.Recover:
		*n = known{up: true, inc: e.Inc}
	case trace.Crash, trace.Stop:
		n.up, n.paused = false, false
	case trace.Pause:
		n.paused = true
	case trace.Resume:
		n.paused = false
	case trace.Told:
		n.told(e)
	}
}

func (n *known) told(e *trace.Event) {
	if d, ok := trace.DataOf[election.Elected](e); ok {
		n.leader = d.Leader
	} else if _, ok := trace.DataOf[election.SteppedDown](e); ok {
		n.leader = protocol.None
	} else if d, ok := trace.DataOf[detector.Suspect](e); ok {
		n.suspect(d.Node, d.Incarnation)
	} else if d, ok := trace.DataOf[detector.Restore](e); ok {
		delete(n.suspects, d.Node)
	} else if d, ok := trace.DataOf[group.Installed](e); ok {
		n.group, n.left = d.View, false
	} else if d, ok := trace.DataOf[group.Excluded](e); ok {
		n.group, n.left = group.View{}, d.Why.Asked()
	}
}

// lastGroup is the view of the highest number that is in force at a node which is up and not paused; ID 0 if there is none.
func (v *view) lastGroup() (last group.View) {
	for i := range v.nodes {
		if n := &v.nodes[i]; n.acts() && n.group.ID > last.ID {
			last = n.group
		}
	}
	return last
}

// coordinator is that of the last view, if it is up and not paused; else None.
func (v *view) coordinator() protocol.ID {
	id := v.lastGroup().Coordinator()
	if id == protocol.None || int(id) > len(v.nodes) || !v.nodes[id-1].acts() {
		return protocol.None
	}
	return id
}

// grouped says whether all nodes that are up, not paused and have not left are in the last view, and nobody else.
func (v *view) grouped() bool {
	last, in := v.lastGroup(), 0
	for i := range v.nodes {
		n := &v.nodes[i]
		switch {
		case !n.acts() || n.left:
		case n.group.ID != last.ID:
			return false
		default:
			in++
		}
	}
	return last.ID > 0 && in == len(last.Members)
}

func (n *known) suspect(id protocol.ID, inc protocol.Incarnation) {
	if n.suspects == nil {
		n.suspects = map[protocol.ID]protocol.Incarnation{}
	}
	n.suspects[id] = inc
}

// suspected says whether n suspects the present or last life of a node, or one that it never heard of.
func (v *view) suspected(n *known, id protocol.ID) bool {
	inc, ok := n.suspects[id]
	return ok && (inc == 0 || inc >= v.nodes[id-1].inc)
}

// acts says whether the node is up and not paused.
func (n *known) acts() bool { return n.up && !n.paused }

// follows is the leader that n holds and does not suspect.
func (v *view) follows(n *known) protocol.ID {
	if n.leader == protocol.None || int(n.leader) > len(v.nodes) || v.suspected(n, n.leader) {
		return protocol.None
	}
	return n.leader
}

// agreed says whether all nodes that are up and not paused follow one of them.
func (v *view) agreed() bool {
	leader := protocol.None
	for i := range v.nodes {
		n := &v.nodes[i]
		if !n.acts() {
			continue
		}
		follows := v.follows(n)
		if follows == protocol.None || leader != protocol.None && follows != leader {
			return false
		}
		leader = follows
	}
	return leader != protocol.None && v.nodes[leader-1].acts()
}

// leader is the node that is up and that more than half of those follow that are up and not paused; or None.
func (v *view) leader() protocol.ID {
	followers, voters := map[protocol.ID]int{}, 0
	for i := range v.nodes {
		if n := &v.nodes[i]; n.acts() {
			voters++
			followers[v.follows(n)]++
		}
	}
	for i := range v.nodes {
		if id := protocol.ID(i + 1); v.nodes[i].up && 2*followers[id] > voters {
			return id
		}
	}
	return protocol.None
}

// suspicion says whether some node that is up and not paused suspects all of ids.
func (v *view) suspicion(ids []protocol.ID) bool {
	for i := range v.nodes {
		n := &v.nodes[i]
		all := n.acts()
		for _, id := range ids {
			all = all && v.suspected(n, id)
		}
		if all {
			return true
		}
	}
	return false
}

// A cast knows who is meant by the names of a step.
type cast struct {
	*view
	last []protocol.ID // that the last crash crashed
}

// resolve gives the nodes that are meant, ascending; not ok if that is not known now.
func (c *cast) resolve(n Nodes) (ids []protocol.ID, ok bool) {
	switch n.Who {
	case All:
		return c.all(), true
	case Leader:
		id := c.leader()
		return []protocol.ID{id}, id != protocol.None
	case Coordinator:
		id := c.coordinator()
		return []protocol.ID{id}, id != protocol.None
	case Last:
		return c.last, len(c.last) > 0
	}
	return n.IDs, true
}

func (c *cast) all() []protocol.ID {
	ids := make([]protocol.ID, len(c.nodes))
	for i := range ids {
		ids[i] = protocol.ID(i + 1)
	}
	return ids
}

// knows says whether all names of an action can be resolved now.
func (c *cast) knows(a Action) bool {
	for _, n := range meant(a) {
		if _, ok := c.resolve(n); !ok {
			return false
		}
	}
	return true
}

// holds says whether a condition holds now.
func (c *cast) holds(w Condition) bool {
	switch w.Kind {
	case Elected:
		return c.agreed()
	case Grouped:
		return c.grouped()
	case Suspected:
		ids, ok := c.resolve(w.Nodes)
		return ok && c.suspicion(ids)
	}
	return true
}

// A Pair is a direction between two nodes.
type Pair struct{ From, To protocol.ID }

// pairs are the directed links that are meant, each once.
func (c *cast) pairs(l Links) []Pair {
	from, _ := c.resolve(l.From)
	to, _ := c.resolve(l.To)
	seen := map[Pair]bool{}
	var pairs []Pair
	add := func(p Pair) {
		if p.From != p.To && !seen[p] {
			seen[p] = true
			pairs = append(pairs, p)
		}
	}
	for _, a := range from {
		for _, b := range to {
			add(Pair{a, b})
			if l.Both {
				add(Pair{b, a})
			}
		}
	}
	return pairs
}
