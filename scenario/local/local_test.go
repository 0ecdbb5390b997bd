//go:build unix

package local_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"ciranda.dev/cli"
	"ciranda.dev/cluster"
	"ciranda.dev/scenario"
	"ciranda.dev/scenario/local"
	"ciranda.dev/scenarios"
	"ciranda.dev/trace"
)

// The processes of the tests' clusters are the tests' own program, which is ciranda where it is called as a node.
func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	if len(os.Args) > 1 && os.Args[1] == "node" {
		os.Exit(cli.Main())
	}
	os.Exit(m.Run())
}

// A watched place is this machine, and remembers the processes that were started there.
type watched struct {
	local.Place
	mu      sync.Mutex
	pids    []int
	dir     string
	profile string // with which the last cluster was started
	opened  func()
}

func (w *watched) Open(ctx context.Context, s *scenario.Scenario, level trace.Level) (scenario.Live, error) {
	live, err := w.Place.Open(ctx, s, level)
	if err != nil {
		return nil, err
	}
	name, supervisor := local.Cluster(live)
	w.note(name, supervisor)
	if w.opened != nil {
		w.opened()
	}
	return live, nil
}

func (w *watched) note(name string, s *cluster.Supervisor) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range s.Members() {
		w.pids = append(w.pids, int(m.Known.GetPid()))
	}
	w.dir, _ = cluster.Dir(name)
	var shape cluster.Shape
	if b, err := os.ReadFile(filepath.Join(w.dir, "cluster.json")); err == nil && json.Unmarshal(b, &shape) == nil {
		w.profile = shape.Profile
	}
}

// nothingLeft says that neither the processes nor the directory of a cluster are there any more.
func (w *watched) nothingLeft(t *testing.T) {
	t.Helper()
	if len(w.pids) == 0 {
		t.Error("no process was started")
	}
	for _, pid := range w.pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is left: %v", pid, err)
		}
	}
	if _, err := os.Stat(w.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory %s is left: %v", w.dir, err)
	}
}

func parse(t *testing.T, text string) *scenario.Scenario {
	t.Helper()
	s, err := scenario.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const crash = `
cluster: {nodes: 3, detector: {timeout: 700ms}, election: {beat: 70ms}, app: bank}
steps:
  - {when: elected, load: {every: 10ms, for: 2s, again: 300ms, lost: 20%}}
  - {when: elected, crash: leader}
  - {when: elected, recover: last}
  - {when: elected, pause: 1}
  - {when: elected, after: 100ms, disk: {node: 1, stall: 1s}}
  - {when: elected, after: 100ms, resume: 1}
duration: 8s
expect:
  - leader-agreed: {within: 3s}
  - one-leader-per-term
  - incarnations-rise
  - suspicions-alternate
  - money-conserved
  - request-once
  - none-acknowledged-lost: {within: 3s}
`

const split = `
cluster: {nodes: 3, detector: {timeout: 700ms}}
network: {delay: 1ms..3ms}
steps:
  - {when: elected, partition: [[1], [2, 3]]}
  - {at: 1500ms, slow: {node: 3, step: 2ms}}
  - {at: 1500ms, clock: {node: 2, jump: -1h}}
  - {at: 1500ms, request: {node: 2, elect: {}}}
calm: 2s
duration: 6s
expect: [leader-agreed: {within: 3s}, one-leader-per-term, no-creation]
violates: [one-leader-at-a-time]
`

// Experiments on real processes end with their verdicts, and leave nothing.
func TestRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts processes and takes some seconds")
	}
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for name, c := range map[string]struct {
		text    string
		verdict scenario.Verdict
		profile string
	}{
		"crash": {crash, scenario.Holds, "Local,timeout=700ms,beat=70ms"},
		"split": {split, scenario.AsExpected, "Local,timeout=700ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place := &watched{}
			r, err := parse(t, c.text).RunLive(t.Context(), place, scenario.LiveRuns{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict != c.verdict || r.Unfinished > 0 || r.Events == 0 {
				t.Errorf("got %s: %s (%d unfinished, %d events)", r.Verdict, r.Reason, r.Unfinished, r.Events)
			}
			if place.profile != c.profile {
				t.Errorf("the nodes ran with %s, want %s", place.profile, c.profile)
			}
			readable(t, r)
			place.nothingLeft(t)
		})
	}
}

// readable says that the trace of a run can be written and read again.
func readable(t *testing.T, r *scenario.Report) {
	t.Helper()
	var file strings.Builder
	if err := r.WriteTrail(&file, trace.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	again, err := trace.Read(strings.NewReader(file.String()), trace.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(again.Events) != len(r.Trail.Events) || again.Header.LayerName(1) != r.Trail.Header.LayerName(1) || again.Header.Engine != "local" {
		t.Errorf("read again it is %d events with %+v", len(again.Events), again.Header)
	}
}

// The nodes run what a scenario says that they run: events of other layers could not be read.
func TestSameStack(t *testing.T) {
	for _, name := range scenarios.List() {
		s, err := scenarios.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if !s.Allows(scenario.Local) {
			continue
		}
		spec, err := local.ShapeOf(s).Spec()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got, want := spec.Text(), s.Spec(scenario.Local).Text(); got != want {
			t.Errorf("%s: the nodes run %s, want %s", name, got, want)
		}
	}
}

// A run that is interrupted leaves nothing either.
func TestInterrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts processes")
	}
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	ctx, interrupt := context.WithCancel(t.Context())
	place := &watched{opened: interrupt}
	r, err := parse(t, crash).RunLive(ctx, place, scenario.LiveRuns{})
	if err != nil || !r.Interrupted || r.Runs != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	place.nothingLeft(t)
}

// What cannot be done to processes is refused before any is started.
func TestRefusals(t *testing.T) {
	for step, want := range map[string]string{
		"{at: 1s, clock: {node: 1, jump: 1500us}}":                                          "whole milliseconds",
		"{at: 1s, slow: {node: 1, step: 1500us}}":                                           "whole milliseconds",
		"{at: 1s, disk: {node: 1, slow: 2m}}":                                               "at most 1m0s",
		"{at: 1s, link: {from: 1, to: 2, fifo: true}}":                                      "no order for messages",
		"{at: 1s, link: {from: 1, to: 2, delay: {kind: lognormal, median: 1ms, p99: 2ms}}}": "log-normal",
	} {
		s := parse(t, "cluster: {nodes: 3}\nsteps: ["+step+"]\ncalm: 4s\nduration: 9s\nexpect: [leader-agreed]")
		if err := s.Refuses(local.Place{}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "test.yaml:2") {
			t.Errorf("%s: got %v, want %q", step, err, want)
		}
	}
	many := parse(t, "cluster: {nodes: 65}\nexpect: [leader-agreed]")
	if err := many.Refuses(local.Place{}); err == nil || !strings.Contains(err.Error(), "found 65 nodes; expected 2 to 64 on local") {
		t.Errorf("got %v", err)
	}
}
