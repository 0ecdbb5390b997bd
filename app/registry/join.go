package registry

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
)

// install begins a view. Those who have the table bury what ended with members that are gone; if members joined, the eldest hands it to
// them. Of two members the elder has the table if the younger has: so if the eldest does not, nobody does.
func (l *Registry) install(e group.Installed, o *protocol.Out) {
	if e.First {
		l.loaded, l.waiting = false, nil
	}
	l.view = e.View
	rank := e.View.Rank(o.Self().ID)
	l.self = e.View.Members[rank]
	l.whole, l.coming, l.going, l.sent, l.old = false, nil, nil, 0, len(l.waiting)
	o.Cancel(protocol.Timer{Kind: pieceTimer})
	if !l.loaded && (rank == 0 || l.opts.Mistake == BeginsEmpty) {
		l.beginAnew(o)
	}
	if !l.loaded {
		return
	}
	if l.opts.Mistake != DeadStay {
		l.tell(l.table.bury(e.View), "left", o)
	}
	switch {
	case !slices.ContainsFunc(e.View.Members, func(m group.Member) bool { return !slices.Contains(l.have, m) }), l.opts.Mistake == BeginsEmpty:
		l.complete(o)
	case rank == 0:
		l.handOver(o)
	}
}

// beginAnew begins with an empty table, since nobody has one.
func (l *Registry) beginAnew(o *protocol.Out) {
	l.loaded, l.have = true, []group.Member{l.self}
	l.table = table{since: l.view.ID, entries: map[string]Entry{}}
	l.another(o)
}

// another tells that the table is another one.
func (l *Registry) another(o *protocol.Out) {
	o.Note(l.stands(true))
	o.Tell(Reset{l.table.since, l.table.revision, l.table.list("")})
}

// handOver begins to cast the table, and the commands that wait.
func (l *Registry) handOver(o *protocol.Out) {
	waiting := l.waiting
	if l.opts.Mistake == ForgetsHeld {
		waiting = nil
	}
	l.going = encodeState(&l.table, waiting)
	l.send(o)
}

// send casts the next piece of the table. The one after it follows when it is delivered here.
func (l *Registry) send(o *protocol.Out) {
	if len(l.going) == 0 {
		return
	}
	l.sent = min(l.opts.Piece, len(l.going))
	p := piece{l.view.ID, l.sent == len(l.going), l.going[:l.sent]}
	o.Request(multicast.Within{Payloads: [][]byte{p.encode()}})
}

// again is after how long a piece is cast again that was not taken, since too much waits.
const again = 20 * time.Millisecond

// untaken handles what is not cast.
func (l *Registry) untaken(e multicast.Untaken, o *protocol.Out) {
	if e.Tag == 0 {
		o.Set(protocol.Timer{Kind: pieceTimer}, again)
		return
	}
	if call, waited := l.finish(e.Tag, o); waited {
		l.refuse(call, e.Why, o)
	}
}

// piece takes a piece of the table of the view's beginning. What a former eldest cast late is of no use.
func (l *Registry) piece(from protocol.ID, b []byte, o *protocol.Out) {
	p, err := decodePiece(b)
	switch {
	case err != nil:
		o.Note(Spoilt{err.Error()})
		return
	case p.view != l.view.ID || from != l.view.Coordinator() || l.whole:
		return
	}
	switch {
	case from == l.self.Node:
		l.going, l.sent = l.going[l.sent:], 0
		l.send(o)
	case !l.loaded:
		l.coming = append(l.coming, p.bytes...)
	}
	if p.last {
		l.load(o)
		l.complete(o)
	}
}

// load takes the table that has come, at a member that has none. The commands that came before it are in it, as far as they are of views before.
func (l *Registry) load(o *protocol.Out) {
	if l.loaded {
		return
	}
	t, waiting, err := decodeState(l.coming, &l.opts)
	if err != nil {
		o.Note(Spoilt{err.Error()})
		t = table{since: l.view.ID, entries: map[string]Entry{}}
	}
	l.loaded, l.table, l.coming = true, t, nil
	all := append(waiting, l.waiting[l.old:]...)
	l.waiting = nil
	for i, h := range all {
		if i >= mostHeld {
			l.drop(h, o)
			continue
		}
		l.waiting = append(l.waiting, h)
	}
	l.another(o)
}

// complete goes on, now that all members of the view have the table.
func (l *Registry) complete(o *protocol.Out) {
	l.whole, l.have, l.going = true, l.view.Members, nil
	waiting := l.waiting
	l.waiting = nil
	for _, h := range waiting {
		l.do(h, o)
	}
}

// exclude ends this node's membership.
func (l *Registry) exclude(e group.Excluded, o *protocol.Out) {
	for _, ticket := range slices.Sorted(maps.Keys(l.calls)) {
		a := l.calls[ticket]
		l.finish(ticket, o)
		l.unknown(a, "this node is no member of the group any more ("+string(cmp.Or(e.Why, group.Passed))+")", o)
	}
	o.Cancel(protocol.Timer{Kind: pieceTimer})
	had := l.loaded
	*l = Registry{opts: l.opts, tickets: l.tickets, calls: l.calls}
	if had {
		l.another(o)
	}
}
