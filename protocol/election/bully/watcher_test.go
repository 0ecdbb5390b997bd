package bully_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector/oracle"
	"ciranda.dev/protocol/election"
	"ciranda.dev/protocol/election/bully"
)

// A watcher judges a run as it happens, by the properties of elections.
type watcher struct {
	opts   bully.Options
	size   int
	faults []fault

	owners  map[election.Term]life // EL-1
	counts  map[uint64]life        // EL-1 on counters, with Quorum
	terms   []election.Term        // EL-6: the last told, by node
	grants  map[uint64]map[protocol.ID]protocol.ID
	views   []protocol.ID // by node
	reigns  []reign
	changes time.Duration // when a view changed last
	begun   int
	sends   map[string]int

	before []election.Opinion // of the step at hand, by node
	inputs []any
	heard  []uint64 // the highest counter heard, by node
}

type life struct {
	id  protocol.ID
	inc protocol.Incarnation
}

type reign struct {
	id       protocol.ID
	from, to time.Duration // to is -1 while it lasts
}

type fault struct{ property, text string }

func newWatcher(opts bully.Options, size int) watcher {
	return watcher{
		opts: opts, size: size, owners: map[election.Term]life{}, counts: map[uint64]life{},
		grants: map[uint64]map[protocol.ID]protocol.ID{}, sends: map[string]int{},
		terms: make([]election.Term, size+1), views: make([]protocol.ID, size+1), heard: make([]uint64, size+1),
		before: make([]election.Opinion, size+1), inputs: make([]any, size+1),
	}
}

func (w *watcher) blame(property, format string, args ...any) {
	w.faults = append(w.faults, fault{property, property + ": " + fmt.Sprintf(format, args...)})
}

func (w *watcher) found(property string) bool {
	return slices.ContainsFunc(w.faults, func(f fault) bool { return f.property == property })
}

func (w *watcher) sent(_ protocol.ID, m protocol.Message) { w.sends[protocol.Name(m)]++ }

// stepped is told of each step before its effects.
func (w *watcher) stepped(id protocol.ID, before election.Opinion, input any) {
	w.before[id], w.inputs[id] = before, input
	switch m := input.(type) {
	case bully.Coordinator:
		w.heard[id] = max(w.heard[id], m.Counter)
	case bully.Info:
		w.heard[id] = max(w.heard[id], m.Term.Counter)
	case bully.Nay:
		w.heard[id] = max(w.heard[id], m.Counter)
	case bully.Ask:
		if !m.Dry {
			w.heard[id] = max(w.heard[id], m.Counter)
		}
	}
}

// stored checks EL-10: no counter is raised on a whim.
func (w *watcher) stored(id protocol.ID, r *protocol.Record) {
	if r.Key != "bully/seen" || !w.opts.Quorum || !w.opts.Stable || w.size == 1 {
		return
	}
	if seen := binary.BigEndian.Uint64(r.Value); seen > w.heard[id] {
		if _, ok := w.inputs[id].(bully.Would); !ok {
			w.blame("EL-10", "node %d raised its counter to %d upon %T", id, seen, w.inputs[id])
		}
		w.heard[id] = seen
	}
}

func (w *watcher) told(id protocol.ID, inc protocol.Incarnation, now time.Duration, ev protocol.Event) {
	switch ev := ev.(type) {
	case election.Begun:
		w.begun++
		w.began(id, ev)
	case election.Granted:
		w.granted(id, ev)
	case election.SteppedDown:
		w.ended(id, now)
	case election.Elected:
		w.changes = now
		if w.views[id] == id {
			w.ended(id, now)
		}
		w.views[id] = ev.Leader
		if ev.Leader == id {
			w.reigns = append(w.reigns, reign{id, now, -1})
		}
		if !w.opts.Classic {
			w.elected(id, inc, ev)
		}
	}
}

// began checks EL-8: with Stable a leader that is good is no reason to stand.
func (w *watcher) began(id protocol.ID, ev election.Begun) {
	good := w.before[id].Leader != protocol.None && !w.before[id].Lost
	_, suspicion := w.inputs[id].(oracle.Choose)
	if w.opts.Stable && good && !suspicion &&
		(ev.Why == election.Timeout || ev.Why == election.Recovered || ev.Why == election.Started) {
		w.blame("EL-8", "node %d stands (%s) and holds leader %d, not lost", id, ev.Why, w.before[id].Leader)
	}
}

func (w *watcher) elected(id protocol.ID, inc protocol.Incarnation, ev election.Elected) {
	if ev.Term.Compare(w.terms[id]) < 0 {
		w.blame("EL-6", "node %d goes back from term %v to %v", id, w.terms[id], ev.Term)
	}
	w.terms[id] = ev.Term
	if ev.Leader != id {
		return
	}
	me := life{id, inc}
	if owner, ok := w.owners[ev.Term]; ok && owner != me {
		w.blame("EL-1", "term %v is led by %v and by %v", ev.Term, owner, me)
	}
	w.owners[ev.Term] = me
	if !w.opts.Quorum {
		return
	}
	if owner, ok := w.counts[ev.Term.Counter]; ok && owner.id != id {
		w.blame("EL-1", "counter %d is led by %v and by %v", ev.Term.Counter, owner, me)
	}
	w.counts[ev.Term.Counter] = me
	votes := 0
	for _, to := range w.grants[ev.Term.Counter] {
		if to == id {
			votes++
		}
	}
	if votes < w.size/2+1 {
		w.blame("EL-9", "node %d leads counter %d with %d grants of %d", id, ev.Term.Counter, votes, w.size)
	}
}

func (w *watcher) granted(id protocol.ID, ev election.Granted) {
	g := w.grants[ev.Counter]
	if g == nil {
		g = map[protocol.ID]protocol.ID{}
		w.grants[ev.Counter] = g
	}
	if to, ok := g[id]; ok && to != ev.To {
		w.blame("EL-9", "node %d grants counter %d to %d and to %d", id, ev.Counter, to, ev.To)
	}
	g[id] = ev.To
}

// ended ends the reign of a node, if it leads.
func (w *watcher) ended(id protocol.ID, now time.Duration) {
	w.views[id] = protocol.None
	for i := range w.reigns {
		if r := &w.reigns[i]; r.id == id && r.to < 0 {
			r.to = now
		}
	}
}

// overlap is the longest time for which two nodes led at once.
func (w *watcher) overlap(now time.Duration) (longest time.Duration) {
	for i, a := range w.reigns {
		for _, b := range w.reigns[:i] {
			if a.id != b.id {
				longest = max(longest, end(a, now, b)-max(a.from, b.from))
			}
		}
	}
	return longest
}

func end(a reign, now time.Duration, b reign) time.Duration {
	at := now
	for _, r := range []reign{a, b} {
		if r.to >= 0 {
			at = min(at, r.to)
		}
	}
	return at
}
