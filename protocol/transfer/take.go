package transfer

import (
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
)

// An offer is one with its sender.
type offer struct {
	from protocol.ID // None: there is none
	view uint64
	size uint64
	part uint32 // bytes of a chunk
	root uint64
}

// A taking is a state that is fetched.
type taking struct {
	offer
	data  []byte
	sums  []uint32 // of the chunks that are here
	asked uint32   // the chunk up to which chunks were asked for
}

// join begins a membership without the state.
func (l *Layer) join(e group.Installed, o *protocol.Out) {
	l.since = e.View.ID
	l.offers = slices.DeleteFunc(l.offers, func(f offer) bool { return f.view < l.since })
	if l.opts.Mistake == ReadyAtOnce {
		o.Tell(e)
		l.becomeReady(o)
		return
	}
	l.holdView(e, o)
	o.Set(protocol.Timer{Kind: silenceTimer}, l.opts.Silence)
	l.goOnWithNext(o)
}

// goOn begins a view at a joiner that does not have the state yet.
func (l *Layer) goOn(e group.Installed, o *protocol.Out) {
	if l.opts.Mistake == DropsHeld {
		l.held, l.told = nil, 0
	}
	l.holdView(e, o)
	gone := func(id protocol.ID) bool {
		return l.opts.Mistake != StaysWithDead && (e.View.Rank(id) < 0 || slices.Contains(e.Gone, id))
	}
	l.offers = slices.DeleteFunc(l.offers, func(f offer) bool { return gone(f.from) })
	if l.taking.from == protocol.None || gone(l.taking.from) {
		l.taking.from = protocol.None
		l.goOnWithNext(o)
	}
}

// offered takes note of an offer, the last of each member. One may come before the view in which it is made.
func (l *Layer) offered(from protocol.ID, m Offer, o *protocol.Out) {
	switch {
	case l.ready:
		o.Send(from, Have{m.View})
		return
	case m.Chunk < 1 || m.Chunk > mostChunk:
		o.Note(Dropped{from, "bounds"})
		return
	case m.Size > uint64(l.opts.Largest):
		l.why = "the state is larger than this node takes"
		o.Note(Dropped{from, "size"})
		return
	case l.view.ID != 0 && m.View < l.since:
		return
	}
	l.offers = slices.DeleteFunc(l.offers, func(f offer) bool { return f.from == from })
	l.offers = append(l.offers, offer{from, m.View, m.Size, m.Chunk, m.Root})
	if l.taking.from == from && l.taking.view != m.View || l.opts.Mistake == LiveState {
		l.taking.from = protocol.None // it does not keep the one before any more
	}
	if l.taking.from == protocol.None {
		l.goOnWithNext(o)
	}
}

// goOnWithNext begins to take the state from the next member that offers it: the one after the last one asked.
func (l *Layer) goOnWithNext(o *protocol.Out) {
	if l.view.ID == 0 || l.ready || l.gaveUp {
		return
	}
	last := l.taking.from
	i := slices.IndexFunc(l.offers, func(f offer) bool { return f.view <= l.view.ID && f.from != last })
	if i < 0 {
		i = slices.IndexFunc(l.offers, func(f offer) bool { return f.view <= l.view.ID })
	}
	if i < 0 {
		return
	}
	f := l.offers[i]
	l.offers = append(slices.Delete(l.offers, i, i+1), f) // its turn comes again after the others
	l.take(f, o)
}

// take begins with an offer, or goes on if it is of the same state.
func (l *Layer) take(f offer, o *protocol.Out) {
	t := &l.taking
	if same := t.size == f.size && t.part == f.part && t.root == f.root; !same && l.opts.Mistake != ResumesAnyhow || t.part == 0 {
		*t = taking{}
	}
	t.offer, l.waiting = f, 0
	o.Set(protocol.Timer{Kind: silenceTimer}, l.opts.Silence)
	next := uint32(len(t.sums))
	o.Indicate(Taking{f.from, f.view, f.size, next})
	if next >= t.chunks() {
		l.complete(o)
		return
	}
	t.asked = next + uint32(l.opts.Window)
	o.Send(f.from, Want{f.view, next, uint32(l.opts.Window)})
}

