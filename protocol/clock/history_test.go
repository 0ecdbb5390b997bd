package clock_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	. "ciranda.dev/protocol/clock"

	"ciranda.dev/protocol"
)

// A history is a random run of a few processes that send, receive, crash and recover. Happened-before is rebuilt from
// it without any clock.
type history struct {
	events []occurrence
	before [][]bool // before[i][j]: event i happened before event j
	skew   time.Duration
}

// An occurrence is an event of a history: where, and which message it received.
type occurrence struct {
	process  Process
	previous int           // the event before it at its node, -1 if none
	from     int           // of a receipt: the event that sent the message, else -1
	first    bool          // the first event of a later life
	wall     time.Duration // the node's reading of its wall clock
}

// random draws a history. Messages are received late, out of order, or never; clocks differ by up to 2 ms and are set
// back at times.
func random(draw func(n int) int) *history {
	h := &history{}
	nodes := 2 + draw(3)
	last, inc := make([]int, nodes), make([]protocol.Incarnation, nodes)
	wall, offset := time.Duration(0), make([]time.Duration, nodes)
	for i := range nodes {
		last[i], inc[i] = -1, 1
		offset[i] = time.Second + time.Duration(draw(100))*20*time.Microsecond
	}
	var flying []struct{ send, to int }
	for range 5 + draw(25) {
		wall += time.Duration(draw(4)) * 8 * time.Microsecond
		at := draw(nodes)
		e := occurrence{Process{protocol.ID(at + 1), inc[at]}, last[at], -1, false, wall + offset[at]}
		switch what := draw(10); {
		case what == 0:
			inc[at]++
			e.process.Incarnation, e.first = inc[at], true
		case what == 1:
			offset[at] = time.Second + time.Duration(draw(100))*20*time.Microsecond
		case what < 6:
			to := (at + 1 + draw(nodes-1)) % nodes
			flying = append(flying, struct{ send, to int }{len(h.events), to})
		case len(flying) > 0:
			i := draw(len(flying))
			m := flying[i]
			flying = append(flying[:i], flying[i+1:]...)
			at = m.to
			e = occurrence{Process{protocol.ID(at + 1), inc[at]}, last[at], m.send, false, wall + offset[at]}
		}
		last[at] = len(h.events)
		h.events = append(h.events, e)
	}
	h.skew = 2 * time.Millisecond
	h.close()
	return h
}

// close computes happened-before: reflexion apart, what is reached over previous events and messages.
func (h *history) close() {
	h.before = make([][]bool, len(h.events))
	for i := range h.events {
		h.before[i] = make([]bool, len(h.events))
		for _, p := range []int{h.events[i].previous, h.events[i].from} {
			if p < 0 {
				continue
			}
			h.before[p][i] = true
			for k := range p {
				h.before[k][i] = h.before[k][i] || h.before[k][p]
			}
		}
	}
}

// caught says in how many of 400 histories a check fails, and how it first failed.
func caught(check func(h *history) error) (n int, first error) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		if err := check(random(r.IntN)); err != nil {
			n++
			if first == nil {
				first = fmt.Errorf("seed %d: %w", seed, err)
			}
		}
	}
	return n, first
}
