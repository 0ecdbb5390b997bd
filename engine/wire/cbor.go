package wire

import (
	"encoding/binary"
	"fmt"
	"math"
)

// The major types of CBOR that are used.
const (
	unsigned byte = 0 << 5
	negative byte = 1 << 5
	octets   byte = 2 << 5
	text     byte = 3 << 5
	array    byte = 4 << 5
	pairs    byte = 5 << 5
	simple   byte = 7 << 5
)

// The items of type simple that are used.
const (
	no          = simple | 20
	yes         = simple | 21
	null        = simple | 22
	float32Item = simple | 26
	float64Item = simple | 27
)

var majorNames = map[byte]string{
	unsigned: "a number", negative: "a negative number", octets: "bytes", text: "a text", array: "an array", pairs: "a map",
}

// appendHead appends the beginning of an item: its major type, and a number in as few bytes as possible.
func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, major|27), n)
	}
}

// An encoder appends to b and counts what decoding will take.
type encoder struct {
	b      []byte
	memory int
	depth  int

	last *shared // nil: nothing is shared
	tail []byte  // what is shared stands at cut in the encoding, in place of what would be there in b
	cut  int
}

// enter goes one level deeper, to something that takes memory.
func (e *encoder) enter(memory int) error {
	e.memory += memory
	if e.depth++; e.depth > maxDepth {
		return fmt.Errorf(": nested more than %d deep", maxDepth)
	}
	return nil
}

func (e *encoder) leave() { e.depth-- }

// A decoder reads b from at on, and may still take memory.
type decoder struct {
	b       []byte
	at      int
	memory  int
	depth   int
	inPlace bool // byte slices are parts of b
}

// enter goes one level deeper, to something that takes memory.
func (d *decoder) enter(memory int) error {
	if d.depth++; d.depth > maxDepth {
		return fmt.Errorf(": nested more than %d deep at byte %d", maxDepth, d.at)
	}
	return d.take(memory)
}

func (d *decoder) leave() { d.depth-- }

// take counts memory before it is allocated.
func (d *decoder) take(memory int) error {
	if memory < 0 || memory > d.memory {
		return fmt.Errorf(": takes more than %d bytes of memory", memoryFactor*len(d.b)+memoryFloor)
	}
	d.memory -= memory
	return nil
}

func (d *decoder) fault(found, expected string) error {
	return fmt.Errorf(": found %s at byte %d; expected %s", found, d.at, expected)
}

// peek is the major type of the next item; 255 at the end.
func (d *decoder) peek() byte {
	if d.at >= len(d.b) {
		return 255
	}
	return d.b[d.at] & (7 << 5)
}

// found is the next byte, in words.
func (d *decoder) found() string {
	if d.at >= len(d.b) {
		return "the end"
	}
	return fmt.Sprintf("%#02x", d.b[d.at])
}

// head reads the beginning of an item of a major type. It takes the shortest form only.
func (d *decoder) head(major byte) (uint64, error) {
	if d.peek() != major {
		return 0, d.fault(d.found(), majorNames[major])
	}
	short := d.b[d.at] & 31
	if short < 24 {
		d.at++
		return uint64(short), nil
	}
	size := 1 << (short - 24)
	if short > 27 || d.at+1+size > len(d.b) {
		return 0, d.fault(d.found()+" without a whole number after it", majorNames[major])
	}
	var n uint64
	for _, b := range d.b[d.at+1 : d.at+1+size] {
		n = n<<8 | uint64(b)
	}
	if size == 1 && n < 24 || size > 1 && n>>(4*size) == 0 {
		return 0, d.fault("a number that is too long", "its shortest form")
	}
	d.at += 1 + size
	return n, nil
}

// exactly reads the beginning of an item whose number is known.
func (d *decoder) exactly(major byte, n int) error {
	at := d.at
	found, err := d.head(major)
	if err == nil && found != uint64(n) {
		d.at = at
		return d.fault(fmt.Sprintf("%s of %d", majorNames[major], found), fmt.Sprint(n))
	}
	return err
}

// below reads a number from 0 to n-1.
func (d *decoder) below(n int, what string) (int, error) {
	at := d.at
	found, err := d.head(unsigned)
	if err == nil && found >= uint64(n) {
		d.at = at
		return 0, d.fault(fmt.Sprint(found), fmt.Sprintf("%s below %d", what, n))
	}
	return int(found), err
}

// count reads how many items follow, each of at least size bytes. There cannot be more than the input has room for.
func (d *decoder) count(major byte, size int) (int, error) {
	at := d.at
	n, err := d.head(major)
	if err == nil && n > uint64((len(d.b)-d.at)/size) {
		d.at = at
		return 0, d.fault(fmt.Sprintf("%s of %d", majorNames[major], n), "no more than what follows")
	}
	return int(n), err
}

// bytes reads a run of bytes, which still belong to the input.
func (d *decoder) bytes(major byte) ([]byte, error) {
	n, err := d.count(major, 1)
	if err != nil {
		return nil, err
	}
	b := d.b[d.at : d.at+n]
	d.at += n
	return b, nil
}
