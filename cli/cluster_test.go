//go:build unix

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/cluster"
)

// These tests run the program as users do, and look at its processes.

// patience is how long a test waits for what should come soon.
const patience = 20 * time.Second

// home gives a test clusters of its own, and ends what it leaves of them.
func home(t *testing.T) {
	t.Helper()
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	t.Cleanup(func() { killClusters(t, state) })
}

// ciranda runs the program and gives what it printed.
func ciranda(t *testing.T, args ...string) []byte {
	t.Helper()
	var out, notes bytes.Buffer
	c := exec.Command("ciranda", args...)
	c.Stdout, c.Stderr = &out, &notes
	if err := c.Run(); err != nil {
		t.Fatalf("ciranda %v: %v\n%s", args, err, notes.Bytes())
	}
	return out.Bytes()
}

// up starts a cluster and gives its status.
func up(t *testing.T, args ...string) clusterJSON {
	t.Helper()
	var s clusterJSON
	if err := json.Unmarshal(ciranda(t, append([]string{"up", "-d", "-o", "json"}, args...)...), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func connect(t *testing.T) *api.Client {
	t.Helper()
	c, _, err := cluster.Connect(cluster.DefaultName)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// await waits until the cluster is as wanted.
func await(t *testing.T, c *api.Client, what string, want func(clusterJSON) bool) clusterJSON {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := c.Await(ctx, func(s *cirandav1.StatusResponse) bool { return want(statusOf(s)) })
	if err != nil {
		t.Fatalf("%s: %v; last seen: %v", what, err, s)
	}
	return statusOf(s)
}

func led(by uint32) func(clusterJSON) bool {
	return func(s clusterJSON) bool { return s.Leader != nil && *s.Leader == by }
}

func pids(s clusterJSON) []int {
	all := []int{int(*s.SupervisorPID)}
	for _, n := range s.Nodes {
		if n.PID != nil {
			all = append(all, int(*n.PID))
		}
	}
	return all
}

// lives says whether a process is there and no zombie.
func lives(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return runtime.GOOS != "linux"
	}
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return state[0] != 'Z'
}

// awaitGone waits until none of some processes is there.
func awaitGone(t *testing.T, pids []int) {
	t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for slices.ContainsFunc(pids, lives) {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("of the processes %v some live on", pids)
		}
	}
}

// Leader after leader is killed, the survivors agree on the next, and the dead one comes back to lead.
func TestLeadersDieAndReturn(t *testing.T) {
	home(t)
	s := up(t)
	c := connect(t)
	for round := range 3 {
		before := s
		ciranda(t, "fault", "kill", "leader")
		if pid := int(*before.Nodes[4].PID); lives(pid) {
			t.Errorf("round %d: the killed process %d lives", round, pid)
		}
		s = await(t, c, "the next leader", led(4))
		if s.Nodes[4].State != "down" || s.Nodes[4].PID != nil || s.Term.Counter <= before.Term.Counter {
			t.Errorf("round %d: %+v, in term %+v after %+v", round, s.Nodes[4], s.Term, before.Term)
		}
		ciranda(t, "fault", "restart", "last")
		s = await(t, c, "the highest node again", led(5))
		if got, want := *s.Nodes[4].Incarnation, *before.Nodes[4].Incarnation+1; got != want {
			t.Errorf("round %d: life %d, want %d", round, got, want)
		}
	}
	divide(t, c)
	stopLeader(t, c)
	all := pids(await(t, c, "a leader", led(5)))
	ciranda(t, "down")
	awaitGone(t, all)
}

// divide cuts the two lowest nodes off: plain Bully has a leader on each side.
func divide(t *testing.T, c *api.Client) {
	ciranda(t, "fault", "partition", "1,2/3,4,5")
	await(t, c, "two leaders", func(s clusterJSON) bool {
		var leaders []uint32
		for _, n := range s.Nodes {
			if n.Leader != nil {
				leaders = append(leaders, *n.Leader)
			}
		}
		return s.Leader == nil && slices.Equal(leaders, []uint32{2, 2, 5, 5, 5})
	})
	ciranda(t, "fault", "heal")
	await(t, c, "one leader again", led(5))
}

// stopLeader pauses the leader until another one leads.
func stopLeader(t *testing.T, c *api.Client) {
	ciranda(t, "fault", "pause", "leader")
	s := await(t, c, "another leader", led(4))
	if s.Nodes[4].State != "paused" {
		t.Errorf("node 5 is %s", s.Nodes[4].State)
	}
	ciranda(t, "fault", "resume", "5")
	await(t, c, "the highest again", led(5))
}

// Nothing outlives a supervisor that is killed, not even a node that stands still; and the cluster comes up again.
func TestNothingOutlivesTheSupervisor(t *testing.T) {
	home(t)
	s := up(t, "--nodes", "3")
	ciranda(t, "fault", "pause", "2")
	if err := syscall.Kill(int(*s.SupervisorPID), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, pids(s))
	again := up(t)
	if *again.Leader != 3 || *again.Nodes[1].Incarnation != 2 {
		t.Errorf("up again: %+v", again)
	}
	ciranda(t, "down")
}

// A supervisor that stands still is not taken for one that has ended.
func TestSupervisorStandsStill(t *testing.T) {
	home(t)
	s := up(t, "--nodes", "2")
	pid := int(*s.SupervisorPID)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ciranda", "status").CombinedOutput()
	want := fmt.Sprintf("ciranda: error: the supervisor of default is there but does not answer\n"+
		"ciranda: hint: is its process, %d, paused or the machine too busy?\n", pid)
	if err == nil || string(out) != want {
		t.Errorf("got %v and %q, want %q", err, out, want)
	}
	syscall.Kill(pid, syscall.SIGKILL)
	awaitGone(t, pids(s))
	out, err = exec.Command("ciranda", "status").CombinedOutput()
	want = "ciranda: error: the cluster default does not answer: its supervisor has ended\nciranda: hint: ciranda up starts it again\n"
	if err == nil || string(out) != want {
		t.Errorf("got %v and %q, want %q", err, out, want)
	}
	if others := cluster.Running(); len(others) > 0 {
		t.Errorf("running are %v", others)
	}
}

// Up tells the story in lines where there is no terminal, and takes the cluster with it at Ctrl-C.
func TestUpWithoutTerminal(t *testing.T) {
	home(t)
	command := exec.Command("ciranda", "up", "--nodes", "3", "-o", "json")
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(patience, func() { command.Process.Kill() })
	defer stuck.Stop()
	lines := json.NewDecoder(out)
	for elected := false; !elected; {
		var e struct {
			Kind string
			Data struct{ Leader int }
		}
		if err := lines.Decode(&e); err != nil {
			t.Fatal(err)
		}
		elected = e.Kind == "el.leader" && e.Data.Leader == 3
	}
	s := await(t, connect(t), "a leader", led(3))
	command.Process.Signal(os.Interrupt)
	var failed *exec.ExitError
	if err := command.Wait(); !errors.As(err, &failed) || failed.ExitCode() != exitInterrupted {
		t.Errorf("after Ctrl-C: %v, want exit status %d", err, exitInterrupted)
	}
	awaitGone(t, pids(s))
}

// A port that is in use is named, and nothing stays behind.
func TestPortInUse(t *testing.T) {
	home(t)
	s := up(t, "--nodes", "2")
	_, e, err := cluster.Connect(cluster.DefaultName)
	if err != nil {
		t.Fatal(err)
	}
	var port int
	fmt.Sscanf(e.GRPC, "127.0.0.1:%d", &port)
	command := exec.Command("ciranda", "up", "-d", "--name", "other", "--nodes", "2", "--port", strconv.Itoa(port-1))
	out, err := command.CombinedOutput()
	want := fmt.Sprintf("ciranda: error: port %d is in use\nciranda: hint: choose others with --port, or leave it out\n", port)
	if err == nil || string(out) != want {
		t.Errorf("got %v and %q, want %q", err, out, want)
	}
	if _, _, err := cluster.Connect("other"); err == nil {
		t.Error("the other cluster is up")
	}
	ciranda(t, "down")
	awaitGone(t, pids(s))
}

// Ctrl-C while nodes start is no failure of theirs, and leaves nothing.
func TestUpIsGivenUp(t *testing.T) {
	home(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := cluster.Open(ctx, cluster.Config{Shape: cluster.Shape{Nodes: 2}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if _, _, err := cluster.Connect(cluster.DefaultName); err == nil {
		t.Error("the cluster is up")
	}
	up(t, "--nodes", "2")
	ciranda(t, "down")
}
