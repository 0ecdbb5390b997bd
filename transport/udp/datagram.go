package udp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"

	"ciranda.dev/protocol"
)

// A datagram is a header, what it carries, and a tag. The header is in the clear; the tag, of AES-GCM, stands for it and for
// what is sealed. Without sealing the content is in the clear too and the tag is a CRC32C: it finds damage, not intent.
//
//	0  "cir", the version
//	4  the kind; 128 more if it is sealed
//	5  the first bytes of a hash of the cluster's name
//	13 the sender: its number (2 bytes), its incarnation (4)
//	19 the view whose key seals it
//	27 a counter of what was sealed with that key, from 1
const (
	headerSize = 35
	tagSize    = 16
	overhead   = headerSize + tagSize

	magic   = "cir\x01"
	sealed  = 0x80
	message = 1 // for the nodes' stacks
	probe   = 2 // carries nothing: who gets it says so
)

// A tag stands for a cluster.
type tag [8]byte

func tagOf(cluster string) (t tag) {
	sum := sha256.Sum256([]byte("ciranda cluster " + cluster))
	copy(t[:], sum[:])
	return t
}

// A header is what everybody can read of a datagram.
type header struct {
	kind    byte
	sealed  bool
	cluster tag
	from    life
	view    uint64
	counter uint64
}

// A life is one incarnation of a node.
type life struct {
	id  protocol.ID
	inc protocol.Incarnation
}

func (h *header) append(b []byte) []byte {
	kind := h.kind
	if h.sealed {
		kind |= sealed
	}
	b = append(append(b, magic...), kind)
	b = append(b, h.cluster[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(h.from.id))
	b = binary.BigEndian.AppendUint32(b, uint32(h.from.inc))
	b = binary.BigEndian.AppendUint64(b, h.view)
	return binary.BigEndian.AppendUint64(b, h.counter)
}

// parseHeader takes what append makes, and as many bytes behind it as a tag has.
func parseHeader(b []byte) (h header, ok bool) {
	if len(b) < headerSize+crc32.Size || string(b[:len(magic)]) != magic {
		return h, false
	}
	h.kind, h.sealed = b[4]&^sealed, b[4]&sealed != 0
	copy(h.cluster[:], b[5:])
	h.from = life{protocol.ID(binary.BigEndian.Uint16(b[13:])), protocol.Incarnation(binary.BigEndian.Uint32(b[15:]))}
	h.view, h.counter = binary.BigEndian.Uint64(b[19:]), binary.BigEndian.Uint64(b[27:])
	return h, (h.kind == message || h.kind == probe) && h.from.id != protocol.None && h.from.inc > 0 && h.counter > 0
}

// A lock seals and opens the datagrams of one sender in one view. The zero lock only adds and checks sums.
type lock struct{ aead cipher.AEAD }

// keySize is the size of a key, of AES-256.
const keySize = 32

func newLock(key []byte) lock {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("transport/udp: " + err.Error()) // the size of the key is right
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("transport/udp: " + err.Error())
	}
	return lock{aead}
}

// nonce is a number used once: no two datagrams under one key have the same counter.
func nonce(counter uint64) (n [12]byte) {
	binary.BigEndian.PutUint64(n[4:], counter)
	return n
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal appends a datagram to dst, which is empty.
func (l lock) seal(dst []byte, h header, content []byte) []byte {
	h.sealed = l.aead != nil
	dst = h.append(dst)
	if l.aead == nil {
		dst = append(dst, content...)
		return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst, castagnoli))
	}
	n := nonce(h.counter)
	return l.aead.Seal(dst, n[:], content, dst)
}

// open gives the content of a datagram, in its place, if nobody has changed it.
func (l lock) open(b []byte, h header) (content []byte, ok bool) {
	if l.aead == nil {
		end := len(b) - crc32.Size
		return b[headerSize:end], binary.BigEndian.Uint32(b[end:]) == crc32.Checksum(b[:end], castagnoli)
	}
	n := nonce(h.counter)
	content, err := l.aead.Open(b[headerSize:headerSize], n[:], b[headerSize:], b[:headerSize])
	return content, err == nil
}

// blocks is how many words of bits a window has. One of them is being overwritten.
const blocks = 17

// reach is by how much a datagram may come after one that was sent later.
const reach = 64 * (blocks - 1)

// A window remembers which counters were seen, as far as they may still come: those of RFC 6479.
type window struct {
	top  uint64
	bits [blocks]uint64
}

// fresh says whether a counter was not seen, and may be.
func (w *window) fresh(n uint64) bool {
	return n > w.top || n+reach > w.top && w.bits[n/64%blocks]&(1<<(n%64)) == 0
}

// mark notes that a fresh counter is seen.
func (w *window) mark(n uint64) {
	if n > w.top {
		first, last := w.top/64+1, n/64
		for b := first; b <= last && b < first+blocks; b++ {
			w.bits[b%blocks] = 0
		}
		w.top = n
	}
	w.bits[n/64%blocks] |= 1 << (n % 64)
}
