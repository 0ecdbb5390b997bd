package tcp

import (
	"io"

	"ciranda.dev/transport"
)

const (
	// readBuffer is what a connection reads into, in bytes, if much arrives in small frames.
	readBuffer = 128 << 10
	// leastBuffer is what it reads into if little arrives.
	leastBuffer = 8 << 10
	// slack is by how much a buffer is larger than the frame for which it is made: so the next header comes along with it.
	slack = 4 << 10
)

// A reader cuts what it reads into messages.
type reader struct {
	from       io.Reader
	buffer     []byte
	start, end int // of what is not yet cut
	messages   [][]byte
	given      bool // messages in the buffer are somebody else's
}

// next gives the messages of all whole frames that have arrived, at least one unless there is an error. Those of
// transport.Kept bytes and more are the caller's, the others until it calls again. size is how many bytes were read.
func (r *reader) next() (messages [][]byte, size int, err error) {
	clear(r.messages)
	r.messages = r.messages[:0]
	for {
		need, err := r.cut()
		if err != nil || len(r.messages) > 0 {
			return r.messages, size, err
		}
		r.makeRoom(need)
		n, err := r.from.Read(r.buffer[r.end:])
		r.end += n
		size += n
		if err != nil && n == 0 {
			if r.end > r.start && err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, size, err
		}
	}
}

// cut takes all whole frames from the buffer. If there is the beginning of another, need is its size.
func (r *reader) cut() (need int, err error) {
	for r.end-r.start >= headerSize {
		b := r.buffer[r.start:r.end]
		if need, err = frameSize(b); err != nil || need > len(b) {
			return need, err
		}
		kind, payload, err := open(b[:need])
		if err != nil {
			return 0, err
		}
		if kind != messagesFrame {
			return 0, ErrMalformed
		}
		known := len(r.messages)
		if r.messages, err = unbundle(r.messages, payload); err != nil {
			return 0, err
		}
		for _, m := range r.messages[known:] {
			r.given = r.given || len(m) >= transport.Kept
		}
		r.start += need
	}
	return headerSize, nil
}

// makeRoom sees that a frame of size need can be completed, and that the next read brings as much as there is, in its
// place: a large frame comes into a buffer of its own, which is given away with its messages.
func (r *reader) makeRoom(need int) {
	size, free := len(r.buffer), len(r.buffer)-r.end
	switch {
	case r.given && size-r.start >= need && free >= slack: // behind what was given away
	case r.given, need > size:
		r.move(r.fitting(need))
	case free == 0 && size < readBuffer: // more is waiting, in small frames
		r.move(readBuffer)
	case size > readBuffer && max(need, r.end-r.start) <= readBuffer:
		r.move(readBuffer)
	default:
		r.end = copy(r.buffer, r.buffer[r.start:r.end])
		r.start = 0
	}
}

// fitting is the size of a buffer for a frame of size need. It grows as the frame arrives, not as its header claims.
func (r *reader) fitting(need int) int {
	if need <= leastBuffer {
		return max(leastBuffer, 2*(r.end-r.start))
	}
	return min(need+slack, max(readBuffer, 2*(r.end-r.start)))
}

// move goes on in a new buffer.
func (r *reader) move(size int) {
	left := r.buffer[r.start:r.end]
	r.buffer = make([]byte, size)
	r.start, r.end = 0, copy(r.buffer, left)
	r.given = false
}
