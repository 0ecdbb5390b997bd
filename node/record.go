package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"ciranda.dev/api"
	"ciranda.dev/engine/live"
	"ciranda.dev/trace"
)

// Limits of a node's trace on disk.
const (
	partSize   = 16 << 20               // bytes of a file, about
	partsKept  = 4                      // files, those of former lives too
	flushAfter = 200 * time.Millisecond // how much of the trace a kill may take
)

// A recorder takes a node's trace: it keeps the last events for those who follow, and writes all to files, of which
// the oldest are removed. The trace is no reason for a node to end: what cannot be written is lost, and logged once.
type recorder struct {
	node   *Node
	header trace.Header
	teller *trace.Teller
	feed   *api.Feed[told]
	tally  tally

	mu      sync.Mutex
	file    *os.File // nil: none is written
	writer  *trace.Writer
	size    *counter
	part    int
	waiting bool // a flush is due
}

// counter counts the bytes that are written to a file.
type counter struct {
	file *os.File
	n    int
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.file.Write(b)
	c.n += n
	return n, err
}

func (n *Node) traceDir() string { return filepath.Join(n.cfg.Dir, "trace") }

func (n *Node) openRecorder() (*recorder, error) {
	r := &recorder{node: n, feed: api.NewFeed[told](eventsKept)}
	r.header = trace.Header{
		Version: trace.Version(), Engine: "live", Level: n.cfg.Level, Members: n.group, Node: n.cfg.ID, Inc: n.store.Incarnation(),
		Clock: "monotonic", Boot: live.Boot(), Zero: Monotonic(), Wall: time.Now().UnixNano(),
	}
	stack, err := n.cfg.Spec.Build(n.self())
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	r.header.SetStack(stack.Traits())
	r.teller = trace.NewTeller(&r.header)
	if err := os.MkdirAll(n.traceDir(), 0o700); err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	return r, r.begin()
}

// Record implements [trace.Sink]. Times in the stream are the machine's; in a file they count from the life's begin.
func (r *recorder) Record(e *trace.Event) {
	r.tally.add(e.Name())
	entry := told{*e, sentence(r.teller, e)}
	r.feed.Append(api.Many(e.Name()), func(uint64) told { return entry })
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return
	}
	since := *e
	since.T -= r.header.Zero
	r.writer.Record(&since)
	if r.size.n > partSize {
		r.fail(errors.Join(r.end(), r.begin()))
	} else if !r.waiting {
		r.waiting = true
		time.AfterFunc(flushAfter, r.flush)
	}
}

func (r *recorder) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = false
	if r.file != nil {
		r.fail(r.writer.Flush())
	}
}

// fail gives up writing if there is an error. The lock is held.
func (r *recorder) fail(err error) {
	if err == nil {
		return
	}
	r.node.log.Error("the trace is written no longer", "error", err)
	if r.file != nil {
		r.file.Close()
	}
	r.file = nil
}

// begin begins the next file of this life. The lock is held, or nobody else is there yet.
func (r *recorder) begin() error {
	r.part++
	name := fmt.Sprintf("%010d-%03d.jsonl", r.header.Inc, r.part)
	file, err := os.OpenFile(filepath.Join(r.node.traceDir(), name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("node: the trace: %w", err)
	}
	r.size = &counter{file: file}
	if r.writer, err = trace.NewWriter(r.size, r.header, trace.WriteOptions{Compress: r.header.Level == trace.Full}); err != nil {
		return errors.Join(err, file.Close())
	}
	if err = r.writer.Flush(); err != nil { // a file without a header is of no use, however early a kill comes
		return errors.Join(fmt.Errorf("node: the trace: %w", err), file.Close())
	}
	r.file = file
	return r.removeOld()
}

// end ends the file.
func (r *recorder) end() error {
	err := errors.Join(r.writer.Close(), r.file.Close())
	r.file = nil
	return err
}

// removeOld removes the oldest files. Their names sort by life and part.
func (r *recorder) removeOld() error {
	entries, err := os.ReadDir(r.node.traceDir())
	if err != nil {
		return fmt.Errorf("node: the trace: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".jsonl") {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	var errs []error
	for len(names) > partsKept {
		errs = append(errs, os.Remove(filepath.Join(r.node.traceDir(), names[0])))
		names = names[1:]
	}
	return errors.Join(errs...)
}

// Close ends the file and the streams of those who follow.
func (r *recorder) Close() error {
	r.feed.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return nil
	}
	return r.end()
}
