package snapshot

import (
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/link"
)

// ready says whether the part can be reported.
func (p *part) ready() bool {
	return (p.recorded || p.why != "") && !slices.ContainsFunc(p.channels, func(c channel) bool { return c.open })
}

// reportAll reports the parts that are ready, but over no link that is full.
func (l *Layer) reportAll(o *protocol.Out) {
	for i := 0; i < len(l.parts); i++ {
		p := &l.parts[i]
		own := p.id.Node == l.self
		switch {
		case !p.ready() || p.begun && !p.wanted || !own && l.other(p.id.Node).full:
			continue
		case own:
			whole := *p
			l.drop(i, o)
			l.keep(l.self, o.Self().Incarnation, whole.report(mostBytes))
			i--
		case l.report(p, o):
			l.drop(i, o)
			i--
		}
	}
}

// report sends a report, or the next of what is left of it. It says whether that was all.
func (l *Layer) report(p *part, o *protocol.Out) bool {
	var content Content
	if !p.begun {
		r := p.report(piece)
		content = r.Content
		o.Send(p.id.Node, r)
		o.Cancel(protocol.Timer{Kind: graceTimer, Arg: p.serial})
		o.Set(protocol.Timer{Kind: halfTimer, Arg: p.serial}, l.opts.Within)
	} else {
		content = p.next(piece)
		o.Send(p.id.Node, Rest{p.id, content})
	}
	p.begun, p.wanted = true, false
	return !content.More
}

// report is the report of a part, with no more than some bytes of its content.
func (p *part) report(room int) Report {
	r := Report{ID: p.id, Why: p.why}
	if p.why != "" {
		return r
	}
	r.Lamport, r.Sent, r.Received = p.lamport, p.sent, p.received
	for _, c := range p.channels {
		r.Channels = append(r.Channels, Channel{c.from, c.life, c.why})
	}
	r.Content = p.next(room)
	return r
}

// goOn sends more of a part to the node that was asked for the snapshot.
func (l *Layer) goOn(from protocol.ID, id ID, o *protocol.Out) {
	if i := l.find(id); i >= 0 && from == id.Node && l.parts[i].begun {
		l.parts[i].wanted = true
		l.reportAll(o)
	}
}

// A cursor is how much of a part has been reported: so many pieces of the state, so many channels, and so many packets of
// the next channel.
type cursor struct{ states, channels, packets int }

// next is what comes next of a part: as many packets as there is room for, one at least.
func (p *part) next(room int) (c Content) {
	begun := room
	fits := func(packet protocol.Packet) bool {
		size := link.Size(packet)
		c.More = size > room && room < begun
		room -= size
		return !c.More
	}
	for ; p.at.states < len(p.states); p.at.states++ {
		if !fits(p.states[p.at.states]) {
			return c
		}
		c.States = append(c.States, p.states[p.at.states])
	}
	for ; p.at.channels < len(p.channels); p.at.channels++ {
		from := &p.channels[p.at.channels]
		first := p.at.packets
		for p.at.packets < len(from.packets) && fits(from.packets[p.at.packets]) {
			p.at.packets++
		}
		if p.at.packets > first {
			c.Found = append(c.Found, Found{from.from, from.packets[first:p.at.packets:p.at.packets]})
		}
		if c.More {
			return c
		}
		p.at.packets = 0
	}
	return c
}
