package multicast

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"ciranda.dev/protocol"
)

// Inner is the lane of [Within].
var Inner = Lane{inner, true}

// Within is a request of a layer above, and no call: send messages to the group in a lane of their own, in total order and
// uniform, whatever orders are run. All members are told by [Delivery] with the lane [Inner], which the layers that they are for take.
// Traces show hashes in place of such messages, so that they may have what is nobody's business. If they are not taken
// [Untaken] says so; what waits when this node is excluded is not sent, and nothing is said.
type Within struct {
	Payloads [][]byte // as in Cast
	Tag      uint64   // the asking layer's, for Untaken
}

// Untaken is an indication to the layers above: what Within asked for was not sent and never will be.
type Untaken struct {
	Tag uint64
	Why string
}

// Kind is the event's name in traces.
func (Untaken) Kind() string { return "mc.untaken" }

// within takes messages of a layer above.
func (l *Layer) within(w Within, o *protocol.Out) {
	size := Weight(w.Payloads...)
	why := l.tooMuch(w.Payloads, size)
	switch {
	case !l.opts.Inner || len(w.Payloads) == 0:
		panic(fmt.Sprintf("multicast: node %d: a layer says %d messages within the stack; Options.Inner is %t", l.self, len(w.Payloads), l.opts.Inner))
	case why != "":
		o.Tell(Untaken{w.Tag, why})
	default:
		l.add(cast{lane: Inner.index(), payloads: w.Payloads, size: size}, o)
	}
}

// shown is a batch as traces show it.
type shown Batch

// MarshalJSON shows hashes of inner messages.
func (b Batch) MarshalJSON() ([]byte, error) {
	at := 0
	for i := range b.Runs {
		end := min(at+int(b.Runs[i].Count), len(b.Payloads))
		if laneOf(b.Runs[i].Lane).Order == inner {
			all := append([][]byte(nil), b.Payloads...)
			for k := at; k < end; k++ {
				sum := sha256.Sum256(all[k])
				all[k] = sum[:8]
			}
			b.Payloads = all
		}
		at = end
	}
	return json.Marshal(shown(b))
}
