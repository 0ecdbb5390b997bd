package transfer

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"

	"ciranda.dev/protocol"
)

// What the layer and the application above it say to each other.
type (
	// Capture is an indication: hand over the state as it is at this place in the row of events, with all that was delivered
	// before and nothing of what comes after. It is answered by Captured, at once or later.
	Capture struct {
		View uint64 `json:"view"` // it is the state at the beginning of that view
	}
	// Captured is a request, the answer to Capture. An application outside of the stack makes it as a call, which is
	// answered by Kept, or by protocol.Refused if nobody waits for that state any more or it is too large.
	Captured struct {
		View  uint64
		State []byte // never changed from here on
	}
	// Load is an indication: this is the state from now on, whatever it was. What is delivered next follows on it. It is not
	// in the trace; Loaded is.
	Load struct {
		View  uint64
		State []byte
	}
	// Anew is an indication: no member has a state, so all of them begin with the initial one from here on. A group that is
	// founded begins so, and one of which all members with the state are lost.
	Anew struct {
		View uint64 `json:"view"`
	}
	// Kept answers a call of Captured.
	Kept struct{}
)

// Indications for status and traces.
type (
	// Taking says that this node begins to fetch the state from a member, or goes on with it there.
	Taking struct {
		From  protocol.ID `json:"from"`
		View  uint64      `json:"view"`
		Size  uint64      `json:"size"`            // in bytes
		Chunk uint32      `json:"chunk,omitempty"` // the first that is asked for
	}
	// Ready says that this node has the state, and that what is delivered follows on it.
	Ready struct {
		View uint64 `json:"view"` // the present one
	}
	// GaveUp says that this node leaves the group and joins anew, since it cannot get the state as it is.
	GaveUp struct {
		Why string `json:"why"`
	}
)

// A Root is over the size and the sums of all chunks of a state: those of equal states are equal, at all members.
type Root uint64

// String is the root in hexadecimal.
func (r Root) String() string { return fmt.Sprintf("%016x", uint64(r)) }

// MarshalText gives the root in hexadecimal: as a number in JSON it would lose digits.
func (r Root) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText takes the root in hexadecimal.
func (r *Root) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 16, 64)
	*r = Root(n)
	return err
}

// Notes for the trace.
type (
	// Keeping says that a member keeps its state for others.
	Keeping struct {
		View uint64        `json:"view"`
		Size uint64        `json:"size"`
		Root Root          `json:"root"`
		For  []protocol.ID `json:"for"`
	}
	// Released says that it keeps it no more.
	Released struct {
		View uint64 `json:"view"`
		Why  string `json:"why"`
	}
	// Loaded says that the application gets the state of a view, and then Held events that came meanwhile.
	Loaded struct {
		View uint64      `json:"view"`
		From protocol.ID `json:"from"`
		Size uint64      `json:"size"`
		Root Root        `json:"root"`
		Held int         `json:"held"`
	}
	// Dropped says that a message of the layer was refused.
	Dropped struct {
		From   protocol.ID `json:"from"`
		Reason string      `json:"reason"` // bounds, sum, root, size
	}
)

// Kind is the event's name in traces.
func (Capture) Kind() string { return "state.capture" }

// Kind is the event's name in traces.
func (Load) Kind() string { return "state.load" }

// Kind is the event's name in traces.
func (Anew) Kind() string { return "state.anew" }

// Kind is the event's name in traces.
func (Taking) Kind() string { return "state.take" }

// Kind is the event's name in traces.
func (Ready) Kind() string { return "state.ready" }

// Kind is the event's name in traces.
func (GaveUp) Kind() string { return "state.giveup" }

// Kind is the event's name in traces.
func (Keeping) Kind() string { return "state.keep" }

// Kind is the event's name in traces.
func (Released) Kind() string { return "state.release" }

// Kind is the event's name in traces.
func (Loaded) Kind() string { return "state.loaded" }

// Kind is the event's name in traces.
func (Dropped) Kind() string { return "state.drop" }

// Query asks a node's layer for its [Status], from outside and between steps.
type Query struct{}

// A Status is how the state stands at a node.
type Status struct {
	Ready   bool        // this node has it
	View    uint64      // at whose beginning the state was taken that is fetched; 0 if none is
	From    protocol.ID // whom it is fetched from
	Size    uint64      // of it, in bytes
	Got     uint64      // bytes of it that are here
	Held    int         // bytes of messages that wait for it
	Keeping int         // states that are kept for others
	Kept    int         // their bytes
	Why     string      // what holds the fetching up, for people; empty if nothing does
}

// The messages. View says which state is meant: that at the view's beginning.
type (
	// Offer says that its sender keeps the state, in chunks of Chunk bytes; the last one may be shorter.
	Offer struct {
		View  uint64
		Size  uint64
		Chunk uint32
		Root  uint64 // over the size and the sums of all chunks
	}
	// Want asks for some chunks.
	Want struct {
		View  uint64
		First uint32
		Count uint32
	}
	// Chunk is a piece of the state.
	Chunk struct {
		View  uint64
		Index uint32
		Sum   uint32 // CRC-32C of the bytes
		Bytes []byte
	}
	// Have says that its sender needs no state any more.
	Have struct{ View uint64 }
	// None answers Want: the sender does not keep that state, or cannot give it.
	None struct {
		View uint64
		Why  string
	}
)

var messages = []protocol.Message{Offer{}, Want{}, Chunk{}, Have{}, None{}}

// Size is about how many bytes the chunk takes on the wire.
func (c Chunk) Size() int { return len(c.Bytes) + 32 }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumOf is the sum of a chunk.
func sumOf(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// rootOf is FNV-1a of 64 bits over a state's size and the sums of its chunks.
func rootOf(size uint64, sums []uint32) uint64 {
	h := uint64(14695981039346656037)
	mix := func(b []byte) {
		for _, c := range b {
			h = (h ^ uint64(c)) * 1099511628211
		}
	}
	mix(binary.BigEndian.AppendUint64(nil, size))
	var four [4]byte
	for _, s := range sums {
		binary.BigEndian.PutUint32(four[:], s)
		mix(four[:])
	}
	return h
}

// chunksOf is in how many chunks a state travels.
func chunksOf(size uint64, chunk uint32) uint32 {
	return uint32((size + uint64(chunk) - 1) / uint64(chunk))
}
