package dgc

import (
	"maps"

	"ciranda.dev/protocol"
)

// give has a reference travel to another node. Until it is registered there its object is kept: by a pin of the owner, or by this node's
// own registration.
func (l *Layer) give(g Give, o *protocol.Out) {
	if l.peer(g.To) == nil || !l.pin(g.Ref) {
		return
	}
	t := travel{g.Ref, g.To}
	n := l.pins.Add(o.Now(), t, clientOf(g.To))
	o.Note(Given{g.Ref.ID.String(), g.To, n})
	l.hand(n, t, o)
}

// pin keeps what a reference refers to. It says false if the reference cannot be given.
func (l *Layer) pin(ref Ref) bool {
	if ref.Owner == l.self {
		if !l.owner.Strong(ref.ID) {
			return false
		}
		return l.opts.Mistake == Unpinned || l.owner.Pin(ref.ID)
	}
	r := l.refs[ref.ID]
	if r == nil || !r.has || l.peer(ref.Owner).holder.State(ref.ID) != Usable {
		return false
	}
	if l.opts.Mistake != Unpinned {
		r.pins++
	}
	return true
}

// unpin says that a reference travels no more.
func (l *Layer) unpin(ref Ref, o *protocol.Out) {
	if l.opts.Mistake == Unpinned {
		return
	}
	if ref.Owner == l.self {
		l.collect(l.owner.Unpin(ref.ID), o)
	} else if r := l.refs[ref.ID]; r != nil && r.pins > 0 {
		r.pins--
		l.letGo(r, o)
	}
}

// hand sends a reference.
func (l *Layer) hand(n uint64, t travel, o *protocol.Out) {
	o.Send(t.to, Hand{t.ref, l.life, n, l.pins.First()})
	l.tick(o)
}

// registered takes the word that references have arrived.
func (l *Layer) registered(p *peer, m Registered, o *protocol.Out) {
	if m.Life != l.life {
		return
	}
	for _, t := range l.pins.Acked(clientOf(p.id), m.Transfers) {
		l.unpin(t.ref, o)
	}
}

// arrive takes a reference, once.
func (l *Layer) arrive(p *peer, m Hand, o *protocol.Out) {
	if m.Life > p.giver {
		p.giver, p.below = m.Life, 0
		clear(p.taken)
	}
	if m.Life < p.giver || m.Transfer < p.below {
		return // nobody waits for it
	}
	if m.Below > p.below {
		p.below = m.Below
		maps.DeleteFunc(p.taken, func(n uint64, _ bool) bool { return n < p.below })
	}
	a := arrival{p.id, m.Life, m.Transfer}
	if done, came := p.taken[m.Transfer]; done {
		l.answer(a, o)
	} else if !came {
		p.taken[m.Transfer] = false
		l.take(m.Ref, a, o)
	}
}

// take has a reference that arrived registered. One to this node's own object comes home.
func (l *Layer) take(ref Ref, a arrival, o *protocol.Out) {
	if ref.Owner == l.self {
		if ref.Life == l.life && l.owner.Knows(ref.ID) {
			l.owner.Export(ref.ID, true)
			l.has(ref, a, o)
		} else {
			l.misses(ref, a, o)
		}
		return
	}
	p := l.peer(ref.Owner)
	if p == nil || ref.Life < p.life {
		l.misses(ref, a, o)
		return
	}
	l.refer(p, ref.Life, o)
	r := l.refs[ref.ID]
	if r == nil {
		r = &held{ref: ref}
		l.refs[ref.ID] = r
	}
	if p.holder.Want(ref.ID) == Usable {
		r.has = true
		l.has(ref, a, o)
		return
	}
	r.waits = append(r.waits, a)
	if l.opts.Mistake == AcksEarly {
		l.answer(a, o)
	}
	l.report(p, o)
}

// has tells that a reference has arrived and is registered.
func (l *Layer) has(ref Ref, a arrival, o *protocol.Out) {
	o.Indicate(Held{ref.ID.String(), a.giver, a.life, a.transfer, ref})
	l.answer(a, o)
}

// misses tells that a reference has arrived, and its object is gone.
func (l *Layer) misses(ref Ref, a arrival, o *protocol.Out) {
	o.Indicate(Lost{ref.ID.String(), a.giver, a.life, a.transfer, ref})
	l.answer(a, o)
}

// answer tells a giver that it need not wait any more.
func (l *Layer) answer(a arrival, o *protocol.Out) {
	p := l.peer(a.giver)
	if p.giver != a.life {
		return // it is dead
	}
	if a.transfer >= p.below {
		p.taken[a.transfer] = true
	}
	o.Send(a.giver, Registered{a.life, RefAck{[]uint64{a.transfer}}})
}
