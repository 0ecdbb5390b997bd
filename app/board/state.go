package board

import (
	"encoding/binary"
	"errors"
	"fmt"

	"ciranda.dev/protocol"
)

// version begins each encoded board.
const version = 1

// encode gives the board as bytes. Equal boards give equal bytes, so that a transfer can go on at another member.
func (b *Board) encode() []byte {
	s := []byte{version}
	for _, n := range []uint64{b.since, b.count, uint64(b.hash), uint64(len(b.notices))} {
		s = binary.AppendUvarint(s, n)
	}
	for _, n := range b.notices {
		s = binary.AppendUvarint(s, uint64(n.Sender))
		s = binary.AppendUvarint(s, uint64(len(n.Text)))
		s = append(s, n.Text...)
	}
	return s
}

// errCut says that bytes are missing or too many.
var errCut = errors.New("board: the state does not end where it should")

// decode reads an encoded board, of which at most so many notices are kept.
func decode(s []byte, keep int) (Board, error) {
	if len(s) == 0 || s[0] != version {
		return Board{}, fmt.Errorf("board: the state does not begin with version %d", version)
	}
	r := reader{s[1:], false}
	b := Board{keep: keep, since: r.number(), count: r.number(), hash: Hash(r.number())}
	n := r.number()
	if n > uint64(keep) || n > b.count {
		return Board{}, fmt.Errorf("board: found %d notices; expected at most %d, and no more than the %d there were", n, keep, b.count)
	}
	for i := uint64(0); i < n && !r.bad; i++ {
		id := r.number()
		if !r.bad && (id == 0 || id > 1<<16-1) {
			return Board{}, fmt.Errorf("board: found a notice of node %d; expected a number from 1 to 65535", id)
		}
		b.notices = append(b.notices, Notice{protocol.ID(id), r.text()})
	}
	if r.bad || len(r.b) > 0 {
		return Board{}, errCut
	}
	return b, nil
}

// A reader reads until something is missing.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) text() string {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return ""
	}
	text := string(r.b[:n])
	r.b = r.b[n:]
	return text
}
