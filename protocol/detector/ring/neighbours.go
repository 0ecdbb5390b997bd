package ring

import (
	"slices"

	"ciranda.dev/protocol"
)

// neighbours are the K next nodes of the ring in a direction, nearest first.
func (d *Detector) neighbours(step int, o *protocol.Out) []protocol.ID {
	group := o.Self().Group
	at, _ := slices.BinarySearch(group, o.Self().ID)
	found := make([]protocol.ID, 0, min(d.opts.K, len(group)-1))
	for range len(group) - 1 {
		at = (at + step + len(group)) % len(group)
		if !d.down.Has(group[at]) {
			found = append(found, group[at])
		}
		if len(found) == d.opts.K {
			break
		}
	}
	return found
}

// mend closes the ring over a node that went down, or opens it for one that came up. Most changes are far away and
// cost nothing here.
func (d *Detector) mend(id protocol.ID, o *protocol.Out) {
	if d.affects(d.succ, id, func(q protocol.ID) protocol.ID { return q - o.Self().ID }) {
		d.succ = d.neighbours(+1, o)
	}
	if d.affects(d.pred, id, func(q protocol.ID) protocol.ID { return o.Self().ID - q }) {
		d.follow(d.neighbours(-1, o), o)
	}
}

// affects says whether the change of a node affects the neighbours in a direction: it was one of them, or comes before
// the last of them. The way round the ring from this node to another is a difference of numbers, modulo 2^16.
func (d *Detector) affects(near []protocol.ID, id protocol.ID, way func(protocol.ID) protocol.ID) bool {
	if d.down.Has(id) {
		return slices.Contains(near, id)
	}
	return len(near) < d.opts.K || way(id) < way(near[len(near)-1])
}

// follow makes pred the predecessors. A new one is asked for its beats; who is one no longer is not timed any more.
func (d *Detector) follow(pred []protocol.ID, o *protocol.Out) {
	old := d.pred
	d.pred = pred
	for _, id := range old {
		if !slices.Contains(pred, id) {
			o.Cancel(dead(id))
			d.unawait(id)
		}
	}
	for _, id := range pred {
		if !slices.Contains(old, id) {
			d.welcome(id, o)
		}
	}
}

// welcome begins to time a new predecessor.
func (d *Detector) welcome(id protocol.ID, o *protocol.Out) {
	d.await(id, o)
	if d.opts.Mistake == TimedFromBefore {
		o.Set(dead(id), d.opts.Delay)
	}
	if q := d.peers.Find(id); q != nil && q.Verifying { // its connection closed while nobody here timed it
		q.Verifying = false
		d.peers.Doubt(q, o)
	}
}
