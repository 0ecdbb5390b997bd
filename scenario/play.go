package scenario

import (
	"fmt"
	"math"
	"time"

	"ciranda.dev/app/bank"
	"ciranda.dev/engine/sim"
	"ciranda.dev/protocol"
)

// A player does the steps of a scenario to a simulated run, one after the other.
type player struct {
	scenario *Scenario
	sim      *sim.Sim
	cast     cast
	next     int                           // the step that is waited for
	slow     map[protocol.ID]bool          // nodes that were made slow
	stalls   map[protocol.ID]time.Duration // until when disks stall
	awaited  map[callID]awaited            // answers that clients wait for
}

// start begins with the steps, in a run that has just begun.
func (p *player) start(s *sim.Sim) {
	p.sim = s
	p.plan()
}

// plan puts the next step into the run's script.
func (p *player) plan() {
	if p.next == len(p.scenario.Steps) {
		if p.scenario.Calm == 0 {
			p.sim.Calm()
		}
		return
	}
	step := p.scenario.Steps[p.next]
	if step.When.Kind == "" {
		p.sim.Plan(sim.Action{At: step.At, When: p.ready, Do: p.act})
		return
	}
	p.sim.Plan(sim.Action{When: p.conditionHolds, Do: func(s *sim.Sim) {
		s.Plan(sim.Action{At: s.Now() + step.When.After, When: p.ready, Do: p.act})
	}})
}

func (p *player) conditionHolds(*sim.Sim) bool {
	return p.inTime() && p.cast.holds(p.scenario.Steps[p.next].When)
}

// ready says whether the next step can be done now.
func (p *player) ready(*sim.Sim) bool {
	return p.inTime() && p.cast.knows(p.scenario.Steps[p.next].Do)
}

// inTime says whether the next step may still be done: no fault comes in the calm.
func (p *player) inTime() bool {
	s := p.scenario
	return s.Calm == 0 || p.sim.Now() < s.Calm || gentle(s.Steps[p.next].Do)
}

func (p *player) act(*sim.Sim) {
	step := p.scenario.Steps[p.next]
	p.next++
	p.do(step.Do)
	p.plan()
}

// left says which step never came, and why; empty if all did.
func (p *player) left() string {
	if p.next == len(p.scenario.Steps) {
		return ""
	}
	return leftText(p.scenario, p.next, &p.cast)
}

// leftText says why a step was not done.
func leftText(s *Scenario, i int, c *cast) string {
	step := s.Steps[i]
	why := "its condition never held"
	switch {
	case step.When.Kind == Elected:
		why = "no leader was agreed on"
	case step.When.Kind == Grouped:
		why = "the group did not come to be of all that run"
	case Mentions(step.Do, Coordinator) && c.coordinator() == protocol.None:
		why = "the coordinator of the last view was not there"
	case step.When.Kind == Suspected:
		why = "nobody suspected " + step.When.Nodes.String()
	case Mentions(step.Do, Leader) && c.leader() == protocol.None:
		why = "there was no leader whom most nodes follow"
	case step.When.Kind == "":
		why = "the time for it was over"
	}
	return fmt.Sprintf("the step of line %d, %s, never came: %s", step.Line, step.Do, why)
}

// do carries out an action.
func (p *player) do(a Action) {
	switch a := a.(type) {
	case Crash:
		p.crash(a)
	case Recover:
		p.each(a.Nodes, p.sim.Recover)
	case Pause:
		p.each(a.Nodes, p.sim.Pause)
	case Resume:
		p.each(a.Nodes, p.sim.Resume)
	case Partition:
		p.sim.Partition(a.Groups)
	case Isolate:
		ids, _ := p.cast.resolve(a.Nodes)
		p.sim.Isolate(ids)
	case Cut:
		p.pairs(a.Links, p.sim.Cut)
	case Reset:
		p.reset(a.Links)
	case Change:
		p.pairs(a.Links, p.change(a.To.Apply(p.scenario.Network)))
	case Heal:
		p.pairs(a.Links, p.mend)
	case HealAll:
		p.healAll()
	case Elect:
		p.each(a.Nodes, func(id protocol.ID) { p.sim.Request(id, "elect") })
	case Transfer:
		c := p.client(a.Client)
		p.each(a.Nodes, func(id protocol.ID) { c.ask(id, bank.Transfer{To: a.To, Amount: a.Amount}) })
	case Snapshot:
		p.each(a.Nodes, func(id protocol.ID) { p.sim.Request(id, "snapshot") })
	case Multicast:
		p.multicast(a)
	case Multicasts:
		p.multicasts(a, 1, p.sim.Now()+a.For)
	case Names:
		p.names(a, 1, p.sim.Now()+a.For)
	case Leave:
		p.each(a.Nodes, func(id protocol.ID) { p.sim.Request(id, leaveName) })
	case Join:
		p.each(a.Nodes, func(id protocol.ID) { p.sim.Request(id, joinName) })
	case Load:
		p.load(p.client(a.Client), a.Every, p.sim.Now()+a.For)
	default:
		p.doWithin(a)
	}
}

// doWithin carries out what happens to the inside of nodes: disks, clocks, speed.
func (p *player) doWithin(a Action) {
	switch a := a.(type) {
	case StallDisk:
		p.each(a.Nodes, func(id protocol.ID) { p.stall(id, a.For) })
	case SlowDisk:
		p.each(a.Nodes, func(id protocol.ID) { p.slowDisk(id, a.Write) })
	case Slow:
		p.each(a.Nodes, func(id protocol.ID) { p.sim.Slow(id, a.Step); p.slow[id] = a.Step > 0 })
	case Jump:
		p.each(a.Nodes, func(id protocol.ID) { p.sim.JumpClock(id, a.By) })
	case Rate:
		p.each(a.Nodes, func(id protocol.ID) { p.sim.SetRate(id, int64(math.Round((a.Rate-1)*1e6))) })
	default:
		panic(fmt.Sprintf("scenario: the simulator does not know how to do %q", a))
	}
}
