package trace

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"slices"

	"ciranda.dev/protocol"
)

// A Merger says what Merge had to put up with.
type Merger struct {
	Missing int      // receipts whose sending is in no file
	Forced  int      // receipts put before their sending, since the files contradict one another
	Notes   []string // in words, for people: what was cut, what is missing
}

// Merge makes one trace of several, each of one node or of one life of a node. Its events stand in an order in which
// they could have happened; where that leaves a choice, in that of their times. Times of one machine are put on one
// clock; those of different machines are left as they are, and are no more than a hint.
func Merge(parts []*Trace) (*Trace, *Merger, error) {
	if len(parts) == 0 {
		return nil, nil, errors.New("trace: found no trace to merge; expected at least one")
	}
	m := &merging{sends: map[MessageID]bool{}, blocked: map[MessageID][]*stream{}, report: &Merger{}}
	t := &Trace{Header: mergeHeaders(parts)}
	if err := m.split(parts, &t.Header); err != nil {
		return nil, nil, err
	}
	m.run(t)
	slices.Sort(t.Header.Members)
	t.Header.Members = slices.Compact(t.Header.Members)
	if m.report.Missing > 0 {
		m.report.say("%d messages were received whose sending is not recorded", m.report.Missing)
	}
	if m.report.Forced > 0 {
		m.report.say("%d messages were received before they were sent: the files contradict one another", m.report.Forced)
	}
	return t, m.report, nil
}

