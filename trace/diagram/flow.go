package diagram

import (
	"encoding/json"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/link"
	"ciranda.dev/protocol/snapshot"
	"ciranda.dev/trace"
)

// A flow is what a link carries from one life to another, by number.
type flow struct {
	sent  map[uint64]int // by which event first
	came  map[uint64]int // by which event first
	given map[uint64]int // by which event, to the layer above: when all before it had come too
	next  uint64         // that is not given yet
	noted []int          // the events that say so, of number 1 and so on; only a simulator's trace has them
	blind bool           // the trace does not tell all numbers, and no event says so
}

// A route is between which lives.
type route struct {
	from, to       protocol.ID
	fromInc, toInc protocol.Incarnation
}

// A load is what one message of a link carries.
type load struct {
	route   route
	seq     uint64
	channel uint8
	id      snapshot.ID // if it may be a marker
}

// carried reads a message of a link.
func carried(e *trace.Event) (load, bool) {
	l := load{route: route{from: e.Node, to: e.Peer, fromInc: e.Inc}}
	switch d := e.Data.(type) {
	case link.Data:
		l.route.toInc, l.seq, l.channel = d.To, d.Seq, d.Packet.Channel
		if m, ok := d.Packet.Body.(snapshot.Marker); ok {
			l.id = m.ID
		}
		return l, true
	case trace.Raw:
		var data struct {
			To     protocol.Incarnation
			Seq    uint64
			Packet struct {
				Channel uint8
				Body    json.RawMessage
			}
		}
		if d.Name != protocol.Name(link.Data{}) || json.Unmarshal(d.JSON, &data) != nil {
			return l, false
		}
		l.route.toInc, l.seq, l.channel = data.To, data.Seq, data.Packet.Channel
		l.id = soleID(data.Packet.Body)
		return l, true
	}
	return l, false
}

// soleID is the ID of what has nothing else, as markers do. A file does not name the types of packets.
func soleID(body json.RawMessage) (id snapshot.ID) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) == nil && len(fields) == 1 {
		_ = json.Unmarshal(fields["ID"], &id) // anything else is no marker
	}
	return id
}

// readFlows follows what the links carry.
func (p *picture) readFlows() {
	p.loads, p.flows = map[trace.MessageID]load{}, map[route]*flow{}
	blind := map[route]bool{} // without the addressee's life
	for i := range p.events {
		e := &p.events[i]
		switch e.Kind {
		case trace.Send:
			l, ok := carried(e)
			if d, cut := e.Data.(trace.Digest); cut && d.Name == protocol.Name(link.Data{}) {
				blind[l.route] = true
			}
			if ok {
				p.loads[e.Message()] = l
				p.flowOf(l.route).send(l.seq, i)
				p.readMarker(l)
			}
		case trace.Receive:
			if l, ok := p.loads[e.Message()]; ok && l.route.toInc == e.Inc {
				p.flowOf(l.route).receive(l.seq, i)
			}
		case trace.Noted:
			if d, ok := trace.DataOf[link.Delivered](e); ok {
				f := p.flowOf(route{from: d.From, to: e.Node, fromInc: d.Incarnation, toInc: e.Inc})
				f.noted = append(f.noted, i)
			}
		}
	}
	for r, f := range p.flows {
		f.blind = f.noted == nil && blind[route{from: r.from, to: r.to, fromInc: r.fromInc}]
	}
}

// givenBy is the event by which a number was given to the layer above.
func (f *flow) givenBy(seq uint64) (event int, known bool) {
	if f.noted == nil {
		event, known = f.given[seq]
		return event, known
	}
	if seq == 0 || seq > uint64(len(f.noted)) {
		return 0, false
	}
	return f.noted[seq-1], true
}

func (p *picture) flowOf(r route) *flow {
	f := p.flows[r]
	if f == nil {
		f = &flow{sent: map[uint64]int{}, came: map[uint64]int{}, given: map[uint64]int{}}
		p.flows[r] = f
	}
	return f
}

func (f *flow) send(seq uint64, event int) {
	if _, again := f.sent[seq]; again {
		return
	}
	f.sent[seq] = event
	if f.next == 0 {
		f.next = seq // 1, unless the trace begins later
	}
}

func (f *flow) receive(seq uint64, event int) {
	if _, again := f.came[seq]; again {
		return
	}
	f.came[seq] = event
	for {
		if _, there := f.came[f.next]; !there {
			return
		}
		f.given[f.next] = event
		f.next++
	}
}

// nameOf is what an arrow is called: of what a link carries, the layer that it is for.
func (p *picture) nameOf(e *trace.Event) string {
	l, ok := p.loads[e.Message()]
	if !ok {
		if name := e.MessageName(); name != "" {
			return name
		}
		return p.trace.Header.LayerName(e.Layer)
	}
	if s := p.shotOf[l.id]; s != nil && s.marks[l.route] == l.seq {
		return "marker"
	}
	return p.trace.Header.LayerName(l.channel)
}
