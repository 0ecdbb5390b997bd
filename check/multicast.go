package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/trace"
)

// What the lanes promise.
func inFIFO(l multicast.Lane) bool   { return l.Order >= multicast.FIFO }
func inCausal(l multicast.Lane) bool { return l.Order >= multicast.Causal }
func inTotal(l multicast.Lane) bool  { return l.Order >= multicast.Total }
func isUniform(l multicast.Lane) bool {
	return l.Uniform
}

// castOnce is RM-I: messages are numbered from 1 without gaps, delivered once at each node, and not before they were cast.
// The clocks of real machines do not order that: there the stamps of the runtime do.
type castOnce struct {
	base
	hauls
	cast map[flow]uint64 // up to which number
	owed map[flow][]owed // delivered, and their casting is not recorded
}

// owed are messages whose casting should have been recorded before, if the sender lived to record it.
type owed struct {
	upto  uint64
	event *trace.Event `layer:"const"`
}

func (p *castOnce) Kinds() Kinds { return groupKinds }

func (p *castOnce) Step(e *trace.Event) {
	alive := p.follow(e, p.setup.exact(), p.over)
	p.refresh(e)
	if ends(e) {
		maps.DeleteFunc(p.owed, func(f flow, _ []owed) bool { return f.sender == e.Node })
	}
	switch d := e.Data.(type) {
	case multicast.Began:
		p.begin(e, d)
	case multicast.Delivered:
		if alive && p.has(e.Node, d.View) {
			p.judge(e, d)
		}
	case group.Installed:
		oldest := p.oldest()
		maps.DeleteFunc(p.cast, func(f flow, _ uint64) bool { return f.view < oldest })
	}
}

func (p *castOnce) over(id protocol.ID, view uint64) { p.take(id, view) }

func (p *castOnce) begin(e *trace.Event, d multicast.Began) {
	if p.cast == nil {
		p.cast = map[flow]uint64{}
	}
	f := flow{d.View, e.Node, d.Lane}
	r, ok := batchOf(d.First, d.Count)
	if last := p.cast[f]; !ok || r.first != last+1 {
		p.violate(fmt.Sprintf("node %d casts message %d %s after message %d", e.Node, d.First, f, last), e)
	}
	p.cast[f] = r.last
	p.settle(e, f, r.last)
}

// settle judges deliveries whose casting is recorded at last.
func (p *castOnce) settle(e *trace.Event, f flow, upto uint64) {
	if len(p.owed[f]) == 0 {
		return
	}
	p.owed[f] = slices.DeleteFunc(p.owed[f], func(o owed) bool {
		if o.upto <= upto && o.event.Lamport <= e.Lamport {
			p.violate(fmt.Sprintf("node %d delivers message %d %s before it is cast", o.event.Node, o.upto, f), o.event, e)
		}
		return o.upto <= upto
	})
	if len(p.owed[f]) == 0 {
		delete(p.owed, f)
	}
}

func (p *castOnce) judge(e *trace.Event, d multicast.Delivered) {
	p.examined++
	f := flowOf(d)
	r, ok := batchOf(d.First, d.Count)
	if !p.deliver(e, d) {
		p.violate(fmt.Sprintf("node %d delivers messages %d to %d %s, and not all of them for the first time", e.Node, r.first, r.last, f), e)
	}
	if !ok || r.last <= p.cast[f] {
		return
	}
	if p.setup.exact() {
		p.violate(fmt.Sprintf("node %d delivers message %d %s, which was not cast", e.Node, r.last, f), e)
		return
	}
	if p.of(d.Sender).state != down { // else it was killed before it could record that
		if p.owed == nil {
			p.owed = map[flow][]owed{}
		}
		p.owed[f] = append(p.owed[f], owed{r.last, keep(e)})
	}
}

func (p *castOnce) Result(int64) Result {
	for _, f := range slices.SortedFunc(maps.Keys(p.owed), compareFlows) {
		if o := p.owed[f][0]; !p.failed {
			return p.violated(newFinding(fmt.Sprintf("node %d delivers message %d %s, which was not cast", o.event.Node, o.upto, f), []*trace.Event{o.event}))
		}
	}
	return p.result(noneDelivered)
}

const noneDelivered = "no message was delivered to the group in an order that the property is about"

// inOrder is ORD-F: of each sender a node delivers the messages of a lane in the order in which they were cast, from the
// first on.
type inOrder struct {
	base
	membership
	next []map[flow]uint64 // by node: what it delivered last
}

func (p *inOrder) Kinds() Kinds { return groupKinds }

