package tcp

import "io"

// readBuffer is what a connection reads into, in bytes. It grows for a larger message and shrinks again.
const readBuffer = 128 << 10

// A reader cuts what it reads into messages.
type reader struct {
	from       io.Reader
	buffer     []byte
	start, end int // of what is not yet cut
	messages   [][]byte
}

// next gives the messages of all whole frames that have arrived, at least one unless there is an error. They are valid
// until it is called again. size is how many bytes were read.
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
		if r.messages, err = unbundle(r.messages, payload); err != nil {
			return 0, err
		}
		r.start += need
	}
	return headerSize, nil
}

// makeRoom moves what is left to the front and sees that a frame of size need can be completed. The buffer grows as
// the frame arrives, not as its header claims.
func (r *reader) makeRoom(need int) {
	left := r.buffer[r.start:r.end]
	switch {
	case len(r.buffer) > readBuffer && max(len(left), need) <= readBuffer:
		r.buffer = append(make([]byte, 0, readBuffer), left...)[:readBuffer]
	case len(left) == len(r.buffer):
		larger := make([]byte, min(2*len(r.buffer), max(need, readBuffer)))
		copy(larger, left)
		r.buffer = larger
	default:
		copy(r.buffer, left)
	}
	r.start, r.end = 0, len(left)
}
