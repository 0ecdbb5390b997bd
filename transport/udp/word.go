package udp

import "encoding/binary"

// A word is what the transports say to each other over the connections between the nodes: beside the messages, of which none
// begins with this mark, and unknown to the nodes' stacks.
const mark = 0xff

// The kinds of words.
const (
	keyWord   = 1 // in this view my datagrams are sealed with that key; or not at all
	readyWord = 2 // I have your key of this view
	heardWord = 3 // and a datagram that it opens
)

// A word is one of them.
type word struct {
	kind byte
	view uint64
	key  []byte // of a keyWord; empty if datagrams are not sealed
}

const wordSize = 10

func (w word) bytes() []byte {
	b := append(make([]byte, 0, wordSize+len(w.key)), mark, w.kind)
	return append(binary.BigEndian.AppendUint64(b, w.view), w.key...)
}

// parseWord takes what bytes makes.
func parseWord(b []byte) (w word, ok bool) {
	if len(b) < wordSize || b[0] != mark {
		return w, false
	}
	w = word{kind: b[1], view: binary.BigEndian.Uint64(b[2:]), key: b[wordSize:]}
	switch w.kind {
	case keyWord:
		return w, len(w.key) == 0 || len(w.key) == keySize
	case readyWord, heardWord:
		return w, len(w.key) == 0
	}
	return w, false
}

// isWord says whether something that came over a connection is a word.
func isWord(b []byte) bool { return len(b) > 0 && b[0] == mark }
