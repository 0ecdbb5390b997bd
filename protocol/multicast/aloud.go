package multicast

import (
	"slices"
	"time"

	"ciranda.dev/protocol"
)

// With [Options.Datagrams] batches and reports go to all members by one broadcast each, if the network carries broadcasts
// and they fit. A broadcast may be lost. A gap shows by its numbers, or when somebody reports more than is here; then this
// node pleads for what is missing, by a broadcast too, after a short while that it draws. Who lacks the same and hears the
// plea keeps quiet, for the answer is broadcast. What is missing still is asked for over links, of the sender and then of
// others. And since the loss of the last messages shows by nothing, a node for which something is open, and nothing moves,
// polls the others over links.
//
// If too much of what this node broadcasts has to be repaired, it goes back to links for a while.

// An air is a member's part in broadcasts.
type air struct {
	carries  protocol.Carries // as the engine says
	is       bool             // it was told that this node broadcasts
	resting  bool             // too much was lost
	rest     time.Duration    // how long it rested last
	sent     int              // batches broadcast, since it was judged last
	lacked   []int            // by rank: how many of this node's batches that member has asked for since
	polling  bool             // the timer for polls runs
	patient  time.Duration    // the last time between two polls
	moved    uint64           // see movement, when the timer was set
	answered []answered       // pleas that were answered a moment ago
	counts   Broadcasts
}

// An answered plea: the batch of a stream that ends with that number was broadcast again.
type answered struct {
	rank uint32
	last uint64
}

const (
	// volley is how many bytes may be broadcast that not all members are known to hold. The buffers in which a machine keeps
	// datagrams for a busy node are not much larger.
	volley = 64 << 10
	// pleadAfter is how long at least a node waits before it pleads, and by how much longer at most.
	pleadAfter = 10 * time.Millisecond
	// answerOnce is how long at most one answer to a plea is enough.
	answerOnce = 2 * pleadAfter
	// pollAfter and pollSlower are how long nothing must move before a node polls the others, at first and at most.
	pollAfter  = 20 * time.Millisecond
	pollSlower = time.Second
	// judged is after how many batches it is asked whether any member lacked more than half of them.
	judged = 32
	// mostGaps is how many gaps a plea has at most.
	mostGaps = 16
	// patientTries is how often the sender is asked before somebody else is, and with mostTries the pauses are longest: about
	// a second.
	patientTries = 2
	mostTries    = 6
	// restFor and restLonger are how long a node does not broadcast then, at first and at most.
	restFor    = 5 * time.Second
	restLonger = 80 * time.Second
	// leastAir is how many bytes a broadcast must be able to have.
	leastAir = 256
)

// aloud says whether this node broadcasts.
func (l *Layer) aloud() bool { return l.opts.Datagrams && l.silent() == "" }

// silent says why this node does not broadcast, for people; "" if it does.
func (l *Layer) silent() string {
	switch a := &l.air; {
	case a.resting:
		return "too much of what was broadcast had to be repaired"
	case a.carries.Broadcasts && a.carries.Size < leastAir:
		return "the network's datagrams are too small"
	case !a.carries.Broadcasts && a.carries.Why != "":
		return a.carries.Why
	case !a.carries.Broadcasts:
		return "the network is not known to carry broadcasts"
	}
	return ""
}

// heed takes the engine's word for the network.
func (l *Layer) heed(c protocol.Carries, o *protocol.Out) {
	l.air.carries = c
	l.declare(o)
}

// declare says so if this node begins to broadcast, or ceases to.
func (l *Layer) declare(o *protocol.Out) {
	if is := l.aloud(); l.opts.Datagrams && is != l.air.is {
		l.air.is = is
		o.Indicate(Broadcasting{Is: is, Why: l.silent()})
	}
}

// window is how many bytes of this node's may be on their way, and batch how many are sent at once.
func (l *Layer) window() int {
	if l.aloud() {
		return min(l.opts.Window, volley)
	}
	return l.opts.Window
}

func (l *Layer) batch() int {
	if l.aloud() {
		n := len(l.streams)
		return max(leastBatch, min(l.opts.Batch, l.air.carries.Size-envelope-9*n-runEnvelope-9*n))
	}
	return l.opts.Batch
}

