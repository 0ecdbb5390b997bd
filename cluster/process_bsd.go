//go:build unix && !linux

package cluster

import "syscall"

// attributes: a node in a process group of its own is not reached by a terminal's Ctrl-C: the supervisor decides. When
// the supervisor dies the group is orphaned; the system then wakes a node that stands still with SIGHUP, which ends it.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
