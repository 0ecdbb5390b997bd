package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"ciranda.dev/cluster"
)

// The test's own program is ciranda where it is called so: in the scripts, and as the processes of their clusters.
func TestMain(m *testing.M) {
	os.Setenv("GORACE", raceOptions)
	testscript.Main(m, map[string]func(){"ciranda": func() { os.Exit(Main()) }})
}

// raceOptions keep a program under the race detector from waiting a second before it exits.
const raceOptions = "atexit_sleep_ms=0"

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			state := filepath.Join(e.WorkDir, "state")
			e.Setenv("XDG_STATE_HOME", state)
			e.Setenv("GORACE", raceOptions)
			e.Defer(func() { killClusters(e.T(), state) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "hears": hears, "heard": heard, "until": until},
	})
}

// exits runs a program and checks its exit status: exits 2 ciranda stauts
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if neg || err != nil || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM ARGUMENTS…")
	}
	got := 0
	var failed *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &failed) {
		got = failed.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// A failer is a test that can fail.
type failer interface {
	Log(...any)
	FailNow()
}

// killClusters ends what a test that failed has left: where the supervisor goes, its nodes go too. The test fails if
// a process of its clusters crashed, or met a data race.
func killClusters(t failer, state string) {
	found, _ := filepath.Glob(filepath.Join(state, "ciranda", "*", "endpoint.json"))
	for _, path := range found {
		var e cluster.Endpoint
		if b, err := os.ReadFile(path); err != nil || json.Unmarshal(b, &e) != nil || e.PID == 0 {
			continue
		}
		if p, err := os.FindProcess(e.PID); err == nil {
			p.Kill()
		}
	}
	logs, _ := filepath.Glob(filepath.Join(state, "ciranda", "*", "logs", "*"))
	for _, path := range logs {
		text, _ := os.ReadFile(path)
		if bytes.Contains(text, []byte("DATA RACE")) || bytes.Contains(text, []byte("panic: ")) {
			t.Log(path + ":\n" + string(text))
			t.FailNow()
		}
	}
}
