// Package replay goes forwards and backwards through a trace, and says at each event what every node knows and does.
//
// What a node knows is taken from its events, so that it is there for traces of living clusters too. Of a trace that
// holds the steps of a simulated run, the run is done again, and each node's whole state is there as well.
//
// What it does not promise: that a trace that was cut, or is of level protocol only, says all. A node's state is shown
// as of its last recorded event.
package replay

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"ciranda.dev/check"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/election"
	"ciranda.dev/scenario"
	"ciranda.dev/trace"
)

// A Player is a trace and a place in it.
type Player struct {
	Trace *trace.Trace
	// Violation is what the trace shows to be violated; nil if nothing is, or if it does not say what to expect.
	Violation *check.Result

	at      int // events that have happened
	nodes   map[protocol.ID]*Node
	states  map[protocol.ID][]state
	witness []int
	members []protocol.ID
}

// A Node is what is known of a node.
type Node struct {
	ID       protocol.ID
	Inc      protocol.Incarnation
	State    string // "not started", "up", "down", "paused"
	Leader   protocol.ID
	Term     election.Term
	Suspects []protocol.ID
	Lamport  uint64
	Detail   string // the state of its layers, a line each; empty if it is not known
	recorded uint64
}

// A state is what a node's layers say of themselves after an event.
type state struct {
	inc  protocol.Incarnation
	n    uint64
	text string
}

// maxSteps is the longest run that is done again to show states.
const maxSteps = 300_000

// New begins before the first event of a trace. An error says why the states of the nodes cannot be shown; the player
// works without them.
func New(t *trace.Trace) (*Player, error) {
	p := &Player{Trace: t, members: slices.Clone(t.Header.Members)}
	for i := range t.Events {
		if id := t.Events[i].Node; id != protocol.None && !slices.Contains(p.members, id) && len(t.Header.Members) == 0 {
			p.members = append(p.members, id)
		}
	}
	slices.Sort(p.members)
	p.Go(0)
	if t.Header.Script == "" {
		return p, nil
	}
	s, err := scenario.Parse(t.Header.Scenario, []byte(t.Header.Script))
	if err != nil {
		return p, fmt.Errorf("replay: the scenario in the trace: %w", err)
	}
	p.judge(s)
	return p, p.again(s)
}

// judge finds out what the trace violates.
func (p *Player) judge(s *scenario.Scenario) {
	p.Violation = s.Violation(p.Trace.Events, p.Trace.Header.Level)
	if p.Violation == nil {
		return
	}
	for _, w := range p.Violation.Witnesses {
		for i, e := range p.Trace.Events {
			if e.Node == w.Node && e.Inc == w.Inc && e.N == w.N && e.T == w.T && e.Kind == w.Kind {
				p.witness = append(p.witness, i)
				break
			}
		}
	}
	slices.Sort(p.witness)
}

// again does the run again and keeps the states.
func (p *Player) again(s *scenario.Scenario) error {
	if len(p.Trace.Header.Steps) == 0 || len(p.Trace.Header.Steps) > maxSteps {
		return nil
	}
	steps, err := scenario.Steps(&p.Trace.Header)
	if err != nil {
		return err
	}
	counter := counter{}
	r, err := world.NewReplay(s.World(p.Trace.Header.Level, counter), steps)
	if err != nil {
		return err
	}
	p.states = map[protocol.ID][]state{}
	for {
		more, err := r.Step()
		if err != nil {
			return fmt.Errorf("replay: the code does not do what the trace says: %w", err)
		}
		if !more {
			return nil
		}
		p.keep(r, counter)
	}
}

// keep notes the states of the nodes that recorded something.
func (p *Player) keep(r *world.Replay, c counter) {
	for _, id := range p.members {
		now, known := c[id]
		if !known {
			continue
		}
		all := p.states[id]
		if len(all) > 0 && all[len(all)-1].inc == now.inc && all[len(all)-1].n == now.n {
			continue
		}
		now.text = r.Stack(id).String()
		p.states[id] = append(all, now)
	}
}

// A counter notes each node's last event.
type counter map[protocol.ID]state

// Record takes the next event.
func (c counter) Record(e *trace.Event) {
	if e.Node != protocol.None && e.N != 0 {
		c[e.Node] = state{inc: e.Inc, n: e.N}
	}
}

// Len is the number of events.
func (p *Player) Len() int { return len(p.Trace.Events) }

// At is how many events have happened.
func (p *Player) At() int { return p.at }

// Event is the one that happened last; nil at the beginning.
func (p *Player) Event() *trace.Event {
	if p.at == 0 {
		return nil
	}
	return &p.Trace.Events[p.at-1]
}

// Witness says whether an event, by its place from 0, shows the violation.
func (p *Player) Witness(i int) bool {
	_, found := slices.BinarySearch(p.witness, i)
	return found
}

