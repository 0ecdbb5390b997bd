package trace

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// WriteOptions say how a file is written. The zero value is lines of plain JSON.
type WriteOptions struct {
	Compress bool // with zstd; a run's events then take about a tenth of the space
}

// A Writer writes a file. It is a [Sink]; the first error is kept, and told by Flush and Close. It is used by one
// goroutine at a time.
type Writer struct {
	encoder *Encoder
	buffer  *bufio.Writer
	zstd    *zstd.Encoder // nil if plain
	line    []byte
	index   int
	err     error
}

// NewWriter writes the header to w. It does not close w.
func NewWriter(w io.Writer, h Header, o WriteOptions) (*Writer, error) {
	h.Format = FormatVersion
	line, err := json.Marshal(&h)
	if err != nil {
		return nil, fmt.Errorf("trace: header: %w", err)
	}
	if len(line) >= MaxHeader {
		return nil, fmt.Errorf("trace: the header has %d bytes; expected fewer than %d: leave the steps out", len(line), MaxHeader)
	}
	t := &Writer{encoder: NewEncoder(&h)}
	if h.Node != 0 {
		t.index = -1
	}
	if o.Compress {
		// One thread: the bytes then do not depend on the number of cores, and a small window bounds a reader's memory.
		t.zstd, err = zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window))
		if err != nil {
			return nil, fmt.Errorf("trace: %w", err)
		}
		w = t.zstd
	}
	t.buffer = bufio.NewWriterSize(w, 64<<10)
	_, t.err = t.buffer.Write(append(line, '\n'))
	return t, t.err
}

// Record writes an event.
func (t *Writer) Record(e *Event) {
	if t.err != nil {
		return
	}
	t.line = append(t.encoder.Append(t.line[:0], e, t.index), '\n')
	if len(t.line) > MaxLine {
		t.err = fmt.Errorf("trace: the event %s of node %d takes %d bytes; expected at most %d", e.Name(), e.Node, len(t.line), MaxLine)
		return
	}
	_, t.err = t.buffer.Write(t.line)
	if t.index >= 0 {
		t.index++
	}
}

// Flush hands all that was recorded to the underlying writer, so that a reader sees it even if nothing follows.
func (t *Writer) Flush() error {
	if t.err == nil {
		t.err = t.buffer.Flush()
	}
	if t.err == nil && t.zstd != nil {
		t.err = t.zstd.Flush()
	}
	return t.err
}

// Close ends the file.
func (t *Writer) Close() error {
	err := t.Flush()
	if t.zstd != nil {
		err = errors.Join(err, t.zstd.Close())
	}
	t.err = errors.Join(err, errors.New("trace: the writer is closed"))
	return err
}
