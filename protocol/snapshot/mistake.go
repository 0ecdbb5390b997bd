package snapshot

import (
	"slices"
	"time"

	"ciranda.dev/protocol"
)

// A Mistake is a deliberate error for the tests of the checks.
type Mistake uint8

// The mistakes.
const (
	NoMistake Mistake = iota

	MarksLate      // a marker leaves after the next packet of the application, not before it
	StateLate      // sends the markers at once and takes the state later
	StopsEarly     // records the first packet of each channel only
	FirstOpen      // goes on to record the channel of the first marker
	MixesUp        // a marker closes its channel for all snapshots
	Overtakes      // sends markers beside the links, so that they are not in order with what the application sends
	SkipsOne       // sends no marker to the last node
	Presumes       // takes a channel that was given up as closed
	Restarts       // takes a late marker as that of a new snapshot
	ClaimsComplete // calls every snapshot complete

	lastMistake = ClaimsComplete
)

// lateness is by how much some mistakes are late.
const lateness = 30 * time.Millisecond

// owed is a marker that MarksLate has not sent.
type owed struct {
	to protocol.ID
	id ID
}

func (l *Layer) oweMarkers(id ID, o *protocol.Out) {
	for _, n := range l.others {
		l.owed = append(l.owed, owed{n.id, id})
		o.Set(protocol.Timer{Kind: lateTimer, Arg: uint32(n.id)}, lateness)
	}
}

// markAfter sends a packet, and then the markers that should have been before it.
func (l *Layer) markAfter(to protocol.ID, p protocol.Packet, o *protocol.Out) {
	o.Forward(to, p)
	l.pay(to, o)
}

func (l *Layer) pay(to protocol.ID, o *protocol.Out) {
	l.owed = slices.DeleteFunc(l.owed, func(m owed) bool {
		if m.to == to {
			o.Send(to, Marker{m.id})
		}
		return m.to == to
	})
}

// late does what a mistake put off.
func (l *Layer) late(arg uint32, o *protocol.Out) {
	if l.opts.Mistake == MarksLate {
		l.pay(protocol.ID(arg), o)
		return
	}
	if i := l.bySerial(arg); i >= 0 {
		l.cut(&l.parts[i], o)
	}
}
