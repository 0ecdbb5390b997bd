package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/link"
	"ciranda.dev/trace"
)

func init() {
	decode[link.Failed]()
	decode[link.Ejected]()
	decode[link.Opened]()
	decode[link.Sent]()
	decode[link.Delivered]()
}

// A parcel is a packet that a link was given and that did not arrive yet.
type parcel struct {
	t    int64
	n    uint64
	mark uint32
	life protocol.Incarnation // that it was sent to; 0 if none was known

	channel uint8
	nth     uint64 // of its way and channel, from 1
}

// A way leads from one life of a node to another node.
type way struct {
	from protocol.ID
	inc  protocol.Incarnation
	to   protocol.ID
}

func compareWays(a, b way) int {
	return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.inc, b.inc), cmp.Compare(a.to, b.to))
}

// event is the note of a parcel.
func (w way) event(p *parcel) *trace.Event {
	return &trace.Event{Kind: trace.Noted, T: p.t, N: p.n, Node: w.from, Inc: w.inc,
		Data: link.Sent{To: w.to, Incarnation: p.life, Mark: p.mark, Channel: p.channel}}
}

// A load is what goes one way to one life of the addressee, in the order of sending.
type load struct {
	parcels []parcel
	ejected bool
}

// A carriage is all that goes one way.
type carriage struct {
	loads map[protocol.Incarnation]*load
	open  []parcel // for the life that will be heard of next
	count map[uint8]uint64
}

func (c *carriage) load(inc protocol.Incarnation) *load {
	if c.loads[inc] == nil {
		c.loads[inc] = &load{}
	}
	return c.loads[inc]
}

// traffic is what links carry, as their notes tell.
type traffic struct {
	lives
	ways map[way]*carriage
}

var linkKinds = calmKinds | KindsOf(trace.Noted)

func (f *traffic) on(w way) *carriage {
	if f.ways[w] == nil {
		if f.ways == nil {
			f.ways = map[way]*carriage{}
		}
		f.ways[w] = &carriage{loads: map[protocol.Incarnation]*load{}, count: map[uint8]uint64{}}
	}
	return f.ways[w]
}

// step follows all but deliveries.
func (f *traffic) step(e *trace.Event) {
	f.lives.step(e)
	if begins(e) {
		f.forget(e.Node, e.Inc)
	}
	switch d := e.Data.(type) {
	case link.Sent:
		c := f.on(way{e.Node, e.Inc, d.To})
		c.count[d.Channel]++
		p := parcel{e.T, e.N, d.Mark, d.Incarnation, d.Channel, c.count[d.Channel]}
		if d.Incarnation == 0 {
			c.open = append(c.open, p)
		} else {
			l := c.load(d.Incarnation)
			l.parcels = append(l.parcels, p)
		}
	case link.Opened:
		c := f.on(way{e.Node, e.Inc, d.Node})
		l := c.load(d.Incarnation)
		l.parcels, c.open = append(l.parcels, c.open...), nil
	case link.Ejected:
		c := f.on(way{e.Node, e.Inc, d.Node})
		c.open = nil
		c.load(d.Incarnation).ejected = true
	}
}

// forget drops what was on its way to former lives of a node.
func (f *traffic) forget(to protocol.ID, inc protocol.Incarnation) {
	for w, c := range f.ways {
		if w.to == to {
			maps.DeleteFunc(c.loads, func(life protocol.Incarnation, _ *load) bool { return life < inc })
		}
	}
}

// route is the way and the load of a delivery.
func (f *traffic) route(e *trace.Event, d link.Delivered) (way, *load) {
	w := way{d.From, d.Incarnation, e.Node}
	return w, f.on(w).load(e.Inc)
}

// linkOrder is LINK-1.
type linkOrder struct {
	base
	traffic
}

func (p *linkOrder) Kinds() Kinds { return linkKinds }

