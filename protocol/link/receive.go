package link

import (
	"hash/fnv"

	"ciranda.dev/protocol"
)

// receive takes data: it delivers them if they are next, keeps them if they are early, acknowledges them again if they
// came before.
func (l *Link) receive(p *peer, d Data, o *protocol.Out) {
	if d.To != o.Self().Incarnation && l.opts.Mistake != AnyLife {
		l.refuse(p.id, "not-me", o)
		l.owe(p)
		p.owesReset = true
		return
	}
	if o.Needs(d.Packet.Channel)&reliable == 0 {
		l.refuse(p.id, "channel", o)
		return
	}
	switch {
	case d.Seq < p.next:
		if l.opts.Mistake == Forgetful {
			return
		}
		l.owe(p)
		p.owesAck = true
	case d.Seq == p.next:
		l.deliver(p, d.Packet, o)
		l.deliverHeld(p, o)
		if !d.Lazy {
			l.owe(p)
			p.owesAck = true
		}
	case d.Seq > p.next+uint64(l.opts.Window/overhead): // a window has no room for as many
		l.refuse(p.id, "window", o)
		return
	default:
		l.hold(p, d, o)
	}
	l.acknowledge(p, d.Upto, o)
}

func (l *Link) deliver(p *peer, packet protocol.Packet, o *protocol.Out) {
	p.next++
	if l.opts.Trace {
		o.Note(Delivered{p.id, p.life, markOf(packet), packet.Channel})
	}
	o.Deliver(p.id, packet)
}

// hold keeps what came before its time, as far as there is room.
func (l *Link) hold(p *peer, d Data, o *protocol.Out) {
	if _, again := p.held[d.Seq]; again {
		return
	}
	size := sizeOf(d.Packet)
	if p.room+size > l.opts.Window {
		l.refuse(p.id, "window", o)
		return
	}
	if p.held == nil {
		p.held = map[uint64]parcel{}
	}
	p.held[d.Seq] = parcel{d.Packet, size}
	p.room += size
}

// deliverHeld delivers what was held for want of what has come now.
func (l *Link) deliverHeld(p *peer, o *protocol.Out) {
	for len(p.held) > 0 {
		early, found := p.held[p.next]
		if !found {
			return
		}
		delete(p.held, p.next)
		p.room -= early.size
		l.deliver(p, early.packet, o)
	}
}

// upto is the number up to which all was delivered.
func (l *Link) upto(p *peer) uint64 {
	n := p.next
	if l.opts.Mistake == AcksHeld {
		for skipped := range uint64(3) {
			if _, found := p.held[p.next+skipped]; found {
				n = p.next + skipped + 1
			}
		}
	}
	return n - 1
}

// Mark is the number that stands for the content of a packet in [Sent] and [Delivered].
func Mark(packet protocol.Packet) uint32 { return markOf(packet) }

// markOf is a number that stands for the content of a packet.
func markOf(packet protocol.Packet) uint32 {
	h := fnv.New32a()
	h.Write(protocol.AppendKey(nil, packet))
	return h.Sum32()
}
