package link

import (
	"cmp"
	"slices"
	"time"

	"ciranda.dev/protocol"
)

// A peer is another node, and the two directions of the link with it. Both are between this life and one life of it.
type peer struct {
	id      protocol.ID
	life    protocol.Incarnation // the newest heard of; 0 if none was
	over    bool                 // that life is known to be over, and the next one is not known
	ejected bool

	// To the peer. Packets are numbered when they are queued; those up to sent are on their way.
	queue   queue
	sent    uint64
	flying  int           // bytes on their way
	bytes   int           // of all in the queue
	full    bool          // the layers above were told so
	wait    time.Duration // until the oldest is sent again
	waited  time.Duration // since the last acknowledgement that moved on, up to Patience
	armed   bool          // the timer runs
	watched uint64        // which packet was the oldest when it began to
	recover uint64        // what had been sent when it last was sent again

	steady protocol.Incarnation // the life for which the engine vouches; 0 for none

	// From the peer.
	next uint64            // the number to be delivered next
	held map[uint64]parcel // what came too early
	room int               // bytes of those

	owesAck, owesReset bool
}

// A parcel is a packet and the bytes that it counts.
type parcel struct {
	packet protocol.Packet
	size   int
}

// known says whether there is a life to send to.
func (p *peer) known() bool { return p.life != 0 && !p.over }

// calm says whether all that is sent arrives by itself, as far as the engine knows.
func (p *peer) calm() bool { return p.known() && p.steady == p.life }

// target is the life to send to; 0 if none is known.
func (p *peer) target() protocol.Incarnation {
	if p.over {
		return 0
	}
	return p.life
}

// renumber is what Readdresses does: what is in the queue will be sent again, counted from 1.
func (p *peer) renumber() {
	again := queue{first: 1, end: 1}
	for p.queue.len() > 0 {
		again.push(p.queue.pop())
	}
	p.queue, p.sent, p.flying, p.recover = again, 0, 0, 0
}

// at gives the peer of a number, and makes it if it is new. It is good until another is made.
func (l *Link) at(id protocol.ID) *peer {
	i, found := l.search(id)
	if !found {
		l.peers = slices.Insert(l.peers, i, peer{id: id, queue: queue{first: 1, end: 1}, next: 1})
	}
	return &l.peers[i]
}

// search first looks where id is if few numbers are missing, as in most groups.
func (l *Link) search(id protocol.ID) (int, bool) {
	for _, i := range [...]int{int(id) - 1, int(id) - 2} {
		if i >= 0 && i < len(l.peers) && l.peers[i].id == id {
			return i, true
		}
	}
	return slices.BinarySearchFunc(l.peers, id, func(p peer, id protocol.ID) int { return cmp.Compare(p.id, id) })
}

// A queue holds the parcels of the numbers from first up to, and without, end. The ring's length is a power of two, and
// a parcel's place in it follows from its number alone.
type queue struct {
	first, end uint64
	ring       []parcel
}

// spacious is the length of a ring that is not kept when it is empty.
const spacious = 1 << 10

func (q *queue) len() int { return int(q.end - q.first) }

// at is the parcel of a number that is in the queue.
func (q *queue) at(n uint64) *parcel { return &q.ring[n&uint64(len(q.ring)-1)] }

func (q *queue) push(p parcel) {
	if q.len() == len(q.ring) {
		q.grow()
	}
	q.end++
	*q.at(q.end - 1) = p
}

func (q *queue) grow() {
	larger := queue{q.first, q.end, make([]parcel, max(4, 2*len(q.ring)))}
	for n := q.first; n < q.end; n++ {
		*larger.at(n) = *q.at(n)
	}
	*q = larger
}

func (q *queue) pop() parcel {
	place := q.at(q.first)
	p := *place
	*place = parcel{}
	q.first++
	if q.len() == 0 && len(q.ring) >= spacious {
		q.ring = nil
	}
	return p
}
