package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"ciranda.dev/protocol"
)

// Ceiling is the greatest value of a counter that is taken from another node. Honest counters never come near it; one
// that is above is damaged or hostile, and must not become everybody's truth.
const Ceiling = 1 << 62

// An Envelope is what travels beside a packet. Layers never see it.
type Envelope struct {
	Seq     uint64               // the message's number in its sender's life, from 1
	Lamport uint64               // the sender's clock when it sent
	To      protocol.Incarnation // the life of the addressee for which it is meant; 0 if that is not known
	HLC     uint64               // the sender's hybrid clock: 48 bits of physical time, 16 of counter; 0 if it has none
}

// hybrid is the flag of an envelope with a hybrid clock.
const hybrid = 1

// AppendEnvelope appends e to b, in at most 35 bytes: flags, and each number in as few bytes as it needs.
func AppendEnvelope(b []byte, e Envelope) []byte {
	var flags byte
	if e.HLC != 0 {
		flags = hybrid
	}
	b = append(b, flags)
	b = binary.AppendUvarint(b, e.Seq)
	b = binary.AppendUvarint(b, e.Lamport)
	b = binary.AppendUvarint(b, uint64(e.To))
	if e.HLC != 0 {
		b = binary.BigEndian.AppendUint64(b, e.HLC)
	}
	return b
}

// ParseEnvelope reads an envelope and gives what follows it. It takes only what AppendEnvelope makes, and no number
// above its ceiling.
func ParseEnvelope(b []byte) (e Envelope, rest []byte, err error) {
	if len(b) == 0 {
		return e, nil, errors.New("wire: an envelope of no bytes")
	}
	flags := b[0]
	if flags > hybrid {
		return e, nil, fmt.Errorf("wire: an envelope with flags %#02x; expected 0 or 1", flags)
	}
	rest = b[1:]
	if e.Seq, rest, err = number(rest, "message number", Ceiling); err != nil {
		return Envelope{}, nil, err
	}
	if e.Lamport, rest, err = number(rest, "Lamport stamp", Ceiling); err != nil {
		return Envelope{}, nil, err
	}
	to, rest, err := number(rest, "incarnation", 1<<32-1)
	if err != nil {
		return Envelope{}, nil, err
	}
	e.To = protocol.Incarnation(to)
	if flags&hybrid == 0 {
		return e, rest, nil
	}
	if len(rest) < 8 || binary.BigEndian.Uint64(rest) == 0 {
		return Envelope{}, nil, errors.New("wire: an envelope without the hybrid clock that its flags announce")
	}
	e.HLC = binary.BigEndian.Uint64(rest)
	return e, rest[8:], nil
}

// number reads a number in its shortest form.
func number(b []byte, name string, limit uint64) (uint64, []byte, error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || size > 1 && b[size-1] == 0 {
		return 0, nil, fmt.Errorf("wire: an envelope without a whole %s", name)
	}
	if n > limit {
		return 0, nil, fmt.Errorf("wire: an envelope with the %s %d; expected at most %d", name, n, limit)
	}
	return n, b[size:], nil
}
