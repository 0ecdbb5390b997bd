package multicast

import (
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/link"
)

// How long this node waits before it asks for what is missing, at first and at most.
const (
	repairAfter  = 50 * time.Millisecond
	repairSlower = 400 * time.Millisecond
)

// lag notes that something is missing. What others hold is mostly on its way.
func (l *Layer) lag(o *protocol.Out) {
	if l.repairing {
		return
	}
	l.repairing = true
	l.wait = l.nextWait()
	for r := range l.streams {
		l.streams[r].seen = l.streams[r].held
	}
	o.Set(protocol.Timer{Kind: repairTimer}, l.wait+l.jitter(o))
}

// repair asks for what is missing in streams that did not grow since the timer was set.
func (l *Layer) repair(o *protocol.Out) {
	l.repairing = false
	if l.opts.Datagrams {
		l.mend(o)
		return
	}
	lags, stands := false, false
	for r := range l.streams {
		s := &l.streams[r]
		upto := l.known(r)
		if upto <= s.held {
			s.tries = 0
			continue
		}
		lags = true
		if s.held > s.seen {
			s.tries = 0
			continue
		}
		stands = true
		s.tries++
		if to := l.holder(r); to != protocol.None {
			o.Send(to, Want{l.view.ID, uint32(r), s.held + 1, upto})
		}
	}
	if !stands {
		l.wait = 0
	}
	if lags {
		l.lag(o)
	}
}

// known is up to which number a stream is known to go, or is needed.
func (l *Layer) known(r int) uint64 {
	s := &l.streams[r]
	if l.stopped {
		if l.gathering.active {
			return l.gathering.upto[r]
		}
		return s.held
	}
	upto := s.held
	for _, n := range s.got {
		upto = max(upto, n)
	}
	if len(s.early) > 0 {
		upto = max(upto, s.early[0].First-1)
	}
	return upto
}

// holder is who is asked for the next of a stream: its sender, or when that was in vain somebody else who has it.
func (l *Layer) holder(r int) protocol.ID {
	s := &l.streams[r]
	if l.stopped {
		switch to := l.gathering.from[r]; {
		case to == l.self:
			return protocol.None
		case l.late(s) && s.tries%2 == 1:
			return l.another(r)
		default:
			return to
		}
	}
	to := r
	for q, n := range s.got {
		if l.late(s) && q != l.rank && q != r && n > s.held {
			to = q
		}
	}
	return l.view.Members[to].Node
}

// burst is how many batches answer one Want.
const burst = 16

// wanted answers a Want from what is kept.
func (l *Layer) wanted(from protocol.ID, w Want, o *protocol.Out) {
	first, n := l.stock(w.View, int(w.Rank), w.From, w.Upto)
	for i := range n {
		o.Send(from, Again{w.View, w.Rank, i == n-1, l.store(w.View, int(w.Rank))[first+i]})
	}
	l.lacks(from, w.View, w.Rank, n)
	l.air.counts.Repairs += uint64(n)
	if n == 0 {
		o.Send(from, Again{w.View, w.Rank, true, Batch{}})
	}
}

// stock finds what is kept of a part of a stream: how many batches from which one on, and no more than a burst.
func (l *Layer) stock(view uint64, r int, from, upto uint64) (first, n int) {
	kept := l.store(view, r)
	for first < len(kept) && kept[first].last() < from {
		first++
	}
	for first+n < len(kept) && n < burst && kept[first+n].First <= upto {
		n++
	}
	return first, n
}

// store is what is kept of a member's stream in a view.
func (l *Layer) store(view uint64, r int) []Batch {
	switch {
	case view == l.view.ID && r < len(l.streams):
		return l.streams[r].kept.all()
	case view == l.past.view && r < len(l.past.streams):
		return l.past.streams[r].all()
	}
	return nil
}

// again takes what was asked for.
func (l *Layer) again(from protocol.ID, a Again, o *protocol.Out) {
	if int(a.Rank) >= len(l.streams) || a.Batch.First > 0 && a.Batch.View != a.View {
		l.refuse(from, damaged, o)
		return
	}
	r := int(a.Rank)
	before := l.streams[r].held
	if a.Batch.First > 0 {
		if reason := l.inspect(r, &a.Batch); reason != "" {
			l.refuse(from, reason, o)
			return
		}
		l.witness(a.Batch.Stamp)
		l.take(r, a.Batch, o)
	}
	s := &l.streams[r]
	if upto := l.known(r); a.Last && s.held > before && s.held < upto && !l.laterGap(&a.Batch, r) {
		o.Send(from, Want{l.view.ID, a.Rank, s.held + 1, upto})
	}
}

// over sends a member what was sent to a former life of its node.
func (l *Layer) over(e link.Over, o *protocol.Out) {
	r := l.view.Rank(e.Node)
	if l.view.ID == 0 || r < 0 || r == l.rank || l.view.Members[r].Incarnation <= e.Incarnation {
		return
	}
	s := &l.streams[l.rank]
	for i := range s.kept.all() {
		if b := s.kept.all()[i]; b.last() > s.got[r] {
			o.Send(e.Node, b)
		}
	}
	l.due = l.due || !l.stopped
}

// watch sets the timer for a window that is full.
func (l *Layer) watch(o *protocol.Out) {
	if l.waiting.len() == 0 || l.impatient || len(l.streams) < 2 {
		return
	}
	l.impatient, l.watched = true, l.streams[l.rank].stable
	o.Set(protocol.Timer{Kind: patienceTimer}, l.opts.Patience)
}

// complain asks for the slowest member to be excluded, if the window stood still.
func (l *Layer) complain(o *protocol.Out) {
	l.impatient = false
	if l.view.ID == 0 || l.waiting.len() == 0 {
		return
	}
	if r := l.slowest(); !l.stopped && r >= 0 && l.streams[l.rank].stable == l.watched {
		o.Request(group.Exclude{Member: l.view.Members[r], Why: "it does not keep pace with the messages of the group"})
	}
	l.watch(o)
}

// slowest is the member that is known to hold least of this node's stream; -1 if there is no other.
func (l *Layer) slowest() (least int) {
	least = -1
	if l.view.ID == 0 {
		return least
	}
	got := l.streams[l.rank].got
	for r := range got {
		if r != l.rank && (least < 0 || got[r] < got[least]) {
			least = r
		}
	}
	return least
}
