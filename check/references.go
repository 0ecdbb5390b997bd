package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/dgc"
	"ciranda.dev/trace"
)

func init() {
	decode[dgc.Exported]()
	decode[dgc.Held]()
	decode[dgc.Lost]()
	decode[dgc.Collected]()
	decode[dgc.Given]()
	decode[dgc.Dropped]()
	decode[dgc.Leased]()
	decode[dgc.Unleased]()
	decode[dgc.Applied]()
	decode[dgc.Ended]()
}

// referenceKinds are what properties of references read.
var referenceKinds = callKinds | KindsOf(trace.Told)

// referred follows who refers to which objects.
type referred struct {
	nodes   lives
	delays  delays
	objects map[string]referredObject
	leases  map[between]holding
}

// A referredObject lives.
type referredObject struct {
	owner   protocol.ID
	holders map[protocol.ID]seen // the owner too, as long as it refers to it itself
	flights map[flight]seen      // references that travel
	touched int64                // when that last changed
}

// between is a client and an owner.
type between struct{ client, owner protocol.ID }

// A flight is a transfer of a reference.
type flight struct {
	giver    protocol.ID
	life     protocol.Incarnation
	transfer uint64
}

func (r *referred) step(e *trace.Event) {
	r.nodes.step(e)
	r.delays.step(e)
	if r.objects == nil {
		r.objects, r.leases = map[string]referredObject{}, map[between]holding{}
	}
	if begins(e) || ends(e) {
		maps.DeleteFunc(r.objects, func(_ string, o referredObject) bool { return o.owner == e.Node })
		maps.DeleteFunc(r.leases, func(b between, _ holding) bool { return b.client == e.Node })
		r.leave(e, protocol.None)
	}
	switch d := e.Data.(type) {
	case dgc.Exported:
		r.objects[d.Object] = referredObject{owner: e.Node, holders: map[protocol.ID]seen{e.Node: {keep(e)}}, flights: map[flight]seen{}, touched: e.T}
	case dgc.Leased:
		r.leases[between{e.Node, d.Owner}] = holding{e.T + int64(d.For), keep(e)}
	case dgc.Unleased:
		delete(r.leases, between{e.Node, d.Owner})
		r.leave(e, d.Owner)
	default:
		r.change(e)
	}
}

// change follows what happens to references to one object.
func (r *referred) change(e *trace.Event) {
	switch d := e.Data.(type) {
	case dgc.Held:
		r.touch(e, d.Object, func(o *referredObject) {
			o.holders[e.Node] = seen{keep(e)}
			delete(o.flights, flight{d.Giver, d.Life, d.Transfer})
		})
	case dgc.Lost:
		r.touch(e, d.Object, func(o *referredObject) {
			delete(o.flights, flight{d.Giver, d.Life, d.Transfer})
			if d.Giver == protocol.None {
				delete(o.holders, e.Node)
			}
		})
	case dgc.Dropped:
		r.touch(e, d.Object, func(o *referredObject) { delete(o.holders, e.Node) })
	case dgc.Given:
		r.touch(e, d.Object, func(o *referredObject) { o.flights[flight{e.Node, e.Inc, d.Transfer}] = seen{keep(e)} })
	}
}

func (r *referred) touch(e *trace.Event, object string, change func(*referredObject)) {
	if o, known := r.objects[object]; known {
		change(&o)
		o.touched = e.T
		r.objects[object] = o
	}
}

// leave says that what a node refers to at an owner, or anywhere, is not registered any more, nor what it gave.
func (r *referred) leave(e *trace.Event, owner protocol.ID) {
	for _, name := range slices.Sorted(maps.Keys(r.objects)) {
		o := r.objects[name]
		_, holds := o.holders[e.Node]
		if o.owner == e.Node || owner != protocol.None && o.owner != owner {
			continue
		}
		before := len(o.flights)
		maps.DeleteFunc(o.flights, func(f flight, _ seen) bool { return f.giver == e.Node })
		delete(o.holders, e.Node)
		if holds || len(o.flights) < before {
			o.touched = e.T
			r.objects[name] = o
		}
	}
}

// counts says for how long a client still counts on its lease at an owner. Clocks that were tampered with prove nothing.
func (r *referred) counts(client, owner protocol.ID, now int64) int64 {
	h, leased := r.leases[between{client, owner}]
	if !leased || r.nodes.of(client).state == down || r.delays.odd(client) {
		return 0
	}
	return h.until - now
}

// referencesSafe is DGC-1: no object is collected while somebody who counts on its lease refers to it, or while a reference to it
// travels.
type referencesSafe struct {
	base
	referred
}

func (p *referencesSafe) Kinds() Kinds { return referenceKinds }

func (p *referencesSafe) Step(e *trace.Event) {
	p.step(e)
	d, ok := told[dgc.Collected](e)
	if !ok {
		return
	}
	p.examined++
	if o, known := p.objects[d.Object]; known && o.owner == e.Node && !p.delays.odd(e.Node) {
		p.judge(e, d.Object, o)
	}
	delete(p.objects, d.Object)
}

