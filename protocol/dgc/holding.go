package dgc

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"ciranda.dev/protocol"
)

// refer begins to refer to objects of an owner's life. Those of a former one are dead.
func (l *Layer) refer(p *peer, life protocol.Incarnation, o *protocol.Out) {
	if p.holder != nil && p.life == life {
		return
	}
	l.abandon(p, o)
	p.life, p.holder = life, NewHolder(l.opts.Options)
}

// abandon gives up all references to an owner's former life.
func (l *Layer) abandon(p *peer, o *protocol.Out) {
	p.holder, p.waiting, p.until = nil, false, 0
	p.session++
	o.Cancel(protocol.Timer{Kind: renewTimer, Arg: uint32(p.id)})
	for _, id := range slices.SortedFunc(maps.Keys(l.refs), func(a, b ObjectID) int { return bytes.Compare(a[:], b[:]) }) {
		if r := l.refs[id]; r.ref.Owner == p.id {
			l.lose(r, o)
		}
	}
}

// lose gives up a reference whose object is gone.
func (l *Layer) lose(r *held, o *protocol.Out) {
	delete(l.refs, r.ref.ID)
	if r.has {
		o.Indicate(Lost{Object: r.ref.ID.String(), Ref: r.ref})
	}
	for _, a := range r.waits {
		l.misses(r.ref, a, o)
	}
}

// drop takes a reference from the layer above.
func (l *Layer) drop(ref Ref, o *protocol.Out) {
	if ref.Owner == l.self {
		if l.owner.Strong(ref.ID) {
			o.Note(Dropped{ref.ID.String()})
			l.collect(l.owner.Release(ref.ID), o)
		}
		return
	}
	if r := l.refs[ref.ID]; r != nil && r.has {
		r.has = false
		o.Note(Dropped{ref.ID.String()})
		l.letGo(r, o)
	}
}

// letGo has the owner told that a reference is not used any more, if it is so.
func (l *Layer) letGo(r *held, o *protocol.Out) {
	if r.has || r.pins > 0 || len(r.waits) > 0 {
		return
	}
	delete(l.refs, r.ref.ID)
	p := l.peer(r.ref.Owner)
	p.holder.Drop(r.ref.ID)
	l.report(p, o)
}

// report tells an owner what is new, if the last update is answered.
func (l *Layer) report(p *peer, o *protocol.Out) {
	if u, ok := p.holder.Next(false); ok {
		l.tell(p, u, o)
	}
}

// tell sends an owner an update, or none but the renewal. It is sent again until it is answered.
func (l *Layer) tell(p *peer, u Update, o *protocol.Out) {
	o.Send(p.id, Renew{p.session, p.life, o.Now(), u})
	p.waiting = true
	l.tick(o)
	o.Set(protocol.Timer{Kind: renewTimer, Arg: uint32(p.id)}, l.opts.Lease/2)
}

// keepLease renews the lease at an owner, if this node refers to anything there.
func (l *Layer) keepLease(p *peer, o *protocol.Out) {
	if p.holder == nil || p.holder.Len() == 0 {
		return
	}
	if l.opts.Mistake == TrustsTraffic && l.travels(p.id) {
		l.count(p, o.Now()+l.opts.Lease, o)
		o.Set(protocol.Timer{Kind: renewTimer, Arg: uint32(p.id)}, l.opts.Lease/2)
		return
	}
	u, _ := p.holder.Next(true)
	l.tell(p, u, o)
}

// travels says whether references are on their way to a node.
func (l *Layer) travels(to protocol.ID) bool {
	for _, t := range l.pins.All() {
		if t.to == to {
			return true
		}
	}
	return false
}

// renewed takes an owner's answer: the lease counts from when the request was sent, since nobody knows when it arrived.
func (l *Layer) renewed(p *peer, m Renewed, o *protocol.Out) {
	if p.holder == nil || m.Session != p.session {
		return
	}
	from := m.Stamp
	if l.opts.Mistake == FromArrival {
		from = o.Now()
	}
	l.count(p, from+l.opts.Lease, o)
	usable, lost := p.holder.Acked(m.Ack)
	for _, id := range usable {
		l.use(l.refs[id], o)
	}
	for _, id := range lost {
		if r := l.refs[id]; r != nil {
			l.lose(r, o)
		}
	}
	p.waiting = p.holder.Told()
	l.report(p, o)
}

// count notes that a lease is longer than was known.
func (l *Layer) count(p *peer, until time.Duration, o *protocol.Out) {
	if until > p.until {
		p.until = until
		o.Note(Leased{p.id, until - o.Now()})
	}
}

// use tells that a reference is registered.
func (l *Layer) use(r *held, o *protocol.Out) {
	if r == nil {
		return
	}
	if len(r.waits) == 0 && r.has {
		o.Indicate(Held{Object: r.ref.ID.String(), Ref: r.ref})
	}
	waits := r.waits
	r.waits = nil
	for _, a := range waits {
		r.has = true
		l.has(r.ref, a, o)
	}
}

// expired learns that this node's session at an owner is over. It begins another one, in which all is registered again; if the owner has
// a new life, there is nothing to register.
func (l *Layer) expired(p *peer, m Expired, o *protocol.Out) {
	if p.holder == nil || m.Session != p.session {
		return
	}
	o.Note(Unleased{p.id})
	if m.Life != p.life {
		l.abandon(p, o)
		return
	}
	p.session++
	p.until, p.waiting = 0, false
	p.holder.Anew()
	l.report(p, o)
}
