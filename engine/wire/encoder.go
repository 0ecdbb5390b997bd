package wire

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"ciranda.dev/protocol"
)

// Large is the size of an encoding, in bytes, from which on it is worth sharing: see [Encoder].
const Large = 4 << 10

// An Encoder encodes the packets that one node sends. A large packet that it has just encoded is not encoded again, be it
// sent to another node or inside another packet: a link, for instance, sends each node a message of its own with the same
// packet in it. One goroutine may use it.
type Encoder struct {
	codec *Codec
	buf   []byte
	last  shared
	run   encoder // of the present call
}

// A shared is a packet with its encoding.
type shared struct {
	packet protocol.Packet // kept alive, so that its address means no other
	bytes  []byte
	memory int // what decoding takes
	depth  int // at which it was encoded: what is in it may be nested as deeply as is allowed
}

// NewEncoder makes an encoder of a codec's packets.
func (c *Codec) NewEncoder() *Encoder { return &Encoder{codec: c} }

// Encode gives the encoding of p in two pieces: the encoding is head followed by body. The head may be used until the next
// call. The body is nil, or large; it may be part of other encodings, so it must not be changed, and it stays as it is.
// The error is that of [Codec.Encode].
func (x *Encoder) Encode(p protocol.Packet) (head, body []byte, err error) {
	if p.Body == nil {
		return nil, nil, errors.New("wire: an empty packet")
	}
	e := &x.run
	*e = encoder{b: x.buf[:0], last: &x.last}
	err = x.codec.encodePacket(e, p)
	if x.buf = e.b; err != nil {
		return nil, nil, fmt.Errorf("wire%w", err)
	}
	if err := e.check(p, len(e.b)+len(e.tail)); err != nil {
		return nil, nil, err
	}
	if e.cut < len(e.b) && e.tail != nil { // something follows the large packet
		return slices.Concat(e.b[:e.cut], e.tail, e.b[e.cut:]), nil, nil
	}
	return e.b, e.tail, nil
}

// check says whether what takes size bytes could not be decoded within the decoder's limits.
func (e *encoder) check(p protocol.Packet, size int) error {
	if e.memory > memoryFactor*size+memoryFloor {
		return fmt.Errorf("wire: %s: would take %d bytes of memory to decode from %d; expected at most %d",
			protocol.Name(p.Body), e.memory, size, memoryFactor*size+memoryFloor)
	}
	return nil
}

// reuse takes the last large packet for the encoding of p, if it is that.
func (e *encoder) reuse(p protocol.Packet) bool {
	if e.last == nil || e.tail != nil || e.depth > e.last.depth || p.Channel != e.last.packet.Channel || !same(p.Body, e.last.packet.Body) {
		return false
	}
	e.memory += e.last.memory
	e.tail, e.cut = e.last.bytes, len(e.b)
	return true
}

// share keeps the encoding of p, which begins at from and ends here, for the next time, if it is large and no packet
// inside it was kept.
func (e *encoder) share(p protocol.Packet, from, memory int) {
	if e.last == nil || e.tail != nil || len(e.b)-from < Large {
		return
	}
	e.tail, e.cut, e.b = bytes.Clone(e.b[from:]), from, e.b[:from]
	*e.last = shared{p, e.tail, e.memory - memory, e.depth}
}

// same says whether two messages are one value at one place. They are immutable, so it is equal then.
func same(a, b protocol.Message) bool {
	type words [2]unsafe.Pointer
	return *(*words)(unsafe.Pointer(&a)) == *(*words)(unsafe.Pointer(&b))
}