func (r *Merger) say(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// mergeHeaders takes the first header and adds what the others have more: layers, members. Times count from the
// earliest Zero.
func mergeHeaders(parts []*Trace) Header {
	h := parts[0].Header
	h.Node, h.Inc = 0, 0
	h.Layers, h.Timers, h.Members = slices.Clone(h.Layers), slices.Clone(h.Timers), slices.Clone(h.Members)
	for _, p := range parts {
		if p.Header.Boot == h.Boot && p.Header.Zero < h.Zero {
			h.Zero, h.Wall = p.Header.Zero, p.Header.Wall
		}
		h.Members = append(h.Members, p.Header.Members...)
		h.Level = min(h.Level, p.Header.Level)
		for i, name := range p.Header.Layers {
			if slices.Contains(h.Layers, name) {
				continue
			}
			h.Layers = append(h.Layers, name)
			for len(h.Timers) < len(h.Layers) {
				h.Timers = append(h.Timers, nil)
			}
			if i < len(p.Header.Timers) {
				h.Timers[len(h.Layers)-1] = p.Header.Timers[i]
			}
		}
	}
	return h
}

// merging is the work of a merge.
type merging struct {
	streams []*stream
	ready   streams                 // those whose first event may come next
	sends   map[MessageID]bool      // the sendings of all streams; true once they have come
	blocked map[MessageID][]*stream // those that wait for a sending
	report  *Merger
}

// A stream is what one node recorded, with what others recorded of it: that it was killed, say.
type stream struct {
	node    protocol.ID
	events  []Event
	outside []Event
}

// split sorts the events into a stream for each node. A node's lives follow one another in one stream.
func (m *merging) split(parts []*Trace, h *Header) error {
	byNode := map[protocol.ID]*stream{}
	parts = slices.Clone(parts)
	slices.SortStableFunc(parts, func(a, b *Trace) int {
		return cmp.Or(cmp.Compare(a.Header.Node, b.Header.Node), cmp.Compare(a.Header.Inc, b.Header.Inc))
	})
	for i, p := range parts {
		if p.Cut != "" {
			m.report.say("file %d, node %d: %s", i+1, p.Header.Node, p.Cut)
		}
		m.add(p, h, byNode)
	}
	for _, s := range byNode {
		m.streams = append(m.streams, s)
	}
	slices.SortFunc(m.streams, func(a, b *stream) int { return protocol.ByID(a.node, b.node) })
	for _, s := range m.streams {
		if err := errors.Join(once(s.events), once(s.outside)); err != nil {
			return err
		}
		s.settle()
	}
	return nil
}

// once says whether a node's events are there once: whether they count up in each life. A life that has the number of
// an earlier one is no such case, for its events are later.
func once(events []Event) error {
	lasts := map[protocol.Incarnation]*Event{}
	for i := range events {
		e := &events[i]
		if e.N == 0 {
			continue
		}
		if last := lasts[e.Inc]; last != nil && e.N <= last.N && e.T <= last.T {
			return fmt.Errorf("trace: event %d of node %d, life %d, comes after event %d; expected each file once, in the order of writing",
				e.N, e.Node, e.Inc, last.N)
		}
		lasts[e.Inc] = e
	}
	return nil
}

// add takes over the events of one part, with their layers and times as in h.
func (m *merging) add(p *Trace, h *Header, byNode map[protocol.ID]*stream) {
	shift := int64(0)
	if p.Header.Boot == h.Boot {
		shift = p.Header.Zero - h.Zero
	}
	for _, e := range p.Events {
		node, outside := p.Header.Node, false
		if node == 0 && e.OfNode() {
			node, outside = e.Node, true
		}
		s := byNode[node]
		if s == nil {
			s = &stream{node: node}
			byNode[node] = s
		}
		e.T += shift
		if i, ok := h.layerIndex(p.Header.LayerName(e.Layer)); ok {
			e.Layer = i
		}
		if e.Kind == Send {
			m.sends[e.Message()] = false
		}
		if outside {
			s.outside = append(s.outside, e)
		} else {
			s.events = append(s.events, e)
		}
	}
}

// settle puts what was recorded outside between the node's own events, by time; the end of a life after all of it.
func (s *stream) settle() {
	if len(s.outside) == 0 {
		return
	}
	all := make([]Event, 0, len(s.events)+len(s.outside))
	for _, x := range s.outside {
		n := 0
		for n < len(s.events) && !x.precedes(&s.events[n]) {
			n++
		}
		all = append(append(all, s.events[:n]...), x)
		s.events = s.events[n:]
	}
	s.events = append(all, s.events...)
}

// precedes says whether e, recorded outside, comes before f, which the node recorded.
func (e *Event) precedes(f *Event) bool {
	if e.Inc != f.Inc && e.Inc != 0 {
		return e.Inc < f.Inc
	}
	ends := e.Kind == Crash || e.Kind == Stop
	return e.T < f.T && !(ends && e.Inc != 0)
}

// run takes the earliest event that waits for no sending, again and again.
func (m *merging) run(t *Trace) {
	for _, s := range m.streams {
		m.place(s)
	}
	for {
		if len(m.ready) == 0 && !m.force() {
			return
		}
		s := heap.Pop(&m.ready).(*stream)
		e := s.events[0]
		s.events = s.events[1:]
		t.Events = append(t.Events, e)
		if e.Kind == Send {
			m.sent(e.Message())
		}
		m.place(s)
	}
}

// sent frees the streams that waited for a sending.
func (m *merging) sent(id MessageID) {
	m.sends[id] = true
	for _, s := range m.blocked[id] {
		heap.Push(&m.ready, s)
	}
	delete(m.blocked, id)
}

// place puts a stream where its first event belongs: among the ready ones or among those that wait.
func (m *merging) place(s *stream) {
	if len(s.events) == 0 {
		return
	}
	e := &s.events[0]
	if ofMessage(e.Kind) && e.Kind != Send { // what becomes of a message comes after its sending
		switch done, known := m.sends[e.Message()]; {
		case !known && e.Kind == Receive:
			m.report.Missing++
		case known && !done:
			m.blocked[e.Message()] = append(m.blocked[e.Message()], s)
			return
		}
	}
	heap.Push(&m.ready, s)
}

// force frees the earliest of the streams that wait for one another. It is false if none waits.
func (m *merging) force() bool {
	var first *stream
	var id MessageID
	for i, waiting := range m.blocked {
		for _, s := range waiting {
			if first == nil || s.less(first) {
				first, id = s, i
			}
		}
	}
	if first == nil {
		return false
	}
	m.report.Forced++
	waiting := slices.DeleteFunc(m.blocked[id], func(s *stream) bool { return s == first })
	if m.blocked[id] = waiting; len(waiting) == 0 {
		delete(m.blocked, id)
	}
	heap.Push(&m.ready, first)
	return true
}

func (s *stream) less(o *stream) bool {
	return cmp.Or(cmp.Compare(s.events[0].T, o.events[0].T), protocol.ByID(s.node, o.node)) < 0
}

// streams is a heap by the time of the first event.
type streams []*stream

func (q streams) Len() int           { return len(q) }
func (q streams) Less(i, j int) bool { return q[i].less(q[j]) }
func (q streams) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push is for package heap.
func (q *streams) Push(s any) { *q = append(*q, s.(*stream)) }

// Pop is for package heap.
func (q *streams) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