// tellAfter is how many bytes may be held and not told.
func (l *Layer) tellAfter() int {
	if l.opts.Datagrams {
		return min(l.opts.Window, volley) / 8
	}
	return l.opts.Window / 16
}

// What messages take on the wire at most, beside their numbers of 9 bytes and their payloads.
const (
	envelope    = 64
	runEnvelope = 24
	payloadHead = 5
)

// wire is how many bytes a batch takes at most.
func (b *Batch) wire() int {
	n := envelope + 9*len(b.Got) + runEnvelope*len(b.Places)
	for i := range b.Runs {
		n += runEnvelope + 9*len(b.Runs[i].After)
	}
	for _, p := range b.Payloads {
		n += payloadHead + len(p)
	}
	return n
}

// spread broadcasts a message, if that can be done. Else it is to go over links.
func (l *Layer) spread(m protocol.Message, o *protocol.Out) bool {
	if !l.aloud() {
		return false
	}
	size := 0
	switch m := m.(type) {
	case Batch:
		size = m.wire()
	case Report:
		size = envelope + 9*len(m.Got)
	case Again:
		size = envelope + m.Batch.wire()
	case Plea:
		size = envelope + 18*len(m.Gaps)
	}
	if size > l.air.carries.Size {
		return false
	}
	if _, ok := m.(Batch); ok {
		l.judge(o)
		l.air.sent++
	}
	l.air.counts.Sent++
	o.Broadcast(m)
	return true
}

// judge goes back to links for a while, if too many of the last batches had to be repaired for any one member.
func (l *Layer) judge(o *protocol.Out) {
	a := &l.air
	if a.sent < judged {
		return
	}
	if len(a.lacked) > 0 && 2*slices.Max(a.lacked) > a.sent {
		a.resting, a.rest = true, min(max(2*a.rest, restFor), restLonger)
		o.Set(protocol.Timer{Kind: restTimer}, a.rest)
		l.declare(o)
	} else {
		a.rest = 0
	}
	a.sent = 0
	clear(a.lacked)
}

// rested ends a rest.
func (l *Layer) rested(o *protocol.Out) {
	l.air.resting = false
	l.declare(o)
}

// Hear takes what another node broadcast, if it is a member's, of this view. What is early is lost, and is repaired.
func (l *Layer) Hear(from protocol.ID, m protocol.Message, o *protocol.Out) {
	r := l.view.Rank(from)
	switch {
	case !l.opts.Datagrams:
		return
	case from == l.self:
		if b, ok := m.(Batch); ok && l.opts.Mistake == HearsItself && r >= 0 && b.View == l.view.ID {
			l.hold(r, b, o)
			l.progress(r, o)
		}
		return
	case r < 0 && l.opts.Mistake == TakesForeign && len(l.streams) > 1:
		r = (l.rank + 1) % len(l.streams)
	case r < 0 || l.view.Members[r].Incarnation != o.SenderIncarnation():
		l.refuse(from, "stranger", o)
		return
	}
	if viewOf(m) != l.view.ID {
		l.refuse(from, "view", o)
		return
	}
	l.air.counts.Heard++
	switch m := m.(type) {
	case Plea:
		l.pleaded(from, m, o)
	case Again:
		l.overhear(from, m, o)
	case Batch, Report:
		l.handle(l.view.Members[r].Node, m, o)
	default:
		l.refuse(from, damaged, o)
	}
}

// nextWait is how long this node waits before it looks again at what is missing.
func (l *Layer) nextWait() time.Duration {
	switch {
	case l.opts.Mistake == Nags:
		return time.Millisecond
	case l.opts.Datagrams:
		return pleadAfter
	}
	return min(max(2*l.wait, repairAfter), repairSlower)
}

// late says whether the sender of a stream was asked in vain, so that somebody else should be.
func (l *Layer) late(s *stream) bool {
	if l.opts.Datagrams {
		return s.tries > patientTries
	}
	return l.wait > 2*repairAfter
}

// another is somebody else than the node that should hand on what the end of a view needs: that one may have left, or died. All
// who go on have it, or fetch it too.
func (l *Layer) another(r int) protocol.ID {
	n := len(l.view.Members)
	for i := range n {
		m := l.view.Members[(r+l.streams[r].tries/2+i)%n].Node
		if m != l.self && m != l.gathering.from[r] {
			return m
		}
	}
	return l.gathering.from[r]
}