func (p *inOrder) Step(e *trace.Event) {
	alive := p.follow(e, true, nothing)
	p.next = reach(p.next, e.Node)
	switch d := e.Data.(type) {
	case group.Installed:
		maps.DeleteFunc(p.next[e.Node], func(f flow, _ uint64) bool { return !p.has(e.Node, f.view) })
	case trace.Life:
		p.next[e.Node] = nil
	case multicast.Delivered:
		if alive && p.has(e.Node, d.View) && p.setup.judges(d.Lane, inFIFO) {
			p.judge(e, d)
		}
	}
}

func (p *inOrder) judge(e *trace.Event, d multicast.Delivered) {
	r, ok := batchOf(d.First, d.Count)
	if !ok {
		return
	}
	p.examined++
	if p.next[e.Node] == nil {
		p.next[e.Node] = map[flow]uint64{}
	}
	f := flowOf(d)
	if last := p.next[e.Node][f]; r.first != last+1 {
		p.violate(fmt.Sprintf("node %d delivers message %d %s after message %d", e.Node, d.First, f, last), e)
	}
	p.next[e.Node][f] = r.last
}

func (p *inOrder) Result(int64) Result { return p.result(noneDelivered) }

// causeFirst is ORD-C: no message is delivered before one of its lane that its sender had delivered when it cast it.
type causeFirst struct {
	base
	hauls
	cast map[flow][]dependent
}

// dependent messages are those of a batch, and what their sender had delivered of each member, by rank.
type dependent struct {
	run
	after []uint64
	event *trace.Event `layer:"const"`
	view  *trace.Event `layer:"const"` // that was in force
}

func (p *causeFirst) Kinds() Kinds { return groupKinds }

func (p *causeFirst) Step(e *trace.Event) {
	alive := p.follow(e, p.setup.exact(), p.over)
	p.refresh(e)
	switch d := e.Data.(type) {
	case group.Installed:
		oldest := p.oldest()
		maps.DeleteFunc(p.cast, func(f flow, _ []dependent) bool { return f.view < oldest })
	case multicast.Began:
		if alive && d.View == p.members[e.Node].view && p.setup.judges(d.Lane, inCausal) {
			p.begin(e, d)
		}
	case multicast.Delivered:
		if alive && p.has(e.Node, d.View) && p.setup.judges(d.Lane, inCausal) {
			p.judge(e, d)
			p.deliver(e, d)
		}
	}
}

func (p *causeFirst) over(id protocol.ID, view uint64) { p.take(id, view) }

func (p *causeFirst) begin(e *trace.Event, d multicast.Began) {
	r, ok := batchOf(d.First, d.Count)
	if !ok {
		return
	}
	if p.cast == nil {
		p.cast = map[flow][]dependent{}
	}
	f := flow{d.View, e.Node, d.Lane}
	p.cast[f] = append(p.cast[f], dependent{r, p.delivered(e.Node, d.Lane), keep(e), p.members[e.Node].event})
}

// delivered is how many messages in a row a node has delivered of each member of its view, by rank.
func (h *hauls) delivered(id protocol.ID, lane multicast.Lane) []uint64 {
	v := h.installed(id)
	upto := make([]uint64, len(v.Members))
	for i, m := range v.Members {
		n := h.haulOf(id)[flow{v.ID, m.Node, lane}]
		upto[i] = n.prefix()
	}
	return upto
}

// judge judges the batches that a delivery is of.
func (p *causeFirst) judge(e *trace.Event, d multicast.Delivered) {
	r, ok := batchOf(d.First, d.Count)
	if !ok {
		return
	}
	f := flowOf(d)
	batches := p.cast[f]
	i, _ := slices.BinarySearchFunc(batches, r.first, func(b dependent, n uint64) int { return cmp.Compare(b.last, n) })
	for ; i < len(batches) && batches[i].first <= r.last; i++ {
		p.examined++
		p.judgeBatch(e, f, batches[i])
	}
}

func (p *causeFirst) judgeBatch(e *trace.Event, f flow, b dependent) {
	for rank, m := range b.view.Data.(group.Installed).View.Members {
		if m.Node == f.sender || b.after[rank] == 0 {
			continue
		}
		n := p.haulOf(e.Node)[flow{f.view, m.Node, f.lane}]
		if got := n.prefix(); got < b.after[rank] {
			p.violate(fmt.Sprintf("node %d delivers message %d %s before message %d of node %d, which node %d had delivered when it cast it",
				e.Node, b.first, f, got+1, m.Node, f.sender), b.event, e)
		}
	}
}

func (p *causeFirst) Result(int64) Result { return p.result(noneDelivered) }
