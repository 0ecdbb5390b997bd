// Package disk keeps what a node persists, in a directory of its own: a map from keys to the values last written.
//
// [Store.Append] hands over what a step persists and never waits. One goroutine writes all that has gathered and
// syncs once, which is called group commit; [Store.Durable] says how far it has come. A step's records are kept all
// or none. A crash at any moment, between any two writes, syncs and renames and with the last write torn, leaves a
// state that was handed over, and never one before what Durable had said.
//
// The directory belongs to one node of one cluster and to one process at a time; another is refused in words. Each
// [Open] is a new incarnation, whose number is on the disk before Open returns.
//
// What it does not promise: anything against a disk that says it has synced and has not, beyond noticing most cases;
// secrecy; small size: a value is written in full each time. What is stored fits in memory, and is there too.
package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"ciranda.dev/protocol"
)

// Options say whose directory it is, and how to begin. Cluster and Node are needed.
type Options struct {
	Cluster string      // the cluster's name
	Node    protocol.ID // the node's number
	Shape   string      // what else must stay the same from life to life, in words; may be empty
	// Forget begins with nothing stored, as a node does whose disk was replaced. The incarnation and the counters of
	// the node still go on.
	Forget bool
	// First is the number of the first incarnation in a fresh directory. Zero means 1. Where a directory may have been
	// lost, the start time in seconds is a number that is greater than those before.
	First protocol.Incarnation
	// FS is the file system. Nil means the directory that Open is given.
	FS FS
}

const (
	recordsName = "records"
	// Keys of the store's own have no slash, those of layers have one.
	incarnationKey = "incarnation"
	// The file is written anew when it is larger than this, and than growth times what it was when last written anew.
	smallFile = 1 << 20
	growth    = 4
	// patience is how long Close waits for a write that it no longer wants.
	patience = 100 * time.Millisecond
)

// A Store is an open directory. Its methods may be called from any goroutine.
type Store struct {
	path        string
	fs          *faults
	lock        io.Closer
	incarnation protocol.Incarnation
	recovered   map[string][]byte // never changed after Open
	changed     chan struct{}
	done        chan struct{} // the writer has ended

	mu       sync.Mutex
	wake     sync.Cond
	values   map[string][]byte // as of the last Append
	waiting  []byte            // the next block: a head and the records not yet written
	appended uint64            // the mark of the last Append
	durable  uint64            // the last mark that is safe
	since    time.Time         // of the oldest record in waiting
	busy     time.Time         // of the oldest record being written; zero if none is
	closing  bool
	err      error
	stats    Stats

	// The writer's own.
	file    File
	size    int64
	renewed int64 // the size when the file was last written anew
	small   int64 // smallFile, but in tests
	block   []byte
}

// Stats count what a store did since it was opened.
type Stats struct {
	Appends uint64 // calls of Append with records
	Syncs   uint64 // that confirmed them
	Bytes   uint64 // written
	Renewed uint64 // times that the file was written anew, to be small

	Took time.Duration // in all, from the first record of each sync until it was durable
}

// Open opens a directory, made if there is none, and begins a new incarnation of its node.
func Open(path string, o Options) (*Store, error) {
	s, err := open(path, o)
	if err != nil {
		return nil, fmt.Errorf("disk: %s: %w", path, err)
	}
	go s.write()
	return s, nil
}

func open(path string, o Options) (*Store, error) {
	dir := o.FS
	if dir == nil {
		real, err := openDirectory(path)
		if err != nil {
			return nil, err
		}
		dir = real
	}
	lock, err := dir.Lock()
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, fs: newFaults(dir), lock: lock, small: smallFile,
		changed: make(chan struct{}, 1), done: make(chan struct{})}
	s.wake.L = &s.mu
	if err := s.load(o); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

// load reads what is there and writes it anew, with the new incarnation. So a torn end is gone.
func (s *Store) load(o Options) error {
	if err := claim(s.fs, o); err != nil {
		return err
	}
	file, err := readIfThere(s.fs, recordsName)
	if err != nil {
		return err
	}
	if s.values, err = readRecords(file); err != nil {
		return fmt.Errorf("%s: %w", recordsName, err)
	}
	if s.incarnation, err = nextIncarnation(s.values, o.First); err != nil {
		return err
	}
	if o.Forget {
		maps.DeleteFunc(s.values, func(key string, _ []byte) bool { return strings.Contains(key, "/") })
	}
	s.values[incarnationKey] = binary.AppendUvarint(nil, uint64(s.incarnation))
	s.recovered = maps.Clone(s.values)
	return s.renew(s.recovered)
}

func nextIncarnation(values map[string][]byte, first protocol.Incarnation) (protocol.Incarnation, error) {
	b, ok := values[incarnationKey]
	if !ok {
		return max(1, first), nil
	}
	last, n := binary.Uvarint(b)
	if n != len(b) || last >= 1<<32-1 {
		return 0, fmt.Errorf("%s: the incarnation is %x; expected a number below 2^32-1", recordsName, b)
	}
	return protocol.Incarnation(last) + 1, nil
}

// Incarnation is the number of the life that began with Open.
func (s *Store) Incarnation() protocol.Incarnation { return s.incarnation }

// Recovered says whether there was anything stored for [Store.Stored] to give.
func (s *Store) Recovered() bool {
	for key := range s.recovered {
		if strings.Contains(key, "/") {
			return true
		}
	}
	return false
}