func (p *linkOrder) Step(e *trace.Event) {
	p.traffic.step(e)
	d, ok := e.Data.(link.Delivered)
	if !ok {
		return
	}
	w, l := p.route(e, d)
	what := fmt.Sprintf("node %d delivers a packet of life %d of node %d", e.Node, d.Incarnation, d.From)
	switch {
	case len(l.parcels) > 0 && l.parcels[0].mark == d.Mark:
		p.examined++
		l.parcels = l.parcels[1:]
	case len(l.parcels) == 0 && p.setup.Engine != Simulated && p.setup.Engine != Untimed:
		return // a process that was killed did not record the last that it sent
	case len(l.parcels) == 0:
		p.violate(what+fmt.Sprintf(", all of whose packets to life %d came before", e.Inc), e)
	default:
		missing := slices.IndexFunc(l.parcels, func(sent parcel) bool { return sent.mark == d.Mark })
		if missing < 0 {
			p.violate(what+fmt.Sprintf(" that came before, or was not sent to life %d; another one is next", e.Inc), w.event(&l.parcels[0]), e)
			return
		}
		p.violate(what+fmt.Sprintf(" before %d that %s sent earlier", missing, plural(missing, "was", "were")),
			w.event(&l.parcels[0]), w.event(&l.parcels[missing]), e)
	}
}

func (p *linkOrder) Result(int64) Result { return p.result("no packet was delivered over a link") }

// linkDelivers is LINK-2.
type linkDelivers struct {
	base
	traffic
	calm   calm
	within int64
}

func (p *linkDelivers) Kinds() Kinds { return linkKinds }

func (p *linkDelivers) Step(e *trace.Event) {
	p.calm.step(e)
	p.traffic.step(e)
	d, ok := e.Data.(link.Delivered)
	if !ok {
		return
	}
	w, l := p.route(e, d)
	i := slices.IndexFunc(l.parcels, func(sent parcel) bool { return sent.mark == d.Mark })
	if i < 0 {
		return // link-order has more to say of that
	}
	if p.calm.on {
		p.examined++
	}
	if f := p.overdue(w, &l.parcels[i], e.T); f != nil && !l.ejected && !p.failed {
		f.events = append(f.events, *e)
		p.failed, p.found = true, f
	}
	l.parcels = slices.Delete(l.parcels, i, i+1)
}

// overdue finds that a parcel took too long, or takes.
func (p *linkDelivers) overdue(w way, sent *parcel, now int64) *finding {
	if !p.calm.on || now <= max(sent.t, p.calm.since)+p.within+p.setup.slack() {
		return nil
	}
	return newFinding(fmt.Sprintf("what life %d of node %d sent to node %d at %s is not delivered by %s, %s after it became calm; %s are allowed",
		w.inc, w.from, w.to, at(sent.t), at(now), span(now-p.calm.since), span(p.within)), []*trace.Event{w.event(sent)})
}

func (p *linkDelivers) Result(end int64) Result {
	if p.failed {
		return p.violated(p.found)
	}
	if why := p.calm.tooShort(end, p.within, p.setup.slack()); why != "" {
		return p.unexercised(why)
	}
	for _, w := range slices.SortedFunc(maps.Keys(p.ways), compareWays) {
		if !p.live(w.from) || p.of(w.from).inc != w.inc || !p.live(w.to) {
			continue
		}
		c := p.ways[w]
		for _, parcels := range [][]parcel{c.owed(p.of(w.to).inc), c.open} {
			if len(parcels) > 0 {
				if f := p.overdue(w, &parcels[0], end); f != nil {
					return p.violated(f)
				}
			}
		}
	}
	return p.result("no packet was delivered over a link after it became calm")
}

// owed is what a life must get.
func (c *carriage) owed(inc protocol.Incarnation) []parcel {
	if l := c.loads[inc]; l != nil && !l.ejected {
		return l.parcels
	}
	return nil
}
