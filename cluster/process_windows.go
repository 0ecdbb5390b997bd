package cluster

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// canPause says that this system cannot make a process stand still from without: nodes freeze from within.
const canPause = false

func (p *process) pause() error  { panic("cluster: a process cannot be paused here") }
func (p *process) resume() error { panic("cluster: a process cannot be resumed here") }

// attributes: Ctrl-C reaches the supervisor only. A node ends when the pipe from its supervisor does.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

// Detach makes a command outlive this process and its terminal.
func Detach(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.DETACHED_PROCESS}
}
