package multicast

import (
	"bytes"
	"slices"

	"ciranda.dev/protocol"
)

// lanes is how many numbers they have.
const lanes = 2 * int(inner)

// index is a lane's number in messages.
func (n Lane) index() int {
	i := 2 * (int(n.Order) - 1)
	if n.Uniform {
		i++
	}
	return i
}

// name is the lane's for people, such as "uniform total".
func (n Lane) name() string {
	if n.Uniform {
		return "uniform " + n.Order.String()
	}
	return n.Order.String()
}

// laneOf is the lane of a number.
func laneOf(i uint8) Lane { return Lane{Order(i/2) + 1, i%2 == 1} }

// runs says whether a lane is run here.
func (l *Layer) runs(n Lane) bool {
	if n.Order == inner {
		return n.Uniform && l.opts.Inner
	}
	return slices.Contains(l.opts.Orders, n.Order)
}

// hasCauses says whether messages of a lane tell what they may be caused by. Where a coordinator or time stamps give the
// order causes come first anyway: a reply gets its place, or its stamp, after what it replies to. But at the end of a view
// places may be gone, or the causes themselves, with those that had them.
func hasCauses(n Lane) bool { return n.Order >= Causal }

// A lane is what is not delivered yet of a lane's messages, and whose turn it is.
type lane struct {
	from    []source // by rank
	pending int      // messages in their queues

	places   queue[place] // of the total order, as they came from the coordinator
	ordered  uint64       // places that this node gave
	own      uint64       // messages of this node
	awaiting queue[awaited]
}

// A source is what one member sends in a lane.
type source struct {
	queue  queue[piece] // what is not delivered
	came   uint64       // messages that have come
	done   uint64       // of those, delivered
	placed uint64       // of those, given a place by this node
	parts  [][]byte     // of a message that has not come to its end
	size   int          // bytes of those
}

// A piece is messages of a batch in one lane.
type piece struct {
	item     uint64 // the first one's number in the stream
	first    uint64 // its number in the lane
	stamp    uint64
	after    []uint64
	payloads [][]byte
}

// A place is a Place, and its number in the coordinator's stream.
type place struct {
	item  uint64
	rank  int
	count int
}

// An awaited cast is answered when its last message is delivered.
type awaited struct {
	call  uint64
	first uint64
	last  uint64

	before *Sent
}

// fits says whether a part of a message may be taken.
func (s *source) fits(part []byte) bool { return s.size+len(part) <= mostLargest }

// join takes a part of a message. It gives the message once that has come to its end.
func (s *source) join(part []byte, more bool) (message []byte) {
	s.parts, s.size = append(s.parts, part), s.size+len(part)
	if more {
		return nil
	}
	message = bytes.Join(s.parts, nil)
	s.parts, s.size = nil, 0
	return message
}

// enqueue puts the payloads of a run, of which the first has a number in the stream, into the lane's queue.
func (l *Layer) enqueue(r int, run *Run, item, stamp uint64, payloads [][]byte) {
	n := &l.lanes[run.Lane]
	s := &n.from[r]
	if run.More || s.parts != nil {
		message := s.join(payloads[0], run.More)
		if run.More {
			return
		}
		payloads = append([][]byte{message}, payloads[1:]...)
	}
	s.queue.push(piece{item, run.First, stamp, run.After, payloads})
	s.came += uint64(len(payloads))
	n.pending += len(payloads)
}

// deliver gives the first messages of a member's queue to the layers above: up to count of those that came together. It
// says how many.
func (l *Layer) deliver(i, r, count int, o *protocol.Out) int {
	n := &l.lanes[i]
	s := &n.from[r]
	p := s.queue.first()
	count = min(count, len(p.payloads))
	d := Delivery{l.view.ID, l.view.Members[r].Node, laneOf(uint8(i)), p.first, p.payloads[:count:count]}
	if count == len(p.payloads) {
		s.queue.pop()
	} else {
		p.item, p.first, p.payloads = p.item+uint64(count), p.first+uint64(count), p.payloads[count:]
	}
	s.done += uint64(count)
	n.pending -= count
	o.Note(Delivered{d.View, d.Sender, d.Lane, d.First, count})
	o.Tell(d)
	l.debit(d.Payloads)
	if r == l.rank {
		l.answer(i, s.done, o)
	}
	return count
}

// answer answers the casts whose messages have all been delivered here.
func (l *Layer) answer(i int, done uint64, o *protocol.Out) {
	q := &l.lanes[i].awaiting
	for q.len() > 0 && q.first().last <= done {
		a := q.pop()
		o.Indicate(protocol.Reply{ID: a.call, Body: Sent{l.view.ID, a.first, int(a.last - a.first + 1), a.before}})
	}
}
