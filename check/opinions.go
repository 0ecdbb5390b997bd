package check

import (
	"cmp"
	"maps"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/trace"
)

// An opinion is what a life of a node last told of another.
type opinion struct {
	of        protocol.Incarnation // the life that holds it
	about     protocol.Incarnation
	suspected bool
	why       detector.Why
	since     int64        // when it was told
	event     *trace.Event `layer:"const"`
}

// opinions are those of all nodes that ever told one.
type opinions struct {
	by map[pair]opinion
}

// last gives what a life of p last told of q.
func (o *opinions) last(p, q protocol.ID, inc protocol.Incarnation) (opinion, bool) {
	v, ok := o.by[pair{p, q}]
	return v, ok && v.of == inc
}

// read gives the opinion that an event tells, and of whom.
func readOpinion(e *trace.Event) (q protocol.ID, o opinion, ok bool) {
	if e.Kind != trace.Told {
		return protocol.None, opinion{}, false
	}
	switch d := e.Data.(type) {
	case detector.Suspect:
		return d.Node, opinion{e.Inc, d.Incarnation, true, d.Why, e.T, nil}, true
	case detector.Restore:
		return d.Node, opinion{e.Inc, d.Incarnation, false, "", e.T, nil}, true
	}
	return protocol.None, opinion{}, false
}

func (o *opinions) set(e *trace.Event, q protocol.ID, v opinion) {
	if o.by == nil {
		o.by = map[pair]opinion{}
	}
	v.event = keep(e)
	o.by[pair{e.Node, q}] = v
}

// ordered are the keys of a map by pairs, in order.
func ordered[T any](m map[pair]T) []pair {
	return slices.SortedFunc(maps.Keys(m), func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.p, b.p), cmp.Compare(a.q, b.q))
	})
}
