//go:build unix

package cluster

import (
	"fmt"
	"os/exec"
	"syscall"
)

// canPause says that this system can make a process stand still from without.
const canPause = true

func (p *process) pause() error  { return p.signal(syscall.SIGSTOP) }
func (p *process) resume() error { return p.signal(syscall.SIGCONT) }

func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("cluster: %v for process %d: %w", s, p.pid(), err)
	}
	return nil
}

// Detach makes a command outlive this process and its terminal.
func Detach(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
