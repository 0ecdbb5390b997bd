package check

import (
	"fmt"
	"maps"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/link"
	"ciranda.dev/protocol/snapshot"
	"ciranda.dev/trace"
)

// A cutKey names a node's part in a snapshot.
type cutKey struct {
	id   snapshot.ID
	node protocol.ID
	inc  protocol.Incarnation
}

// A piece is what the trace shows of a node's part.
type piece struct {
	recorded bool
	channel  uint8
	sent     []snapshot.Count
	got      map[stream]latest // before the cut
	after    []arrived         // after it
	event    *trace.Event      `layer:"const"`
}

// A stream is what a node gets from another on a channel.
type stream struct {
	from, to protocol.ID
	channel  uint8
}

// A latest is the last packet of a stream that was delivered.
type latest struct {
	inc   protocol.Incarnation // of the sender
	nth   uint64               // of those that this life sent
	count uint64               // of those that this life of the receiver got of it
	event *trace.Event         `layer:"const"`
}

// An arrived packet is one that was delivered.
type arrived struct {
	stream
	latest
	mark uint32
}

// A batch is what a node got at one moment. Its links may deliver more than its application takes in before a cut, in
// one step: the layer's own count tells them apart.
type batch struct {
	t   int64
	all []arrived
}

// snapshots follow the packets of the application over links, and the cuts through them.
type snapshots struct {
	traffic
	got    map[stream]latest
	latest []batch // by node
	pieces map[cutKey]*piece
	odd    bool // a delivery that was not sent: the links are in error
}

// step follows an event. It gives the part that a node records twice, if one does.
func (s *snapshots) step(e *trace.Event) (twice *piece) {
	s.traffic.step(e)
	if begins(e) {
		s.restart(e.Node)
	}
	switch d := e.Data.(type) {
	case link.Delivered:
		s.deliver(e, d)
	case snapshot.Cut:
		s.cut(e, d)
	case snapshot.Recorded:
		p := s.piece(d.ID, e)
		if p.recorded {
			return p
		}
		p.recorded, p.channel, p.sent, p.event = true, d.Channel, d.Sent, keep(e)
	}
	return nil
}

// piece finds a part, and makes it if it is new.
func (s *snapshots) piece(id snapshot.ID, e *trace.Event) *piece {
	if s.pieces == nil {
		s.pieces = map[cutKey]*piece{}
	}
	k := cutKey{id, e.Node, e.Inc}
	if s.pieces[k] == nil {
		s.pieces[k] = &piece{}
	}
	return s.pieces[k]
}

// deliver takes a packet off its link and notes it for all parts of the receiver.
func (s *snapshots) deliver(e *trace.Event, d link.Delivered) {
	_, l := s.route(e, d)
	if len(l.parcels) == 0 || l.parcels[0].mark != d.Mark {
		s.odd = true
		return
	}
	nth := l.parcels[0].nth
	l.parcels = l.parcels[1:]
	a := arrived{stream{d.From, e.Node, d.Channel}, latest{d.Incarnation, nth, 1, keep(e)}, d.Mark}
	if before := s.got[a.stream]; before.inc == a.inc {
		a.count += before.count
	}
	if s.got == nil {
		s.got = map[stream]latest{}
	}
	s.got[a.stream] = a.latest
	s.latest = reach(s.latest, e.Node)
	if b := &s.latest[e.Node]; b.t != e.T {
		*b = batch{t: e.T}
	}
	s.latest[e.Node].all = append(s.latest[e.Node].all, a)
	for k, p := range s.pieces {
		if k.node == e.Node && k.inc == e.Inc {
			p.after = append(p.after, a)
		}
	}
}

// cut divides what a node got into what was before its cut and what comes after it.
func (s *snapshots) cut(e *trace.Event, d snapshot.Cut) {
	p := s.piece(d.ID, e)
	if p.got != nil {
		return
	}
	p.got = map[stream]latest{}
	for from, l := range s.got {
		if n := receivedOf(d, from.from, l.inc); from.to == e.Node && n > 0 {
			l.nth -= l.count - min(n, l.count)
			p.got[from] = l
		}
	}
	s.latest = reach(s.latest, e.Node)
	if b := s.latest[e.Node]; b.t == e.T {
		p.after = slices.DeleteFunc(slices.Clone(b.all), func(a arrived) bool { return isBefore(a, d) })
	}
}

// isBefore says whether the layer had counted a packet before it asked for the state.
func isBefore(a arrived, d snapshot.Cut) bool {
	return slices.ContainsFunc(d.Received, func(c snapshot.Count) bool {
		return c.Node == a.from && (c.Incarnation > a.inc || c.Incarnation == a.inc && c.Packets >= a.count)
	})
}

func receivedOf(d snapshot.Cut, from protocol.ID, inc protocol.Incarnation) uint64 {
	for _, c := range d.Received {
		if c.Node == from && c.Incarnation == inc {
			return c.Packets
		}
	}
	return 0
}

// restart forgets what a former life of a node got, and the snapshots that it was asked for: nobody will hear of them.
func (s *snapshots) restart(id protocol.ID) {
	maps.DeleteFunc(s.pieces, func(k cutKey, _ *piece) bool { return k.id.Node == id })
	for from, l := range s.got {
		if from.to == id {
			l.count = 0
			s.got[from] = l
		}
	}
	if int(id) < len(s.latest) {
		s.latest[id] = batch{}
	}
}

// dismiss drops the parts of a snapshot that is over.
func (s *snapshots) dismiss(id snapshot.ID) {
	maps.DeleteFunc(s.pieces, func(k cutKey, _ *piece) bool { return k.id == id })
}

func (p *piece) sentTo(id protocol.ID) uint64 {
	for _, c := range p.sent {
		if c.Node == id {
			return c.Packets
		}
	}
	return 0
}

// has says whether a packet is in the sender's part of a snapshot.
func (p *piece) has(inc protocol.Incarnation, nth uint64, life protocol.Incarnation, to protocol.ID) bool {
	return inc < life || inc == life && nth <= p.sentTo(to)
}

// parts are those of a complete snapshot by its word. One that is not there is a lie.
func (s *snapshots) parts(t snapshot.Taken, nodes []protocol.ID) (parts map[protocol.ID]cutKey, lie string) {
	parts = map[protocol.ID]cutKey{}
	for _, n := range t.Nodes {
		parts[n.Node] = cutKey{t.ID, n.Node, n.Incarnation}
	}
	for _, id := range nodes {
		if p := s.pieces[parts[id]]; p == nil || !p.recorded {
			return nil, fmt.Sprintf("snapshot %s is said to be complete, and node %d did not record its state", t.ID, id)
		}
	}
	return parts, ""
}
