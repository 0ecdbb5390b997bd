package multicast

// A queue gives things in the order in which they were put in.
type queue[T any] struct {
	items []T // those before head are gone
	head  int
}

func (q *queue[T]) len() int { return len(q.items) - q.head }

// first is the one to be taken next; there must be one.
func (q *queue[T]) first() *T { return &q.items[q.head] }

// all are those in the queue, the first one first.
func (q *queue[T]) all() []T { return q.items[q.head:] }

func (q *queue[T]) push(v T) { q.items = append(q.items, v) }

func (q *queue[T]) pop() T {
	var none T
	v := q.items[q.head]
	q.items[q.head] = none
	switch q.head++; {
	case q.head == len(q.items):
		q.clear()
	case q.head >= slack && 2*q.head >= len(q.items):
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return v
}

// How many places of what is gone a queue keeps at least, and how many of all when it is empty.
const (
	slack = 32
	idle  = 256
)

func (q *queue[T]) clear() {
	if clear(q.items); cap(q.items) > idle {
		q.items = nil
	}
	q.items, q.head = q.items[:0], 0
}
