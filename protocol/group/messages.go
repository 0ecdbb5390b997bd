package group

import (
	"fmt"
	"strings"

	"ciranda.dev/protocol"
)

// A Member is one membership of a node. A node that leaves or is excluded comes back as another member.
type Member struct {
	Node        protocol.ID          `json:"node"`
	Incarnation protocol.Incarnation `json:"inc"`
	// Life counts the memberships that the node has asked for in that incarnation, from 1.
	Life uint32 `json:"life"`
}

// before says whether m is an earlier membership of the same node.
func (m Member) before(n Member) bool {
	return m.Incarnation < n.Incarnation || m.Incarnation == n.Incarnation && m.Life < n.Life
}

// A View is a list of members on which all of them agree. Views are numbered without gaps from 1; all that install a view
// of one number install the same.
type View struct {
	ID      uint64   `json:"id"`
	Members []Member `json:"members"` // by rank: in the order of joining, and of one change by number
	// Ready are the members that have the state of the group's application from before the view, by rank: all that had said
	// so ([Ready]) when they stopped in the view before. If there are none the state begins anew, or there is no such state.
	Ready []protocol.ID `json:"ready,omitempty"`
}

// Rank is the place of a node among the members, from 0; -1 if it is none.
func (v View) Rank(id protocol.ID) int {
	for i, m := range v.Members {
		if m.Node == id {
			return i
		}
	}
	return -1
}

// Coordinator is the member of the lowest rank, the eldest. It proposes the next view and orders messages. None if there
// are no members.
func (v View) Coordinator() protocol.ID {
	if len(v.Members) == 0 {
		return protocol.None
	}
	return v.Members[0].Node
}

// Majority is the least number of members of which any two sets of that size share one.
func (v View) Majority() int { return len(v.Members)/2 + 1 }

// String is like "7:1,3,4", with " ready 1,3" behind it if some are.
func (v View) String() string {
	parts := make([]string, len(v.Members))
	for i, m := range v.Members {
		parts[i] = m.Node.String()
	}
	text := fmt.Sprintf("%d:%s", v.ID, strings.Join(parts, ","))
	for i, id := range v.Ready {
		text += [...]string{" ready ", ","}[min(i, 1)] + id.String()
	}
	return text
}

// A Cut says for each member of a view, by rank, up to which number of its messages in that view something reaches.
type Cut []uint64

// A Ballot names an attempt to change a view. Of two attempts the one with the higher counter is later, of equal
// counters that of the higher node.
type Ballot struct {
	Counter uint32      `json:"counter"`
	Node    protocol.ID `json:"node"`
}

// Less says whether b is before c.
func (b Ballot) Less(c Ballot) bool {
	return b.Counter < c.Counter || b.Counter == c.Counter && b.Node < c.Node
}

// What the layer and the one above it, which carries the group's messages, say to each other when the view changes.
// Without such a layer ([Options.Traffic] is off) nothing of this is said but Installed and Excluded.
//
// Flush comes first, once for each ballot: from then on the layer above neither sends nor delivers messages of the view,
// and it answers in the same step with Held. Then comes Gather: what is missing up to the cut must be fetched, and Gathered
// says that it is there; it may take several steps, or never happen. Another Flush or Gather may come at any time and takes
// the place of those before. At last comes Installed: what was not delivered of the old view up to its cut is delivered now,
// whatever lies beyond it is dropped, and the new view begins. All of the view before that install the next deliver
// the same in the one before.
type (
	// Flush is an indication: stop, and say what you hold.
	Flush struct {
		View   uint64 `json:"view"`
		Ballot Ballot `json:"ballot"`
	}
	// Held is a request, the answer to Flush: up to which number this node holds the messages of each member without a gap,
	// delivered or not.
	Held struct {
		View   uint64
		Ballot Ballot
		Upto   Cut
	}
	// Gather is an indication: fetch what you lack up to Upto. From names for each rank a node that holds that much.
	Gather struct {
		View   uint64        `json:"view"`
		Ballot Ballot        `json:"ballot"`
		Upto   Cut           `json:"upto"`
		From   []protocol.ID `json:"from"`
	}
	// Gathered is a request, the answer to Gather: this node holds all up to the cut.
	Gathered struct {
		View   uint64
		Ballot Ballot
	}
	// Ready is a request: this member has the state of the group's application, and the views that follow may say so. Of
	// a membership that is over it says nothing.
	Ready struct{}
	// Exclude is a request: the next view should be without this member, since it holds everybody up. The layer treats it
	// as a suspicion of that life of the node.
	Exclude struct {
		Member Member
		Why    string
	}
)

// Indications to all layers above.
type (
	// Installed says that a view is in force at this node. From now on messages of the view are sent and delivered.
	Installed struct {
		View   View          `json:"view"`
		Joined []protocol.ID `json:"joined,omitempty"` // those of its members who were not in the one before, as such
		Gone   []protocol.ID `json:"gone,omitempty"`   // those of the one before who are not in it, as such
		First  bool          `json:"first,omitempty"`  // this node was not in the one before
		Upto   Cut           `json:"upto,omitempty"`   // what belongs to the one before, by its ranks; nil if First
	}
	// Excluded says that this node is no member any more. What was queued fails. It comes back as another member by
	// itself, unless it has left.
	Excluded struct {
		View uint64 `json:"view"` // the last that it was in
		Why  Why    `json:"why"`
	}
	// Blocked says that the group stands still at this node, and why, for people; or (an empty text) that it goes on. It is
	// told when it changes.
	Blocked struct {
		Why string `json:"why"`
	}
)

// Why is the reason of an exclusion.
type Why string

// The reasons.
const (
	Left    Why = "left"    // it asked for it, and all that it sent is settled
	Abrupt  Why = "abrupt"  // it asked for it, and went without the others, or they without it: what it sent last may be lost
	Passed  Why = "passed"  // the others went on without it: it was suspected
	Lacking Why = "lacking" // what it would have to deliver cannot be fetched from anybody
)

// Asked says whether the node asked for it: then it does not come back by itself.
func (w Why) Asked() bool { return w == Left || w == Abrupt }

// Calls of clients.
type (
	// Leave has the node leave the group in good order, and not come back by itself. It is answered by [Out] when it is out.
	Leave struct{}
	// Join has a node that has left come back. It is answered by [Back] as soon as it begins.
	Join struct{}
	// Out answers Leave.
	Out struct {
		View uint64 `json:"view"` // the last that it was in
	}
	// Back answers Join.
	Back struct{}
)

// Kind is the event's name in traces.
func (Flush) Kind() string { return "group.flush" }

// Kind is the event's name in traces.
func (Gather) Kind() string { return "group.gather" }

// Kind is the event's name in traces.
func (Installed) Kind() string { return "group.view" }

// Kind is the event's name in traces.
func (Excluded) Kind() string { return "group.excluded" }

// Kind is the event's name in traces.
func (Blocked) Kind() string { return "group.blocked" }

// Query asks a node's group layer for its [Status], from outside and between steps.
type Query struct{}

// A Status is how the group looks from a node.
type Status struct {
	View    View   // the last that was installed; ID 0 if there was none yet
	Member  bool   // this node is in it now
	Blocked string // why the group stands still here; empty if it does not
	History []Past // the last views that were installed here, the eldest first, at most 64
}

// A Past is a view that was installed.
type Past struct {
	View         View
	Joined, Gone []protocol.ID
}
