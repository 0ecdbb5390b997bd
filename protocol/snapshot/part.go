package snapshot

import (
	"fmt"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/link"
)

// A part is what this node records of a snapshot.
type part struct {
	id       ID
	serial   uint32
	recorded bool              // the application has handed over its state
	states   []protocol.Packet // that, in pieces
	lamport  uint64
	sent     []Count
	received []Count
	channels []channel // from all other nodes, ascending
	bytes    int
	why      string // nothing can be reported

	begun  bool   // the report has
	wanted bool   // more of it is
	at     cursor // how far it is
}

// A channel is one from another node, from the cut to the marker.
type channel struct {
	from    protocol.ID
	open    bool
	life    protocol.Incarnation // of the marker that closed it
	why     string               // it was given up
	packets []protocol.Packet
	leaks   bool // the mistake FirstOpen
}

// Why a channel is given up, or a node is missing.
const (
	suspected  = "suspected of having crashed"
	restarted  = "restarted"
	noMarker   = "no marker came from it in time"
	noReport   = "did not report in time"
	stateless  = "its application did not hand over a state"
	otherLife  = "another life of it sent the marker"
	tooLargeBy = "its part takes more than %d bytes"
	pieceBy    = "a message of it takes more than %d bytes"
	wholeBy    = "all parts together take more than %d bytes"
)

// mark handles a marker: the first one of a snapshot begins the node's part, and each closes its channel.
func (l *Layer) mark(from protocol.ID, id ID, o *protocol.Out) {
	i := l.find(id)
	first := i < 0
	if first {
		if !l.fresh(id, o) {
			return
		}
		i = l.begin(id, o)
	}
	for j := range l.parts {
		if c := l.parts[j].channel(from); c.open && (j == i || l.opts.Mistake == MixesUp) {
			l.close(&l.parts[j], c, o)
			c.leaks = first && l.opts.Mistake == FirstOpen
		}
	}
	l.review(o)
}

// fresh says whether a snapshot is new to this node, and makes room for it. A channel keeps the order of markers, and so
// every node records a node's snapshots in the order of their numbers: what is not above the highest number is over here.
func (l *Layer) fresh(id ID, o *protocol.Out) bool {
	n := l.other(id.Node)
	if n == nil || id.Incarnation < max(n.life, n.newest.life) {
		return false
	}
	if id.Incarnation == n.newest.life && id.Number <= n.newest.number {
		return l.opts.Mistake == Restarts
	}
	n.newest = lastID{id.Incarnation, id.Number}
	l.abort(func(p *part) bool { // the node that was asked has ended these
		return p.id.Node == id.Node && (p.id.Incarnation < id.Incarnation || p.id.Number+uint64(l.opts.Most) <= id.Number)
	}, o)
	return true
}

// find is the place of a part; -1 if there is none.
func (l *Layer) find(id ID) int {
	return slices.IndexFunc(l.parts, func(p part) bool { return p.id == id })
}

// begin asks the application for its state and opens the channels.
func (l *Layer) begin(id ID, o *protocol.Out) int {
	l.serial++
	p := part{id: id, serial: l.serial}
	doubtful := false
	for _, n := range l.others {
		p.channels = append(p.channels, channel{from: n.id, open: true})
		doubtful = doubtful || n.suspected
	}
	o.Set(protocol.Timer{Kind: halfTimer, Arg: p.serial}, l.opts.Within/2)
	if doubtful {
		o.Set(protocol.Timer{Kind: graceTimer, Arg: p.serial}, l.opts.Grace)
	}
	l.parts = append(l.parts, p)
	if l.opts.Mistake == StateLate {
		l.sendMarkers(id, o)
		o.Set(protocol.Timer{Kind: lateTimer, Arg: p.serial}, lateness)
	} else {
		l.cut(&l.parts[len(l.parts)-1], o)
	}
	return len(l.parts) - 1
}

// cut asks the application for its state.
func (l *Layer) cut(p *part, o *protocol.Out) {
	for _, n := range l.others {
		if n.life > 0 { // also of none: this is the life that was heard of before the cut
			p.received = append(p.received, Count{n.id, n.life, n.received})
		}
	}
	if l.opts.Trace {
		o.Indicate(Cut{p.id, p.received})
	} else {
		o.Tell(Cut{p.id, p.received})
	}
}

// record takes the application's state. With the last piece of it the markers leave: all that it sent before has passed
// already.
func (l *Layer) record(s State, o *protocol.Out) {
	i := l.find(s.ID)
	if i < 0 || l.parts[i].recorded {
		return
	}
	p := &l.parts[i]
	if p.add(s.State, &l.opts) {
		p.states = append(p.states, s.State)
	}
	if s.More {
		return
	}
	p.recorded, p.lamport = true, o.Lamport()
	p.sent = l.counts(func(n *other) uint64 { return n.sent - n.before })
	told := Recorded{ID: p.id, Channel: s.State.Channel, Sent: l.counts(func(n *other) uint64 { return n.sent })}
	if l.opts.Trace && len(p.states) > 0 {
		told.State = p.states[0].Body
	}
	o.Indicate(told)
	switch l.opts.Mistake {
	case StateLate:
	case MarksLate:
		l.oweMarkers(s.ID, o)
	default:
		l.sendMarkers(s.ID, o)
	}
	l.review(o)
}

