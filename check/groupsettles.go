package check

import (
	"fmt"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/trace"
)

// groupSettles is VS-6 and GM-2, GM-3, GM-5: once it is calm, all live nodes that did not leave come to be in one view, and
// nobody else; or if too few are up for that, they say that the group stands still.
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
		p.tell(e, d.Why == group.Left)
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

// voters are the members of the present view that run and know what they agreed to, and how many are needed.
func (p *groupSettles) voters() (up, needed int) {
	if p.newest == 0 {
		for _, id := range p.setup.Nodes {
			if p.live(id) && p.wiped[id] == 0 {
				up++
			}
		}
		return up, p.setup.majority()
	}
	for _, m := range p.latest.Members {
		if p.live(m.Node) && m.Incarnation >= p.wiped[m.Node] {
			up++
		}
	}
	return up, p.latest.Majority()
}

func (p *groupSettles) Result(end int64) Result {
	if why := p.calm.tooShort(end, p.within, p.setup.slack()); why != "" {
		return p.unexercised(why)
	}
	wanted := p.wanted()
	if len(wanted) == 0 {
		return p.unexercised("no node runs that did not leave")
	}
	up, needed := p.voters()
	f := p.unsettled(wanted)
	if up < needed {
		f = p.silent(wanted, fmt.Sprintf("%d of view %d run, and %d are needed", up, p.newest, needed))
	}
	if f != nil {
		return p.violated(f)
	}
	return p.holding(len(wanted))
}

// silent finds a node that does not say that the group stands still.
func (p *groupSettles) silent(wanted []protocol.ID, why string) *finding {
	for _, id := range wanted {
		if !p.blocked[id] {
			return newFinding(fmt.Sprintf("node %d does not say that the group stands still, though only %s", id, why), []*trace.Event{p.members[id].event})
		}
	}
	return nil
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
