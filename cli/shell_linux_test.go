package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A pty is a terminal with a program on it, and what the program has shown.
type pty struct {
	t       *testing.T
	master  *os.File
	slave   *os.File
	program *exec.Cmd
	before  unix.Termios // its settings before the program

	mu    sync.Mutex
	shown bytes.Buffer
	more  chan struct{}
}

// onPTY starts the program on a terminal of its own.
func onPTY(t *testing.T, args ...string) *pty {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminal can be made here: ", err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &pty{t: t, master: master, slave: slave, program: exec.Command("ciranda", args...), more: make(chan struct{}, 1)}
	p.before = p.settings()
	p.program.Stdin, p.program.Stdout, p.program.Stderr = slave, slave, slave
	p.program.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.program.Process.Kill()
		slave.Close()
		master.Close()
	})
	go io.Copy(p, master)
	return p
}

func (p *pty) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shown.Write(b)
	select {
	case p.more <- struct{}{}:
	default:
	}
	return len(b), nil
}

// expect waits until a text was shown, and forgets what was shown up to there.
func (p *pty) expect(text string) {
	p.t.Helper()
	late := time.After(patience)
	for {
		p.mu.Lock()
		i := strings.Index(p.shown.String(), text)
		if i >= 0 {
			p.shown.Next(i + len(text))
		}
		p.mu.Unlock()
		if i >= 0 {
			return
		}
		select {
		case <-p.more:
		case <-late:
			p.t.Fatalf("%q was not shown; but\n%s", text, p.shown.String())
		}
	}
}

func (p *pty) types(keys string) {
	p.t.Helper()
	if _, err := io.WriteString(p.master, keys); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pty) settings() unix.Termios {
	p.t.Helper()
	s, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	return *s
}

// A shell takes the terminal key by key, and gives it back as it was, also when it is told to end.
func TestShellOnTerminal(t *testing.T) {
	home(t)
	up(t, "--nodes", "3", "--gateways", "2")
	p := onPTY(t, "shell")
	p.expect("8  transfer money")
	p.expect("default> ")
	if p.settings().Lflag&unix.ICANON != 0 {
		t.Error("the terminal gives lines and not keys")
	}
	p.types("1\r")
	p.expect("Which node? [3] ")
	p.types("2\r")
	p.expect("node 2 is up")
	p.expect("default> ")
	p.types("watch\r")
	p.expect("\n")
	p.types("\x03")
	p.expect("default> ")
	p.types("lea\t\r")
	p.expect("The last election:")
	p.types("transfer 1 2 7\r")
	p.expect("7 units are on the way from 1 to 2; transfer 1:1")
	ciranda(t, "fault", "kill", "gateway-1") // the other one takes over
	p.types("balances\r")
	p.expect("total 300")
	p.types("quit\r")
	if err := p.program.Wait(); err != nil {
		t.Error(err)
	}
	if p.settings() != p.before {
		t.Error("the terminal was not put back")
	}
	kept, err := os.ReadFile(filepath.Join(os.Getenv("XDG_STATE_HOME"), "ciranda", "shell.history"))
	if want := "1\nwatch\nleader\ntransfer 1 2 7\nbalances\nquit\n"; err != nil || string(kept) != want {
		t.Errorf("the history is %q, %v; want %q", kept, err, want)
	}

	p = onPTY(t, "shell")
	p.expect("default> ")
	p.program.Process.Signal(syscall.SIGTERM)
	p.expect("terminated")
	p.program.Wait()
	if p.settings() != p.before {
		t.Error("the terminal was not put back after a signal")
	}
}
