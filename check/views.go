package check

import (
	"fmt"
	"strings"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/election"
	"ciranda.dev/trace"
)

// never is before all times.
const never = int64(-1)

// A view is the leader that a node holds. Leader None is no leader.
type view struct {
	leader protocol.ID
	term   election.Term
}

func (v view) String() string {
	switch {
	case v.leader == protocol.None:
		return "no leader"
	case v.term == election.Term{}:
		return fmt.Sprintf("leader %d", v.leader)
	}
	return fmt.Sprintf("leader %d of term %s", v.leader, v.term)
}

// views are what all nodes hold.
type views struct {
	lives
	held    []held       // by node
	holders map[view]int // of the live nodes
}

// held is a view and the event that told it.
type held struct {
	view
	event *trace.Event `layer:"const"`
}

// told gives what an event tells of an election; nil if it tells nothing of one.
func told[T any](e *trace.Event) (T, bool) {
	v, ok := e.Data.(T)
	return v, ok && e.Kind == trace.Told
}

// step follows lives and views. It says whose view may have changed; None if nobody's.
func (v *views) step(e *trace.Event) protocol.ID {
	if e.Kind <= trace.Resume {
		v.count(e.Node, -1)
		v.lives.step(e)
		if begins(e) || ends(e) {
			v.set(e, view{})
		}
		v.count(e.Node, +1)
		return e.Node
	}
	if v.of(e.Node).state == down {
		return protocol.None // a kill may be recorded before the last words of the killed
	}
	if l, ok := told[election.Elected](e); ok {
		v.replace(e, view{l.Leader, l.Term})
		return e.Node
	}
	if _, ok := told[election.SteppedDown](e); ok && v.holds(e.Node).leader == e.Node {
		v.replace(e, view{})
		return e.Node
	}
	return protocol.None
}

func (v *views) replace(e *trace.Event, to view) {
	v.count(e.Node, -1)
	v.set(e, to)
	v.count(e.Node, +1)
}

func (v *views) set(e *trace.Event, to view) {
	v.held = reach(v.held, e.Node)
	v.held[e.Node] = held{to, keep(e)}
}

// count adds to the number of those that hold what a node holds, if it is live.
func (v *views) count(id protocol.ID, by int) {
	if !v.live(id) {
		return
	}
	if v.holders == nil {
		v.holders = map[view]int{}
	}
	held := v.holds(id).view
	if v.holders[held] += by; v.holders[held] == 0 {
		delete(v.holders, held)
	}
}

func (v *views) holds(id protocol.ID) held {
	if int(id) < len(v.held) {
		return v.held[id]
	}
	return held{}
}

// leads says that a node is live and holds itself to be the leader.
func (v *views) leads(id protocol.ID) bool { return v.live(id) && v.holds(id).leader == id }

// agreed is the live leader that all live nodes hold, in one term; None if there is no such.
func (v *views) agreed() protocol.ID {
	if len(v.holders) != 1 {
		return protocol.None
	}
	for held := range v.holders { // there is one
		if v.live(held.leader) {
			return held.leader
		}
	}
	return protocol.None
}

// opinions are who of the live nodes holds what, in words, and the events that told it.
func (v *views) opinions() (string, []*trace.Event) {
	var order []view
	who := map[view][]protocol.ID{}
	var events []*trace.Event
	for _, id := range v.living() {
		h := v.holds(id)
		if who[h.view] == nil {
			order = append(order, h.view)
			events = append(events, h.event)
			if h.leader != protocol.None && !v.live(h.leader) {
				events = append(events, v.holds(h.leader).event)
			}
		}
		who[h.view] = append(who[h.view], id)
	}
	var parts []string
	for _, held := range order {
		text := nodes(who[held]) + " " + plural(len(who[held]), "holds", "hold") + " " + held.String()
		if held.leader != protocol.None && !v.live(held.leader) {
			text += ", which does not run"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; "), events
}

// nodes names nodes: the first few, if they are many.
func nodes(ids []protocol.ID) string {
	const few = 8
	var parts []string
	for _, id := range ids[:min(few, len(ids))] {
		parts = append(parts, id.String())
	}
	text := plural(len(ids), "node ", "nodes ") + strings.Join(parts, ", ")
	if len(ids) > few {
		text += fmt.Sprintf(" and %d more", len(ids)-few)
	}
	return text
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
