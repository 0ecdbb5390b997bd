package ring

import (
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
)

// News is what the sender holds of a life of a node: up or down, in a round of its own. Later news replaces earlier: a
// newer life; in one life a higher round; in one round down. Only the node itself begins a round, to refute.
type News struct {
	Node        protocol.ID
	Incarnation protocol.Incarnation // 0 is the life that the receiver knows: the sender never heard of any
	Round       uint32
	Down        bool
	Origin      protocol.ID // who said it first
}

// Held is the note of a change of what a node holds of another, or of itself.
type Held struct {
	Node        protocol.ID          `json:"node"`
	Incarnation protocol.Incarnation `json:"inc"`
	Round       uint32               `json:"round"`
	Down        bool                 `json:"down"`
}

// Kind is the event's name in traces.
func (Held) Kind() string { return "ring.held" }

// held gives what this node holds of another, as news.
func (d *Detector) held(id protocol.ID, o *protocol.Out) News {
	n := News{Node: id, Round: d.rounds[id], Down: d.down.Has(id), Origin: o.Self().ID}
	if q := d.peers.Find(id); q != nil {
		n.Incarnation = q.Life
	}
	return n
}

// after says whether n replaces m.
func (d *Detector) after(n, m News) bool {
	switch {
	case n.Incarnation != m.Incarnation:
		return n.Incarnation > m.Incarnation
	case d.opts.Mistake == NoRound:
		return n.Down != m.Down
	case n.Round != m.Round:
		return n.Round > m.Round
	default:
		return n.Down && !m.Down
	}
}

// news takes over what is new, tells it upwards and sends it on.
func (d *Detector) news(from protocol.ID, n News, fresh bool, o *protocol.Out) {
	self := o.Self()
	if n.Node == self.ID {
		d.answer(from, n, o)
		return
	}
	if !detector.Member(self.Group, n.Node) || n.Round >= maxRound {
		o.Note(detector.Dropped{From: from, Incarnation: o.SenderIncarnation(), Reason: "ceiling"})
		return
	}
	held := d.held(n.Node, o)
	if n.Incarnation == 0 {
		n.Incarnation = held.Incarnation
	}
	announced := fresh && n.Node == from && !n.Down // it was new until its sender was heard, just now
	switch {
	case d.after(n, held):
		d.adopt(n, o)
		d.sendOn(from, n, o)
	case announced:
		d.sendOn(from, n, o)
	case from == n.Origin && d.after(held, n): // it has missed what replaced that
		o.Ungate()
		o.Send(from, held)
	}
}

// adopt makes n what this node holds.
func (d *Detector) adopt(n News, o *protocol.Out) {
	q := d.peers.At(n.Node)
	if n.Incarnation > q.Life {
		d.peers.Begin(q, n.Incarnation, o)
	}
	if n.Down {
		d.peers.Suspect(q, detector.News, o)
	} else {
		d.peers.Restore(q, o)
	}
	d.hold(n, o)
	if !slices.Contains(d.pred, n.Node) {
		d.settle(n.Node, o)
	}
}

// hold records what is held of a node, and changes the ring accordingly.
func (d *Detector) hold(n News, o *protocol.Out) {
	if d.rounds[n.Node] = n.Round; n.Round == 0 {
		delete(d.rounds, n.Node)
	}
	if n.Down {
		d.down.Add(n.Node)
	} else {
		d.down.Remove(n.Node)
	}
	o.Note(Held{n.Node, n.Incarnation, n.Round, n.Down})
	if n.Node != o.Self().ID && !(n.Down && d.opts.Mistake == NotClosed) {
		d.mend(n.Node, o)
	}
}

// sendOn passes new news to the successors, so that a loss does not keep it from anyone.
func (d *Detector) sendOn(from protocol.ID, n News, o *protocol.Out) {
	o.Ungate()
	var m protocol.Message = n
	for _, id := range d.succ {
		if id != from && id != n.Origin && id != n.Node {
			o.Send(id, m)
		}
	}
}

// condemn takes a node as down, and tells all. After a Reset it may be held down already: then only the layers above
// are told.
func (d *Detector) condemn(id protocol.ID, why detector.Why, o *protocol.Out) {
	q := d.peers.At(id)
	d.peers.Suspect(q, why, o)
	d.unawait(id)
	if d.down.Has(id) {
		o.Cancel(dead(id))
		return
	}
	n := News{Node: id, Incarnation: q.Life, Round: d.rounds[id], Down: true, Origin: o.Self().ID}
	if d.opts.Mistake != NoNews {
		o.Ungate()
		o.SendAll(n)
	}
	d.hold(n, o)
}

// reborn makes place for a life of q that has just begun, or was not known. It is up, and has refuted nothing.
func (d *Detector) reborn(q *detector.Peer, o *protocol.Out) {
	id, life := q.ID, q.Life
	if slices.Contains(d.pred, id) {
		d.time(id, o)
	}
	if d.down.Has(id) || d.rounds[id] > 0 {
		d.hold(News{Node: id, Incarnation: life}, o)
	}
	if slices.Contains(d.pred, id) || slices.Contains(d.succ, id) {
		d.brief(id, o)
	}
}

// brief tells a neighbour that has just come up whom this node holds down: it was not there when that was news.
func (d *Detector) brief(id protocol.ID, o *protocol.Out) {
	if d.opts.Mistake == NoNews {
		return
	}
	o.Ungate()
	for _, q := range d.down.IDs() {
		o.Send(id, d.held(q, o))
	}
}

// answer handles news about this node. An accusation is refuted to all, once; who missed that is told alone.
func (d *Detector) answer(from protocol.ID, n News, o *protocol.Out) {
	self := o.Self()
	if !n.Down || n.Incarnation > self.Incarnation || n.Round >= maxRound {
		return
	}
	refuted := n.Incarnation != 0 && n.Incarnation < self.Incarnation || n.Round < d.rounds[self.ID]
	reply := News{Node: self.ID, Incarnation: self.Incarnation, Round: d.rounds[self.ID], Origin: self.ID}
	if refuted {
		o.Ungate()
		o.Send(from, reply)
		return
	}
	reply.Round = n.Round + 1
	d.hold(reply, o)
	o.Ungate()
	o.SendAll(reply)
}

// reproach tells a node that it is held down, so that it can refute.
func (d *Detector) reproach(id protocol.ID, o *protocol.Out) {
	if d.down.Has(id) && d.opts.Mistake != NoReproach {
		o.Ungate()
		o.Send(id, d.held(id, o))
	}
}

// reproachNext tells the next in turn of those held down, which after a partition heals what it left. It tells the
// successors too: news may have been lost on every way to one of them.
func (d *Detector) reproachNext(o *protocol.Out) {
	id := d.down.Next(d.reproached)
	if id == protocol.None {
		return
	}
	d.reproached = id
	d.reproach(id, o)
	if d.opts.Mistake == NoNews {
		return
	}
	var m protocol.Message = d.held(id, o)
	for _, s := range d.succ {
		o.Send(s, m)
	}
}
