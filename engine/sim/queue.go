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
	lose
	double
	timer
	sync
	watchDisk
	choose
	act
	calm
)

// A queue is what will happen, by time. Messages and all else lie in heaps of their own: few messages are on their way
// at a time, and many timers wait.
type queue struct {
	messages, rest entries
	ties           uint64
}

func (q *queue) len() int { return len(q.messages) + len(q.rest) }

func (q *queue) push(at time.Duration, e entry) {
	q.ties++
	e.at, e.tie = at, q.ties
	if e.kind <= lose {
		q.messages.push(&e)
	} else {
		q.rest.push(&e)
	}
}

// first is the heap with the first entry. There must be one.
func (q *queue) first() *entries {
	if len(q.rest) == 0 || len(q.messages) > 0 && before(&q.messages[0], &q.rest[0]) {
		return &q.messages
	}
	return &q.rest
}

// entries are a heap with four children each: flatter than a binary one and kinder to the cache.
type entries []entry

const arity = 4

func before(a, b *entry) bool { return a.at < b.at || a.at == b.at && a.tie < b.tie }

func (h *entries) push(e *entry) {
	*h = append(*h, *e)
	s := *h
	i := len(s) - 1
	for i > 0 {
		parent := (i - 1) / arity
		if !before(e, &s[parent]) {
			break
		}
		s[i] = s[parent]
		i = parent
	}
	s[i] = *e
}

func (h *entries) pop() entry {
	s := *h
	top, last := s[0], s[len(s)-1]
	s = s[:len(s)-1]
	*h = s
	if len(s) == 0 {
		return top
	}
	i := 0
	for {
		least := arity*i + 1
		if least >= len(s) {
			break
		}
		for c := least + 1; c < min(least+arity, len(s)); c++ {
			if before(&s[c], &s[least]) {
				least = c
			}
		}
		if !before(&s[least], &last) {
			break
		}
		s[i] = s[least]
		i = least
	}
	s[i] = last
	return top
}
