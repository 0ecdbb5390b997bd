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
	size  int // of a delivery
}

// slot is what a thing that is held costs beside its payload, about, in bytes.
const slot = 64

// hold keeps an event until the state is there.
func (l *Layer) hold(e protocol.Event, size int, o *protocol.Out) {
	l.held = append(l.held, held{e, size})
	l.size += size + slot
	switch {
	case l.gaveUp:
		l.dropHeld(l.why, o)
	case l.size > l.opts.Hold:
		l.giveUp(fmt.Sprintf("more than %d bytes of messages came before the state did", l.opts.Hold), o)
	default:
		l.advance(o)
	}
}

// advance tells the layers below that some of what is held is consumed, so that the senders go on meanwhile: at first an eighth
// of what may be held, and more as the state comes. So under a load that is too high they slow down to the pace of the
// transfer, and nobody takes this node for one that stands still.
func (l *Layer) advance(o *protocol.Out) {
	most := l.opts.Hold / 8
	if t := &l.taking; t.size > 0 {
		most += int(float64(l.opts.Hold*3/8) * float64(len(t.data)) / float64(t.size))
	}
	bytes := 0
	for ; l.told < len(l.held) && l.ahead < most; l.told++ {
		l.ahead += l.held[l.told].size
		bytes += l.held[l.told].size
	}
	release(bytes, o)
}

// release tells the layers below of what is consumed.
func release(bytes int, o *protocol.Out) {
	if bytes > 0 {
		o.Request(multicast.Consumed{Bytes: bytes})
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
// of it only the answers are left: to who sent what was delivered then. Nobody else consumes the rest.
func (l *Layer) later(view uint64, o *protocol.Out) (later, before []held) {
	bytes, n := 0, 0
	for ; n < len(l.held); n++ {
		h := l.held[n]
		if e, is := h.event.(group.Installed); is && e.View.ID >= view {
			break
		}
		_, answer := h.event.(protocol.Reply)
		switch {
		case answer || l.opts.Mistake == KeepsOlder:
			before = append(before, h)
		case n < l.told:
			l.ahead -= h.size
		default:
			bytes += h.size
		}
	}
	release(bytes, o)
	return l.held[n:], before
}

// pass passes on what was held.
func (l *Layer) pass(all []held, o *protocol.Out) {
	for _, h := range all {
		l.open += h.size
		if r, is := h.event.(protocol.Reply); is {
			o.Indicate(r)
			continue
		}
		o.Tell(h.event)
	}
}

// dropHeld drops what was held. Senders are told that their messages were sent, and that it is not known what became of
// them.
func (l *Layer) dropHeld(why string, o *protocol.Out) {
	bytes := 0
	for i, h := range l.held {
		if r, is := h.event.(protocol.Reply); is {
			o.Indicate(protocol.Reply{ID: r.ID, Body: multicast.Unknown{Why: why}})
		}
		if i >= l.told {
			bytes += h.size
		}
	}
	release(bytes, o)
	l.held, l.size, l.told, l.ahead = nil, 0, 0, 0
}

// consumed keeps from the layers below what they were told before: half of each time, so that the senders are not stopped
// until all of that is made good.
func (l *Layer) consumed(r multicast.Consumed, c protocol.Call, asked bool, o *protocol.Out) (taken bool) {
	if l.paid == 0 {
		return false
	}
	bytes := max(r.Bytes, 0)
	known := min(l.paid, max(bytes/2, bytes-l.open))
	r.Bytes = bytes - known
	l.paid, l.open = l.paid-known, max(0, l.open-r.Bytes)
	if !asked {
		release(r.Bytes, o)
		return true
	}
	o.Request(protocol.Call{ID: c.ID, Body: r})
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
