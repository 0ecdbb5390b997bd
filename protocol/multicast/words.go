package multicast

import (
	"fmt"

	"ciranda.dev/protocol"
)

// The messages. Members are named by their rank in the view.
//
// Each member has one stream in a view: items that are numbered from 1. An item is a payload, or a place in a total order.
// A batch has some that follow one another, and stays as it is wherever it goes.
type (
	// Batch is a piece of its sender's stream: the payloads, and then the places.
	Batch struct {
		View     uint64
		First    uint64 // the number of its first item
		Stamp    uint64 // the sender's Lamport time
		Got      []uint64
		Runs     []Run
		Places   []Place
		Payloads [][]byte // of the runs, one after the other
	}
	// Run is payloads of one lane.
	Run struct {
		Lane  uint8
		First uint64 // the number of the first in its lane
		Count uint32
		More  bool // the payload is a part of a message that goes on in the lane's next run
		// After says how many messages of the lane the sender had delivered of each member. It is empty in lanes that take
		// care of causes otherwise.
		After []uint64
	}
	// Place gives the next places in a lane's total order to a member's next messages. Only the coordinator sends places.
	Place struct {
		Lane  uint8
		Rank  uint32
		Count uint32
	}
	// Report says what its sender holds of each member's stream without a gap. Batches have it too, in Got.
	Report struct {
		View  uint64
		Stamp uint64
		Got   []uint64
	}
	// Want asks for items of a member's stream.
	Want struct {
		View       uint64
		Rank       uint32
		From, Upto uint64
	}
	// Again answers Want with a batch of that stream, or with an empty one if there is none. Last says that no more follow
	// for now.
	Again struct {
		View  uint64
		Rank  uint32
		Last  bool
		Batch Batch
	}
	// Plea is a broadcast that asks for items of a member's stream. The member of rank To answers it by broadcasts.
	Plea struct {
		View uint64
		Rank uint32
		To   uint32
		Gaps []Gap
	}
	// Gap is what is missing, from one number up to another.
	Gap struct{ From, Upto uint64 }
	// Poll is a Report, of one to whom nothing was reported for a while, and is answered by one. Both go over links.
	Poll struct {
		View  uint64
		Stamp uint64
		Got   []uint64
	}
)

var messages = []protocol.Message{Batch{}, Report{}, Want{}, Again{}, Plea{}, Poll{}}

// String is like "causal 7+3 after [1 4 0]": from number 7 on three messages.
func (r Run) String() string {
	text := fmt.Sprintf("%s %d+%d", laneOf(r.Lane).name(), r.First, r.Count)
	if r.More {
		text += "…"
	}
	if len(r.After) > 0 {
		text += fmt.Sprintf(" after %v", r.After)
	}
	return text
}

// String is like "total 2×3": the next three messages of the member of rank 2.
func (p Place) String() string {
	return fmt.Sprintf("%s %d×%d", laneOf(p.Lane).name(), p.Rank, p.Count)
}

// slot is what an item counts beside its content.
const slot = 16

// last is the number of the last item.
func (b *Batch) last() uint64 { return b.First + uint64(len(b.Payloads)+len(b.Places)) - 1 }

// size is what a batch counts in windows and stores.
func (b *Batch) size() int {
	n := slot * (len(b.Payloads) + len(b.Places))
	for _, p := range b.Payloads {
		n += len(p)
	}
	return n
}

// Size is about how many bytes a batch takes.
func (b Batch) Size() int { return b.size() + 64 + 8*len(b.Got) + 8*len(b.Runs)*(1+len(b.Got)) }

// Size is about how many bytes an answer takes.
func (a Again) Size() int { return 16 + a.Batch.Size() }

// ceiling is what no number in a message exceeds.
const ceiling = 1 << 62

// fault says what is wrong with a batch in a view of n members; "" if nothing is.
func (b *Batch) fault(n int, coordinates bool) string {
	payloads := 0
	for i := range b.Runs {
		r := &b.Runs[i]
		if int(r.Lane) >= lanes || r.Count == 0 || r.First > ceiling || exceeds(r.After) || r.More && r.Count > 1 || len(r.After) != b.causes(r, n) {
			return damaged
		}
		if payloads += int(r.Count); payloads > len(b.Payloads) {
			return damaged
		}
	}
	for _, p := range b.Places {
		if int(p.Lane) >= lanes || !laneOf(p.Lane).Order.sequenced() || int(p.Rank) >= n || p.Count == 0 || !coordinates {
			return damaged
		}
	}
	if payloads != len(b.Payloads) || payloads+len(b.Places) == 0 || len(b.Got) != n || b.First == 0 {
		return damaged
	}
	if b.First > ceiling || exceeds(b.Got) || b.Stamp > ceiling {
		return "ceiling"
	}
	return ""
}

const damaged = "damaged"

// causes is how long After must be.
func (b *Batch) causes(r *Run, n int) int {
	if r.More || !hasCauses(laneOf(r.Lane)) {
		return 0
	}
	return n
}

func exceeds(numbers []uint64) bool {
	for _, v := range numbers {
		if v > ceiling {
			return true
		}
	}
	return false
}
