// Package shrink makes a run that violates a property as short and as plain as it can while it still does.
//
// It goes in stages: what has no part in the violation's causes goes first, then single steps, and at last the order
// is made readable: each node goes on as long as it can. Before that, whoever brought the run about should have tried
// with fewer faults, which [Subset] helps with.
//
// Every candidate is taken anew in a fresh world, and the property judges it: so what comes out did happen, step by
// step, in the same code. A run stays inside the model in which the property was claimed. Of a claim that rests on
// timing single steps are not left out: a message that never comes and a timer that never fires are outside the model,
// and a silence has effects too.
//
// A. Zeller, R. Hildebrandt, Simplifying and Isolating Failure-Inducing Input, IEEE TSE 28(2), 2002.
package shrink

import (
	"cmp"
	"slices"

	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// Subset gives a small part of 0..n-1 for which fails still holds: leaving out any one of it would not do. It does
// not try fails on the whole.
func Subset(n int, fails func(keep []int) bool) []int {
	keep := make([]int, n)
	for i := range keep {
		keep[i] = i
	}
	for size := (n + 1) / 2; size > 0 && len(keep) > 0; {
		removed := false
		for at := 0; at < len(keep); {
			without := slices.Concat(keep[:at], keep[min(at+size, len(keep)):])
			if fails(without) {
				keep, removed = without, true
			} else {
				at += size
			}
		}
		if size == 1 && !removed {
			break
		}
		size = max(1, size/2)
	}
	return keep
}

// A Run is a violation to be made shorter.
type Run struct {
	World world.Config // its Sink, Level and Twice are not used
	Steps []world.Step

	// Violated says whether the property is violated by the events, which are in the order of time, and which of them
	// show it.
	Violated func(events []trace.Event) (witness []int, violated bool)

	// Timed says that the property is claimed only for timely messages and timers.
	Timed bool

	// Budget is how many candidates may be tried. Zero means 2,000.
	Budget int
}

// A Result is a shorter run.
type Result struct {
	Steps  []world.Step
	Cone   int // steps after the first stage
	Single int // steps after the second
	Tried  int // candidates
}

// Shrink makes the run shorter. It gives the run itself if that does not show the violation.
func (r Run) Shrink() Result {
	if r.Budget == 0 {
		r.Budget = 2000
	}
	s := &shrinker{Run: r}
	taken, ok := s.try(r.Steps)
	if !ok {
		return Result{Steps: r.Steps, Cone: len(r.Steps), Single: len(r.Steps), Tried: s.tried}
	}
	taken = s.better(taken, s.cone(taken))
	result := Result{Cone: count(taken)}
	if !r.Timed {
		taken = s.singles(taken)
	}
	result.Single = count(taken)
	taken = s.better(taken, readable(taken))
	result.Steps, result.Tried = taken.steps(), s.tried
	return result
}

type shrinker struct {
	Run
	tried int
}

// A group is a step with what it drew: they stand or fall together.
type group struct {
	steps []world.Step
	at    int // its place in the candidate
	// What it did, once taken.
	consumed trace.MessageID // by a delivery
	sent     []trace.MessageID
	witness  bool
}

func (g *group) step() world.Step { return g.steps[0] }

// A taken run is one whose steps were all possible.
type taken []*group

func (t taken) steps() []world.Step {
	var steps []world.Step
	for _, g := range t {
		steps = append(steps, g.steps...)
	}
	return steps
}

func count(t taken) int { return len(t) }

// collect keeps the events of a run and which step they belong to.
type collect struct {
	events []trace.Event
	groups []int
	now    int
}

func (c *collect) Record(e *trace.Event) {
	c.events, c.groups = append(c.events, *e), append(c.groups, c.now)
}

// try takes the steps in a fresh world, passing over those that cannot be taken, and asks the property.
func (s *shrinker) try(steps []world.Step) (taken, bool) {
	s.tried++
	c := &collect{}
	cfg := s.World
	cfg.Sink, cfg.Level, cfg.Twice = c, trace.Full, false
	replay, err := world.NewReplay(cfg, steps)
	if err != nil {
		return nil, false
	}
	var done taken
	for {
		from := replay.Next()
		c.now = len(done)
		events := len(c.events)
		more, err := replay.Step()
		if !more {
			break
		}
		if err == nil {
			done = append(done, &group{steps: steps[from:replay.Next()], at: len(done)})
		} else if len(c.events) > events {
			return nil, false // it did something, but not what was recorded
		}
	}
	s.describe(done, c)
	order := byTime(c.events)
	sorted := make([]trace.Event, len(order))
	for i, at := range order {
		sorted[i] = c.events[at]
	}
	witness, violated := s.Violated(sorted)
	if !violated {
		return done, false
	}
	for _, i := range witness {
		done[c.groups[order[i]]].witness = true
	}
	return done, true
}

// byTime is the order of the events in time; of one moment, as they happened.
func byTime(events []trace.Event) []int {
	order := make([]int, len(events))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(events[a].T, events[b].T) })
	return order
}

