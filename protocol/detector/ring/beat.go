package ring

import (
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
)

// SendMe asks a node for its beats: the sender takes it for a predecessor from now on.
type SendMe struct{}

// beat sends what is due at every interval.
func (d *Detector) beat(o *protocol.Out) {
	d.pulse.Next(d.opts.Interval, o)
	o.Ungate()
	m := detector.NewBeat(d.ill)
	for _, id := range d.succ {
		o.Send(id, m)
	}
	d.stream(m, o)
	for _, id := range d.awaited {
		d.ask(id, o)
	}
	if d.beats = (d.beats + 1) % reproachEvery; d.beats == 0 {
		d.reproachNext(o)
	}
}

// stream beats to those who asked, until they are successors or have had enough.
func (d *Detector) stream(m protocol.Message, o *protocol.Out) {
	kept := d.streams[:0]
	for _, s := range d.streams {
		if slices.Contains(d.succ, s.to) {
			continue
		}
		o.Send(s.to, m)
		if s.left--; s.left > 0 {
			kept = append(kept, s)
		}
	}
	d.streams = kept
}

// asked handles SendMe: beats go to the sender too, for as long as this node's own ring may take to learn why.
func (d *Detector) asked(from protocol.ID, o *protocol.Out) {
	d.reproach(from, o)
	if slices.Contains(d.succ, from) {
		return
	}
	enough := int((streamFor*d.opts.Timeout + d.opts.Interval - 1) / d.opts.Interval)
	i := slices.IndexFunc(d.streams, func(s stream) bool { return s.to == from })
	if i < 0 {
		d.streams = append(d.streams, stream{from, enough})
		return
	}
	d.streams[i].left = enough
}

// ask asks for a first beat: a predecessor for all its beats, another node for one.
func (d *Detector) ask(id protocol.ID, o *protocol.Out) {
	switch {
	case !slices.Contains(d.pred, id):
		o.Send(id, detector.Probe{Incarnation: d.peers.At(id).Life})
	case d.opts.Mistake != NoSendMe:
		o.Send(id, SendMe{})
	}
}

// beatOf handles a beat. It gives a predecessor a fresh timeout. Another node's was awaited after a Reset: of one that
// is held down its refutation is awaited too.
func (d *Detector) beatOf(from protocol.ID, m detector.Beat, o *protocol.Out) {
	d.peers.Stall(d.peers.At(from), m.Stalled, o)
	switch {
	case slices.Contains(d.pred, from):
		d.unawait(from)
		d.time(from, o)
	case d.down.Has(from):
		if slices.Contains(d.awaited, from) {
			d.time(from, o)
		}
		d.reproach(from, o)
	default:
		d.settle(from, o)
	}
}

// settle ends the waiting for a node that is no predecessor: others time it.
func (d *Detector) settle(id protocol.ID, o *protocol.Out) {
	if d.unawait(id) {
		o.Cancel(dead(id))
	}
}

// unawait ends the waiting for a first beat, and says whether there was any.
func (d *Detector) unawait(id protocol.ID) bool {
	i := slices.Index(d.awaited, id)
	if i < 0 {
		return false
	}
	d.awaited = slices.Delete(d.awaited, i, i+1)
	return true
}

// await gives a node a full timeout and asks it for a beat.
func (d *Detector) await(id protocol.ID, o *protocol.Out) {
	if !slices.Contains(d.awaited, id) {
		d.awaited = append(d.awaited, id)
	}
	d.time(id, o)
	o.Ungate()
	d.ask(id, o)
}

func (d *Detector) time(id protocol.ID, o *protocol.Out) { o.Set(dead(id), d.opts.Timeout) }

func dead(id protocol.ID) protocol.Timer {
	return protocol.Timer{Kind: detector.TimerDead, Arg: uint32(id)}
}

// timeAll gives all that are timed a fresh timeout.
func (d *Detector) timeAll(o *protocol.Out) {
	for _, id := range d.pred {
		d.time(id, o)
	}
	for _, id := range d.awaited {
		if !slices.Contains(d.pred, id) {
			d.time(id, o)
		}
	}
}

// watch begins to observe a node for the layers above. One that is held down already is told at once.
func (d *Detector) watch(id protocol.ID, o *protocol.Out) {
	if !d.peers.Watch(id, o) || !d.down.Has(id) {
		return
	}
	q := d.peers.At(id)
	q.Suspected = false // it was told to nobody
	d.peers.Suspect(q, detector.News, o)
}

// reset takes a node as trusted, as the layers above ask, and awaits a beat of it. The ring does not change for that:
// a node held down is let in again when it refutes.
func (d *Detector) reset(r detector.Reset, o *protocol.Out) {
	before := d.peers.At(r.Node).Life
	q := d.peers.Reset(r, o)
	if q == nil {
		return
	}
	if q.Life > before {
		d.reborn(q, o)
	}
	d.await(r.Node, o)
}

// hint handles a closed connection. Only a predecessor is probed at once, so that a crash makes no storm of news; of
// another node it is remembered until it becomes one or is heard of.
func (d *Detector) hint(e protocol.LinkDown, o *protocol.Out) {
	q := d.peers.Hint(e, o)
	if q == nil || d.down.Has(e.Node) {
		return
	}
	if !slices.Contains(d.pred, e.Node) && d.opts.Mistake != detector.HintIsProof {
		q.Verifying = true
		return
	}
	d.doubt(q, o)
}

// doubt probes a predecessor whose connection was closed. If it is probed already, it is condemned.
func (d *Detector) doubt(q *detector.Peer, o *protocol.Out) {
	if q.Verifying || d.opts.Mistake == detector.HintIsProof {
		d.condemn(q.ID, detector.Link, o)
		return
	}
	d.peers.Doubt(q, o)
}
