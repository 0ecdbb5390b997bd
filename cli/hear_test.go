package cli

import (
	"bufio"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// A hearer is a program in the background of a script that listens to the group. It must begin before anything is sent.
type hearer struct {
	cmd   *exec.Cmd
	ended chan error
}

// hears starts such a program, and returns when it listens. Its output goes to a file: hears FILE PROGRAM ARGUMENTS…
func hears(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: hears FILE PROGRAM ARGUMENTS…")
	}
	out, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	h := &hearer{exec.Command(args[1], args[2:]...), make(chan error, 1)}
	h.cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+ts.Getenv("XDG_STATE_HOME"))
	h.cmd.Stdout = out
	notes, err := h.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(h.cmd.Start())
	ts.Defer(func() { h.cmd.Process.Kill() })
	lines := bufio.NewScanner(notes)
	listens := false
	for !listens && lines.Scan() {
		listens = strings.Contains(lines.Text(), "listening at")
	}
	if !listens {
		ts.Fatalf("it does not listen: %v", h.cmd.Wait())
	}
	go func() {
		for lines.Scan() {
			ts.Logf("%s", lines.Text())
		}
		err := h.cmd.Wait()
		out.Close()
		h.ended <- err
	}()
	hearers.Store(ts.MkAbs(args[0]), h)
}

// hearers are those of all scripts, by their files.
var hearers sync.Map

// heard waits for the end of what hears began, which must be in order: heard FILE
func heard(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: heard FILE")
	}
	h, ok := hearers.Load(ts.MkAbs(args[0]))
	if !ok {
		ts.Fatalf("nobody hears for %s", args[0])
	}
	if err := <-h.(*hearer).ended; err != nil {
		ts.Fatalf("the listener: %v", err)
	}
}

// until runs a program again and again until what it prints matches: until PATTERN PROGRAM ARGUMENTS…
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN PROGRAM ARGUMENTS…")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	printed := ""
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		_ = ts.Exec(args[1], args[2:]...) // it may fail for a while
		if printed = ts.ReadFile("stdout"); pattern.MatchString(printed) {
			return
		}
	}
	ts.Fatalf("it prints at last\n%s", printed)
}