func (t *taking) chunks() uint32 { return chunksOf(t.size, t.part) }

// chunk takes the next piece of the state.
func (l *Layer) chunk(from protocol.ID, m Chunk, o *protocol.Out) {
	t := &l.taking
	if l.ready || from != t.from || m.View != t.view || m.Index != uint32(len(t.sums)) {
		return // it was asked for twice, or before
	}
	if length := min(uint64(t.part), t.size-uint64(len(t.data))); uint64(len(m.Bytes)) != length || sumOf(m.Bytes) != m.Sum {
		o.Note(Dropped{from, "sum"})
		return
	}
	if t.data == nil {
		t.data = make([]byte, 0, t.size)
	}
	t.data, t.sums = append(t.data, m.Bytes...), append(t.sums, m.Sum)
	l.advance(o)
	o.Set(protocol.Timer{Kind: silenceTimer}, l.opts.Silence)
	if uint32(len(t.sums)) >= t.chunks() {
		l.complete(o)
		return
	}
	if t.asked < t.chunks() {
		o.Send(from, Want{t.view, t.asked, 1})
		t.asked++
	}
}

// complete ends the taking if all is as it was offered.
func (l *Layer) complete(o *protocol.Out) {
	t := &l.taking
	if unchecked := l.opts.Mistake == ResumesAnyhow; rootOf(t.size, t.sums) != t.root && !unchecked {
		o.Note(Dropped{t.from, "root"})
		from := t.from
		l.taking = taking{}
		l.offers = slices.DeleteFunc(l.offers, func(f offer) bool { return f.from == from })
		l.goOnWithNext(o)
		return
	}
	l.load(o)
}

// load gives the state to the application, and then what was held back of the view at which it was taken and later ones.
func (l *Layer) load(o *protocol.Out) {
	t := l.taking
	later, before := l.later(t.view, o)
	o.Note(Loaded{t.view, t.from, t.size, Root(t.root), len(later)})
	o.Tell(Load{t.view, t.data})
	l.paid, l.open = l.paid+l.ahead, -l.ahead
	l.pass(before, o)
	l.pass(later, o)
	l.thank(o)
	l.becomeReady(o)
}

// thank tells all who may keep a state for this member that it has one: the members, since an offer that came too early may
// be forgotten; and who is ahead and has offered that of a view to come. It serves this membership as well, as a later one
// would be asked for only after the end of this.
func (l *Layer) thank(o *protocol.Out) {
	for _, m := range l.view.Members {
		if m.Node != l.self {
			o.Send(m.Node, Have{l.view.ID})
		}
	}
	for _, f := range l.offers {
		if f.view > l.view.ID {
			o.Send(f.from, Have{f.view})
		}
	}
}

// none says that a member does not have the state that it offered.
func (l *Layer) none(from protocol.ID, m None, o *protocol.Out) {
	if l.ready {
		return
	}
	l.why = m.Why
	l.offers = slices.DeleteFunc(l.offers, func(f offer) bool { return f.from == from && f.view == m.View })
	if l.taking.from == from && l.taking.view == m.View {
		l.taking.from = protocol.None
		l.goOnWithNext(o)
	}
}

// silent goes on with another member if the last one says nothing; without any for long it joins anew.
func (l *Layer) silent(o *protocol.Out) {
	t := &l.taking
	if l.ready || l.view.ID == 0 {
		return
	}
	if l.opts.Mistake != StaysWithDead {
		l.goOnWithNext(o)
	}
	if t.from != protocol.None {
		return
	}
	o.Set(protocol.Timer{Kind: silenceTimer}, l.opts.Silence)
	if l.waiting += l.opts.Silence; l.waiting >= l.opts.Keep {
		l.giveUp("no member offers a state", o)
	}
}
