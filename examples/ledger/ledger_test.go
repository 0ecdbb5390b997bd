package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// The program is built as a module of its own, without a network, and three processes of it keep one ledger. One of them joins
// late, and has what was written before.
func TestLedger(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := &crew{t: t, ctx: ctx, program: build(ctx, t), peers: freePorts(t, 3)}
	one, two := c.start(1), c.start(2)
	one.expect("members [1 2]", "members [2 1]")
	two.expect("members [1 2]", "members [2 1]")
	one.say("rye")
	two.expect("line 1 is 1: rye")
	two.say("oats")
	one.expect("line 2 is 2: oats")

	three := c.start(3)
	three.expect("begins with 2 lines")
	three.say("wheat")
	for _, p := range []*process{one, two, three} {
		p.expect("line 3 is 3: wheat")
	}
	two.say("picture")
	for range 3 {
		if line := two.expect("picture: "); !strings.HasSuffix(line, `has "1: rye\n2: oats\n3: wheat"`) {
			t.Errorf("got %s", line)
		}
	}
	three.end()
	one.expect("members [1 2]", "members [2 1]") // it said goodbye
	two.end()
	one.end()
}

// build makes a module beside the checkout, and builds it with nothing but what is on this machine.
func build(ctx context.Context, t *testing.T) (program string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "examples/ledger/main.go"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "go.mod" { // it needs what the checkout needs
			rest := strings.TrimPrefix(string(text), "module ciranda.dev\n")
			text = fmt.Appendf(nil, "module example.com/ledger\n%s\nrequire ciranda.dev v0.0.0\nreplace ciranda.dev => %s\n", rest, root)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program = filepath.Join(dir, "ledger")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, ".")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=readonly", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// freePorts names ports that nobody listens on, below those that connections take by themselves.
func freePorts(t *testing.T, n int) string {
	t.Helper()
	var all []string
	for tries := 0; len(all) < n; tries++ {
		address := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			all = append(all, fmt.Sprintf("%d=%s", len(all)+1, address))
		} else if tries > 100 {
			t.Fatal(err)
		}
	}
	return strings.Join(all, ",")
}

// A crew is the processes of a test.
type crew struct {
	t              *testing.T
	ctx            context.Context
	program, peers string
}

// A process is a member, with what it prints.
type process struct {
	t   *testing.T
	id  int
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func (c *crew) start(id int) *process {
	c.t.Helper()
	cmd := exec.CommandContext(c.ctx, c.program, "-id", fmt.Sprint(id), "-peers", c.peers, "-dir", c.t.TempDir())
	cmd.Env, cmd.Stderr = append(os.Environ(), "LEDGER_SECRET=sixteen bytes or more"), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	return &process{c.t, id, cmd, in, bufio.NewScanner(out)}
}

func (p *process) say(line string) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		p.t.Fatal(err)
	}
}

// expect reads until a line begins with one of those.
func (p *process) expect(begins ...string) string {
	p.t.Helper()
	for p.out.Scan() {
		for _, b := range begins {
			if strings.HasPrefix(p.out.Text(), b) {
				return p.out.Text()
			}
		}
	}
	p.t.Fatalf("member %d ends without %q: %v", p.id, begins, p.out.Err())
	return ""
}

// end closes its input, and waits until it has left.
func (p *process) end() {
	p.t.Helper()
	if err := p.in.Close(); err != nil {
		p.t.Error(err)
	}
	for p.out.Scan() { // what it still prints
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("member %d: %v", p.id, err)
	}
}
