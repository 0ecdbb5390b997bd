package transfer

import (
	"fmt"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
)

// A held event waits for the state.
type held struct {
	event protocol.Event
	size  int
	paid  bool // the layers below were told that it is consumed
}

// slot is what a thing that is held costs beside its payload, about, in bytes.
const slot = 64

// sizeOf is how many bytes of payload a delivery has.
func sizeOf(d *multicast.Delivery) (size int) {
	for _, p := range d.Payloads {
		size += len(p)
	}
	return size
}

// hold keeps an event until the state is there. The senders go on meanwhile, as if it were consumed, for a while.
func (l *Layer) hold(e protocol.Event, size int, o *protocol.Out) {
	h := held{e, size, size > 0 && l.size < l.opts.Hold/4}
	if h.paid {
		o.Request(multicast.Consumed{Bytes: size})
	}
	l.held = append(l.held, h)
	l.size += size + slot
	switch {
	case l.gaveUp:
		l.dropHeld(l.why, o)
	case l.size > l.opts.Hold:
		l.giveUp(fmt.Sprintf("more than %d bytes of messages came before the state did", l.opts.Hold), o)
	}
}

// holdView keeps a view in the row.
func (l *Layer) holdView(e group.Installed, o *protocol.Out) {
	if l.opts.Mistake == DeliversEarly {
		o.Tell(e)
		return
	}
	l.hold(e, 0, o)
}

// later divides what is held into the messages of a view and of later ones, and what was before. That is in the state, and
// of it only the answers are left: to who sent what was delivered then.
func (l *Layer) later(view uint64) (later, before []held) {
	for i, h := range l.held {
		if e, is := h.event.(group.Installed); is && e.View.ID >= view {
			return l.held[i:], before
		}
		if _, answer := h.event.(protocol.Reply); answer || l.opts.Mistake == KeepsOlder {
			before = append(before, h)
		}
	}
	return nil, before
}

// pass passes on what was held.
func (l *Layer) pass(h *held, o *protocol.Out) {
	if h.paid {
		l.paid += h.size
	}
	if r, is := h.event.(protocol.Reply); is {
		o.Indicate(r)
		return
	}
	o.Tell(h.event)
}

// dropHeld drops what was held. Senders are told that their messages were sent, and that it is not known what became of
// them.
func (l *Layer) dropHeld(why string, o *protocol.Out) {
	for _, h := range l.held {
		if r, is := h.event.(protocol.Reply); is {
			o.Indicate(protocol.Reply{ID: r.ID, Body: multicast.Unknown{Why: why}})
		}
	}
	l.held, l.size = nil, 0
}

// consumed keeps from the layers below what they were told before.
func (l *Layer) consumed(r multicast.Consumed, c protocol.Call, asked bool, o *protocol.Out) (taken bool) {
	if l.paid == 0 {
		return false
	}
	known := min(max(r.Bytes, 0), l.paid)
	l.paid -= known
	r.Bytes -= known
	switch {
	case asked:
		o.Request(protocol.Call{ID: c.ID, Body: r})
	case r.Bytes > 0:
		o.Request(r)
	}
	return true
}

// mostTries bounds how long a node stays away: a second, doubled as often.
const mostTries = 6

// giveUp leaves the group and joins anew, after a while that gets longer.
func (l *Layer) giveUp(why string, o *protocol.Out) {
	l.why, l.gaveUp, l.rejoins = why, true, true
	l.dropHeld(why, o)
	l.forget(o)
	o.Indicate(GaveUp{why})
	o.Request(group.Leave{})
	o.Set(protocol.Timer{Kind: rejoinTimer}, time.Second<<min(l.tries, mostTries))
	l.tries++
}

// stayAway has this layer not join anew: somebody else says whether this node is in the group.
func (l *Layer) stayAway(o *protocol.Out) {
	if l.rejoins {
		l.rejoins = false
		o.Cancel(protocol.Timer{Kind: rejoinTimer})
	}
}
