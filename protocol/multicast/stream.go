package multicast

import (
	"slices"

	"ciranda.dev/protocol"
)

// A stream is what is held of a member's items.
type stream struct {
	held   uint64 // the highest number up to which nothing is missing
	kept   queue[Batch]
	size   int      // bytes of those
	stable uint64   // up to here all members hold it, and it is forgotten
	safe   uint64   // up to here more than half of the members do
	got    []uint64 // by rank: up to which number each member says, or shows, that it does

	early []Batch // that came before something that is missing, ascending
	room  int     // bytes of those

	heard   uint64 // the member's Lamport time: what it sends from now on has a later one
	pending stamp  // it is that as soon as the stream is held up to a number
	seen    uint64 // what was held when the timer for repairs was set
	sought  uint64 // up to which number missing items were asked for; 0 if none were
	tries   int    // how often in vain
	rounds  int    // of the timer, since the last time
	hushed  bool   // another member has pleaded for what is missing
}

// A stamp is the time of a member's report, and up to where its stream was sent before.
type stamp struct{ time, upto uint64 }

// receive takes a batch from its sender.
func (l *Layer) receive(r int, b Batch, o *protocol.Out) {
	if reason := l.inspect(r, &b); reason != "" {
		l.refuse(l.view.Members[r].Node, reason, o)
		return
	}
	l.witness(b.Stamp)
	if l.take(r, b, o) {
		l.learn(r, b.Got, b.Stamp, o)
	}
}

// inspect says why a batch of a stream is refused; "" if it is not.
func (l *Layer) inspect(r int, b *Batch) string {
	if reason := b.fault(len(l.streams), r == 0 || l.opts.Mistake == AnybodyOrders); reason != "" {
		return reason
	}
	for i := range b.Runs {
		if !l.runs(laneOf(b.Runs[i].Lane)) {
			return "lane"
		}
	}
	return ""
}

// witness has the node's Lamport time pass that of a message.
func (l *Layer) witness(stamp uint64) {
	if l.opts.Mistake != NoMerge {
		l.clock = max(l.clock, stamp)
	}
}

// take takes a batch of a member's stream: it is held if it is next, and kept aside if it is early. It says whether it was
// any good, or known.
func (l *Layer) take(r int, b Batch, o *protocol.Out) bool {
	s := &l.streams[r]
	switch {
	case b.last() <= s.held && l.opts.Mistake != TakesTwice:
	case b.First <= s.held && l.opts.Mistake != TakesTwice:
		l.refuse(l.view.Members[r].Node, damaged, o)
		return false
	case b.First > s.held+1 && l.opts.Mistake != TakesEarly:
		return l.putAside(r, b, o)
	case !l.fits(r, &b):
		l.refuse(l.view.Members[r].Node, "room", o)
		return false
	default:
		l.hold(r, b, o)
		l.resume(r, o)
		l.progress(r, o)
	}
	return true
}

// fits says whether the parts of messages in a batch may be joined to those before.
func (l *Layer) fits(r int, b *Batch) bool {
	at := 0
	for i := range b.Runs {
		if run := &b.Runs[i]; run.More && !l.lanes[run.Lane].from[r].fits(b.Payloads[at]) {
			return false
		}
		at += int(b.Runs[i].Count)
	}
	return true
}

// hold takes the next batch of a stream: from now on this node answers for it.
func (l *Layer) hold(r int, b Batch, o *protocol.Out) {
	s := &l.streams[r]
	s.held = b.last()
	s.got[r], s.got[l.rank] = max(s.got[r], s.held), s.held
	s.kept.push(b)
	size := b.size()
	s.size += size
	s.heard = max(s.heard, b.Stamp)
	if s.pending.time > s.heard && s.held >= s.pending.upto {
		s.heard = s.pending.time
	}
	item := b.First
	for i := range b.Runs {
		run := &b.Runs[i]
		payloads := b.Payloads[item-b.First:][:run.Count:run.Count]
		l.enqueue(r, run, item, b.Stamp, payloads)
		item += uint64(run.Count)
		if r != l.rank && !run.More && l.coordinates() {
			l.place(int(run.Lane), r, int(run.Count))
		}
	}
	for i := range b.Places {
		p := &b.Places[i]
		l.lanes[p.Lane].places.push(place{item, int(p.Rank), int(p.Count)})
		item++
	}
	if r != l.rank {
		l.owe(&b, size, o)
	}
}

// putAside keeps a batch that is early.
func (l *Layer) putAside(r int, b Batch, o *protocol.Out) bool {
	s := &l.streams[r]
	size := b.size()
	i, known := slices.BinarySearchFunc(s.early, b.First, func(e Batch, first uint64) int {
		return int(min(max(int64(e.First-first), -1), 1))
	})
	if known {
		return true
	}
	l.makeRoom(r, &b, o)
	if s.room+size > l.opts.Window+l.opts.Batch {
		l.refuse(l.view.Members[r].Node, "room", o)
		return false
	}
	s.early = slices.Insert(s.early, i, b)
	s.room += size
	l.lag(o)
	return true
}

// makeRoom drops what comes last of all that is early, if that comes after a batch for which there is no room: what is missing in
// front is of use sooner. Else what was asked for would be refused for the sake of what must wait for it.
func (l *Layer) makeRoom(r int, b *Batch, o *protocol.Out) {
	s := &l.streams[r]
	for n := len(s.early); n > 0 && s.early[n-1].First > b.First && s.room+b.size() > l.opts.Window+l.opts.Batch; n-- {
		s.room -= s.early[n-1].size()
		s.early = slices.Delete(s.early, n-1, n)
		l.refuse(l.view.Members[r].Node, "room", o)
	}
}

// resume takes what was early and is not any more.
func (l *Layer) resume(r int, o *protocol.Out) {
	s := &l.streams[r]
	if l.opts.Mistake == NoDrain {
		return
	}
	for len(s.early) > 0 && s.early[0].First <= s.held+1 {
		b := s.early[0]
		s.early = slices.Delete(s.early, 0, 1)
		s.room -= b.size()
		if b.First == s.held+1 && l.fits(r, &b) {
			l.hold(r, b, o)
		}
	}
}

// progress makes use of a stream that has grown.
func (l *Layer) progress(r int, o *protocol.Out) {
	l.collect(r, o)
	l.secure(r)
	l.advance(o)
	if l.stopped {
		l.complete(o)
	}
}