// jitter is a time that is drawn, so that not all who lack the same ask for it at once.
func (l *Layer) jitter(o *protocol.Out) time.Duration {
	if !l.opts.Datagrams || l.opts.Mistake == Nags {
		return 0
	}
	return time.Duration(o.Draw(int(pleadAfter/time.Microsecond))) * time.Microsecond
}

// mend looks at what is missing since the timer was set. What was asked for has some time to come; if it does not the next
// time comes later, twice as late each time.
func (l *Layer) mend(o *protocol.Out) {
	lags := false
	for r := range l.streams {
		s := &l.streams[r]
		upto := l.known(r)
		if upto <= s.held {
			s.sought, s.tries, s.rounds = 0, 0, 0
			continue
		}
		lags = true
		switch s.rounds++; {
		case s.held > s.seen && s.held >= s.sought && s.sought > 0: // all of that has come
			s.tries = 0
			l.seek(r, upto, o)
		case s.held > s.seen:
			s.tries, s.rounds = 0, 0
		case s.sought == 0 || s.rounds >= 1<<min(s.tries, mostTries) || l.opts.Mistake == Nags:
			l.seek(r, upto, o)
		}
	}
	if lags {
		l.lag(o)
	}
}

// seek asks for what is missing of a stream: by a plea at first, unless somebody else has done that.
func (l *Layer) seek(r int, upto uint64, o *protocol.Out) {
	s := &l.streams[r]
	gaps := l.gaps(r, upto)
	s.sought, s.rounds = gaps[len(gaps)-1].Upto, 0
	s.tries++
	to := l.holder(r)
	switch {
	case to == protocol.None:
	case s.hushed && l.opts.Mistake != Nags:
		s.hushed = false
	case !l.stopped && (s.tries == 1 || l.opts.Mistake == Nags) &&
		l.spread(Plea{l.view.ID, uint32(r), uint32(l.view.Rank(to)), gaps}, o):
		l.air.counts.Pleas++
	default:
		for _, g := range gaps {
			o.Send(to, Want{l.view.ID, uint32(r), g.From, g.Upto})
		}
	}
}

// gaps are what is missing of a stream up to a number, the first of them.
func (l *Layer) gaps(r int, upto uint64) (all []Gap) {
	s := &l.streams[r]
	next := s.held + 1
	for i := range s.early {
		b := &s.early[i]
		if len(all) == mostGaps {
			return all
		}
		if b.First > next {
			all = append(all, Gap{next, b.First - 1})
		}
		next = b.last() + 1
	}
	if next <= upto && len(all) < mostGaps {
		all = append(all, Gap{next, upto})
	}
	return all
}

// laterGap says that what is missing first is not what would follow an answer: it has been asked for already.
func (l *Layer) laterGap(b *Batch, r int) bool {
	return l.opts.Datagrams && !l.stopped && l.streams[r].held != b.last()
}

// pleaded answers a plea, if this node is to do that. If it lacks the same it need not plead itself.
func (l *Layer) pleaded(from protocol.ID, p Plea, o *protocol.Out) {
	if int(p.Rank) >= len(l.streams) || int(p.To) >= len(l.streams) || len(p.Gaps) == 0 || len(p.Gaps) > mostGaps {
		l.refuse(from, damaged, o)
		return
	}
	s := &l.streams[p.Rank]
	if int(p.To) != l.rank {
		for _, g := range p.Gaps {
			s.hushed = s.hushed || g.From <= s.held+1 && s.held+1 <= g.Upto
		}
		return
	}
	room := burst
	for _, g := range p.Gaps {
		first, n := l.stock(p.View, int(p.Rank), g.From, g.Upto)
		n = min(n, room)
		room -= n
		for i := range n {
			l.repeat(from, p.Rank, s.kept.all()[first+i], o)
		}
		l.lacks(from, p.View, p.Rank, n)
	}
}

