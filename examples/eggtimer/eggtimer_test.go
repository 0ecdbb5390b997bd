package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// The program is a module of its own, in which nothing is generated yet. There the generator runs as a tool of the module,
// without a network. Then one process calls another, and is called back.
func TestEggtimer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	p := &project{t, ctx, t.TempDir()}
	p.begin()
	p.golang("generate")
	p.golang("vet")
	p.golang("tool", "rmigen", "-check")
	program := filepath.Join(p.dir, "eggtimer")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	p.golang("build", "-o", program)

	address := p.serve(program)
	for args, want := range map[string]string{
		"1ms eggs":  "the eggs are done\n",
		"90m goose": "take a calendar: that is too long: found 1h30m0s, expected an hour or less\n",
	} {
		cmd := exec.CommandContext(ctx, program, append([]string{address}, strings.Fields(args)...)...)
		cmd.Env = environment()
		if got, err := cmd.CombinedOutput(); !strings.HasSuffix(string(got), want) {
			t.Errorf("%s: got %s (%v), want %s", args, got, err, want)
		}
	}
}

// The program is as short as the handbook says.
func TestShort(t *testing.T) {
	text, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			lines++
		}
	}
	if lines >= 60 {
		t.Errorf("it has %d lines of code, want fewer than 60", lines)
	}
}

func environment() []string {
	return append(os.Environ(), "EGGTIMER_SECRET=sixteen bytes or more", "GOPROXY=off", "GOFLAGS=-mod=readonly", "GOWORK=off")
}

// A project is a module beside the checkout.
type project struct {
	t   *testing.T
	ctx context.Context
	dir string
}

// begin makes the module. It needs what the checkout needs, and has the same tools.
func (p *project) begin() {
	p.t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		p.t.Fatal(err)
	}
	for _, path := range []string{"go.mod", "go.sum", "examples/eggtimer/main.go"} {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			p.t.Fatal(err)
		}
		if path == "go.mod" {
			rest := strings.TrimPrefix(string(text), "module ciranda.dev\n")
			text = fmt.Appendf(nil, "module example.com/eggtimer\n%s\nrequire ciranda.dev v0.0.0\nreplace ciranda.dev => %s\n", rest, root)
		}
		if err := os.WriteFile(filepath.Join(p.dir, filepath.Base(path)), text, 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
}

// golang runs go in the module.
func (p *project) golang(args ...string) {
	p.t.Helper()
	cmd := exec.CommandContext(p.ctx, "go", args...)
	cmd.Dir, cmd.Env = p.dir, environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// serve starts the process that keeps the time, and says where it listens.
func (p *project) serve(program string) (address string) {
	p.t.Helper()
	cmd := exec.CommandContext(p.ctx, program, "127.0.0.1:0")
	cmd.Env, cmd.Stderr = environment(), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "open at ")
	if !ok {
		p.t.Fatalf("got %q, %v", line, err)
	}
	return address
}
