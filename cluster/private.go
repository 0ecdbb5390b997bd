package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"ciranda.dev/api"
)

// checkOwner says whether the directory of a cluster, or the one above it, is in the hands of another user. He could
// put his own endpoint, token and program there.
func checkOwner(dir string) error {
	for _, d := range []string{filepath.Dir(dir), dir} {
		for _, look := range []func(string) (fs.FileInfo, error){os.Lstat, os.Stat} { // a link, and what it leads to
			info, err := look(d)
			if errors.Is(err, fs.ErrNotExist) {
				return nil // nor is there anything in it
			}
			if err != nil {
				return fmt.Errorf("cluster: %w", err)
			}
			writable := info.IsDir() && info.Mode().Perm()&0o022 != 0 && runtime.GOOS != "windows"
			if writable || api.Foreign(info) {
				return failure("remove it, or set XDG_STATE_HOME to a directory of your own", "the directory %s is not yours alone", d)
			}
		}
	}
	return nil
}
