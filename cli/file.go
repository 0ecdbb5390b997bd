package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxScenario is how much of a file is read as a scenario, in bytes: more than one may have, so that its reader says so.
const maxScenario = 2 << 20

// readScenario reads a file that a user has named as a scenario. What has no end is read in part.
func readScenario(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxScenario))
}

func compressed(path string) bool { return strings.HasSuffix(path, ".zst") }

// writeFile writes a file, whole or not at all. What is no plain file, such as /dev/stdout, is written to as it is.
func writeFile(path string, write func(io.Writer) error) error {
	plain, err := isPlain(path)
	switch {
	case err != nil:
		return err
	case !plain:
		return writeThrough(path, write)
	}
	f, err := temporary(path)
	if err != nil {
		return err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // a link stays one
	}
	if err := errors.Join(write(f), f.Chmod(0o644), f.Close()); err != nil {
		os.Remove(f.Name())
		return err
	}
	return os.Rename(f.Name(), path)
}

// isPlain says whether a path is that of a plain file, or of one that could be made. A directory is refused.
func isPlain(path string) (bool, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return false, mistake{fmt.Sprintf("%s is a directory; expected a file to write", path), ""}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return false, mistake{err.Error(), ""}
	}
	return err != nil || info.Mode().IsRegular(), nil
}

// temporary makes a file beside the one of a path, to take its place.
func temporary(path string) (*os.File, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		real = path // it is not there yet
	}
	f, err := os.CreateTemp(filepath.Dir(real), ".ciranda-*")
	if err != nil {
		return nil, mistake{fmt.Sprintf("%s cannot be written: %v", path, reason(err)), ""}
	}
	return f, nil
}

// writable says what would keep writeFile from writing to a path.
func writable(path string) error {
	plain, err := isPlain(path)
	if err != nil || !plain {
		return err
	}
	f, err := temporary(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// writeThrough writes to a device or a pipe.
func writeThrough(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return mistake{err.Error(), ""}
	}
	return errors.Join(write(f), f.Close())
}

// reason is why the system refused something, without the name of a file that nobody has asked for.
func reason(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
