package cluster

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// keepBinary copies the running program into a cluster's directory and gives the copy's path. Nodes run from the copy:
// go run deletes its own when it ends, and a rebuild would change the program under the cluster.
func keepBinary(dir string) (string, error) {
	own, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("cluster: %w", err)
	}
	name := "ciranda"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	kept := filepath.Join(dir, binaryDir, name)
	if same(own, kept) {
		return kept, nil
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o700); err != nil {
		return "", fmt.Errorf("cluster: %w", err)
	}
	if err := copyFile(own, kept); err != nil {
		return "", fmt.Errorf("cluster: a copy of the program: %w", err)
	}
	return kept, nil
}

// same says whether the copy is of this very file: the time of its last change was copied too.
func same(own, kept string) bool {
	a, err := os.Stat(own)
	if err != nil {
		return false
	}
	b, err := os.Stat(kept)
	return err == nil && (os.SameFile(a, b) || a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()))
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	temporary := to + ".new"
	target, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o700)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		target.Close()
		os.Remove(temporary) // it is large, and the disk may be full
		return err
	}
	if err := target.Close(); err != nil {
		return err
	}
	if err := os.Chtimes(temporary, info.ModTime(), info.ModTime()); err != nil {
		return err
	}
	return os.Rename(temporary, to)
}
