package tcp

import (
	"hash/crc32"
	"math/bits"
	"sync"
)

// A bodySum is the checksum of a large body. Messages to several peers that share the body share it too, so it is made
// once for all of them; each frame's checksum is put together from it.
type bodySum struct {
	body  []byte
	once  sync.Once
	sum   uint32
	shift uint32 // see shiftBy
}

// after gives the checksum of what has the checksum sum, followed by the body.
func (s *bodySum) after(sum uint32) uint32 {
	s.once.Do(func() { s.sum, s.shift = crc32.Checksum(s.body, castagnoli), shiftBy(len(s.body)) })
	return multiply(s.shift, sum) ^ s.sum
}

// is says whether it is the sum of b, at that place.
func (s *bodySum) is(b []byte) bool {
	return s != nil && len(s.body) == len(b) && &s.body[0] == &b[0]
}

// A checksum of 32 bits is a polynomial over the field of two elements, modulo that of crc32.Castagnoli. Bits are in
// reverse: the highest stands for 1. The checksum of a and then b is that of a times x^(bits of b), plus that of b: see
// crc32_combine in zlib, by M. Adler.

// multiply gives the product of two polynomials.
func multiply(a, b uint32) (product uint32) {
	for ; a != 0; a <<= 1 {
		product ^= b & -(a >> 31)
		b = b>>1 ^ crc32.Castagnoli&-(b&1)
	}
	return product
}

// shiftBy is x^8n: a checksum times it is that of the same bytes and n more, but for what these add.
func shiftBy(n int) uint32 {
	power := uint32(1) << 31
	for ; n > 0; n &= n - 1 {
		power = multiply(power, shifts[bits.TrailingZeros(uint(n))])
	}
	return power
}

// shifts are x^8, x^16, x^32, …
var shifts = func() (s [32]uint32) {
	s[0] = 1 << (31 - 8)
	for i := range s[1:] {
		s[i+1] = multiply(s[i], s[i])
	}
	return s
}()
