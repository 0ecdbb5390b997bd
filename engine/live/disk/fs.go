package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// An FS is what a store needs of a file system: one directory. Tests give another one, which loses what was not
// synced.
type FS interface {
	// Lock keeps every other process from opening the same directory until the lock is closed.
	Lock() (io.Closer, error)
	// ReadFile gives a file's bytes. The error wraps fs.ErrNotExist if there is none.
	ReadFile(name string) ([]byte, error)
	// Create makes a file, or empties the one that is there.
	Create(name string) (File, error)
	// Append opens a file to be written at its end.
	Append(name string) (File, error)
	// Rename gives a file a new name, in place of the file that had it. It is lasting only after SyncDir.
	Rename(from, to string) error
	// SyncDir makes lasting which names there are and which files they mean.
	SyncDir() error
}

// A File is written from its beginning to its end.
type File interface {
	io.Writer
	// Sync makes lasting what was written.
	Sync() error
	Close() error
}

// directory is a real one.
type directory string

// openDirectory makes the directory if there is none.
func openDirectory(path string) (directory, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", err
	}
	if parent, err := os.Open(filepath.Dir(path)); err == nil { // else its name might be lost, and all that is in it
		_ = parent.Sync()
		_ = parent.Close()
	}
	return directory(path), nil
}

func (d directory) path(name string) string { return filepath.Join(string(d), name) }

// Lock implements [FS].
func (d directory) Lock() (io.Closer, error) {
	f, err := os.OpenFile(d.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// ReadFile implements [FS].
func (d directory) ReadFile(name string) ([]byte, error) { return os.ReadFile(d.path(name)) }

// Create implements [FS].
func (d directory) Create(name string) (File, error) {
	return d.open(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY)
}

// Append implements [FS].
func (d directory) Append(name string) (File, error) { return d.open(name, os.O_APPEND|os.O_WRONLY) }

func (d directory) open(name string, flags int) (File, error) {
	f, err := os.OpenFile(d.path(name), flags, 0o600)
	if err != nil {
		return nil, err // and no File that is a nil pointer
	}
	return f, nil
}

// Rename implements [FS].
func (d directory) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

// SyncDir implements [FS]. Windows has no such call: there the file system's own journal orders renames.
func (d directory) SyncDir() error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// readIfThere is ReadFile, with no bytes for no file.
func readIfThere(dir FS, name string) ([]byte, error) {
	b, err := dir.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// replace writes a whole file under a name so that after a crash there is either the old one or the new one.
func replace(dir FS, name string, content []byte) error {
	next := name + ".new"
	f, err := dir.Create(next)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil { // else the new name could mean an empty file
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := dir.Rename(next, name); err != nil {
		return err
	}
	return dir.SyncDir()
}
