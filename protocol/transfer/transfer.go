// Package transfer brings the state of a group's application to the members that join.
//
// Make a layer with [New] and put it above a layer that multicasts (package multicast), below the application. Members that
// have delivered the same since the group began hold the same state; who joins has missed that, and needs the state as it
// was when the view began. At the installation of a view with members that lack the state two that have it, the eldest,
// ask the application for it in that very step ([Capture], [Captured]) and offer it. The joiner fetches it from one of
// them in chunks, a window of them at a time, while everybody goes on multicasting. Until it is there ([Load]) the joiner holds
// back what is delivered to it. Then it passes that on, in order, and is ready.
//
// Who has the state is a matter of agreement, for what a node knows of others may be late: members tell the group's layer
// ([group.Ready]), and a view names all that had done so when the one before ended ([group.View]). If it names nobody, nobody
// has a state, and all members begin anew with the initial one in that view ([Anew]), even one that got the state while the view
// before ended. So does a group that is founded.
//
// If the member that sends is gone, or silent for a while, the joiner goes on with the other one: from the chunk at which it
// is, if that one keeps the same (the size and the sums of all chunks are told first), else from the beginning. Changes of
// view in between do not interrupt. When a member with the state is lost the next view has another take its place. A member keeps a state
// until all for which it does have one, or are gone, or have not asked for a while.
//
// What it promises, if all members deliver the same in the same order and the application depends on nothing else: the
// state that a joiner loads is that of the member it came from, at the beginning of the view for which it was asked. Each
// message of that view and later ones is delivered to the joiner's application once, after the state, and none of earlier
// ones. The transfer ends if the joiner and one that keeps the state stay in the group. With orders in which members
// deliver differently the joiner holds what one of them held. The change of view alone interrupts multicasts, never the
// transfer.
//
// What it does not promise: that a state survives the loss of all members that have it. Sums guard against accidents and
// not against members that lie. The messages held back are bounded ([Options.Hold]), and so is a state ([Options.Largest]).
//
// A transfer at the change of view is from K. P. Birman, T. A. Joseph, Exploiting Virtual Synchrony in Distributed Systems,
// SOSP 1987.
package transfer

import (
	"fmt"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/link"
	"ciranda.dev/protocol/multicast"
)

// A Layer is one node's part in state transfer.
type Layer struct {
	protocol.Base
	opts Options `layer:"const"`
	self protocol.ID

	view  group.View // the last that was installed; number 0 while this node is no member
	ready bool       // it has the state

	// What it gives.
	handles []handle
	serial  uint32 // of the last one

	// What it takes. Offers come before the view sometimes.
	since   uint64 // the view that this node joined in
	offers  []offer
	taking  taking
	waiting time.Duration // without any offer
	held    []held
	size    int    // of the messages held
	told    int    // how many of those are known as consumed to the layers below
	ahead   int    // the bytes of these
	paid    int    // bytes passed on of which the layers below were told before that they are consumed
	open    int    // while there are some: bytes passed on that are neither
	tries   int    // to join anew, since it was ready
	gaveUp  bool   // this membership is about to end
	rejoins bool   // and this node joins anew by itself
	why     string // of its last trouble
}

// The timers.
const (
	silenceTimer uint32 = iota // at a joiner
	keepTimer                  // of a handle, by its serial number
	rejoinTimer
	lateTimer // of the mistake AsksLate
)

// lateness is how late the mistake AsksLate asks.
const lateness = 20 * time.Millisecond

// New makes a node's layer. Options that [Options.Validate] refuses make one that does not keep the package's promises.
func New(opts Options) *Layer { return &Layer{opts: opts.WithDefaults()} }

// Traits say what the layer is.
func (l *Layer) Traits() protocol.Traits {
	return protocol.Traits{Channel: "transfer",
		Needs: protocol.FIFO | protocol.NoLoss | protocol.Views | protocol.Multicast, Messages: messages,
		Timers: []string{"silence", "keep", "rejoin", "late"}, Requests: []any{Captured{}}}
}

// Start waits for a view.
func (l *Layer) Start(o *protocol.Out) { l.self = o.Self().ID }

// Request takes states, and looks at what is consumed and at who leaves or joins.
func (l *Layer) Request(r any, o *protocol.Out) (taken bool) {
	c, asked := r.(protocol.Call)
	if asked {
		r = c.Body
	}
	switch r := r.(type) {
	case Captured:
		why := l.captured(r, o)
		switch {
		case asked && why == "":
			o.Indicate(protocol.Reply{ID: c.ID, Body: Kept{}})
		case asked:
			o.Indicate(protocol.Reply{ID: c.ID, Body: protocol.Refused{Why: why}})
		}
		return true
	case multicast.Consumed:
		return l.consumed(r, c, asked, o)
	case group.Leave, group.Join: // it is not this layer's any more to come back
		l.stayAway(o)
	}
	return false
}

