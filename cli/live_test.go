//go:build unix

package cli

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/cluster"
)

// running waits for a cluster and gives its name.
func running(t *testing.T) string {
	t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if names := cluster.Running(); len(names) > 0 {
			return names[0]
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("no cluster was started")
		}
	}
}

// A run on real processes can be looked at while it lasts. Ctrl-C ends it, and nothing of it is left.
func TestRunInterrupted(t *testing.T) {
	home(t)
	var out bytes.Buffer
	command := exec.Command("ciranda", "run", "leader-crash", "--on", "local", "-o", "json")
	command.Stdout = &out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(patience, func() { command.Process.Kill() })
	defer stuck.Stop()
	c, _, err := cluster.Connect(running(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.Cluster.Status(t.Context(), &cirandav1.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	command.Process.Signal(os.Interrupt)
	var failed *exec.ExitError
	if err := command.Wait(); !errors.As(err, &failed) || failed.ExitCode() != exitInterrupted {
		t.Errorf("after Ctrl-C: %v, want exit status %d", err, exitInterrupted)
	}
	if !bytes.Contains(out.Bytes(), []byte(`"interrupted":true`)) {
		t.Errorf("it said %s", out.Bytes())
	}
	awaitGone(t, pids(statusOf(s)))
	dir, err := cluster.Dir("x")
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
