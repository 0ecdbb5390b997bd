package node

import (
	"errors"

	"golang.org/x/sys/windows"
)

// PortTaken says whether an error of listening means that another process has the port.
func PortTaken(err error) bool { return errors.Is(err, windows.WSAEADDRINUSE) }
