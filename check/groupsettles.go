package check

import (
	"fmt"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/trace"
)

// groupSettles is VS-6 and GM-2, GM-3, GM-5: once it is calm, all live nodes that did not leave come to be in one view, and
// nobody else; or if too few are up for that, those that are members say that the group stands still.
type groupSettles struct {
	base
	membership
	calm    calm
	within  int64                  `layer:"const"`
	blocked []bool                 // by node: it said so last
	wiped   []protocol.Incarnation // by node: the last life that began with its disk lost
	latest  group.View             `layer:"const"` // of the highest number
	newest  uint64                 // its number
	changed int64                  // when somebody last told of the group
	last    *trace.Event           `layer:"const"` // that it told
}

func (p *groupSettles) Kinds() Kinds { return groupKinds | calmKinds }

func (p *groupSettles) Step(e *trace.Event) {
	p.calm.step(e)
	p.blocked, p.wiped = reach(p.blocked, e.Node), reach(p.wiped, e.Node)
	wasOut := len(p.members) > int(e.Node) && p.members[e.Node].left
	if !p.follow(e, true, nothing) {
		return
	}
	if begins(e) || ends(e) {
		p.blocked[e.Node] = false
	}
	if life, ok := e.Data.(trace.Life); ok && e.Kind == trace.Recover && !life.Stored {
		p.wiped[e.Node] = e.Inc
	}
	switch d := e.Data.(type) {
	case group.Installed:
		p.tell(e, wasOut)
		if d.View.ID > p.newest {
			p.newest, p.latest = d.View.ID, d.View
		}
	case group.Excluded:
		p.tell(e, d.Why.Asked())
	case protocol.Reply:
		if _, back := d.Body.(group.Back); back && p.calm.on {
			p.calm.since = e.T
		}
	case group.Blocked:
		p.tell(e, false)
		p.blocked[e.Node] = d.Why != ""
	}
}

// tell notes that something of the group was told. What a client asked for begins the time anew.
func (p *groupSettles) tell(e *trace.Event, asked bool) {
	p.changed, p.last = e.T, keep(e)
	if asked && p.calm.on {
		p.calm.since = e.T
	}
}

// wanted are the live nodes that did not leave.
func (p *groupSettles) wanted() []protocol.ID {
	return slices.DeleteFunc(p.living(), func(id protocol.ID) bool { return int(id) < len(p.members) && p.members[id].left })
}

// voters counts the members of the last view that run, and those of them that know what they agreed to.
func (p *groupSettles) voters() (up, voters, needed int) {
	members := p.latest.Members
	if needed = p.latest.Majority(); p.newest == 0 { // the configured nodes decide on the first view
		needed = p.setup.majority()
		for _, id := range p.setup.Nodes {
			members = append(members, group.Member{Node: id})
		}
	}
	for _, m := range members {
		if p.live(m.Node) {
			up++
			if m.Incarnation >= p.lost(m.Node) {
				voters++
			}
		}
	}
	return up, voters, needed
}

// lost is the last life of a node that began without what it had stored; 0 if none did.
func (p *groupSettles) lost(id protocol.ID) protocol.Incarnation {
	if int(id) < len(p.wiped) {
		return p.wiped[id]
	}
	return 0
}

// forgetful is a node that lost its disk and has not been a member since: it may have agreed to a view that nobody told of;
// None if there is no such.
func (p *groupSettles) forgetful(wanted []protocol.ID) protocol.ID {
	for _, id := range wanted {
		if p.lost(id) > 0 && self(p.latest, id).Incarnation < p.lost(id) {
			return id
		}
	}
	return protocol.None
}

func (p *groupSettles) Result(end int64) Result {
	if why := p.calm.tooShort(end, p.within, p.setup.slack()); why != "" {
		return p.unexercised(why)
	}
	wanted := p.wanted()
	if len(wanted) == 0 {
		return p.unexercised("no node runs that did not leave")
	}
	up, voters, needed := p.voters()
	if up < needed {
		return p.standstill(wanted, fmt.Sprintf("%d of view %d run, and %d are needed", up, p.newest, needed))
	}
	f, id := p.unsettled(wanted), p.forgetful(wanted)
	switch {
	case f == nil:
		return p.holding(len(wanted))
	case voters < needed || id != protocol.None:
		return p.unexercised(fmt.Sprintf("node %d lost its disk, and maybe what it agreed to", id))
	}
	return p.violated(f)
}

// standstill judges what members say when too few are up. The others have no group that could stand still.
func (p *groupSettles) standstill(wanted []protocol.ID, why string) Result {
	members := 0
	for _, id := range wanted {
		if p.installed(id).ID == 0 {
			continue
		}
		if members++; !p.blocked[id] {
			return p.violated(newFinding(fmt.Sprintf("node %d does not say that the group stands still: %s", id, why), []*trace.Event{p.members[id].event}))
		}
	}
	if members == 0 {
		return p.unexercised(why)
	}
	return p.holding(members)
}

// unsettled finds that not all are in one view, or came to be too late.
func (p *groupSettles) unsettled(wanted []protocol.ID) *finding {
	for _, id := range wanted {
		v := p.installed(id)
		switch {
		case v.ID == 0:
			return newFinding(fmt.Sprintf("node %d is in no view; view %s is the last", id, p.latest), []*trace.Event{p.last})
		case v.ID != p.newest:
			return newFinding(fmt.Sprintf("node %d is in view %s, and view %s is the last", id, v, p.latest), []*trace.Event{p.members[id].event, p.last})
		case p.blocked[id]:
			return newFinding(fmt.Sprintf("node %d says that the group stands still, in view %s", id, v), []*trace.Event{p.last})
		}
	}
	for _, m := range p.latest.Members {
		if !slices.Contains(wanted, m.Node) {
			return newFinding(fmt.Sprintf("view %s has node %d, which does not run or has left", p.latest, m.Node), []*trace.Event{p.last})
		}
	}
	if p.changed > p.calm.since+p.within+p.setup.slack() {
		return newFinding(fmt.Sprintf("the group still changes at %s, %s after it became calm; %s are allowed",
			at(p.changed), span(p.changed-p.calm.since), span(p.within)), []*trace.Event{p.last})
	}
	return nil
}
