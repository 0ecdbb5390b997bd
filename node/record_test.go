package node

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"ciranda.dev/engine/live/disk"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// A file can be read from the moment it is there, and says on which clock its times are.
func TestTraceFile(t *testing.T) {
	c := three(t)[0]
	store, err := disk.Open(filepath.Join(c.Dir, "store"), disk.Options{Cluster: c.Cluster, Node: c.ID})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close(context.Background())
	n := &Node{cfg: c, group: []protocol.ID{1, 2, 3}, store: store}
	before := Monotonic()
	r, err := n.openRecorder()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(n.traceDir(), "0000000001-001.jsonl")
	at := read(t, path).Header
	if at.Zero < before || at.Zero > Monotonic() || time.Since(time.Unix(0, at.Wall)) > deadline || at.Version != trace.Version() {
		t.Errorf("got %+v", at)
	}
	r.Record(&trace.Event{Kind: trace.Start, Node: 1, Inc: 1, N: 1, T: at.Zero + 5})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if events := read(t, path).Events; len(events) != 1 || events[0].T != 5 {
		t.Errorf("got %+v, want the time since the begin", events)
	}
}

func read(t *testing.T, path string) *trace.Trace {
	t.Helper()
	tr, err := trace.ReadFile(path, trace.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}
