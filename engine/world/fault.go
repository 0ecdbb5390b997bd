package world

import (
	"slices"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// IsCut says whether nothing gets through from a node to another.
func (w *World) IsCut(from, to protocol.ID) bool { return len(w.cuts) > 0 && w.cuts[pair{from, to}] }

// Cut lets nothing get through in one direction. What is in flight there is lost when it should arrive.
func (w *World) Cut(from, to protocol.ID) {
	w.note(Step{Do: Cut, Node: from, Peer: to})
	w.cuts[pair{from, to}] = true
	w.fault("cut "+from.String()+" -> "+to.String(), from, to)
}

// Mend undoes Cut.
func (w *World) Mend(from, to protocol.ID) {
	w.note(Step{Do: Mend, Node: from, Peer: to})
	delete(w.cuts, pair{from, to})
	w.fault("mend "+from.String()+" -> "+to.String(), from, to)
}

// AnyCut says whether anything is cut.
func (w *World) AnyCut() bool { return len(w.cuts) > 0 }

// Cuts are the directed pairs that are cut, in order.
func (w *World) Cuts() [][2]protocol.ID {
	cuts := make([][2]protocol.ID, 0, len(w.cuts))
	for p := range w.cuts {
		cuts = append(cuts, [2]protocol.ID{p.from, p.to})
	}
	slices.SortFunc(cuts, func(a, b [2]protocol.ID) int { return slices.Compare(a[:], b[:]) })
	return cuts
}

// JumpClock sets a node's wall clock forward or back.
func (w *World) JumpClock(id protocol.ID, by time.Duration) {
	w.note(Step{Do: Jump, Node: id, Value: int64(by)})
	w.node(id).wall += by
	w.fault("clock of "+id.String()+" jumps "+by.String(), id, protocol.None)
}

// SetRate lets a node's clocks run faster or slower than time: by so many millionths of it. Timers that are armed
// keep their moment.
func (w *World) SetRate(id protocol.ID, ppm int64) {
	w.note(Step{Do: Rate, Node: id, Value: ppm})
	n := w.node(id)
	n.local, n.since = n.monotonic(w.now), w.now
	n.rate = 1 + float64(ppm)/1e6
	w.fault("clock of "+id.String()+" runs at "+(time.Duration(1e9+ppm*1000)).String()+" a second", id, protocol.None)
}

// Fault records in words a fault that the policy itself brings about, such as a slow link.
func (w *World) Fault(text string, node, peer protocol.ID) {
	w.note(Step{Do: Say, Node: node, Peer: peer, What: text})
	w.fault(text, node, peer)
}

func (w *World) fault(text string, node, peer protocol.ID) {
	w.outside(trace.Event{Kind: trace.Fault, Node: node, Peer: peer, Data: trace.FaultNote{Text: text}})
}

// Calm records that no fault is injected from here on.
func (w *World) Calm() {
	w.note(Step{Do: Calm})
	w.outside(trace.Event{Kind: trace.Calm})
}

// End records that the run is over.
func (w *World) End() {
	w.note(Step{Do: End})
	w.outside(trace.Event{Kind: trace.End, Data: trace.Ending{InFlight: w.flights.messages}})
}

// outside records an event that is no node's.
func (w *World) outside(e trace.Event) {
	if w.records[e.Kind] {
		e.T = int64(w.now)
		w.cfg.Sink.Record(&e)
	}
}

// Rated says whether a node's clocks run too fast or too slow.
func (w *World) Rated(id protocol.ID) bool { return w.node(id).rate != 1 }

// DiskSlow says whether a node's writes wait for Sync.
func (w *World) DiskSlow(id protocol.ID) bool { return w.node(id).disk.slow }
