package bully

import (
	"encoding/binary"
	"fmt"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/election"
)

// What is stored: the keys, and fixed binary forms with the highest byte first.
const (
	seenKey    = "seen"    // a counter: 8 bytes
	pairKey    = "term"    // a term: 8 bytes of counter, 2 of leader
	grantedKey = "granted" // a term: the counter granted and to whom
)

// raise notes that a counter has been heard of, so that no election of this node ever repeats it.
func (e *Election) raise(counter uint64, o *protocol.Out) {
	if counter <= e.seen || e.opts.Classic {
		return
	}
	e.seen = counter
	if e.opts.Mistake != M7 {
		o.Persist(seenKey, binary.BigEndian.AppendUint64(nil, counter))
	}
}

func (e *Election) storePair(o *protocol.Out) {
	if e.opts.Mistake != M7 {
		o.Persist(pairKey, appendTerm(nil, e.pair))
	}
}

func (e *Election) storeGranted(o *protocol.Out) {
	if e.opts.Mistake != QM1 {
		o.Persist(grantedKey, appendTerm(nil, e.granted))
	}
}

// load reads what a former life stored. The storage checks what it gives back, so a record that cannot be read means
// that it was written by something else: to go on without it would be to break the promises made by it.
func (e *Election) load(stored protocol.Stored, o *protocol.Out) {
	if b, ok := stored(seenKey); ok {
		if len(b) != 8 {
			panic(fmt.Sprintf("bully: node %d: stored %q has %d bytes, not 8", o.Self().ID, seenKey, len(b)))
		}
		e.seen = binary.BigEndian.Uint64(b)
	}
	e.pair = readStored(stored, pairKey, o)
	e.granted = readStored(stored, grantedKey, o)
}

func readStored(stored protocol.Stored, key string, o *protocol.Out) election.Term {
	b, ok := stored(key)
	if !ok {
		return election.Term{}
	}
	t, err := readTerm(b)
	if err != nil {
		panic(fmt.Sprintf("bully: node %d: stored %q: %v", o.Self().ID, key, err))
	}
	return t
}

func appendTerm(b []byte, t election.Term) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint64(b, t.Counter), uint16(t.Leader))
}

func readTerm(b []byte) (election.Term, error) {
	if len(b) != 10 {
		return election.Term{}, fmt.Errorf("a term has 10 bytes, not %d", len(b))
	}
	return election.Term{
		Counter: binary.BigEndian.Uint64(b),
		Leader:  protocol.ID(binary.BigEndian.Uint16(b[8:])),
	}, nil
}
