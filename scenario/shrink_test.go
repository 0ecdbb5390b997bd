package scenario_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"ciranda.dev/check"
	"ciranda.dev/engine/world"
	"ciranda.dev/scenario"
	"ciranda.dev/trace"
)

const split = `
name: a partition, and much that does not matter
cluster: {nodes: 5, election: bully}
steps:
  - {at: 1s, pause: 1}
  - {at: 1100ms, resume: 1}
  - {at: 2s, link: {from: 1, to: 2, delay: 20ms}}
  - {at: 3s, partition: [[1, 2], [3, 4, 5]]}
  - {at: 4s, request: {node: 1, elect: {}}}
duration: 12s
calm: 8s
violates: [one-leader-at-a-time]
`

// A violation is shown with the one fault that it takes, and with its causes alone.
func TestShrink(t *testing.T) {
	s, err := scenario.Parse("split.yaml", []byte(split))
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Shrink(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if r.Result.Verdict != check.Violated || r.Property != "one-leader-at-a-time" {
		t.Errorf("the shortened run is judged %+v", r.Result)
	}
	if r.Faults != 1 || r.FaultsBefore != 5 {
		t.Errorf("%d of %d steps of the scenario are left, not 1 of 5", r.Faults, r.FaultsBefore)
	}
	if r.After > r.Cone || r.Cone >= r.Before {
		t.Errorf("%d steps became %d, then %d", r.Before, r.Cone, r.After)
	}
	t.Logf("%d steps became %d, then %d; %d events", r.Before, r.Cone, r.After, len(r.Events))
}

// A run can be written, read and done again from what was written, with the same trace.
func TestKeep(t *testing.T) {
	s, err := scenario.Parse("split.yaml", []byte(split))
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := s.WriteRun(context.Background(), 7, trace.Full, &file, trace.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	read, err := trace.Read(bytes.NewReader(file.Bytes()), trace.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	steps, err := scenario.Steps(&read.Header)
	if err != nil {
		t.Fatal(err)
	}
	again, err := scenario.Parse("split.yaml", []byte(read.Header.Script))
	if err != nil {
		t.Fatal(err)
	}
	var m trace.Memory
	replay, err := world.NewReplay(again.World(trace.Full, &m), steps)
	if err != nil {
		t.Fatal(err)
	}
	if err := replay.Run(); err != nil {
		t.Fatal(err)
	}
	var copied bytes.Buffer
	w, err := trace.NewWriter(&copied, read.Header, trace.WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range m.All() {
		w.Record(e)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	a, b := strings.Split(file.String(), "\n"), strings.Split(copied.String(), "\n")
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			t.Fatalf("line %d differs:\n%.300s\n%.300s", i+1, a[i], b[min(i, len(b)-1)])
		}
	}
}
