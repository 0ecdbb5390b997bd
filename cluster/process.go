package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// A spawner starts processes from one thread of the operating system that lives as long as it: where a process dies
// with its parent, the parent is a thread.
type spawner struct{ requests chan func() }

func newSpawner() *spawner {
	s := &spawner{requests: make(chan func())}
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with this goroutine
		for start := range s.requests {
			start()
		}
	}()
	return s
}

// start starts a command and gives its error.
func (s *spawner) start(c *exec.Cmd) error {
	done := make(chan error)
	s.requests <- func() { done <- c.Start() }
	return <-done
}

func (s *spawner) close() { close(s.requests) }

// A process is one life of a node.
type process struct {
	cmd   *exec.Cmd
	alive *os.File      // a pipe whose end tells the node that it should stop, or that we are gone
	ended chan struct{} // closed when the process is gone and waited for
}

// spawn starts a program, with additions to the environment, that logs to a file and ends when its standard input does.
func (s *spawner) spawn(program string, args, env []string, log string) (*process, error) {
	output, err := openLog(log)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	defer theirs.Close()
	c := exec.Command(program, args...)
	c.Env = append(os.Environ(), env...)
	c.Stdin, c.Stdout, c.Stderr = theirs, output, output
	c.SysProcAttr = attributes()
	if err := s.start(c); err != nil {
		ours.Close()
		return nil, fmt.Errorf("cluster: %s: %w", filepath.Base(program), err)
	}
	p := &process{cmd: c, alive: ours, ended: make(chan struct{})}
	go func() {
		c.Wait() // its outcome is in c.ProcessState
		ours.Close()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) gone() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// kill ends the process without notice, and returns when it is gone.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("cluster: kill %d: %w", p.pid(), err)
	}
	<-p.ended
	return nil
}

// stop ends the process in good order, or kills it if that takes too long.
func (p *process) stop(patience time.Duration) error {
	p.alive.Close()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-p.ended:
		return nil
	case <-late.C:
		return p.kill()
	}
}

// maxLog is the size in bytes above which a log is set aside when its process starts anew.
const maxLog = 8 << 20

func openLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		os.Rename(path, path+".old") // else it goes on growing
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return f, nil
}
