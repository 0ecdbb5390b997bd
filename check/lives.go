package check

import (
	"strings"

	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// A life is what a trace shows of a node.
type life struct {
	inc   protocol.Incarnation
	state state
}

type state uint8

const (
	unborn state = iota
	up
	paused
	down // crashed or stopped
)

// lives are those of all nodes, by id.
type lives struct {
	nodes []life
}

// step follows the begins, ends and pauses of lives.
func (l *lives) step(e *trace.Event) {
	switch e.Kind {
	case trace.Start, trace.Recover:
		*l.at(e.Node) = life{inc: e.Inc, state: up}
	case trace.Crash, trace.Stop:
		l.at(e.Node).state = down
	case trace.Pause:
		l.at(e.Node).state = paused
	case trace.Resume:
		l.at(e.Node).state = up
	}
}

func (l *lives) at(id protocol.ID) *life {
	l.nodes = reach(l.nodes, id)
	return &l.nodes[id]
}

func (l *lives) of(id protocol.ID) life {
	if int(id) < len(l.nodes) {
		return l.nodes[id]
	}
	return life{}
}

// live says that a node runs and takes steps: for what is judged at the end a paused node counts as a dead one.
func (l *lives) live(id protocol.ID) bool { return l.of(id).state == up }

// living are the live nodes, ascending.
func (l *lives) living() []protocol.ID {
	var ids []protocol.ID
	for i := range l.nodes {
		if l.nodes[i].state == up {
			ids = append(ids, protocol.ID(i))
		}
	}
	return ids
}

// reach gives s room for an entry of a node. Ids are 16 bits, so s stays small whatever a trace says.
func reach[T any](s []T, id protocol.ID) []T {
	for len(s) <= int(id) {
		s = append(s, *new(T))
	}
	return s
}

// begins says that an event is the begin of a life.
func begins(e *trace.Event) bool { return e.Kind == trace.Start || e.Kind == trace.Recover }

// ends says that an event is the end of a life.
func ends(e *trace.Event) bool { return e.Kind == trace.Crash || e.Kind == trace.Stop }

// A calm is since when nothing has been done to the system: since the event that says so, or the last disturbance
// after it.
type calm struct {
	on    bool
	since int64
}

func (c *calm) step(e *trace.Event) {
	if e.Kind == trace.Calm {
		c.on, c.since = true, e.T
	} else if c.on && disturbs(e) {
		c.since = e.T
	}
}

// disturbs says that an event is a fault, or the begin or end of one.
func disturbs(e *trace.Event) bool { return e.Kind <= trace.Resume || e.Kind == trace.Fault }

// tooShort says why a run that ended then cannot be judged with a bound; empty if it can.
func (c *calm) tooShort(end, within, slack int64) string {
	switch {
	case !c.on:
		return "the run never became calm"
	case end < c.since+within-slack:
		return "the run ends " + span(end-c.since) + " after it became calm, and " + span(within) + " are allowed"
	}
	return ""
}

// delays are which nodes' events may come late or early, by what was done to them: their clocks run fast or slow, their
// steps take time, or what they tell waits for their disk. What they time is not judged.
type delays struct {
	tampered []bool // by node
}

func (d *delays) step(e *trace.Event) {
	f, ok := e.Data.(trace.FaultNote)
	if !ok || e.Kind != trace.Fault || e.Node == protocol.None {
		return
	}
	for _, what := range []string{"clock", "node", "disk"} {
		if strings.HasPrefix(f.Text, what) {
			d.tampered = reach(d.tampered, e.Node)
			d.tampered[e.Node] = true
		}
	}
}

func (d *delays) odd(id protocol.ID) bool { return int(id) < len(d.tampered) && d.tampered[id] }