// counts are those of the other nodes that are not zero.
func (l *Layer) counts(of func(*other) uint64) []Count {
	var all []Count
	for i := range l.others {
		if n := of(&l.others[i]); n > 0 {
			all = append(all, Count{Node: l.others[i].id, Packets: n})
		}
	}
	return all
}

func (l *Layer) sendMarkers(id ID, o *protocol.Out) {
	for i, n := range l.others {
		if i < len(l.others)-1 || l.opts.Mistake != SkipsOne {
			o.Send(n.id, Marker{id})
		}
	}
}

// channel is that from a node.
func (p *part) channel(from protocol.ID) *channel {
	i := slices.IndexFunc(p.channels, func(c channel) bool { return c.from == from })
	return &p.channels[i]
}

// note adds what came on a channel that is open.
func (p *part) note(from protocol.ID, packet protocol.Packet, opts *Options) {
	c := p.channel(from)
	if !c.open && !c.leaks || opts.Mistake == StopsEarly && len(c.packets) > 0 || !p.add(packet, opts) {
		return
	}
	c.packets = append(c.packets, packet)
}

// add says whether there is room for a packet. If there is none the part is given up.
func (p *part) add(packet protocol.Packet, opts *Options) bool {
	if p.why != "" {
		return false
	}
	size := link.Size(packet)
	p.bytes += size
	switch {
	case size > mostPiece:
		p.why = fmt.Sprintf(pieceBy, mostPiece)
	case p.bytes > opts.Bytes:
		p.why = fmt.Sprintf(tooLargeBy, opts.Bytes)
	default:
		return true
	}
	p.bytes, p.states = 0, nil
	for i := range p.channels {
		p.channels[i].packets = nil
	}
	return false
}

// close ends the recording of a channel. The part stays where it is.
func (l *Layer) close(p *part, c *channel, o *protocol.Out) {
	c.open, c.life = false, o.SenderIncarnation()
	if l.opts.Trace {
		o.Indicate(Closed{p.id, c.from, c.life, len(c.packets), l.messages(c.packets)})
	}
}

// giveUp ends it without a marker.
func (p *part) giveUp(from protocol.ID, why string) {
	if c := p.channel(from); c.open {
		c.open, c.why, c.packets = false, why, nil
	}
}

// messages are packets for people and checks.
func (l *Layer) messages(packets []protocol.Packet) []Message {
	var all []Message
	for _, p := range packets {
		all = append(all, l.message(p))
	}
	return all
}

func (l *Layer) message(p protocol.Packet) Message {
	m := Message{Type: protocol.Name(p.Body), Body: p.Body}
	if l.opts.Trace {
		m.Mark = link.Mark(p)
	}
	return m
}

// graceOver gives up nodes that were suspected from the start and did not show themselves.
func (l *Layer) graceOver(serial uint32, o *protocol.Out) {
	i := l.bySerial(serial)
	if i < 0 {
		return
	}
	id := l.parts[i].id
	for _, n := range l.others {
		if n.suspected {
			l.parts[i].giveUp(n.id, suspected)
			l.miss(id, n.id, suspected)
		}
	}
	l.review(o)
}

// halfOver gives up all channels that are still open, or a report whose rest nobody wants.
func (l *Layer) halfOver(serial uint32, o *protocol.Out) {
	i := l.bySerial(serial)
	if i < 0 {
		return
	}
	p := &l.parts[i]
	if p.begun { // nobody asks for the rest any more
		o.Indicate(Aborted{p.id})
		l.drop(i, o)
		return
	}
	for _, c := range p.channels {
		p.giveUp(c.from, noMarker)
	}
	if !p.recorded {
		p.why = stateless
	}
	l.review(o)
}

func (l *Layer) bySerial(serial uint32) int {
	return slices.IndexFunc(l.parts, func(p part) bool { return p.serial == serial })
}

// drop forgets a part.
func (l *Layer) drop(i int, o *protocol.Out) {
	for _, kind := range []uint32{graceTimer, halfTimer} {
		o.Cancel(protocol.Timer{Kind: kind, Arg: l.parts[i].serial})
	}
	l.parts = slices.Delete(l.parts, i, i+1)
}

// abort drops parts of which the node that was asked wants nothing more.
func (l *Layer) abort(which func(*part) bool, o *protocol.Out) {
	for i := 0; i < len(l.parts); i++ {
		if which(&l.parts[i]) {
			o.Indicate(Aborted{l.parts[i].id})
			l.drop(i, o)
			i--
		}
	}
}

func (p *part) String() string {
	text := fmt.Sprintf("%s: ", p.id)
	if p.recorded {
		text += "recorded, "
	}
	open := 0
	for _, c := range p.channels {
		if c.open {
			open++
		}
	}
	return text + fmt.Sprintf("%d channels open", open)
}
