package multicast

import (
	"fmt"

	"ciranda.dev/protocol"
)

// A cast is what waits of a Cast.
type cast struct {
	lane     int
	call     uint64
	asked    bool     // somebody waits for the answer
	payloads [][]byte // not sent yet
	size     int      // of those
	part     int      // bytes of the first of them that were sent
	first    uint64   // the number of the first that was sent in this view; 0 if none was
	before   *Sent    // those that were sent in views before; nil if none was
}

// cast takes messages to be sent. They leave when no more input is at hand, or a batch is full.
func (l *Layer) cast(c Cast, call uint64, asked bool, o *protocol.Out) {
	size := Weight(c.Payloads...)
	if why := l.refuses(&c, size); why != "" {
		l.reply(asked, call, protocol.Refused{Why: why}, o)
		return
	}
	l.add(cast{lane: Lane{c.Order, c.Uniform}.index(), call: call, asked: asked, payloads: c.Payloads, size: size}, o)
}

// add puts a cast into the row, and sends what fills a batch.
func (l *Layer) add(c cast, o *protocol.Out) {
	l.waiting.push(c)
	l.bytes += c.size
	for l.bytes >= l.batch() && l.may() {
		l.transmit(o)
	}
}

// refuses says why messages are not taken; "" if they are.
func (l *Layer) refuses(c *Cast, size int) string {
	if c.Order < Reliable || c.Order > Lamport || !l.runs(Lane{Order: c.Order}) {
		return fmt.Sprintf("found the order %s; expected one that is run: %s", c.Order, l.names())
	}
	if len(c.Payloads) == 0 {
		return "found no message; expected at least one"
	}
	return l.tooMuch(c.Payloads, size)
}

// tooMuch says why messages of so many bytes in all are not taken; "" if they are.
func (l *Layer) tooMuch(payloads [][]byte, size int) string {
	for _, p := range payloads {
		if len(p) > l.opts.Largest {
			return fmt.Sprintf("found a message of %d bytes; expected at most %d", len(p), l.opts.Largest)
		}
	}
	if l.left {
		return "this node is no member of the group: it has left"
	}
	if l.bytes > 0 && l.bytes+size > l.opts.Backlog || l.bytes == 0 && size > max(l.opts.Backlog, l.opts.Largest+slot) {
		return fmt.Sprintf("found %d bytes that wait to be sent; expected at most %d with these %d", l.bytes, l.opts.Backlog, size)
	}
	return ""
}

func (l *Layer) names() (text string) {
	for i, r := range l.opts.Orders {
		if i > 0 {
			text += ", "
		}
		text += r.String()
	}
	return text
}

// reply answers a call, if it is one.
func (l *Layer) reply(asked bool, call uint64, body any, o *protocol.Out) {
	if asked {
		o.Indicate(protocol.Reply{ID: call, Body: body})
	}
}

// may says whether messages may be sent now, as far as the window has room.
func (l *Layer) may() bool {
	if l.waiting.len() == 0 || l.view.ID == 0 || l.blocked || l.stopped && l.opts.Mistake != SendsOn {
		return false
	}
	unstable := l.streams[l.rank].size
	return unstable == 0 || unstable+min(l.bytes, l.batch()) <= l.window()
}

// transmit sends a batch: messages that wait, if any do, and places that are to be given.
func (l *Layer) transmit(o *protocol.Out) {
	s := &l.streams[l.rank]
	b := Batch{View: l.view.ID, First: s.held + 1}
	if l.may() {
		l.fill(&b, o)
	}
	l.givePlaces(&b, o)
	l.clock++
	b.Stamp, b.Got = l.clock, l.tell(b.last(), o)
	var m protocol.Message = b
	l.send(m, o)
	l.hold(l.rank, b, o)
	l.progress(l.rank, o)
}

// A chosen part of what waits, for a batch.
type chosen struct {
	lane     int
	payloads [][]byte
	more     bool
}

// fill puts messages that wait into a batch, those of a lane side by side.
func (l *Layer) fill(b *Batch, o *protocol.Out) {
	var few [8]chosen
	all := l.choose(few[:0], o)
	if len(all) == 1 {
		b.Payloads = all[0].payloads
		l.addRun(b, 0, all[0].lane, all[0].more, o)
		return
	}
	for i := range l.lanes {
		from := len(b.Payloads)
		for k := range all {
			if all[k].lane == i {
				b.Payloads = append(b.Payloads, all[k].payloads...)
			}
		}
		if len(b.Payloads) > from {
			l.addRun(b, from, i, false, o)
		}
	}
}

