package link

import "ciranda.dev/protocol"

// enqueue takes a packet for a peer and sends it as soon as there is room.
func (l *Link) enqueue(p *peer, packet protocol.Packet, o *protocol.Out) {
	if p.ejected {
		return
	}
	size := sizeOf(packet)
	if l.opts.Trace {
		o.Note(Sent{p.id, p.target(), markOf(packet), packet.Channel})
	}
	if p.bytes+size > l.opts.Window+l.opts.Backlog && p.queue.len() > 0 {
		if l.opts.Mistake != Overflows {
			l.eject(p, Backlogged, o)
		}
		return
	}
	p.queue.push(parcel{packet, size})
	p.bytes += size
	if !p.full && p.bytes > l.opts.Window {
		p.full = true
		o.Indicate(Full{p.id})
	}
	switch {
	case p.known():
		if l.pump(p, o) {
			l.await(p, o)
		}
	case p.queue.len() == 1:
		l.ask(p, o)
	}
}

// ask asks a peer for its life.
func (l *Link) ask(p *peer, o *protocol.Out) {
	o.Ungate()
	o.Send(p.id, Ask{})
	l.await(p, o)
}

// pump sends what waits, as far as the window has room. It says whether that is the first to be on its way.
func (l *Link) pump(p *peer, o *protocol.Out) (first bool) {
	idle := p.flying == 0
	for p.sent+1 < p.queue.end {
		size := p.queue.at(p.sent + 1).size
		if p.flying > 0 && p.flying+size > l.opts.Window {
			break
		}
		p.sent++
		p.flying += size
		l.transmit(p, p.sent, p.calm() && p.flying <= l.opts.Window/4, o)
	}
	return idle && p.flying > 0
}

// transmit puts a packet of the queue on its way. What is owed rides on it; but if the disk does not answer it would
// come late.
func (l *Link) transmit(p *peer, seq uint64, lazy bool, o *protocol.Out) {
	o.Send(p.id, Data{To: p.life, Seq: seq, Upto: l.upto(p), Lazy: lazy, Packet: p.queue.at(seq).packet})
	if !l.ill {
		p.owesAck = false
	}
}

// await sets the timer of a peer that owes an answer. Of one that owes none for now it is set rarely, and left alone
// once it runs.
func (l *Link) await(p *peer, o *protocol.Out) {
	if p.calm() {
		if !p.armed && l.opts.Mistake != Trusts {
			p.wait = l.opts.Longest
			l.arm(p, o)
		}
		return
	}
	if p.wait == 0 {
		p.wait = l.opts.Resend
	}
	l.arm(p, o)
}

func (l *Link) arm(p *peer, o *protocol.Out) {
	p.armed, p.watched = true, p.queue.first
	o.Set(resendOf(p), p.wait)
}

func (l *Link) disarm(p *peer, o *protocol.Out) {
	if p.armed {
		p.armed = false
		o.Cancel(resendOf(p))
	}
}

// vouch takes the engine's word for a link, or its taking back. Then what is on its way may be lost, and nobody has been
// asked to acknowledge it: so it is sent again soon.
func (l *Link) vouch(e protocol.Steady, o *protocol.Out) {
	p := l.at(e.Node)
	switch {
	case e.Is:
		p.steady = e.Incarnation
	case p.steady == e.Incarnation:
		was := p.calm()
		p.steady = 0
		if was && p.flying > 0 && l.opts.Mistake != Trusts {
			p.wait = l.opts.Resend
			l.arm(p, o)
		}
	}
}

func resendOf(p *peer) protocol.Timer { return protocol.Timer{Kind: resendTimer, Arg: uint32(p.id)} }

// acknowledge forgets what a peer has delivered and makes use of the room.
func (l *Link) acknowledge(p *peer, upto uint64, o *protocol.Out) {
	switch first := p.queue.first; {
	case p.ejected:
		return
	case upto > p.sent:
		l.refuse(p.id, "ceiling", o)
		return
	case upto < first:
		if l.opts.Mistake != CountsTwice || upto == 0 || p.sent < first {
			return
		}
		upto = first
	}
	for p.queue.first <= upto {
		size := p.queue.pop().size
		p.flying -= size
		p.bytes -= size
	}
	p.waited = 0
	if !p.calm() || !p.armed {
		p.wait = 0
	}
	l.recover(p, o)
	l.pump(p, o)
	switch {
	case p.flying > 0:
		l.await(p, o)
	case !p.calm():
		l.disarm(p, o)
	}
	l.vacate(p, l.opts.Window/2, o)
}

// recover sends the oldest packet again, if an acknowledgement moved on but not past what was on its way when the timer
// expired: then more of that was lost, and need not wait for the timer in turn.
func (l *Link) recover(p *peer, o *protocol.Out) {
	if p.queue.first <= p.recover && p.flying > 0 {
		l.transmit(p, p.queue.first, false, o)
	}
}

// vacate tells the layers above that there is room again, if there is.
func (l *Link) vacate(p *peer, bytes int, o *protocol.Out) {
	if p.full && p.bytes <= bytes {
		p.full = false
		o.Indicate(Room{p.id})
	}
}

// resend handles a wait that was in vain.
func (l *Link) resend(p *peer, o *protocol.Out) {
	p.armed = false
	if p.queue.len() == 0 { // the timer ran on when the link was steady
		p.wait = 0
		return
	}
	if p.calm() && p.queue.first > p.watched { // it goes on by itself
		l.await(p, o)
		return
	}
	p.waited = min(p.waited+p.wait, l.opts.Patience)
	if p.full && l.opts.Patience > 0 && p.waited == l.opts.Patience {
		l.eject(p, Silent, o)
		return
	}
	p.wait = min(2*p.wait, l.opts.Longest)
	if !p.known() {
		l.ask(p, o)
		return
	}
	if l.opts.Mistake == Renumbers {
		p.queue.push(*p.queue.at(p.queue.first))
		p.bytes += p.queue.at(p.queue.first).size
		l.pump(p, o)
	} else {
		p.recover = p.sent
		l.transmit(p, p.queue.first, false, o)
	}
	l.arm(p, o)
}

// fail gives up all that was not acknowledged. Numbers begin anew: only another life will ever see them.
func (l *Link) fail(p *peer, o *protocol.Out) {
	lost := p.queue.len()
	p.queue = queue{first: 1, end: 1}
	p.sent, p.flying, p.bytes, p.recover = 0, 0, 0, 0
	p.wait, p.waited = 0, 0
	l.disarm(p, o)
	if lost > 0 {
		o.Indicate(Failed{p.id, p.target(), lost})
	}
	l.vacate(p, 0, o)
}

// eject gives up the link to a life of a peer.
func (l *Link) eject(p *peer, why Why, o *protocol.Out) {
	p.ejected = true
	o.Indicate(Ejected{p.id, p.target(), why})
	l.fail(p, o)
}