// describe notes which messages each step sent and received.
func (s *shrinker) describe(t taken, c *collect) {
	for i := range c.events {
		e, g := &c.events[i], t[c.groups[i]]
		switch e.Kind {
		case trace.Send:
			g.sent = append(g.sent, e.Message())
		case trace.Receive:
			g.consumed = e.Message()
		}
	}
}

// better gives the candidate if it still shows the violation.
func (s *shrinker) better(now, candidate taken) taken {
	if next, ok := s.try(candidate.steps()); ok && len(next) <= len(now) {
		return next
	}
	return now
}

// actor is whose step it is: None for what is done to the network or the whole.
func actor(st world.Step) protocol.ID {
	switch st.Do {
	case world.Deliver:
		return st.Peer
	case world.Lose, world.Overflow, world.Duplicate, world.Cut, world.Mend, world.Partition, world.Isolate,
		world.Heal, world.Reset, world.Say, world.Calm, world.End:
		return protocol.None
	default:
		return st.Node
	}
}

// cone keeps the causes of the witnesses: earlier steps of their nodes, the sending of what was delivered, and so on
// back. What was done to the network stays, but for losses: what is not delivered is lost as well.
func (s *shrinker) cone(t taken) taken {
	sender := map[trace.MessageID]int{}
	for i, g := range t {
		for _, m := range g.sent {
			sender[m] = i
		}
	}
	needed := make([]bool, len(t))
	until := map[protocol.ID]bool{} // nodes of which all earlier steps are needed
	for i := len(t) - 1; i >= 0; i-- {
		st := t[i].step()
		who := actor(st)
		if t[i].witness || needed[i] {
			until[who] = true
		}
		if who == protocol.None {
			needed[i] = st.Do != world.Lose && st.Do != world.Overflow || s.Timed
			continue
		}
		if until[who] {
			needed[i] = true
			if at, ok := sender[t[i].consumed]; ok {
				needed[at] = true
			}
		}
	}
	var kept taken
	for i, g := range t {
		if needed[i] {
			kept = append(kept, g)
		}
	}
	return kept
}

// singles leaves out steps one by one, from the last, as long as there is progress and budget.
func (s *shrinker) singles(t taken) taken {
	for progress := true; progress; {
		progress = false
		for i := len(t) - 1; i >= 0 && s.tried < s.Budget; i-- {
			if i >= len(t) || t[i].step().Do == world.End {
				continue
			}
			if next, ok := s.try(slices.Concat(t[:i], t[i+1:]).steps()); ok {
				t, progress = next, true
			}
		}
	}
	return t
}

// readable reorders steps that do not depend on one another, so that each node goes on as long as it can. Steps keep
// their moments. What is done to the network or the whole stays where it is between the others.
func readable(t taken) taken {
	var result, stretch taken
	for _, g := range t {
		if actor(g.step()) == protocol.None {
			result = append(append(result, reorder(stretch)...), g)
			stretch = nil
			continue
		}
		stretch = append(stretch, g)
	}
	return append(result, reorder(stretch)...)
}

func reorder(t taken) taken {
	pending := map[trace.MessageID]bool{} // sent in the stretch, and not yet in the result
	for _, g := range t {
		for _, m := range g.sent {
			pending[m] = true
		}
	}
	rest, result := slices.Clone(t), taken{}
	last := protocol.None
	for len(rest) > 0 {
		i := nextOf(rest, last, pending)
		g := rest[i]
		rest = slices.Delete(rest, i, i+1)
		for _, m := range g.sent {
			delete(pending, m)
		}
		result, last = append(result, g), actor(g.step())
	}
	return result
}

// nextOf is the first step that can be taken, of the node that acted last if it has one. A step has to wait for the
// earlier ones of its node and for the sending of what it receives.
func nextOf(rest taken, last protocol.ID, pending map[trace.MessageID]bool) int {
	first := -1
	seen := map[protocol.ID]bool{}
	for i, g := range rest {
		who := actor(g.step())
		if seen[who] {
			continue
		}
		seen[who] = true
		if pending[g.consumed] {
			continue
		}
		if who == last {
			return i
		}
		if first < 0 {
			first = i
		}
	}
	return max(first, 0)
}
