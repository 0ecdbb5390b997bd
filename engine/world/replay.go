package world

import (
	"fmt"
	"time"

	"ciranda.dev/protocol"
)

// Diverged says that a step of a replay cannot be taken.
type Diverged struct {
	Index int  // of the step in the run, from 0
	Step  Step // the step
	Why   string
}

func (d *Diverged) Error() string {
	return fmt.Sprintf("step %d, %s: %s", d.Index+1, d.Step, d.Why)
}

// A Replay takes the steps of a recorded run in a fresh world.
type Replay struct {
	*World
	script *script
	steps  []Step
	next   int
}

// NewReplay makes a fresh world for the steps of a run. What they drew follows them.
func NewReplay(cfg Config, steps []Step) (*Replay, error) {
	p := &script{}
	w, err := New(cfg, p)
	return &Replay{World: w, script: p, steps: steps}, err
}

// script is the policy of a replay: it draws what was drawn.
type script struct {
	draws  []Step
	missed bool
}

func (*script) Sent(FlightRef)                             {}
func (*script) Armed(protocol.ID, TimerRef, time.Duration) {}
func (*script) Persisted(protocol.ID)                      {}
func (*script) Left(protocol.ID, protocol.Event)           {}

func (p *script) Draw(_ protocol.ID, n int) int {
	if len(p.draws) == 0 || p.draws[0].Value < 0 || p.draws[0].Value >= int64(n) {
		p.missed = true
		return 0
	}
	v := int(p.draws[0].Value)
	p.draws = p.draws[1:]
	return v
}

// Next is the number of steps taken.
func (r *Replay) Next() int { return r.next }

// Step takes the next step, with its draws. It reports false at the end. An error is a [*Diverged]; the step is then
// passed over, so that the replay may go on.
func (r *Replay) Step() (bool, error) {
	if r.next >= len(r.steps) {
		return false, nil
	}
	i := r.next
	s := r.steps[i]
	r.next++
	draws := r.next
	for r.next < len(r.steps) && r.steps[r.next].Do == Draw {
		r.next++
	}
	r.script.draws, r.script.missed = r.steps[draws:r.next], false
	why := r.Apply(s)
	switch {
	case why != "":
	case r.script.missed:
		why = "it draws a number that the run does not have"
	case len(r.script.draws) > 0:
		why = "it draws fewer numbers than the run has"
	case r.Err() != nil:
		return true, r.Err()
	default:
		return true, nil
	}
	return true, &Diverged{i, s, why}
}

// Run takes all steps and stops where one cannot be taken.
func (r *Replay) Run() error {
	for {
		if more, err := r.Step(); !more || err != nil {
			return err
		}
	}
}

// Apply takes a step if it can be taken, and says why if it cannot.
func (w *World) Apply(s Step) (why string) {
	form := about[s.Do]
	switch form {
	case "message":
		return w.applyMessage(s)
	case "sides":
		return w.applySides(s)
	}
	if form == "pair" && (!w.Valid(s.Node) || !w.Valid(s.Peer)) || form != "" && form != "number" && form != "words" && !w.Valid(s.Node) {
		return "there is no such node"
	}
	w.now = s.At
	if form == "pair" || form == "" || form == "words" {
		return w.applyOutside(s)
	}
	return w.applyNode(s)
}

func (w *World) applyMessage(s Step) string {
	ref, ok := w.lookup(s.Node, s.Peer, s.What, s.Nth)
	if !ok {
		return "no such message is in flight"
	}
	if s.Do == Deliver && w.Paused(s.Peer) {
		return "the addressee is paused"
	}
	w.now = s.At
	switch s.Do {
	case Deliver:
		w.Deliver(ref)
	case Lose:
		w.Lose(ref)
	case Overflow:
		w.Overflow(ref)
	default:
		w.Double(ref)
	}
	return ""
}

func (w *World) applyOutside(s Step) string {
	switch s.Do {
	case Suspect, Restore:
		if w.node(s.Node).state != up {
			return fmt.Sprintf("node %d does not run", s.Node)
		}
		w.Choose(s.Node, s.Peer, s.Do == Suspect)
	case Cut:
		w.Cut(s.Node, s.Peer)
	case Mend:
		w.Mend(s.Node, s.Peer)
	case Reset:
		w.Reset(s.Node, s.Peer)
	case Heal:
		w.Heal()
	case Say:
		w.Fault(s.What, s.Node, s.Peer)
	case Calm:
		w.Calm()
	case End:
		w.End()
	default:
		return "a run cannot begin with it"
	}
	return ""
}

// runs says whether a verb needs the node to run, to stand still, to be down, or does not care.
var runs = map[Verb]nodeState{
	Fire: up, Request: up, Stop: up, Pause: up, Stalls: up, Answers: up, Resume: paused, Start: down, Recover: down, Wipe: down,
}

var stateNames = [...]string{down: "down", up: "up", paused: "paused"}

func (w *World) applyNode(s Step) string {
	n := w.node(s.Node)
	if want, matters := runs[s.Do]; matters && n.state != want {
		return fmt.Sprintf("node %d is %s", s.Node, stateNames[n.state])
	}
	switch s.Do {
	case Fire:
		ref, ok := w.armed(n, s.What)
		if !ok {
			return "no such timer is armed"
		}
		w.Fire(s.Node, ref)
	case Request:
		if w.request(s.What) == nil {
			return "there is no such request"
		}
		w.Request(s.Node, s.What)
	case Start:
		if n.begun {
			return "the node has started already"
		}
		w.Start(s.Node)
	case Recover:
		if !n.begun {
			return "the node never started"
		}
		w.Recover(s.Node)
	case Crash:
		if n.state == down {
			return "the node is down"
		}
		w.Crash(s.Node, int(s.Value))
	default:
		w.applyPlain(s)
	}
	return ""
}

func (w *World) applyPlain(s Step) {
	switch s.Do {
	case Wipe:
		w.WipeDisk(s.Node)
	case Stop:
		w.Stop(s.Node)
	case Pause:
		w.Pause(s.Node)
	case Resume:
		w.Resume(s.Node)
	case SlowDisk, FastDisk:
		w.SlowDisk(s.Node, s.Do == SlowDisk)
	case Sync:
		w.Sync(s.Node)
	case Stalls, Answers:
		w.DiskStalled(s.Node, s.Do == Stalls)
	case Jump:
		w.JumpClock(s.Node, time.Duration(s.Value))
	case Rate:
		w.SetRate(s.Node, s.Value)
	}
}

// armed finds an armed timer of a node by its name.
func (w *World) armed(n *node, name string) (TimerRef, bool) {
	for i := range n.timers.slots {
		if s := &n.timers.slots[i]; s.at >= 0 && w.timerName(n, s.key) == name {
			return TimerRef(i), true
		}
	}
	return 0, false
}
