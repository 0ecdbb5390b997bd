package world

import (
	"cmp"
	"slices"

	"ciranda.dev/protocol"
)

// A FlightRef names something in flight until it has landed.
type FlightRef uint32

// A Flight is a message on its way, or the news that a connection was closed.
type Flight struct {
	Body     protocol.Message
	Seq      uint64 // the message's number in its sender's life
	Lamport  uint64 // the sender's stamp
	From, To protocol.ID
	FromInc  protocol.Incarnation
	ToInc    protocol.Incarnation // the life it is meant for; 0 for any, if none has begun yet
	Channel  uint8
	Copy     uint8
	Heard    bool // it was broadcast: the others' copies have the same number
	Closed   bool // it is no message: From's connection to To was closed
	live     bool
	digest   uint64 // of the encoded body at its sending, where messages are checked
}

// flights are kept in places that are used again.
type flights struct {
	places   []Flight
	free     []FlightRef
	messages int
}

// place gives a place for a flight. It holds what was there before, and is to be filled.
func (fs *flights) place() (FlightRef, *Flight) {
	fs.messages++
	if n := len(fs.free); n > 0 {
		ref := fs.free[n-1]
		fs.free = fs.free[:n-1]
		return ref, &fs.places[ref]
	}
	fs.places = append(fs.places, Flight{})
	ref := FlightRef(len(fs.places) - 1)
	return ref, &fs.places[ref]
}

func (fs *flights) add(f Flight) FlightRef {
	ref, place := fs.place()
	*place = f
	place.live = true
	if f.Closed {
		fs.messages--
	}
	return ref
}

// remove frees the place. What is there stays until it is used again.
func (fs *flights) remove(ref FlightRef) {
	f := &fs.places[ref]
	if !f.Closed {
		fs.messages--
	}
	f.live = false
	fs.free = append(fs.free, ref)
}

// Flight is what is in flight under a name.
func (w *World) Flight(ref FlightRef) *Flight { return &w.flights.places[ref] }

// Flights are all messages and closings in flight, in the order of sender, addressee and sending.
func (w *World) Flights() []FlightRef {
	var refs []FlightRef
	for i := range w.flights.places {
		if w.flights.places[i].live {
			refs = append(refs, FlightRef(i))
		}
	}
	slices.SortFunc(refs, func(a, b FlightRef) int { return compareFlights(w.Flight(a), w.Flight(b)) })
	return refs
}

func compareFlights(f, g *Flight) int {
	return cmp.Or(cmp.Compare(f.From, g.From), cmp.Compare(f.To, g.To), cmp.Compare(f.FromInc, g.FromInc),
		cmp.Compare(f.Seq, g.Seq), cmp.Compare(f.Copy, g.Copy))
}

// name is what steps call a flight: the message's type, or closing.
func (f *Flight) name() string {
	if f.Closed {
		return closing
	}
	return protocol.Name(f.Body)
}

const closing = "closing"

// ordinal is the number of flights like ref that were sent before it and are still in flight.
func (w *World) ordinal(ref FlightRef) int {
	f, n := w.Flight(ref), 0
	for i := range w.flights.places {
		g := &w.flights.places[i]
		if g.live && g.From == f.From && g.To == f.To && compareFlights(g, f) < 0 && g.name() == f.name() {
			n++
		}
	}
	return n
}

// lookup finds the nth flight of a name between two nodes, from 0, in the order of sending.
func (w *World) lookup(from, to protocol.ID, name string, nth int) (FlightRef, bool) {
	var found []FlightRef
	for i := range w.flights.places {
		f := &w.flights.places[i]
		if f.live && f.From == from && f.To == to && f.name() == name {
			found = append(found, FlightRef(i))
		}
	}
	if nth < 0 || nth >= len(found) {
		return 0, false
	}
	slices.SortFunc(found, func(a, b FlightRef) int { return compareFlights(w.Flight(a), w.Flight(b)) })
	return found[nth], true
}
