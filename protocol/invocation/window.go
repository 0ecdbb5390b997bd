package invocation

import "slices"

// A window holds items by ascending number. Numbers come nearly in order and go nearly in order, so it is a slice of
// which the front is cut off.
type window[T any] struct {
	seqs  []uint64
	items []T
	head  int
}

func (w *window[T]) len() int { return len(w.seqs) - w.head }

// find gives the place of a number, and whether it is there.
func (w *window[T]) find(seq uint64) (i int, ok bool) {
	if n := len(w.seqs); n == w.head || w.seqs[n-1] < seq {
		return n, false
	}
	i, ok = slices.BinarySearch(w.seqs[w.head:], seq)
	return i + w.head, ok
}

// put inserts an item at the place that find gave.
func (w *window[T]) put(i int, seq uint64, item T) {
	if w.head > 32 && w.head > len(w.seqs)/2 {
		i -= w.head
		w.seqs = slices.Delete(w.seqs, 0, w.head)
		w.items = slices.Delete(w.items, 0, w.head)
		w.head = 0
	}
	w.seqs = slices.Insert(w.seqs, i, seq)
	w.items = slices.Insert(w.items, i, item)
}

// pop takes the first item out.
func (w *window[T]) pop() T {
	var zero T
	item := w.items[w.head]
	w.items[w.head] = zero
	w.head++
	if w.head == len(w.seqs) {
		w.seqs, w.items, w.head = w.seqs[:0], w.items[:0], 0
	}
	return item
}

// remove takes the item at a place out.
func (w *window[T]) remove(i int) {
	if i == w.head {
		w.pop()
		return
	}
	w.seqs = slices.Delete(w.seqs, i, i+1)
	w.items = slices.Delete(w.items, i, i+1)
}

// all gives the items, ascending.
func (w *window[T]) all() []T { return w.items[w.head:] }
