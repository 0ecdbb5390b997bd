//go:build unix

package pki

import (
	"io/fs"
	"os"
	"syscall"
)

// An Owner is the user and the group that files belong to, as numbers of the system. A group below 0 is left as it
// is.
type Owner struct{ UID, GID int }

// foreign says whether a file belongs to another user, who is not the superuser either.
func foreign(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Uid != 0 && int(s.Uid) != os.Geteuid()
}

// ownerOf says to whom a file belongs.
func ownerOf(info fs.FileInfo) *Owner {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return &Owner{UID: int(s.Uid), GID: int(s.Gid)}
	}
	return nil
}