// Go goes to the moment at which so many events have happened.
func (p *Player) Go(at int) {
	at = min(max(at, 0), p.Len())
	if at < p.at || p.nodes == nil {
		p.at, p.nodes = 0, map[protocol.ID]*Node{}
		for _, id := range p.members {
			p.nodes[id] = &Node{ID: id, State: "not started"}
		}
	}
	for ; p.at < at; p.at++ {
		p.take(&p.Trace.Events[p.at])
	}
}

// Forward goes to the next event that a condition holds for, or to the end.
func (p *Player) Forward(holds func(i int, e *trace.Event) bool) {
	for i := p.at; i < p.Len(); i++ {
		if holds(i, &p.Trace.Events[i]) {
			p.Go(i + 1)
			return
		}
	}
	p.Go(p.Len())
}

// Back goes to the last event before the present one that a condition holds for, or to the beginning.
func (p *Player) Back(holds func(i int, e *trace.Event) bool) {
	for i := p.at - 2; i >= 0; i-- {
		if holds(i, &p.Trace.Events[i]) {
			p.Go(i + 1)
			return
		}
	}
	p.Go(0)
}

// ToViolation goes to the event that completes the violation, if there is one.
func (p *Player) ToViolation() bool {
	if len(p.witness) == 0 {
		return false
	}
	p.Go(p.witness[len(p.witness)-1] + 1)
	return true
}

// Nodes are what is known of the nodes at the present moment, ascending.
func (p *Player) Nodes() []Node {
	nodes := make([]Node, 0, len(p.members))
	for _, id := range p.members {
		n := *p.nodes[id]
		n.Detail = p.detail(&n)
		nodes = append(nodes, n)
	}
	return nodes
}

// detail is the state of a node's layers after its last event.
func (p *Player) detail(n *Node) string {
	if n.State == "down" || n.State == "not started" {
		return ""
	}
	all := p.states[n.ID]
	i := sort.Search(len(all), func(i int) bool {
		return cmp.Or(cmp.Compare(all[i].inc, n.Inc), cmp.Compare(all[i].n, n.recorded)) >= 0
	})
	if i == len(all) {
		return ""
	}
	return all[i].text
}

// take lets an event happen to what is known.
func (p *Player) take(e *trace.Event) {
	n := p.nodes[e.Node]
	if n == nil || e.N == 0 {
		return
	}
	n.Lamport, n.recorded = e.Lamport, e.N
	switch e.Kind {
	case trace.Start, trace.Recover:
		*n = Node{ID: n.ID, Inc: e.Inc, State: "up", Lamport: e.Lamport, recorded: e.N}
	case trace.Crash, trace.Stop:
		n.State = "down"
	case trace.Pause:
		n.State = "paused"
	case trace.Resume:
		n.State = "up"
	case trace.Told:
		n.hear(e)
	}
}

func (n *Node) hear(e *trace.Event) {
	if d, ok := trace.DataOf[election.Elected](e); ok {
		n.Leader, n.Term = d.Leader, d.Term
	} else if _, ok := trace.DataOf[election.SteppedDown](e); ok {
		n.Leader = protocol.None
	} else if d, ok := trace.DataOf[detector.Suspect](e); ok {
		if i, found := slices.BinarySearch(n.Suspects, d.Node); !found {
			n.Suspects = slices.Insert(slices.Clone(n.Suspects), i, d.Node)
		}
	} else if d, ok := trace.DataOf[detector.Restore](e); ok {
		n.Suspects = slices.DeleteFunc(slices.Clone(n.Suspects), func(id protocol.ID) bool { return id == d.Node })
	}
}

// Repeats does the run of the trace again and compares. The error says where another event happened than the trace
// has, or why the run cannot be done again.
func (p *Player) Repeats() error {
	h := &p.Trace.Header
	s, err := scenario.Parse(h.Scenario, []byte(h.Script))
	if err != nil {
		return fmt.Errorf("replay: the scenario in the trace: %w", err)
	}
	steps, err := scenario.Steps(h)
	if err != nil {
		return err
	}
	var m trace.Memory
	r, err := world.NewReplay(s.World(h.Level, &m), steps)
	if err != nil {
		return err
	}
	if err := r.Run(); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	events := m.Events()
	slices.SortStableFunc(events, func(a, b trace.Event) int { return cmp.Compare(a.T, b.T) })
	for i := range max(len(events), p.Len()) {
		if i >= len(events) || i >= p.Len() {
			return fmt.Errorf("replay: the run has %d events, the trace %d", len(events), p.Len())
		}
		if was, is := trace.Line(&p.Trace.Events[i], h), trace.Line(&events[i], h); was != is {
			return fmt.Errorf("replay: event %d was %q, and is now %q", i+1, was, is)
		}
	}
	return nil
}