// choose takes as much of what waits as a batch has room for. A message that is larger travels in parts, each in a batch of
// its own.
func (l *Layer) choose(all []chosen, o *protocol.Out) []chosen {
	size := l.batch()
	room := size
	for l.waiting.len() > 0 {
		c := l.waiting.first()
		n, bytes := c.within(room)
		switch whole := n == len(c.payloads); {
		case n == 0 && len(all) > 0, !whole && len(all) > 0 && c.size <= size:
			return all
		case n == 0:
			return append(all, l.cutOff(c, size))
		default:
			all = append(all, chosen{lane: c.lane, payloads: c.payloads[:n:n]})
			l.advanceCast(c, n, bytes)
			if !whole {
				return all
			}
			room -= bytes
		}
	}
	return all
}

// within is how many of the payloads fit into some room, and what they count. One of which a part was sent fits none.
func (c *cast) within(room int) (n, size int) {
	if c.part > 0 {
		return 0, 0
	}
	if c.size <= room {
		return len(c.payloads), c.size
	}
	for n < len(c.payloads) && size+len(c.payloads[n])+slot <= room {
		size += len(c.payloads[n]) + slot
		n++
	}
	return n, size
}

// cutOff takes the next part of a large message, for a batch of so many bytes.
func (l *Layer) cutOff(c *cast, size int) chosen {
	rest := c.payloads[0][c.part:]
	if most := size - slot; len(rest) > most {
		c.part += most
		return chosen{c.lane, [][]byte{rest[:most:most]}, true}
	}
	part := chosen{lane: c.lane, payloads: [][]byte{rest}}
	l.advanceCast(c, 1, len(c.payloads[0])+slot)
	return part
}

// advanceCast notes that messages of the first cast in the row are sent. The last of them is to be answered for.
func (l *Layer) advanceCast(c *cast, n, size int) {
	lane := &l.lanes[c.lane]
	if c.first == 0 {
		c.first = lane.own + 1
	}
	lane.own += uint64(n)
	c.payloads, c.size, c.part = c.payloads[n:], c.size-size, 0
	l.bytes -= size
	if len(c.payloads) > 0 {
		return
	}
	if c.asked {
		lane.awaiting.push(awaited{c.call, c.first, lane.own, c.before})
	}
	l.waiting.pop()
}

// addRun describes the payloads of a batch from one on as a run. Here the messages are cast: what was delivered before may
// be their cause.
func (l *Layer) addRun(b *Batch, from, i int, more bool, o *protocol.Out) {
	n := &l.lanes[i]
	count := len(b.Payloads) - from
	run := Run{Lane: uint8(i), First: n.own + 1, Count: uint32(count), More: more}
	if !more {
		first := n.own - uint64(count) + 1
		run.First = first
		o.Note(Began{l.view.ID, laneOf(run.Lane), first, count})
		if l.opts.Trace {
			o.Note(Streamed{l.view.ID, laneOf(run.Lane), first, b.First + uint64(from), count})
		}
		if hasCauses(laneOf(run.Lane)) {
			run.After = l.causes(n)
		}
		if l.coordinates() {
			l.place(i, l.rank, count)
		}
	}
	b.Runs = append(b.Runs, run)
}

// causes is how many messages of a lane are delivered of each member.
func (l *Layer) causes(n *lane) []uint64 {
	done := make([]uint64, len(n.from))
	for r := range n.from {
		done[r] = n.from[r].done
	}
	return done
}

// place keeps in mind that messages of a member come next in a total order, if the lane has one.
func (l *Layer) place(i, r, count int) {
	if !laneOf(uint8(i)).Order.sequenced() || l.stopped {
		return
	}
	if k := len(l.unplaced) - 1; k >= 0 && l.unplaced[k].Lane == uint8(i) && l.unplaced[k].Rank == uint32(r) {
		l.unplaced[k].Count += uint32(count)
	} else {
		l.unplaced = append(l.unplaced, Place{uint8(i), uint32(r), uint32(count)})
	}
	if l.opts.Mistake == OrdersTwice {
		l.unplaced = append(l.unplaced, Place{uint8(i), uint32(r), uint32(count)})
	}
}

// givePlaces puts the places that are to be given into a batch.
func (l *Layer) givePlaces(b *Batch, o *protocol.Out) {
	b.Places, l.unplaced = l.unplaced, nil
	if !l.opts.Trace {
		return
	}
	for _, p := range b.Places {
		n := &l.lanes[p.Lane]
		s := &n.from[p.Rank]
		o.Note(Ordered{l.view.ID, laneOf(p.Lane), n.ordered + 1, l.view.Members[p.Rank].Node, s.placed + 1, int(p.Count)})
		n.ordered += uint64(p.Count)
		s.placed += uint64(p.Count)
	}
}

// coordinates says whether this node gives places.
func (l *Layer) coordinates() bool { return l.rank == 0 || l.opts.Mistake == AnybodyOrders }
