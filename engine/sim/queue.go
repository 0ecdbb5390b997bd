package sim

import (
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

// A queue is a heap of entries with four children each: flatter than a binary one and kinder to the cache.
type queue struct {
	entries []entry
	ties    uint64
}

const arity = 4

func (q *queue) len() int { return len(q.entries) }

func before(a, b *entry) bool { return a.at < b.at || a.at == b.at && a.tie < b.tie }

func (q *queue) push(at time.Duration, e entry) {
	q.ties++
	e.at, e.tie = at, q.ties
	q.entries = append(q.entries, e)
	h := q.entries
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / arity
		if !before(&e, &h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
}

func (q *queue) pop() entry {
	h := q.entries
	top, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	q.entries = h
	if len(h) == 0 {
		return top
	}
	i := 0
	for {
		least := arity*i + 1
		if least >= len(h) {
			break
		}
		for c := least + 1; c < min(least+arity, len(h)); c++ {
			if before(&h[c], &h[least]) {
				least = c
			}
		}
		if !before(&h[least], &last) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = last
	return top
}
