package trace

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

// Bounds of what is read, in bytes.
const (
	MaxLine   = 1 << 20 // of an event
	MaxHeader = 4 << 20 // of the header
	window    = 1 << 20 // of compressed files: what a reader must remember
)

// ReadOptions bound what is read. The zero value is for files of one's own.
type ReadOptions struct {
	// MaxEvents is how many events are held in memory, each about 100 bytes and its data. 0 means 10 million.
	MaxEvents int
}

// ErrEmpty is why a file without a byte is not read. Whoever was to write it ended before the header.
var ErrEmpty = errors.New("trace: found an empty file; expected a header")

const defaultMaxEvents = 10_000_000

// A Trace is a file that was read, or a run that was recorded.
type Trace struct {
	Header Header
	Events []Event
	Cut    string // where and how the file ends too early; empty if it is whole
}

// ReadFile reads a file.
func ReadFile(path string, o ReadOptions) (*Trace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	defer f.Close()
	t, err := Read(f, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// Read reads a file, compressed or not. A file that was cut, by a crash say, is read up to the cut.
func Read(r io.Reader, o ReadOptions) (*Trace, error) {
	reader, err := NewReader(r)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	if o.MaxEvents == 0 {
		o.MaxEvents = defaultMaxEvents
	}
	var m Memory
	var e Event
	for {
		switch err := reader.Next(&e); {
		case err == io.EOF:
			return &Trace{Header: *reader.Header(), Events: m.Events(), Cut: reader.Cut()}, nil
		case err != nil:
			return nil, err
		case m.Len() >= o.MaxEvents:
			return nil, fmt.Errorf("trace: found more than %d events; expected no more than fit into memory", o.MaxEvents)
		}
		m.Record(&e)
	}
}

// A Reader reads a file event by event, in memory that does not grow with the file.
type Reader struct {
	lines   *bufio.Reader
	zstd    *zstd.Decoder
	decoder *Decoder
	header  Header
	long    []byte // a line that did not fit into the buffer
	line    int
	cut     string
}

var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// NewReader reads the header. Close it when done.
func NewReader(r io.Reader) (*Reader, error) {
	t := &Reader{lines: bufio.NewReaderSize(r, 64<<10)}
	if magic, _ := t.lines.Peek(len(zstdMagic)); bytes.Equal(magic, zstdMagic) {
		var err error
		t.zstd, err = zstd.NewReader(t.lines, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8*window),
			zstd.WithDecoderMaxMemory(8*window))
		if err != nil {
			return nil, fmt.Errorf("trace: %w", err)
		}
		t.lines = bufio.NewReaderSize(t.zstd, 64<<10)
	}
	if err := t.readHeader(); err != nil {
		t.Close()
		return nil, err
	}
	t.decoder = NewDecoder(&t.header)
	return t, nil
}

func (t *Reader) readHeader() error {
	line, err := t.next(MaxHeader)
	if err == io.EOF && t.cut == "" {
		return ErrEmpty
	}
	if err != nil && err != io.EOF {
		return err
	}
	if t.cut != "" {
		return fmt.Errorf("trace: %s; expected a header", t.cut)
	}
	if len(line) == 0 || line[0] != '{' {
		return fmt.Errorf("trace: line 1: found %s; expected a header: a JSON object with \"ciranda\"", short(line))
	}
	if err := json.Unmarshal(line, &t.header); err != nil {
		return fmt.Errorf("trace: line 1: header: %w", err)
	}
	return t.header.validate()
}

// Header is the file's header.
func (t *Reader) Header() *Header { return &t.header }

// Cut says where and how the file ended too early, once Next has given io.EOF. It is empty if the file is whole.
func (t *Reader) Cut() string { return t.cut }

// Next reads the next event. The error is io.EOF at the end, also at an early one: see Cut.
func (t *Reader) Next(e *Event) error {
	line, err := t.next(MaxLine)
	if err != nil {
		return err
	}
	if err := t.decoder.Decode(line, e); err != nil {
		return fmt.Errorf("trace: line %d: %w", t.line, err)
	}
	return nil
}

// Close frees what reading took. It does not close the underlying reader.
func (t *Reader) Close() {
	if t.zstd != nil {
		t.zstd.Close()
	}
}

// next reads a line without its end. A last line without an end was cut off.
func (t *Reader) next(limit int) ([]byte, error) {
	t.line++
	line, err := t.lines.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		t.long = append(t.long[:0], line...)
		for err == bufio.ErrBufferFull && len(t.long) <= limit {
			line, err = t.lines.ReadSlice('\n')
			t.long = append(t.long, line...)
		}
		line = t.long
	}
	switch {
	case len(line) > limit:
		return nil, fmt.Errorf("trace: line %d: found more than %d bytes; expected an event", t.line, limit)
	case err == nil:
		return line[:len(line)-1], nil
	case err == io.EOF && len(line) == 0:
		return nil, io.EOF
	case err == io.EOF:
		t.cut = fmt.Sprintf("line %d is cut off after %d bytes", t.line, len(line))
		return nil, io.EOF
	case t.zstd != nil && !isSystem(err):
		t.cut = fmt.Sprintf("line %d: the compressed data ends or is damaged: %v", t.line, err)
		return nil, io.EOF
	}
	return nil, fmt.Errorf("trace: line %d: %w", t.line, err)
}

// isSystem says that an error is one of reading and not of what was read.
func isSystem(err error) bool {
	var path *os.PathError
	return errors.As(err, &path)
}