// Indicate listens for views and their end. A joiner holds back what is delivered.
func (l *Layer) Indicate(e protocol.Event, o *protocol.Out) (taken bool) {
	switch e := e.(type) {
	case multicast.Delivery:
		if l.holds() {
			l.hold(e, multicast.Weight(e.Payloads...), o)
			return true
		}
		if l.paid > 0 {
			l.open += multicast.Weight(e.Payloads...)
		}
	case protocol.Reply:
		if _, sent := e.Body.(multicast.Sent); sent && l.holds() { // it follows the delivery
			l.hold(e, 0, o)
			return true
		}
	case group.Installed:
		l.install(e, o)
		return true
	case group.Excluded:
		l.exclude(o)
	case link.Over:
		l.offerAgain(e, o)
	}
	return false
}

// holds says whether what is delivered has to wait for the state.
func (l *Layer) holds() bool {
	return !l.ready && l.view.ID != 0 && l.opts.Mistake != DeliversEarly
}

// install begins a view: with the state, without it, or with none at all.
func (l *Layer) install(e group.Installed, o *protocol.Out) {
	l.view = e.View
	switch {
	case len(e.View.Ready) == 0:
		l.beginAnew(e, o)
	case l.ready:
		l.give(e, o)
		o.Tell(e)
	case e.First:
		l.join(e, o)
	default:
		l.goOn(e, o)
	}
}

// beginAnew begins without a state of before: nobody has any.
func (l *Layer) beginAnew(e group.Installed, o *protocol.Out) {
	l.releaseAll("lost", o)
	l.dropHeld("the state of the group was lost", o)
	o.Indicate(Anew{e.View.ID})
	o.Tell(e)
	l.becomeReady(o)
}

// becomeReady has the views that follow say that this node has the state.
func (l *Layer) becomeReady(o *protocol.Out) {
	l.forget(o)
	l.ready, l.tries, l.why = true, 0, ""
	o.Request(group.Ready{})
	o.Indicate(Ready{l.view.ID})
}

// forget ends the taking of a state.
func (l *Layer) forget(o *protocol.Out) {
	l.offers, l.taking, l.held, l.size, l.told, l.ahead, l.waiting = nil, taking{}, nil, 0, 0, 0, 0
	o.Cancel(protocol.Timer{Kind: silenceTimer})
}

// exclude ends this node's membership. What was held back is not applied here.
func (l *Layer) exclude(o *protocol.Out) {
	l.releaseAll("excluded", o)
	l.dropHeld("this node is no member of the group any more", o)
	l.forget(o)
	l.view, l.ready, l.gaveUp = group.View{}, false, false
}

// Receive handles the layer's own messages.
func (l *Layer) Receive(from protocol.ID, m protocol.Message, o *protocol.Out) {
	switch m := m.(type) {
	case Offer:
		l.offered(from, m, o)
	case Want:
		l.wanted(from, m, o)
	case Chunk:
		l.chunk(from, m, o)
	case Have:
		l.release(func(h *handle) bool { return h.view <= m.View }, from, o)
	case None:
		l.none(from, m, o)
	default:
		panic(fmt.Sprintf("transfer: node %d: unknown message %T", l.self, m))
	}
}

// Expire handles a timer.
func (l *Layer) Expire(t protocol.Timer, o *protocol.Out) {
	switch t.Kind {
	case silenceTimer:
		l.silent(o)
	case keepTimer:
		l.keepOver(t.Arg, o)
	case rejoinTimer:
		l.rejoins = false
		o.Request(group.Join{})
	case lateTimer:
		o.Indicate(Capture{uint64(t.Arg)})
	}
}

// Answer answers a [Query].
func (l *Layer) Answer(question any) (any, bool) {
	if _, ok := question.(Query); !ok {
		return nil, false
	}
	t := &l.taking
	s := Status{Ready: l.ready, From: t.from, View: t.view, Size: t.size, Got: uint64(len(t.data)), Held: l.size, Why: l.why}
	for i := range l.handles {
		s.Keeping++
		s.Kept += len(l.handles[i].state)
	}
	return s, true
}

// String says for people whether the node has the state, and what it keeps for others.
func (l *Layer) String() string {
	text := "ready"
	t := &l.taking
	switch {
	case l.view.ID == 0:
		text = "no member"
	case !l.ready && t.from == protocol.None:
		text = "waits for a state"
	case !l.ready:
		text = fmt.Sprintf("takes the state of view %d from %d, %d of %d bytes", t.view, t.from, len(t.data), t.size)
	}
	if l.size > 0 {
		text += fmt.Sprintf(", holds %d bytes", l.size)
	}
	for i := range l.handles {
		h := &l.handles[i]
		text += fmt.Sprintf(", keeps that of view %d for %v", h.view, h.nodes())
	}
	return text
}
