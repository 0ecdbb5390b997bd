package scenarios_test

import (
	"path/filepath"
	"testing"

	"ciranda.dev/engine/world"
	"ciranda.dev/scenario"
	"ciranda.dev/trace"
)

// Runs that once failed are kept as their steps, and are taken again first. A step that the present code does not
// come to is passed over; if it comes to less than half of them, the run says nothing any more.
func TestKeptRuns(t *testing.T) {
	files, err := filepath.Glob("testdata/kept/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no run is kept: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { again(t, file) })
	}
}

func again(t *testing.T, file string) {
	kept, err := trace.ReadFile(file, trace.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Parse(file, []byte(kept.Header.Script))
	if err != nil {
		t.Fatal(err)
	}
	steps, err := scenario.Steps(&kept.Header)
	if err != nil {
		t.Fatal(err)
	}
	var events trace.Memory
	r, err := world.NewReplay(s.World(trace.Full, &events), steps)
	if err != nil {
		t.Fatal(err)
	}
	taken, passed := 0, 0
	for {
		more, err := r.Step()
		if !more {
			break
		}
		if taken++; err != nil {
			passed++
		}
	}
	if 2*passed > taken {
		t.Errorf("%d of %d steps could not be taken: the run says nothing any more, keep another", passed, taken)
	}
	if v := s.Violation(events.Events(), trace.Full); v != nil {
		t.Errorf("it fails again: %s: %s", v.Property, v.Why)
	}
	if v := s.Violation(kept.Events, trace.Full); v == nil {
		t.Error("what was kept shows no violation")
	}
}
