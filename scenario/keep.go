package scenario

import (
	"context"
	"fmt"
	"io"
	"slices"

	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// Header is that of a trace of a simulated run, with the steps by which the run can be done again.
func (s *Scenario) Header(seed uint64, level trace.Level, steps []world.Step) (trace.Header, error) {
	h, err := s.header(Sim, level)
	h.Seed, h.Clock = seed, "virtual"
	h.Repeat = fmt.Sprintf("ciranda run %s --seed %d --runs 1", s.File, seed)
	for _, st := range steps {
		h.Steps = append(h.Steps, st.String())
	}
	return h, err
}

// header is what traces of runs on all engines have in common.
func (s *Scenario) header(e Engine, level trace.Level) (trace.Header, error) {
	h := trace.Header{Scenario: s.Name, Script: s.Text, Engine: string(e), Level: level}
	for id := range s.Cluster.Nodes {
		h.Members = append(h.Members, protocol.ID(id+1))
	}
	stack, err := s.Spec(e).Build(protocol.Self{ID: 1, Incarnation: 1, Group: h.Members})
	if err == nil {
		h.SetStack(stack.Traits())
	}
	return h, err
}

// WriteRun does the run of a seed again and writes its trace.
func (s *Scenario) WriteRun(ctx context.Context, seed uint64, level trace.Level, w io.Writer, o trace.WriteOptions) error {
	var m trace.Memory
	var steps []world.Step
	if err := s.Record(ctx, seed, level, &m, func(st world.Step) { steps = append(steps, st) }); err != nil {
		return err
	}
	h, err := s.Header(seed, max(level, s.Level()), steps)
	if err != nil {
		return err
	}
	return write(h, slices.Values(m.Events()), w, o)
}

// Write writes the trace of the shortened run.
func (r *Shrunk) Write(w io.Writer, o trace.WriteOptions) error {
	h, err := r.Scenario.Header(r.Seed, trace.Full, r.Steps)
	if err != nil {
		return err
	}
	return write(h, slices.Values(r.Events), w, o)
}

func write(h trace.Header, events func(func(trace.Event) bool), w io.Writer, o trace.WriteOptions) error {
	t, err := trace.NewWriter(w, h, o)
	if err != nil {
		return err
	}
	for e := range events {
		t.Record(&e)
	}
	return t.Close()
}

// Steps reads the steps of a trace.
func Steps(h *trace.Header) ([]world.Step, error) {
	if len(h.Steps) == 0 {
		return nil, fmt.Errorf("the trace of %q has no steps, so the run cannot be done again", h.Scenario)
	}
	steps := make([]world.Step, len(h.Steps))
	for i, text := range h.Steps {
		var err error
		if steps[i], err = world.ParseStep(text); err != nil {
			return nil, fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return steps, nil
}

// WriteTrail writes the trace of the run that the report of a live engine holds.
func (r *Report) WriteTrail(w io.Writer, o trace.WriteOptions) error {
	return write(r.Trail.Header, slices.Values(r.Trail.Events), w, o)
}
