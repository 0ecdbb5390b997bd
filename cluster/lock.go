package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// lock makes the process the supervisor of a directory, or says that it has one.
func lock(name, dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	taken, err := tryLock(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cluster: the lock of %s: %w", dir, err)
	}
	if !taken {
		f.Close()
		return nil, mistake("ciranda down ends it; --name starts another one beside it", "the cluster %q is running already", name)
	}
	return f, nil
}

// grace is how long a lock is waited for: a process that was killed holds its own until the last of its threads is gone.
const grace = 500 * time.Millisecond

// lockSoon is lock, if need be after a moment.
func lockSoon(name, dir string) (*os.File, error) {
	for late := time.Now().Add(grace); ; time.Sleep(10 * time.Millisecond) {
		f, err := lock(name, dir)
		if err == nil || time.Now().After(late) {
			return f, err
		}
	}
}

// AwaitEnd waits until the cluster of a name has no supervisor.
func AwaitEnd(ctx context.Context, name string) error {
	dir, err := Dir(name)
	if err != nil {
		return err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		f, err := lock(name, dir)
		if err == nil {
			return f.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
