package replay_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"ciranda.dev/protocol"
	"ciranda.dev/replay"
	"ciranda.dev/scenario"
	"ciranda.dev/trace"
)

const split = `
name: split
cluster: {nodes: 5, election: bully}
steps:
  - {at: 2s, partition: [[1, 2], [3, 4, 5]]}
calm: 5s
duration: 8s
violates: [one-leader-at-a-time]
`

// record runs the scenario and reads its trace back, as a file would be.
func record(t *testing.T, level trace.Level) *trace.Trace {
	t.Helper()
	s, err := scenario.Parse("split", []byte(split))
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := s.WriteRun(context.Background(), 3, level, &file, trace.WriteOptions{Compress: true}); err != nil {
		t.Fatal(err)
	}
	read, err := trace.Read(&file, trace.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// Going back and forth comes to the same as going straight.
func TestBackAndForth(t *testing.T) {
	for _, level := range []trace.Level{trace.Protocol, trace.Full} {
		p, err := replay.New(record(t, level))
		if err != nil {
			t.Fatal(err)
		}
		if !p.ToViolation() {
			t.Fatal("the violation is not found")
		}
		at, there := p.At(), p.Nodes()
		p.Go(p.Len())
		p.Back(func(_ int, e *trace.Event) bool { return e.Kind == trace.Start })
		p.Go(0)
		if e := p.Event(); e != nil {
			t.Errorf("at the beginning %+v has happened", e)
		}
		p.Forward(func(i int, _ *trace.Event) bool { return i == at-1 })
		for i, n := range p.Nodes() {
			if n.Leader != there[i].Leader || n.Detail != there[i].Detail || n.Lamport != there[i].Lamport {
				t.Errorf("%s: node %d is %+v, and was %+v", level, n.ID, n, there[i])
			}
		}
	}
}

// At the violation two nodes lead, and the layers' states say so too.
func TestTwoLeaders(t *testing.T) {
	p, err := replay.New(record(t, trace.Full))
	if err != nil {
		t.Fatal(err)
	}
	p.ToViolation()
	p.Back(func(i int, _ *trace.Event) bool { return p.Witness(i) })
	leaders := []protocol.ID{}
	for _, n := range p.Nodes() {
		if n.Leader != n.ID {
			continue
		}
		leaders = append(leaders, n.ID)
		if want := "leader " + n.ID.String(); !strings.Contains(n.Detail, want) {
			t.Errorf("node %d: %q does not say %q", n.ID, n.Detail, want)
		}
	}
	if len(leaders) != 2 {
		t.Errorf("nodes %v lead, not two", leaders)
	}
}

// A trace that was tampered with does not repeat, and the error says where.
func TestRepeats(t *testing.T) {
	tr := record(t, trace.Full)
	p, err := replay.New(tr)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Repeats(); err != nil {
		t.Errorf("as recorded: %v", err)
	}
	tr.Events[100].Lamport++
	if err := p.Repeats(); err == nil || !strings.Contains(err.Error(), "event 101 was") {
		t.Errorf("with another stamp: %v", err)
	}
	tr.Events[100].Lamport--
	tr.Header.Steps[40] = "0s deliver 1→2 bully.Nonsense"
	if err := p.Repeats(); err == nil || !strings.Contains(err.Error(), "no such message is in flight") {
		t.Errorf("with another step: %v", err)
	}
}
