package detector

import (
	"math/bits"

	"ciranda.dev/protocol"
)

// A Set is a set of nodes, a bit each. The zero Set is empty.
type Set []uint64

// Has says whether id is in the set.
func (s Set) Has(id protocol.ID) bool {
	word := int(id / 64)
	return word < len(s) && s[word]&(1<<(id%64)) != 0
}

// Add puts id into the set.
func (s *Set) Add(id protocol.ID) {
	for int(id/64) >= len(*s) {
		*s = append(*s, 0)
	}
	(*s)[id/64] |= 1 << (id % 64)
}

// Remove takes id out of the set. Equal sets stay equal as values: there is no empty word at the end.
func (s *Set) Remove(id protocol.ID) {
	if !s.Has(id) {
		return
	}
	(*s)[id/64] &^= 1 << (id % 64)
	for n := len(*s); n > 0 && (*s)[n-1] == 0; n-- {
		*s = (*s)[:n-1]
	}
}

// Next is the lowest member above id; after the highest it begins again. It is protocol.None of an empty set.
func (s Set) Next(id protocol.ID) protocol.ID {
	if next := s.above(int(id) + 1); next != protocol.None {
		return next
	}
	return s.above(0)
}

// above is the lowest member from id on.
func (s Set) above(id int) protocol.ID {
	for word := id / 64; word < len(s); word++ {
		w := s[word]
		if word == id/64 {
			w &^= 1<<(id%64) - 1
		}
		if w != 0 {
			return protocol.ID(word*64 + bits.TrailingZeros64(w))
		}
	}
	return protocol.None
}

// IDs are the members, ascending.
func (s Set) IDs() []protocol.ID {
	ids := []protocol.ID{}
	for word, w := range s {
		for ; w != 0; w &= w - 1 {
			ids = append(ids, protocol.ID(word*64+bits.TrailingZeros64(w)))
		}
	}
	return ids
}
