package cluster

import "syscall"

// attributes: a node is killed when the thread that started it ends, even if the node stands still. Its own process
// group keeps a terminal's Ctrl-C from it: the supervisor decides.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
