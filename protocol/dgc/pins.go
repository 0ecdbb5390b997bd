package dgc

import (
	"bytes"
	"iter"
	"maps"
	"slices"
	"time"

	"ciranda.dev/protocol/invocation"
)

// Pins are the references of one sender that travel. T is what they refer to: an object of its own, or one that it holds.
type Pins[T any] struct {
	opts Options
	last uint64
	on   map[uint64]pin[T]
	old  uint64 // no pin has a lower number
}

// A pin is a reference that travels.
type pin[T any] struct {
	what T
	to   invocation.ClientID
	end  time.Duration
}

// NewPins makes a sender on whose behalf nothing travels.
func NewPins[T any](opts Options) *Pins[T] {
	return &Pins[T]{opts: opts.WithDefaults(), on: map[uint64]pin[T]{}, old: 1}
}

// Add notes that a reference begins to travel, and gives the transfer's number: not 0.
func (p *Pins[T]) Add(now time.Duration, what T, to invocation.ClientID) uint64 {
	p.last++
	p.on[p.last] = pin[T]{what, to, now + p.opts.Pin}
	return p.last
}

// Acked takes the receiver's word that references have arrived and are registered. It gives what they refer to, which need not be kept
// any longer for their sake.
func (p *Pins[T]) Acked(from invocation.ClientID, transfers []uint64) (arrived []T) {
	for _, t := range transfers {
		if is, ok := p.on[t]; ok && is.to == from {
			delete(p.on, t)
			arrived = append(arrived, is.what)
		}
	}
	return arrived
}

// Gone says that a receiver has died. It gives what travelled to it.
func (p *Pins[T]) Gone(to invocation.ClientID) (lost []T) {
	for _, t := range slices.Sorted(maps.Keys(p.on)) {
		if is := p.on[t]; is.to == to {
			delete(p.on, t)
			lost = append(lost, is.what)
		}
	}
	return lost
}

// Expire gives what has travelled for too long: it does not arrive any more.
func (p *Pins[T]) Expire(now time.Duration) (lost []T) {
	for ; p.old <= p.last; p.old++ {
		is, ok := p.on[p.old]
		if ok && is.end > now {
			break
		}
		if ok {
			delete(p.on, p.old)
			lost = append(lost, is.what)
		}
	}
	return lost
}

// Next is when Expire has something to give at the earliest; the largest duration if nothing travels.
func (p *Pins[T]) Next() time.Duration {
	for ; p.old <= p.last; p.old++ {
		if is, ok := p.on[p.old]; ok {
			return is.end
		}
	}
	return 1<<63 - 1
}

// First is the lowest number of a transfer that is under way, or that the next one will have.
func (p *Pins[T]) First() uint64 {
	p.Next()
	return p.old
}

// All are the transfers under way, in the order of their numbers.
func (p *Pins[T]) All() iter.Seq2[uint64, T] {
	return func(yield func(uint64, T) bool) {
		for _, t := range slices.Sorted(maps.Keys(p.on)) {
			if !yield(t, p.on[t].what) {
				return
			}
		}
	}
}

// Len is how many references travel.
func (p *Pins[T]) Len() int { return len(p.on) }

// ids are the references in order.
func (h *Holder) ids() []ObjectID {
	return slices.SortedFunc(maps.Keys(h.refs), func(a, b ObjectID) int { return bytes.Compare(a[:], b[:]) })
}
