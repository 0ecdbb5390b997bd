package group

import (
	"encoding/binary"
	"slices"

	"ciranda.dev/protocol"
)

// The keys of what is durable.
const (
	viewKey = "view" // the last view known
	voteKey = "vote" // what was promised and accepted for the change of that view
)

// store makes the last view durable, and this node's part in its change.
func (l *Layer) store(o *protocol.Out) {
	if l.votes {
		o.Persist(viewKey, appendView(nil, l.view))
		l.storeVote(o)
	}
}

func (l *Layer) storeVote(o *protocol.Out) {
	if !l.votes || l.opts.Mistake == Forgets {
		return
	}
	b := binary.AppendUvarint(nil, l.view.ID)
	b = appendBallot(b, l.promised)
	b = appendBallot(b, l.accepted.Ballot)
	b = appendView(b, l.accepted.Content.View)
	b = binary.AppendUvarint(b, uint64(len(l.accepted.Content.Upto)))
	for _, n := range l.accepted.Content.Upto {
		b = binary.AppendUvarint(b, n)
	}
	o.Persist(voteKey, b)
}

// load reads what was stored. It says whether there was anything.
func (l *Layer) load(stored protocol.Stored) bool {
	b, ok := stored(viewKey)
	if !ok {
		return false
	}
	if l.opts.Mistake == BeginsAgain {
		return true
	}
	r := reader{b: b}
	view := r.view()
	if r.bad {
		return false
	}
	l.view = view
	b, _ = stored(voteKey)
	r = reader{b: b}
	if r.number() != view.ID || r.bad { // of an earlier view
		return l.opts.Mistake == Forgets || !r.bad
	}
	promised, accepted := r.ballot(), vote{Ballot: r.ballot()}
	accepted.Content.View = r.view()
	for range r.count() {
		accepted.Content.Upto = append(accepted.Content.Upto, r.number())
	}
	if r.bad {
		return false
	}
	l.promised, l.accepted = promised, accepted
	return true
}

func appendBallot(b []byte, a Ballot) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(a.Counter)), uint64(a.Node))
}

func appendView(b []byte, v View) []byte {
	b = binary.AppendUvarint(b, v.ID)
	b = binary.AppendUvarint(b, uint64(len(v.Members)))
	for _, m := range v.Members {
		b = binary.AppendUvarint(b, uint64(m.Node))
		b = binary.AppendUvarint(b, uint64(m.Incarnation))
		ready := uint64(0)
		if slices.Contains(v.Ready, m.Node) {
			ready = 1
		}
		b = binary.AppendUvarint(b, uint64(m.Life)<<1|ready)
	}
	return b
}

// A reader reads numbers until there are none.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[size:]
	return n
}

// count is a number of things of at least a byte each that follow.
func (r *reader) count() int {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.bad = true
		return 0
	}
	return int(n)
}

func (r *reader) ballot() Ballot { return Ballot{uint32(r.number()), protocol.ID(r.number())} }

func (r *reader) view() View {
	v := View{ID: r.number()}
	for range r.count() {
		m := Member{Node: protocol.ID(r.number()), Incarnation: protocol.Incarnation(r.number())}
		life := r.number()
		m.Life = uint32(life >> 1)
		v.Members = append(v.Members, m)
		if life&1 != 0 {
			v.Ready = append(v.Ready, m.Node)
		}
	}
	return v
}
