package transfer

import (
	"fmt"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/link"
)

// A handle is a state that this node keeps for others.
type handle struct {
	view   uint64
	serial uint32 // of its timer
	takers []group.Member
	is     bool // the application has handed it over
	state  []byte
	chunk  uint32
	sums   []uint32
	asked  bool // somebody did, since the timer was set
	again  bool // of the mistake LiveState: it was asked for once more
}

// givers is how many members keep the state for those that lack it: if one is lost, the next goes on.
const givers = 2

// give begins a view at a member that has the state: it is captured if there is somebody to be given it, and this node is
// one of those that do. Whoever is served already goes on with what it is served.
func (l *Layer) give(e group.Installed, o *protocol.Out) {
	l.release(func(*handle) bool { return true }, protocol.None, o)
	place := slices.Index(e.View.Ready, l.self)
	if place < 0 || place >= givers {
		return
	}
	h := handle{view: e.View.ID, chunk: uint32(l.opts.Chunk)}
	for _, m := range e.View.Members {
		if !slices.Contains(e.View.Ready, m.Node) && !l.serves(m) {
			h.takers = append(h.takers, m)
		}
	}
	if len(h.takers) == 0 {
		return
	}
	l.serial++
	h.serial = l.serial
	l.handles = append(l.handles, h)
	o.Set(protocol.Timer{Kind: keepTimer, Arg: h.serial}, l.opts.Keep)
	if l.opts.Mistake == AsksLate {
		o.Set(protocol.Timer{Kind: lateTimer, Arg: uint32(h.view)}, lateness)
		return
	}
	o.Indicate(Capture{h.view})
}

// serves says whether a state is kept for a member.
func (l *Layer) serves(m group.Member) bool {
	return slices.ContainsFunc(l.handles, func(h handle) bool { return slices.Contains(h.takers, m) })
}

// find is the handle of a view; nil if there is none.
func (l *Layer) find(view uint64) *handle {
	for i := range l.handles {
		if l.handles[i].view == view {
			return &l.handles[i]
		}
	}
	return nil
}

// captured takes the state from the application, and offers it. It says why not; "" if it does.
func (l *Layer) captured(r Captured, o *protocol.Out) (why string) {
	h := l.find(r.View)
	if h == nil || h.is && !h.again {
		return fmt.Sprintf("nobody waits for the state of view %d", r.View)
	}
	if len(r.State) > l.opts.Largest {
		why = fmt.Sprintf("the state has %d bytes; expected at most %d", len(r.State), l.opts.Largest)
		l.refuse(h, why, o)
		return why
	}
	h.cut(r.State)
	offer := h.offer()
	o.Note(Keeping{h.view, offer.Size, Root(offer.Root), h.nodes()})
	for _, m := range h.takers {
		o.Send(m.Node, offer)
	}
	return ""
}

func (h *handle) offer() Offer {
	size := uint64(len(h.state))
	return Offer{h.view, size, h.chunk, rootOf(size, h.sums)}
}

// offerAgain offers to the present life of a node what was lost with the one before.
func (l *Layer) offerAgain(e link.Over, o *protocol.Out) {
	for i := range l.handles {
		h := &l.handles[i]
		again := func(m group.Member) bool { return m.Node == e.Node && m.Incarnation > e.Incarnation }
		if h.is && slices.ContainsFunc(h.takers, again) {
			o.Send(e.Node, h.offer())
		}
	}
}

// refuse tells those who wait that this state cannot be had.
func (l *Layer) refuse(h *handle, why string, o *protocol.Out) {
	for _, m := range h.takers {
		o.Send(m.Node, None{h.view, why})
	}
	l.drop(h, why, o)
}

// cut divides the state into chunks.
func (h *handle) cut(state []byte) {
	h.is, h.state, h.sums = true, state, nil
	for i := range chunksOf(uint64(len(state)), h.chunk) {
		h.sums = append(h.sums, sumOf(h.piece(i)))
	}
}

// piece is the i-th chunk.
func (h *handle) piece(i uint32) []byte {
	from := int(i) * int(h.chunk)
	to := min(from+int(h.chunk), len(h.state))
	return h.state[from:to:to]
}

func (h *handle) nodes() (ids []protocol.ID) {
	for _, m := range h.takers {
		ids = append(ids, m.Node)
	}
	return ids
}

// wanted sends chunks.
func (l *Layer) wanted(from protocol.ID, m Want, o *protocol.Out) {
	h := l.find(m.View)
	if h == nil || !h.is || !slices.Contains(h.nodes(), from) {
		o.Send(from, None{m.View, "it is not kept"})
		return
	}
	if m.Count > mostWindow || m.First > uint32(len(h.sums)) {
		o.Note(Dropped{from, "bounds"})
		return
	}
	h.asked = true
	if l.opts.Mistake == LiveState && !h.again {
		h.again = true
		o.Indicate(Capture{h.view})
		return
	}
	for i := m.First; i < min(m.First+m.Count, uint32(len(h.sums))); i++ {
		o.Send(from, Chunk{h.view, i, h.sums[i], h.piece(i)})
	}
}

// keepOver releases a state for which nobody has asked for a while.
func (l *Layer) keepOver(serial uint32, o *protocol.Out) {
	for i := range l.handles {
		h := &l.handles[i]
		if h.serial != serial {
			continue
		}
		if h.asked {
			h.asked = false
			o.Set(protocol.Timer{Kind: keepTimer, Arg: serial}, l.opts.Keep)
		} else {
			l.drop(h, "nobody asked for it", o)
		}
		return
	}
}

// release takes a node off some handles, and all that are no members any more or have the state. What nobody takes is
// dropped.
func (l *Layer) release(which func(*handle) bool, node protocol.ID, o *protocol.Out) {
	for i := len(l.handles) - 1; i >= 0; i-- {
		h := &l.handles[i]
		if !which(h) {
			continue
		}
		h.takers = slices.DeleteFunc(slices.Clone(h.takers), func(m group.Member) bool {
			return m.Node == node || !slices.Contains(l.view.Members, m) || slices.Contains(l.view.Ready, m.Node)
		})
		if len(h.takers) == 0 {
			l.drop(h, "nobody needs it", o)
		}
	}
}

func (l *Layer) releaseAll(why string, o *protocol.Out) {
	for len(l.handles) > 0 {
		l.drop(&l.handles[len(l.handles)-1], why, o)
	}
}

// drop forgets a handle.
func (l *Layer) drop(h *handle, why string, o *protocol.Out) {
	o.Note(Released{h.view, why})
	o.Cancel(protocol.Timer{Kind: keepTimer, Arg: h.serial})
	serial := h.serial
	l.handles = slices.DeleteFunc(l.handles, func(h handle) bool { return h.serial == serial })
}