// repeat broadcasts a batch again, unless that was done a moment ago, because of somebody else's plea.
func (l *Layer) repeat(from protocol.ID, rank uint32, b Batch, o *protocol.Out) {
	is := answered{rank, b.last()}
	if slices.Contains(l.air.answered, is) && l.opts.Mistake != Nags {
		return
	}
	if len(l.air.answered) == 0 {
		o.Set(protocol.Timer{Kind: hushTimer}, answerOnce)
	}
	l.air.answered = append(l.air.answered, is)
	l.air.counts.Repairs++
	a := Again{b.View, rank, true, b}
	if !l.spread(a, o) {
		o.Send(from, a)
	}
}

// overhear takes an answer to a plea. Who pleaded for more, or lost some of it, asks by itself.
func (l *Layer) overhear(from protocol.ID, a Again, o *protocol.Out) {
	if int(a.Rank) >= len(l.streams) || a.Batch.View != a.View {
		l.refuse(from, damaged, o)
		return
	}
	if reason := l.inspect(int(a.Rank), &a.Batch); reason != "" {
		l.refuse(from, reason, o)
		return
	}
	l.witness(a.Batch.Stamp)
	l.take(int(a.Rank), a.Batch, o)
}

// lacks counts batches of this node that a member has asked for.
func (l *Layer) lacks(from protocol.ID, view uint64, rank uint32, batches int) {
	if q := l.view.Rank(from); q >= 0 && view == l.view.ID && int(rank) == l.rank && l.opts.Datagrams {
		l.air.lacked = append(l.air.lacked, make([]int, max(0, q+1-len(l.air.lacked)))...)
		l.air.lacked[q] += batches
	}
}

// attend sees that this node polls the others when something is open and nothing moves.
func (l *Layer) attend(o *protocol.Out) {
	if !l.opts.Datagrams || l.air.polling || !l.open() {
		return
	}
	l.air.polling, l.air.moved = true, l.movement()
	l.air.patient = max(l.air.patient, pollAfter)
	o.Set(protocol.Timer{Kind: pollTimer}, l.air.patient)
}

// open says whether anything is not delivered, or not known to be held by all.
func (l *Layer) open() bool {
	if l.view.ID == 0 || l.stopped || len(l.streams) < 2 {
		return false
	}
	for r := range l.streams {
		if s := &l.streams[r]; s.kept.len() > 0 || len(s.early) > 0 {
			return true
		}
	}
	for i := range l.lanes {
		if l.lanes[i].pending > 0 {
			return true
		}
	}
	return false
}

// movement grows with all that brings what is open to an end.
func (l *Layer) movement() (sum uint64) {
	for r := range l.streams {
		s := &l.streams[r]
		for q, n := range s.got {
			if q != l.rank || r != l.rank { // what this node sends brings nothing to an end
				sum += n
			}
		}
		sum += s.heard
	}
	return sum
}

// poll asks the others what they hold, if nothing has moved.
func (l *Layer) poll(o *protocol.Out) {
	l.air.polling = false
	if !l.open() || l.opts.Mistake == NeverPolls {
		return
	}
	if l.movement() != l.air.moved {
		l.air.patient = 0
		return
	}
	l.air.patient = min(2*l.air.patient, pollSlower)
	l.clock++
	var m protocol.Message = Poll{l.view.ID, l.clock, l.holdings(o)}
	for r := range l.view.Members {
		if r != l.rank {
			o.Send(l.view.Members[r].Node, m)
		}
	}
}

// polled answers a poll with a report over the link.
func (l *Layer) polled(r int, p Poll, o *protocol.Out) {
	l.learn(r, p.Got, p.Stamp, o)
	if l.stopped { // it has said for the last time what it holds
		return
	}
	l.clock++
	o.Send(l.view.Members[r].Node, Report{l.view.ID, l.clock, l.holdings(o)})
}

// holdings are what this node may say that it holds now. The others are still owed a report.
func (l *Layer) holdings(o *protocol.Out) []uint64 {
	got := make([]uint64, len(l.streams))
	for r := range got {
		got[r] = l.streams[r].held
		if l.overfed() && r != l.rank {
			got[r] = l.told[r]
		}
	}
	if l.opts.Trace {
		o.Note(Holds{l.view.ID, slices.Clone(got)})
	}
	return got
}

// broadcasts are for the layer's Status.
func (l *Layer) broadcasts() *Broadcasts {
	if !l.opts.Datagrams {
		return nil
	}
	b := l.air.counts
	b.Is, b.Why = l.aloud(), l.silent()
	return &b
}
