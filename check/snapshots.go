package check

import (
	"fmt"
	"maps"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/snapshot"
	"ciranda.dev/trace"
)

// snapshotEnds is SNAP-3: a snapshot is over in time, unless the life of the node that was asked ends before.
type snapshotEnds struct {
	base
	delays delays
	within int64 `layer:"const"`
	open   map[snapshot.ID]beginning
	excuse map[snapshot.ID]bool // the node stood still meanwhile
}

// A beginning is that of a snapshot.
type beginning struct {
	t     int64
	event *trace.Event `layer:"const"`
}

func (p *snapshotEnds) Kinds() Kinds { return calmKinds }

func (p *snapshotEnds) Step(e *trace.Event) {
	p.delays.step(e)
	switch {
	case ends(e) || begins(e):
		maps.DeleteFunc(p.open, func(id snapshot.ID, _ beginning) bool { return id.Node == e.Node })
	case e.Kind == trace.Pause || e.Kind == trace.Resume:
		p.excuseAll(e.Node)
	}
	switch d := e.Data.(type) {
	case snapshot.Started:
		if p.open == nil {
			p.open, p.excuse = map[snapshot.ID]beginning{}, map[snapshot.ID]bool{}
		}
		p.open[d.ID] = beginning{e.T, keep(e)}
	case snapshot.Done:
		if b, ok := p.open[d.ID]; ok {
			p.judge(d.ID, b, e.T, e)
		}
		delete(p.open, d.ID)
		delete(p.excuse, d.ID)
	}
}

// excuseAll excuses the snapshots of a node that stands still.
func (p *snapshotEnds) excuseAll(id protocol.ID) {
	for s := range p.open {
		if s.Node == id {
			p.excuse[s] = true
		}
	}
}

func (p *snapshotEnds) judge(id snapshot.ID, b beginning, now int64, last *trace.Event) {
	if p.excuse[id] || p.delays.odd(id.Node) {
		return
	}
	p.examined++
	if now-b.t > p.within+p.setup.slack() {
		p.violate(fmt.Sprintf("snapshot %s is not over %s after it began, and %s are allowed", id, span(now-b.t), span(p.within)), b.event, last)
	}
}

func (p *snapshotEnds) Result(end int64) Result {
	for _, id := range slices.SortedFunc(maps.Keys(p.open), compareSnapshots) {
		b := p.open[id]
		if end-b.t > p.within+p.setup.slack() && !p.excuse[id] && !p.delays.odd(id.Node) && !p.failed {
			return p.violated(newFinding(fmt.Sprintf("snapshot %s is not over at the end, %s after it began, and %s are allowed",
				id, span(end-b.t), span(p.within)), []*trace.Event{b.event}))
		}
	}
	return p.result("no snapshot was taken by a node that kept time")
}

func compareSnapshots(a, b snapshot.ID) int {
	return slices.Compare([]uint64{uint64(a.Node), uint64(a.Incarnation), a.Number}, []uint64{uint64(b.Node), uint64(b.Incarnation), b.Number})
}

// snapshotCompletes is that snapshots in calm, with all nodes up, are complete.
type snapshotCompletes struct {
	base
	lives
	calm   calm
	within int64 `layer:"const"`
	begun  map[snapshot.ID]int64
}

func (p *snapshotCompletes) Kinds() Kinds { return calmKinds }

func (p *snapshotCompletes) Step(e *trace.Event) {
	p.calm.step(e)
	p.lives.step(e)
	switch d := e.Data.(type) {
	case snapshot.Started:
		if p.begun == nil {
			p.begun = map[snapshot.ID]int64{}
		}
		p.begun[d.ID] = e.T
	case snapshot.Done:
		t, known := p.begun[d.ID]
		delete(p.begun, d.ID)
		if !known || !p.calm.on || t < p.calm.since+p.within || slices.ContainsFunc(p.setup.Nodes, func(id protocol.ID) bool { return !p.live(id) }) {
			return
		}
		p.examined++
		if !d.Complete {
			p.violate(fmt.Sprintf("snapshot %s was begun %s after it became calm, with all nodes up, and is not complete: node %d is missing, %s",
				d.ID, span(t-p.calm.since), d.Missing[0].Node, d.Missing[0].Why), e)
		}
	}
}

func (p *snapshotCompletes) Result(int64) Result {
	return p.result("no snapshot was begun once it had been calm for long enough, with all nodes up")
}
