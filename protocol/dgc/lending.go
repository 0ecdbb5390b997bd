package dgc

import (
	"encoding/binary"

	"ciranda.dev/protocol"
)

// export makes an object. Ids of a layer's objects can be guessed: nodes of a group trust one another.
func (l *Layer) export(o *protocol.Out) {
	l.made++
	id := ObjectID{byte(l.self >> 8), byte(l.self)}
	binary.BigEndian.PutUint32(id[4:], uint32(l.life))
	binary.BigEndian.PutUint64(id[8:], l.made)
	l.owner.Export(id, true)
	o.Indicate(Exported{id.String(), Ref{l.self, l.life, id}})
}

// renew takes the message of a client, and opens its session if it is new.
func (l *Layer) renew(p *peer, m Renew, o *protocol.Out) {
	if m.Life != l.life || m.Session < p.newest || m.Session == p.newest && !p.open {
		o.Send(p.id, Expired{m.Session, l.life})
		return
	}
	if m.Session > p.newest {
		l.end(p, o)
		p.newest, p.open = m.Session, true
	}
	if l.opts.Mistake != KeepsDead {
		o.Set(protocol.Timer{Kind: leaseTimer, Arg: uint32(p.id)}, l.opts.Lease+l.opts.Grace)
	}
	answer := Renewed{Session: m.Session, Stamp: m.Stamp}
	var free []ObjectID
	if u := &m.Update; u.Seq > 0 {
		if l.owner.Applies(p.client(), u) {
			o.Note(Applied{p.id, m.Session, u.Seq})
		}
		answer.Ack, free = l.owner.Update(p.client(), u)
	}
	o.Send(p.id, answer)
	l.collect(free, o)
}

// client is the node as the owner knows it, in its newest session.
func (p *peer) client() Client { return Client{clientOf(p.id), p.newest} }

// end ends the session of a client, if one is open.
func (l *Layer) end(p *peer, o *protocol.Out) {
	if !p.open {
		return
	}
	p.open = false
	o.Cancel(protocol.Timer{Kind: leaseTimer, Arg: uint32(p.id)})
	o.Note(Ended{p.id, p.newest})
	if l.opts.Mistake != KeepsDead {
		l.collect(l.owner.Gone(p.client()), o)
	}
}

// collect tells of the objects that are gone, among those that nobody elsewhere refers to.
func (l *Layer) collect(free []ObjectID, o *protocol.Out) {
	for _, id := range free {
		if !l.owner.Knows(id) {
			o.Indicate(Collected{id.String(), Ref{l.self, l.life, id}})
		}
	}
}
