//go:build unix

package node

import (
	"errors"
	"syscall"
)

// PortTaken says whether an error of listening means that another process has the port.
func PortTaken(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