func (p *referencesSafe) judge(e *trace.Event, name string, o referredObject) {
	for _, id := range slices.Sorted(maps.Keys(o.holders)) {
		held := o.holders[id].event
		if id == o.owner {
			p.violate(fmt.Sprintf("node %d collects %s, and refers to it itself", e.Node, name), held, e)
		} else if left := p.counts(id, o.owner, e.T); left > p.setup.slack() {
			p.violate(fmt.Sprintf("node %d collects %s, to which node %d refers; its lease has %s left", e.Node, name, id, span(left)), held, e)
		}
	}
	for _, f := range slices.SortedFunc(maps.Keys(o.flights), compareFlights) {
		given := o.flights[f].event
		kept := f.giver == o.owner || p.counts(f.giver, o.owner, e.T) > p.setup.slack()
		if age := e.T - given.T; kept && age < int64(p.setup.References.Pin)-p.setup.slack() {
			p.violate(fmt.Sprintf("node %d collects %s, to which a reference has travelled from node %d for %s", e.Node, name, f.giver, span(age)), given, e)
		}
	}
}

func compareFlights(a, b flight) int {
	return cmp.Or(protocol.ByID(a.giver, b.giver), cmp.Compare(a.life, b.life), cmp.Compare(a.transfer, b.transfer))
}

func (p *referencesSafe) Result(int64) Result { return p.result("no object was collected") }

// referencesCollected is DGC-2: once it is calm, an object to which nobody refers any more is collected in time.
type referencesCollected struct {
	base
	referred
	calm   calm
	within int64 `layer:"const"`
}

func (p *referencesCollected) Kinds() Kinds { return referenceKinds }

func (p *referencesCollected) Step(e *trace.Event) {
	p.step(e)
	p.calm.step(e)
	d, ok := told[dgc.Collected](e)
	if !ok {
		return
	}
	p.examined++
	if o, known := p.objects[d.Object]; known {
		p.judge(d.Object, o, e.T, e)
	}
	delete(p.objects, d.Object)
}

// judge looks for how long nobody has referred to an object.
func (p *referencesCollected) judge(name string, o referredObject, now int64, witnesses ...*trace.Event) {
	if !p.calm.on || len(o.holders) > 0 || !p.nodes.live(o.owner) || p.delays.odd(o.owner) {
		return
	}
	since := max(o.touched, p.calm.since)
	for _, given := range o.flights {
		since = max(since, given.event.T+int64(p.setup.References.Pin))
	}
	if free := now - since; free > p.within+p.setup.slack() {
		p.violate(fmt.Sprintf("nobody refers to %s of node %d for %s in calm, and it is not collected; %s are allowed", name, o.owner, span(free),
			span(p.within)), witnesses...)
	}
}

func (p *referencesCollected) Result(end int64) Result {
	if why := p.calm.tooShort(end, p.within, p.setup.slack()); why != "" && !p.failed {
		return p.unexercised(why)
	}
	for _, name := range slices.Sorted(maps.Keys(p.objects)) {
		p.judge(name, p.objects[name], end)
	}
	return p.result("no object was collected")
}

// referencesInOrder is DGC-3: an owner applies the updates of a session in the order of their numbers, each once, and none after its
// end.
type referencesInOrder struct {
	base
	applied map[appliedBy]seen
}

// appliedBy is a client's session at one life of an owner.
type appliedBy struct {
	owner   protocol.ID
	life    protocol.Incarnation
	client  protocol.ID
	session uint64
}

func (p *referencesInOrder) Kinds() Kinds { return referenceKinds }

func (p *referencesInOrder) Step(e *trace.Event) {
	switch d := e.Data.(type) {
	case dgc.Ended:
		p.remember(appliedBy{e.Node, e.Inc, d.Client, d.Session}, e)
	case dgc.Applied:
		p.examined++
		by := appliedBy{e.Node, e.Inc, d.Client, d.Session}
		last, known := p.applied[by]
		if was, before := last.event, known; before {
			if a, ok := was.Data.(dgc.Applied); !ok {
				p.violate(fmt.Sprintf("node %d applies the update %d of node %d after its session's end", e.Node, d.Seq, d.Client), was, e)
			} else if d.Seq <= a.Seq {
				p.violate(fmt.Sprintf("node %d applies the update %d of node %d after update %d", e.Node, d.Seq, d.Client, a.Seq), was, e)
			}
		}
		p.remember(by, e)
	}
}

func (p *referencesInOrder) remember(by appliedBy, e *trace.Event) {
	if p.applied == nil {
		p.applied = map[appliedBy]seen{}
	}
	p.applied[by] = seen{keep(e)}
}

func (p *referencesInOrder) Result(int64) Result { return p.result("no update was applied") }

// referencesKept is what leases cannot promise: nobody loses an object to which it refers, but by the death of its owner.
type referencesKept struct {
	base
	collected map[string]seen
}

func (p *referencesKept) Kinds() Kinds { return referenceKinds }

func (p *referencesKept) Step(e *trace.Event) {
	switch d := e.Data.(type) {
	case dgc.Held:
		p.examined++
	case dgc.Collected:
		if p.collected == nil {
			p.collected = map[string]seen{}
		}
		p.collected[d.Object] = seen{keep(e)}
	case dgc.Lost:
		if gone, collected := p.collected[d.Object]; collected && d.Giver == protocol.None {
			p.violate(fmt.Sprintf("node %d refers to %s, and node %d has collected it", e.Node, d.Object, gone.event.Node), gone.event, e)
		}
	}
}

func (p *referencesKept) Result(int64) Result { return p.result("no reference was registered") }
