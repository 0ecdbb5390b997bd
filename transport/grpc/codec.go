package grpc

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/grpc/mem"

	"ciranda.dev/transport/tcp"
)

// numberSize is what stands before the bytes of each message: how many there were before it, in four bytes. HTTP/2
// passes over frames of a stream that it does not know, so without TLS one damaged byte can make a message vanish.
const numberSize = 4

// pool has buffers of the sizes that there are: small frames, full bundles, the largest message.
var pool = mem.NewTieredBufferPool(1<<10, 8<<10, 64<<10+numberSize, maxMessage)

// An outgoing is what a stream writes, message after message.
type outgoing struct {
	number uint32
	bytes  []byte
}

// An incoming is what it reads.
type incoming struct {
	number uint32
	rest   mem.Reader // of the newest message
}

// A codec leaves bytes as they are, but for the number before them.
type codec struct{}

// Name is the content-subtype of the streams.
func (codec) Name() string { return "ciranda-frames" }

// Marshal copies the bytes of an outgoing: they are gRPC's until it has written them.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	out := v.(*outgoing)
	buffer := pool.Get(numberSize + len(out.bytes))
	binary.BigEndian.PutUint32(*buffer, out.number)
	copy((*buffer)[numberSize:], out.bytes)
	out.number++
	return mem.BufferSlice{mem.NewBuffer(buffer, pool)}, nil
}

// Unmarshal makes a message that which an incoming reads. One without bytes is damaged, and so is one with a wrong number.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	in := v.(*incoming)
	in.rest.Reset(data)
	var number [numberSize]byte
	n, _ := in.rest.Read(number[:])
	if found := binary.BigEndian.Uint32(number[:]); n < numberSize || in.rest.Remaining() == 0 || found != in.number {
		return fmt.Errorf("%w: found message %d with %d bytes; expected message %d", tcp.ErrMalformed, found, in.rest.Remaining(), in.number)
	}
	in.number++
	return nil
}
