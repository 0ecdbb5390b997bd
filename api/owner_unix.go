//go:build unix

package api

import (
	"io/fs"
	"os"
	"syscall"
)

// Foreign says whether a file belongs to somebody else: neither to this user nor to root.
func Foreign(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Uid != 0 && int(s.Uid) != os.Geteuid()
}
