package multicast

import (
	"slices"

	"ciranda.dev/protocol"
)

// learn takes a member's report of what it holds.
func (l *Layer) learn(q int, got []uint64, time uint64, o *protocol.Out) {
	if got[l.rank] > l.streams[l.rank].held {
		l.refuse(l.view.Members[q].Node, "ceiling", o)
		return
	}
	l.vouched(q)
	s := &l.streams[q]
	if s.held >= got[q] || l.opts.Mistake == HeardTooSoon {
		s.heard = max(s.heard, time)
	} else if time > s.pending.time {
		s.pending = stamp{time, got[q]}
	}
	for r := range l.streams {
		if s := &l.streams[r]; got[r] > s.got[q] {
			s.got[q] = got[r]
			l.collect(r, o)
			l.secure(r)
			if got[r] > s.held {
				l.lag(o)
			}
		}
	}
	l.advance(o)
}

// collect forgets what all members hold of a stream.
func (l *Layer) collect(r int, o *protocol.Out) {
	s := &l.streams[r]
	upto := slices.Min(s.got)
	if l.opts.Mistake == CollectsEarly {
		upto = ranked(s.got, (len(s.got)-1)/2)
	}
	was := s.stable
	for s.kept.len() > 0 && s.kept.first().last() <= upto {
		b := s.kept.pop()
		s.size -= b.size()
		s.stable = b.last()
	}
	if s.stable > was {
		o.Note(Collected{l.view.ID, l.view.Members[r].Node, s.stable})
	}
}

// secure finds up to where more than half of the members hold a stream.
func (l *Layer) secure(r int) {
	s := &l.streams[r]
	lower := (len(s.got) - 1) / 2
	if l.opts.Mistake == HalfIsEnough {
		lower = len(s.got) - max(1, len(s.got)/2)
	}
	s.safe = max(s.safe, ranked(s.got, lower))
}

// ranked is the number that would be at a place, from 0, if some numbers were sorted.
func ranked(numbers []uint64, place int) uint64 {
	var few [16]uint64
	sorted := append(few[:0], numbers...)
	slices.Sort(sorted)
	return sorted[place]
}

// owe sees to it that others hear in time that this node holds a batch: at once if deliveries may wait for that, else when
// there is enough to tell, or after a while.
func (l *Layer) owe(b *Batch, size int, o *protocol.Out) {
	l.untold += size
	switch {
	case l.urgent(b), l.untold >= l.tellAfter() && !l.overfed():
		l.due = true
	case !l.telling:
		l.telling = true
		o.Set(protocol.Timer{Kind: reportTimer}, reportAfter)
	}
}

// urgent says whether somebody may wait to hear that a batch has arrived. A message that gets its place from the
// coordinator waits for that first.
func (l *Layer) urgent(b *Batch) bool {
	for i := range b.Runs {
		switch n := laneOf(b.Runs[i].Lane); {
		case n.Order == Lamport:
			return true
		case !n.Uniform || l.overfed():
		case !n.Order.sequenced():
			return true
		case l.lanes[b.Runs[i].Lane].places.len() > 0:
			return true
		}
	}
	for i := range b.Places {
		if laneOf(b.Places[i].Lane).Uniform && !l.overfed() {
			return true
		}
	}
	return false
}

// report tells all members what this node holds.
func (l *Layer) report(o *protocol.Out) {
	if len(l.streams) == 1 {
		l.due, l.untold = false, 0
		return
	}
	l.clock++
	var m protocol.Message = Report{l.view.ID, l.clock, l.tell(l.streams[l.rank].held, o)}
	l.send(m, o)
}

// tell gives what this node says that it holds, for a message that is about to leave. While its consumer is too far behind
// that stays as it was.
func (l *Layer) tell(own uint64, o *protocol.Out) []uint64 {
	l.due = false
	if !l.overfed() {
		l.untold = 0
		for r := range l.streams {
			l.told[r] = l.streams[r].held
			if l.opts.Mistake == TellsHighest && len(l.streams[r].early) > 0 {
				l.told[r] = l.streams[r].early[len(l.streams[r].early)-1].last()
			}
		}
	}
	l.told[l.rank] = own
	if l.opts.Trace {
		o.Note(Holds{l.view.ID, slices.Clone(l.told)})
	}
	return slices.Clone(l.told)
}

// send sends m to all other members.
func (l *Layer) send(m protocol.Message, o *protocol.Out) {
	if len(l.streams) > 1 && l.spread(m, o) {
		return
	}
	for r := range l.view.Members {
		if r != l.rank {
			o.Send(l.view.Members[r].Node, m)
		}
	}
}

// debit notes that a consumer was given payloads.
func (l *Layer) debit(payloads [][]byte) {
	if !l.opts.Credit {
		return
	}
	l.behind += Weight(payloads...)
}

// Weight is what payloads count while they wait to be consumed: their bytes, and 16 for each, since even an empty one takes
// room.
func Weight(payloads ...[]byte) int {
	weight := slot * len(payloads)
	for _, p := range payloads {
		weight += len(p)
	}
	return weight
}

// overfed says whether the consumer is too far behind.
func (l *Layer) overfed() bool { return l.behind > l.opts.Window }

// consumed notes what a consumer is done with.
func (l *Layer) consumed(bytes int) {
	was := l.overfed()
	l.behind -= min(max(bytes, 0), l.behind)
	if was && !l.overfed() && l.untold > 0 && l.opts.Mistake != ForgetsCredit {
		l.due = true
	}
}
