// Package board is a notice board that every member of a group has: the same notices in the same order.
//
// Make a layer with [New] and put it above a layer that transfers states (package transfer). A client posts with [Post]; the
// notice goes to all members by a uniform multicast in total order, and is on the board when the call is answered. Whatever
// else is cast in that lane is a notice too. The board keeps the last [Options.Keep] notices, counts all there ever were, and
// has a running hash of them: boards of equal count have equal hashes, on which tests and lessons can rely. Members that
// join get the board of the others.
//
// What it does not promise: that notices survive the loss of all members. Then the board begins anew, with another hash, and
// a count of zero. Nothing is kept on disk.
package board

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/protocol/transfer"
)

// Lane is where notices travel.
var Lane = multicast.Lane{Order: multicast.Total, Uniform: true}

// A Notice is one message on the board.
type Notice struct {
	Sender protocol.ID `json:"sender"`
	Text   string      `json:"text"`
}

// A Hash is of all notices that there were, in order.
type Hash uint64

// String is the hash in hexadecimal.
func (h Hash) String() string { return fmt.Sprintf("%016x", uint64(h)) }

// MarshalText gives the hash in hexadecimal: as a number in JSON it would lose digits.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText takes the hash in hexadecimal.
func (h *Hash) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 16, 64)
	*h = Hash(n)
	return err
}

// What clients say.
type (
	// Post is a call: put a notice on the board. It is answered as [multicast.Cast] is.
	Post struct {
		Text string `json:"text"`
	}
	// Query asks a node's board for its Contents, from outside and between steps.
	Query struct{}
	// Contents are what is on a board.
	Contents struct {
		Since   uint64   // the view in which the board began
		Count   uint64   // of all notices since then
		Hash    Hash     // of them
		Notices []Notice // the last ones
	}
)

// Added is the note that notices were put on the board.
type Added struct {
	Count uint64 `json:"count"` // with them
	Hash  Hash   `json:"hash"`
	New   int    `json:"new"`
}

// Kind is the event's name in traces.
func (Added) Kind() string { return "board.add" }

// Given is the note that the board is another one from here on: that of others, or an empty one.
type Given struct {
	Since uint64 `json:"since"`
	Count uint64 `json:"count"`
	Hash  Hash   `json:"hash"`
}

// Kind is the event's name in traces.
func (Given) Kind() string { return "board.load" }

// Spoilt is the note that a state could not be read: the board is empty.
type Spoilt struct {
	Why string `json:"why"`
}

// Kind is the event's name in traces.
func (Spoilt) Kind() string { return "board.spoilt" }

// Options set the size of a board.
type Options struct {
	// Keep is how many notices are kept, from 1 to a million. All nodes must have the same. Zero means 1,000.
	Keep int
}

// mostKept bounds Options.Keep.
const mostKept = 1_000_000

// Validate says what is out of bounds.
func (p Options) Validate() error {
	if p.Keep < 0 || p.Keep > mostKept {
		return fmt.Errorf("board: Keep is %d; it must be between 1 and %d notices", p.Keep, mostKept)
	}
	return nil
}

// A Board is one node's.
type Board struct {
	protocol.Base
	keep    int `layer:"const"`
	since   uint64
	count   uint64
	hash    Hash
	notices []Notice
}

// New makes a node's board. Options that [Options.Validate] refuses are not usable.
func New(opts Options) *Board {
	if opts.Keep == 0 {
		opts.Keep = 1000
	}
	return &Board{keep: opts.Keep}
}

// Traits say what the layer is.
func (b *Board) Traits() protocol.Traits {
	return protocol.Traits{Channel: "board", Needs: protocol.Multicast}
}

// Request takes posts.
func (b *Board) Request(r any, o *protocol.Out) (taken bool) {
	call, ok := r.(protocol.Call)
	post, is := call.Body.(Post)
	if !ok || !is {
		return false
	}
	call.Body = multicast.Cast{Order: Lane.Order, Uniform: Lane.Uniform, Payloads: [][]byte{[]byte(post.Text)}}
	o.Request(call)
	return true
}

// Indicate puts notices up, and hands the board over and takes it from others. Listeners hear the messages too.
func (b *Board) Indicate(e protocol.Event, o *protocol.Out) (taken bool) {
	switch e := e.(type) {
	case multicast.Delivery:
		if e.Lane == Lane {
			b.add(e, o)
		}
	case transfer.Capture:
		o.Request(transfer.Captured{View: e.View, State: b.encode()})
		return true
	case transfer.Load:
		b.load(e.State, o)
		return true
	case transfer.Anew:
		*b = Board{keep: b.keep, since: e.View, hash: mix(seed, binary.BigEndian.AppendUint64(nil, e.View))}
		o.Note(Given{b.since, b.count, b.hash})
	}
	return false
}

func (b *Board) add(d multicast.Delivery, o *protocol.Out) {
	for _, p := range d.Payloads {
		b.count++
		b.hash = mix(mix(b.hash, binary.BigEndian.AppendUint16(nil, uint16(d.Sender))), p)
		b.notices = append(b.notices, Notice{d.Sender, string(p)})
	}
	if over := len(b.notices) - b.keep; over > 0 {
		b.notices = slices.Delete(b.notices, 0, over)
	}
	o.Note(Added{b.count, b.hash, len(d.Payloads)})
}

func (b *Board) load(state []byte, o *protocol.Out) {
	was, err := decode(state, b.keep)
	if err != nil {
		*b = Board{keep: b.keep}
		o.Note(Spoilt{err.Error()})
		return
	}
	*b = was
	o.Note(Given{b.since, b.count, b.hash})
}

// seed begins a hash: the offset of FNV-1a with 64 bits.
const seed Hash = 14695981039346656037

// mix adds bytes to a hash, and where they end.
func mix(h Hash, text []byte) Hash {
	for _, c := range text {
		h = (h ^ Hash(c)) * 1099511628211
	}
	return (h ^ 0x100) * 1099511628211
}

// Answer answers a [Query].
func (b *Board) Answer(question any) (any, bool) {
	if _, ok := question.(Query); !ok {
		return nil, false
	}
	return Contents{b.since, b.count, b.hash, slices.Clone(b.notices)}, true
}

// String says for people how many notices there were, and the last of them.
func (b *Board) String() string {
	text := fmt.Sprintf("%d notices, hash %s", b.count, b.hash)
	if n := len(b.notices); n > 0 {
		text += fmt.Sprintf(", the last of node %d: %.40q", b.notices[n-1].Sender, b.notices[n-1].Text)
	}
	return text
}