// Stored gives what was stored under a key when the store was opened. It is a [protocol.Stored].
func (s *Store) Stored(key string) (value []byte, ok bool) {
	value, ok = s.recovered[key]
	return value, ok
}

// Append hands over what a step persists. It never waits for the disk. The records are safe once Durable has reached
// the mark that it gives; marks increase. Without records it gives the last mark. The values may not be changed
// afterwards.
func (s *Store) Append(records ...protocol.Record) (mark uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(records) == 0 {
		return s.appended
	}
	if len(s.waiting) == 0 {
		s.waiting, s.since = append(s.waiting, make([]byte, headSize)...), time.Now()
	}
	for i := range records {
		s.waiting = appendRecord(s.waiting, &records[i])
		s.values[records[i].Key] = records[i].Value
	}
	s.appended++
	s.stats.Appends++
	if len(s.waiting) > headSize+maxBlock {
		s.fail(fmt.Errorf("%d bytes wait to be written; expected at most %d", len(s.waiting), maxBlock))
	}
	s.wake.Signal()
	return s.appended
}

// Durable is the highest mark whose records, and all before, are safe.
func (s *Store) Durable() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.durable
}

// Changed has a value after Durable or Err has changed since the last value was taken.
func (s *Store) Changed() <-chan struct{} { return s.changed }

// Oldest says when the oldest record that is not yet safe was handed over; ok is false if there is none.
func (s *Store) Oldest() (t time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.busy.IsZero() {
		return s.busy, true
	}
	return s.since, len(s.waiting) > 0
}

// Err is why nothing is written any more, or nil. It does not go away: what a disk says after a failed sync cannot be
// trusted.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Stats are the store's counters.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// SetFault makes the disk slow, lets it stand still or fail, until it is set to the zero Fault.
func (s *Store) SetFault(f Fault) { s.fs.set(f) }

// Close writes what was appended and lets the directory go. If ctx ends first, the rest is lost, as in a crash: the
// error says so.
func (s *Store) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	s.wake.Signal()
	s.mu.Unlock()
	if ctx.Err() == nil {
		select {
		case <-s.done:
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	if s.err == nil && s.durable < s.appended {
		s.fail(errors.New("closed before all was written"))
	}
	err := s.err
	s.mu.Unlock()
	s.fs.release()
	select {
	case <-s.done:
	case <-time.After(patience): // a real disk that stands still cannot be interrupted
	}
	return err
}

// fail ends the writing. The lock is held.
func (s *Store) fail(err error) {
	if s.err == nil {
		s.err = fmt.Errorf("disk: %s: %w", s.path, err)
	}
	s.wake.Signal()
	s.tell()
}

func (s *Store) tell() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// write is the writer: it writes what has gathered, again and again.
func (s *Store) write() {
	defer close(s.done)
	defer s.letGo()
	for {
		snapshot, mark, ok := s.take()
		if !ok {
			return
		}
		err := s.commit(snapshot)
		s.confirm(mark, err)
	}
}

// take waits for records. They are in s.block then; if the file has grown too large, all values are in the snapshot.
func (s *Store) take() (snapshot map[string][]byte, mark uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.waiting) == 0 && !s.closing && s.err == nil {
		s.wake.Wait()
	}
	if len(s.waiting) == 0 || s.err != nil {
		return nil, 0, false
	}
	s.block, s.waiting = s.waiting, s.block[:0]
	s.busy = s.since
	if s.size+int64(len(s.block)) > max(s.small, growth*s.renewed) {
		snapshot = maps.Clone(s.values)
	}
	return snapshot, s.appended, true
}

func (s *Store) commit(snapshot map[string][]byte) error {
	if snapshot != nil {
		return s.renew(snapshot)
	}
	fillHead(s.block, s.size)
	if _, err := s.file.Write(s.block); err != nil {
		return err
	}
	s.size += int64(len(s.block))
	return s.file.Sync()
}

func (s *Store) confirm(mark uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Took += time.Since(s.busy)
	s.busy = time.Time{}
	s.stats.Syncs++
	s.stats.Bytes += uint64(len(s.block))
	if err != nil {
		s.fail(err)
		return
	}
	s.durable = mark
	s.tell()
}

// renew writes a new file that has the values only once each, in place of the old one.
func (s *Store) renew(values map[string][]byte) error {
	block := make([]byte, headSize)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		block = appendRecord(block, &protocol.Record{Key: key, Value: values[key]})
	}
	fillHead(block, 0)
	if s.file != nil {
		if err := s.file.Close(); err != nil { // some systems rename no open files
			return err
		}
		s.file = nil
	}
	if err := replace(s.fs, recordsName, block); err != nil {
		return err
	}
	file, err := s.fs.Append(recordsName)
	if err != nil {
		return err
	}
	s.file, s.size, s.renewed = file, int64(len(block)), int64(len(block))
	s.mu.Lock()
	s.stats.Renewed++
	s.mu.Unlock()
	return nil
}

// letGo closes the file and gives the directory back.
func (s *Store) letGo() {
	var err error
	if s.file != nil {
		err = s.file.Close()
	}
	if err = errors.Join(err, s.lock.Close()); err != nil {
		s.mu.Lock()
		s.fail(err)
		s.mu.Unlock()
	}
}

// Path is the directory.
func (s *Store) Path() string { return filepath.Clean(s.path) }
