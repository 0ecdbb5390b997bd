package disk

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// A Fault is what is wrong with a disk. The zero Fault is nothing.
type Fault struct {
	Slow  time.Duration // each sync takes that much longer
	Stall bool          // nothing is written or synced until the fault is taken back
	Fail  bool          // each write and sync fails
}

func (f Fault) String() string {
	switch {
	case f.Fail:
		return "fails"
	case f.Stall:
		return "stalls"
	case f.Slow > 0:
		return fmt.Sprintf("takes %s longer", f.Slow)
	default:
		return "is whole"
	}
}

var (
	errFault    = errors.New("an injected fault")
	errReleased = errors.New("closed while it stalled")
)

// faults is a file system with a fault.
type faults struct {
	FS
	mu       sync.Mutex
	fault    Fault
	released bool
	changed  chan struct{} // closed at the next change
}

func newFaults(dir FS) *faults { return &faults{FS: dir, changed: make(chan struct{})} }

func (f *faults) set(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
	f.tell()
}

// release ends a stall for ever, with an error.
func (f *faults) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.released = true
	f.tell()
}

func (f *faults) tell() {
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *faults) now() (fault Fault, released bool, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fault, f.released, f.changed
}

// pass waits as long as the fault wants. Only a sync is slow.
func (f *faults) pass(isSync bool) error {
	begun := time.Now()
	for {
		fault, released, changed := f.now()
		var left time.Duration
		if isSync {
			left = fault.Slow - time.Since(begun)
		}
		switch {
		case fault.Fail:
			return errFault
		case !fault.Stall && left <= 0:
			return nil
		case released:
			return errReleased
		case fault.Stall:
			<-changed
		default:
			wait(left, changed)
		}
	}
}

// wait waits for a time, or less if the fault changes.
func wait(d time.Duration, changed <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-changed:
	}
}

// Create implements [FS].
func (f *faults) Create(name string) (File, error) {
	file, err := f.FS.Create(name)
	return &faultyFile{file, f}, err
}

// Append implements [FS].
func (f *faults) Append(name string) (File, error) {
	file, err := f.FS.Append(name)
	return &faultyFile{file, f}, err
}

// SyncDir implements [FS].
func (f *faults) SyncDir() error {
	if err := f.pass(true); err != nil {
		return err
	}
	return f.FS.SyncDir()
}

type faultyFile struct {
	File
	faults *faults
}

// Write implements [File].
func (f *faultyFile) Write(b []byte) (int, error) {
	if err := f.faults.pass(false); err != nil {
		return 0, err
	}
	return f.File.Write(b)
}

// Sync implements [File].
func (f *faultyFile) Sync() error {
	if err := f.faults.pass(true); err != nil {
		return err
	}
	return f.File.Sync()
}
