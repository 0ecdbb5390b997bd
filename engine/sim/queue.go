package sim

import (
	"cmp"
	"math/bits"
	"slices"
	"time"

	"ciranda.dev/protocol"
)

// An entry is something that will happen.
type entry struct {
	at   time.Duration
	tie  uint64 // entries of one moment happen in the order in which they were queued
	ref  uint32 // a flight, a timer, an action
	node protocol.ID
	kind entryKind
	held bool // it waited for its node
}

type entryKind uint8

const (
	deliver entryKind = iota
	timer
	lose
	double
	sync
	watchDisk
	choose
	act
	calm
)

func order(a, b entry) int {
	if a.at != b.at {
		return cmp.Compare(a.at, b.at)
	}
	return cmp.Compare(a.tie, b.tie)
}

// A queue holds what will happen, by time. What is near lies in a ring of buckets, each a short stretch of time and
// sorted only when its time comes, so that an entry costs the same however many there are; what is far lies in a heap
// until it is near.
type queue struct {
	near    [][]entry // by the number of the stretch, modulo their number
	taken   []uint64  // a bit for each bucket that is not empty
	shift   int       // a stretch is that power of two of nanoseconds
	at      int64     // the number of the present stretch
	present []entry   // its entries, sorted
	next    int       // the first of them that has not happened
	far     far
	ties    uint64
	waiting int
}

// newQueue sizes the ring for a number of nodes: it reaches 134ms ahead, as far as heartbeats do.
func newQueue(nodes int) queue {
	size := 17
	buckets := 1 << 10
	for n := nodes; n > 64 && buckets < 1<<16; n /= 8 {
		size, buckets = size-3, buckets*8
	}
	return queue{near: make([][]entry, buckets), taken: make([]uint64, buckets/64), shift: size}
}

func (q *queue) len() int { return q.waiting }

func (q *queue) push(at time.Duration, e entry) {
	q.ties++
	q.waiting++
	e.at, e.tie = at, q.ties
	switch stretch := int64(at) >> q.shift; {
	case stretch <= q.at:
		q.insert(e)
	case stretch < q.at+int64(len(q.near)):
		q.put(stretch, e)
	default:
		q.far.push(e)
	}
}

func (q *queue) put(stretch int64, e entry) {
	i := int(stretch) & (len(q.near) - 1)
	q.near[i] = append(q.near[i], e)
	q.taken[i/64] |= 1 << (i % 64)
}

// insert puts e into the present stretch.
func (q *queue) insert(e entry) {
	q.present = append(q.present, e)
	i := len(q.present) - 1
	for ; i > q.next && order(e, q.present[i-1]) < 0; i-- {
		q.present[i] = q.present[i-1]
	}
	q.present[i] = e
}

// peek is the time of the first entry. There must be one.
func (q *queue) peek() time.Duration {
	if q.next == len(q.present) {
		q.advance()
	}
	return q.present[q.next].at
}

// pop takes the first entry. There must be one.
func (q *queue) pop() entry {
	if q.next == len(q.present) {
		q.advance()
	}
	e := q.present[q.next]
	q.next++
	q.waiting--
	return e
}

// advance goes on to the next stretch that has entries.
func (q *queue) advance() {
	stretch, found := q.nextTaken()
	if !found {
		stretch = int64(q.far[0].at) >> q.shift
	}
	q.at = stretch
	horizon := time.Duration((stretch + int64(len(q.near))) << q.shift)
	for len(q.far) > 0 && q.far[0].at < horizon {
		e := q.far.pop()
		q.put(int64(e.at)>>q.shift, e)
	}
	i := int(stretch) & (len(q.near) - 1)
	q.present, q.near[i] = q.near[i], q.present[:0]
	q.taken[i/64] &^= 1 << (i % 64)
	q.next = 0
	sortEntries(q.present)
}

// nextTaken finds the next bucket of the ring that is not empty.
func (q *queue) nextTaken() (stretch int64, found bool) {
	mask := len(q.near) - 1
	from := int(q.at+1) & mask
	word := q.taken[from/64] &^ (1<<(from%64) - 1)
	for i := 0; i <= len(q.taken); i++ {
		if word != 0 {
			bucket := (from/64+i)%len(q.taken)*64 + bits.TrailingZeros64(word)
			return q.at + 1 + int64((bucket-from)&mask), true
		}
		word = q.taken[(from/64+i+1)%len(q.taken)]
	}
	return 0, false
}

const few = 16

func sortEntries(e []entry) {
	if len(e) > few {
		slices.SortFunc(e, order)
		return
	}
	for i := 1; i < len(e); i++ {
		for j := i; j > 0 && order(e[j], e[j-1]) < 0; j-- {
			e[j], e[j-1] = e[j-1], e[j]
		}
	}
}

// each shows every entry, in no order.
func (q *queue) each(f func(*entry)) {
	for i := q.next; i < len(q.present); i++ {
		f(&q.present[i])
	}
	for i := range q.far {
		f(&q.far[i])
	}
	for i := range q.near {
		for j := range q.near[i] {
			f(&q.near[i][j])
		}
	}
}

// far is a heap with four children each: flatter than a binary one.
type far []entry

const arity = 4

func (h *far) push(e entry) {
	*h = append(*h, e)
	s := *h
	i := len(s) - 1
	for i > 0 {
		parent := (i - 1) / arity
		if order(e, s[parent]) >= 0 {
			break
		}
		s[i] = s[parent]
		i = parent
	}
	s[i] = e
}

func (h *far) pop() entry {
	s := *h
	top, last := s[0], s[len(s)-1]
	s = s[:len(s)-1]
	*h = s
	if len(s) == 0 {
		return top
	}
	i := 0
	for least := 1; least < len(s); least = arity*i + 1 {
		for c := least + 1; c < min(arity*i+1+arity, len(s)); c++ {
			if order(s[c], s[least]) < 0 {
				least = c
			}
		}
		if order(s[least], last) >= 0 {
			break
		}
		s[i] = s[least]
		i = least
	}
	s[i] = last
	return top
}
