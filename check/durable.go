package check

import (
	"fmt"

	"ciranda.dev/protocol/election"
	"ciranda.dev/trace"
)

// durableFirst is TR-7 and DUR-2. What promises nothing about a node's state may leave before: the messages of the
// failure detector, which is the bottom layer, and a leader's resignation.
type durableFirst struct {
	base
	outbox
	steps  []diskStep // by node: its present step
	undone map[origin]uint64
}

// A diskStep is what a step has done so far.
type diskStep struct {
	cause    uint64
	resigned bool
	gated    uint64 // the number of the first message that should have waited; 0 for none
	wrote    bool
}

func (p *durableFirst) Kinds() Kinds {
	return KindsOf(trace.Start, trace.Recover, trace.Send, trace.Receive, trace.Persisted, trace.Told)
}

func (p *durableFirst) Step(e *trace.Event) {
	switch e.Kind {
	case trace.Send:
		p.send(e)
	case trace.Receive:
		p.receive(e)
	case trace.Recover:
		p.recover(e)
	case trace.Persisted:
		p.persist(e)
	case trace.Told:
		if _, ok := told[election.SteppedDown](e); ok {
			p.step(e).resigned = true
		}
	}
}

// step is the step that an event belongs to.
func (p *durableFirst) step(e *trace.Event) *diskStep {
	p.steps = reach(p.steps, e.Node)
	if s := &p.steps[e.Node]; s.cause != e.Cause {
		*s = diskStep{cause: e.Cause}
	}
	return &p.steps[e.Node]
}

func (p *durableFirst) send(e *trace.Event) {
	p.add(e)
	s, _ := p.get(e.Message())
	step := p.step(e)
	if p.setup.Detector != nil && e.Layer == 0 || step.resigned {
		s.cause = 0 // it need not wait
		return
	}
	if step.wrote {
		p.examined++
	}
	if step.gated == 0 {
		step.gated = e.Seq
	}
}

func (p *durableFirst) persist(e *trace.Event) {
	step := p.step(e)
	step.wrote = true
	if step.gated == 0 {
		return
	}
	id := trace.MessageID{Node: e.Node, Inc: e.Inc, Seq: step.gated}
	if s, fate := p.get(id); fate == found {
		p.violate(fmt.Sprintf("node %d persists %s after it sent message %s in the same step", e.Node, recordKey(e), id), s.event(id), e)
	}
}

func recordKey(e *trace.Event) string {
	if r, ok := e.Data.(trace.Record); ok {
		return r.Key
	}
	return "a record"
}

// recover notes which steps of the former life never happened. None of their messages may have been received.
func (p *durableFirst) recover(e *trace.Event) {
	life, ok := e.Data.(trace.Life)
	if !ok || life.Durable == 0 {
		return
	}
	p.examined++
	if p.undone == nil {
		p.undone = map[origin]uint64{}
	}
	former := e.Inc - 1
	p.undone[origin{e.Node, former}] = life.Durable
	l := p.life(e.Node, former)
	if l == nil {
		return
	}
	for i := range l.sent {
		if s := &l.sent[i]; s.known && s.got.received > 0 && s.cause > 0 && s.n > life.Durable {
			p.betray(trace.MessageID{Node: e.Node, Inc: former, Seq: l.base + uint64(i)}, s, e)
		}
	}
}

func (p *durableFirst) receive(e *trace.Event) {
	id := e.Message()
	s, fate := p.get(id)
	if fate != found {
		return
	}
	s.got.received++
	if len(p.undone) > 0 && s.cause > 0 {
		if durable := p.undone[origin{id.Node, id.Inc}]; durable > 0 && s.n > durable {
			p.betray(id, s, e)
		}
	}
}

func (p *durableFirst) betray(id trace.MessageID, s *sending, e *trace.Event) {
	p.violate(fmt.Sprintf("node %d receives message %s, whose step was undone by the crash of node %d", s.to, id, id.Node), s.event(id), e)
}

func (p *durableFirst) Result(int64) Result { return p.result("no step persisted and sent") }
