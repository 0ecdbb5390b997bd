package tcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"ciranda.dev/transport"
)

// A frame is a header and a payload. The header is the length of the payload (24 bits), the kind (8 bits), the CRC32C
// of those, and the CRC32C of all that and the payload. The first is there so that nobody waits for the bytes that
// a damaged length promises.
const (
	headerSize = 4 + 4 + 4
	firstSum   = 4
	secondSum  = 8
)

// The kinds of frames.
const (
	helloFrame    = 1 // who I am, and a nonce
	proofFrame    = 2 // I have the cluster's secret; which connection I mean
	welcomeFrame  = 3 // this is now the connection
	refusalFrame  = 4 // it is not, and why
	messagesFrame = 5
)

const (
	// maxBundle is the largest frame, in bytes, with more than one message in it.
	maxBundle = 64 << 10
	// maxPrefix is the most bytes that a message's length takes.
	maxPrefix  = 3
	maxHello   = 8 << 10
	maxRefusal = 1 << 10
)

// limit is the largest payload of a kind of frame; -1 if there is no such kind.
func limit(kind byte) int {
	switch kind {
	case helloFrame:
		return maxHello
	case proofFrame:
		return proofSize
	case welcomeFrame:
		return epochSize
	case refusalFrame:
		return 1 + maxRefusal
	case messagesFrame:
		return maxPrefix + transport.MaxMessage
	}
	return -1
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal fills in the header of a frame whose payload is already in its place.
func seal(frame []byte, kind byte) {
	putHeader(frame, kind, len(frame)-headerSize)
	binary.BigEndian.PutUint32(frame[secondSum:], sum(frame))
}

// putHeader fills in a header but for the second checksum.
func putHeader(header []byte, kind byte, size int) {
	binary.BigEndian.PutUint32(header, uint32(size)<<8|uint32(kind))
	binary.BigEndian.PutUint32(header[firstSum:], crc32.Checksum(header[:firstSum], castagnoli))
}

// sum is the checksum of a whole frame.
func sum(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[:secondSum], castagnoli), castagnoli, frame[headerSize:])
}

func appendFrame(dst []byte, kind byte, payload []byte) []byte {
	start := len(dst)
	dst = append(append(dst, make([]byte, headerSize)...), payload...)
	seal(dst[start:], kind)
	return dst
}

// ErrMalformed is the reason of every refusal of bytes that are not a frame; a Tunnel gives it for those that are not its
// own. Test for it with errors.Is.
var ErrMalformed = errors.New("not a frame of this protocol")

// frameSize is the size of the frame that begins with header, once its kind and length have been found possible.
func frameSize(header []byte) (int, error) {
	first := binary.BigEndian.Uint32(header)
	n, kind := int(first>>8), byte(first)
	if binary.BigEndian.Uint32(header[firstSum:]) != crc32.Checksum(header[:firstSum], castagnoli) {
		return 0, fmt.Errorf("%w: the header is damaged", ErrMalformed)
	}
	if most := limit(kind); n > most {
		return 0, fmt.Errorf("%w: found kind %d with %d bytes; expected at most %d", ErrMalformed, kind, n, most)
	}
	return headerSize + n, nil
}

// open checks a whole frame and gives its payload.
func open(frame []byte) (kind byte, payload []byte, err error) {
	if binary.BigEndian.Uint32(frame[secondSum:]) != sum(frame) {
		return 0, nil, fmt.Errorf("%w: the checksum is wrong", ErrMalformed)
	}
	return frame[firstSum-1], frame[headerSize:], nil
}

// A message waits to be written. Its bytes are head and then body, whose checksum is sum if it is large.
type message struct {
	head, body []byte
	sum        *bodySum
}

func (m message) size() int { return len(m.head) + len(m.body) }

// Frames are what is written at once: frames of messages, in pieces. Large pieces are those that were sent; all others are
// copied into the buffer.
type frames struct {
	whole  bool // everything is copied, into one piece
	buffer []byte
	pieces [][]byte
	size   int   // of all pieces
	cuts   []cut // of the frame that is being made
}

// A cut is a place in the buffer at which something stands that is not copied.
type cut struct {
	at    int
	piece []byte
	sum   *bodySum // of the piece, or nil
}

func (f *frames) reset() {
	clear(f.pieces)
	clear(f.cuts)
	f.buffer, f.pieces, f.size = f.buffer[:0], f.pieces[:0], 0
}

// bundle adds a frame with the first n messages: as many as fit into 64 KiB, and at least one.
func (f *frames) bundle(messages []message) (n int) {
	start, large := len(f.buffer), 0
	f.cuts = f.cuts[:0]
	f.buffer = append(f.buffer, make([]byte, headerSize)...)
	for n < len(messages) && (n == 0 || len(f.buffer)-start+large+maxPrefix+messages[n].size() <= maxBundle) {
		m := messages[n]
		f.buffer = binary.AppendUvarint(f.buffer, uint64(m.size()))
		large += f.put(m.head, nil) + f.put(m.body, m.sum)
		n++
	}
	f.seal(start, len(f.buffer)-start+large)
	return n
}

// put adds bytes to the frame that is being made. It gives the size of what it did not copy.
func (f *frames) put(b []byte, sum *bodySum) int {
	if f.whole || len(b) < transport.Kept {
		f.buffer = append(f.buffer, b...)
		return 0
	}
	f.cuts = append(f.cuts, cut{len(f.buffer), b, sum})
	return len(b)
}

// seal fills in the header of a frame that begins at start, and adds its pieces.
func (f *frames) seal(start, size int) {
	header := f.buffer[start : start+headerSize]
	putHeader(header, messagesFrame, size-headerSize)
	sum := crc32.Checksum(header[:secondSum], castagnoli)
	from, at := start, start+headerSize
	for _, c := range f.cuts {
		sum = crc32.Update(sum, castagnoli, f.buffer[at:c.at])
		if c.sum != nil {
			sum = c.sum.after(sum)
		} else {
			sum = crc32.Update(sum, castagnoli, c.piece)
		}
		f.pieces = append(f.pieces, f.buffer[from:c.at:c.at], c.piece)
		from, at = c.at, c.at
	}
	sum = crc32.Update(sum, castagnoli, f.buffer[at:])
	if from < len(f.buffer) {
		f.pieces = append(f.pieces, f.buffer[from:len(f.buffer):len(f.buffer)])
	}
	binary.BigEndian.PutUint32(header[secondSum:], sum)
	f.size += size
}

// unbundle appends to messages those in a payload, which they go on belonging to.
func unbundle(messages [][]byte, payload []byte) ([][]byte, error) {
	alone := headerSize+len(payload) > maxBundle
	for first := true; first || len(payload) > 0; first = false {
		n, size := binary.Uvarint(payload)
		if size <= 0 || size > 1 && payload[size-1] == 0 || n > transport.MaxMessage || n > uint64(len(payload)-size) {
			return messages, fmt.Errorf("%w: a bundle of messages is cut short", ErrMalformed)
		}
		messages = append(messages, payload[size:size+int(n):size+int(n)])
		payload = payload[size+int(n):]
		if alone && len(payload) > 0 {
			return messages, fmt.Errorf("%w: a bundle of messages is larger than 64 KiB", ErrMalformed)
		}
	}
	return messages, nil
}
