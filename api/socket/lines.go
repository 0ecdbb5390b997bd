package socket

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"
)

const (
	idleBuffer = 512     // bytes that a connection holds while it is idle
	keptBuffer = 4 << 10 // and at most after a line
)

var (
	errLong = errors.New("the line is too long")
	errFull = errors.New("all the lines together are too long")
)

// lines takes what arrives apart into lines. It holds no more than the longest line, and little while there is none.
type lines struct {
	from   io.Reader
	budget *budget // of all connections together; nil: none
	// arriving is called before each read, with whether part of a line is here already.
	arriving func(part bool) error

	buffer  []byte
	start   int // of what has not been taken
	looked  int // up to here there is no end of a line
	charged int // what of the buffer counts against the budget
}

// next gives the next line, without its end, until it is called again. A longer one is errLong, and the end of what
// arrives is io.EOF, also inside of a line.
func (l *lines) next(longest int) ([]byte, error) {
	l.looked = l.start
	for {
		if i := bytes.IndexByte(l.buffer[l.looked:], '\n'); i >= 0 {
			line := l.buffer[l.start : l.looked+i]
			l.start = l.looked + i + 1
			if len(line) > longest+1 {
				return nil, errLong
			}
			line = bytes.TrimSuffix(line, []byte{'\r'})
			if len(line) > longest {
				return nil, errLong
			}
			return line, nil
		}
		if l.looked = len(l.buffer); len(l.buffer)-l.start > longest+1 { // what may still come is the end
			return nil, errLong
		}
		if err := l.read(longest); err != nil {
			return nil, err
		}
	}
}

// read makes room, and reads once.
func (l *lines) read(longest int) error {
	part := len(l.buffer) - l.start
	if l.start > 0 || cap(l.buffer) == 0 {
		if err := l.move(part, longest); err != nil {
			return err
		}
	}
	if len(l.buffer) == cap(l.buffer) {
		if err := l.resize(min(2*cap(l.buffer), longest+2)); err != nil {
			return err
		}
	}
	if l.arriving != nil {
		if err := l.arriving(part > 0); err != nil {
			return err
		}
	}
	n, err := l.from.Read(l.buffer[len(l.buffer):cap(l.buffer)])
	l.buffer = l.buffer[:len(l.buffer)+n]
	if n > 0 {
		return nil // the error, if there is one, comes again
	}
	return err
}

// move brings what has not been taken to the front, into a smaller buffer if the one it is in has become large.
func (l *lines) move(part, longest int) error {
	copy(l.buffer, l.buffer[l.start:])
	l.buffer, l.looked, l.start = l.buffer[:part], l.looked-l.start, 0
	if part == 0 && (cap(l.buffer) > keptBuffer || cap(l.buffer) == 0) {
		return l.resize(idleBuffer)
	}
	return nil
}

func (l *lines) resize(size int) error {
	size = max(size, len(l.buffer)+1)
	charge := max(0, size-keptBuffer)
	if !l.budget.take(charge - l.charged) {
		return errFull
	}
	l.charged = charge
	l.buffer = append(make([]byte, 0, size), l.buffer...)
	return nil
}

// close gives back what the lines hold.
func (l *lines) close() {
	l.budget.take(-l.charged)
	l.buffer, l.charged, l.start = nil, 0, 0
}

// A budget is how many bytes something may still hold.
type budget struct{ left atomic.Int64 }

func newBudget(bytes int64) *budget {
	b := &budget{}
	b.left.Store(bytes)
	return b
}

// take takes bytes, or gives them back if they are negative. It says whether they were there.
func (b *budget) take(bytes int) bool {
	if b == nil || bytes == 0 {
		return true
	}
	if b.left.Add(-int64(bytes)) < 0 && bytes > 0 {
		b.left.Add(int64(bytes))
		return false
	}
	return true
}
