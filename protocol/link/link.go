// Package link makes perfect links of lossy ones: between two lives of two nodes, what is sent arrives, once, in the
// order of sending.
//
// Make a layer with [New] and put it above the failure detector, below all that counts on its links. It takes the
// packets of those layers above it that say in their traits that they need FIFO order or no loss, and lets the others
// pass: an election goes on at its own pace when a link is clogged. What it takes it numbers and keeps until it is
// acknowledged. The oldest packet is sent again after [Options.Resend], then more and more rarely. Acknowledgements
// ride on packets that go the other way, or leave at the end of a batch of input.
//
// A link is between two lives. A new life of the other node ends it: what was not acknowledged fails ([Failed]), and is
// never sent to the new life by itself, since the old one may have delivered it. Whoever must know keeps its own record
// and asks the new life.
//
// A slow node holds its senders up. When [Options.Window] bytes are on their way the layers above are told so ([Full],
// then [Room]); what they send all the same waits, and if it is more than [Options.Backlog] bytes, or nothing is
// acknowledged for longer than [Options.Patience], the node is ejected: a perfect link drops nothing. A layer that
// stops at Full loses no link for its own haste.
//
// Over one unbroken connection that keeps order all this is waste. Where the engine vouches for a link
// ([protocol.Steady]) packets are only counted and kept: the receiver is not asked to acknowledge until a quarter of the
// window is on its way, and the timer looks once every [Options.Longest] whether something moved. When the engine takes
// its word back, with a fault or the end of the connection, the numbers decide what is sent again. Nothing but the pace
// rests on that word: were it false, what was lost would be sent again by the rare timer.
//
// What is not promised: anything across lives. An acknowledgement says that a packet was delivered in a life, not that
// anything was stored there. Nor does it find out who crashed: without Patience a link waits for a dead node for ever,
// though for no more than one message a Longest.
//
// The rules are those of any sliding window, with an incarnation for the connection number: V. G. Cerf, R. E. Kahn, A
// Protocol for Packet Network Intercommunication, IEEE Transactions on Communications 22(5), 1974. What a perfect link is
// says C. Cachin, R. Guerraoui, L. Rodrigues, Introduction to Reliable and Secure Distributed Programming, 2011, chapter 2.
package link

import (
	"fmt"
	"strings"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
)

// reliable is what the layer gives.
const reliable = protocol.FIFO | protocol.NoLoss

// A Link is one node's ends of its links with all the others.
type Link struct {
	protocol.Base
	opts  Options       `layer:"const"`
	peers []peer        // those of which anything is known, ascending
	owing []protocol.ID // to whom something is to be said at the end of the batch
	ill   bool          // the node's own disk has stalled
}

// resendTimer runs while a peer (its Arg) owes an acknowledgement, or an answer to an Ask.
const resendTimer uint32 = 0

// New makes a node's ends of its links. Options that [Options.Validate] refuses make links that do not keep the
// package's promises.
func New(opts Options) *Link { return &Link{opts: opts.WithDefaults()} }

// Traits say what the layer is.
func (l *Link) Traits() protocol.Traits {
	return protocol.Traits{Channel: "link", Gives: reliable, Messages: messages, Timers: []string{"resend"}}
}

// Down takes the packets of layers that need a perfect link.
func (l *Link) Down(to protocol.ID, packet protocol.Packet, o *protocol.Out) (taken bool) {
	if o.Needs(packet.Channel)&reliable == 0 {
		return false
	}
	l.enqueue(l.at(to), packet, o)
	return true
}

// Pass lets the packets of the other layers go up. They show the life of their sender too.
func (l *Link) Pass(from protocol.ID, packet protocol.Packet, o *protocol.Out) (taken bool) {
	if p := l.at(from); o.SenderIncarnation() > p.life {
		l.begin(p, o.SenderIncarnation(), o)
	}
	if o.Needs(packet.Channel)&reliable != 0 { // it would break the order
		l.refuse(from, "channel", o)
		return true
	}
	return false
}

// Receive handles the layer's own messages.
func (l *Link) Receive(from protocol.ID, m protocol.Message, o *protocol.Out) {
	p := l.at(from)
	life := o.SenderIncarnation()
	switch {
	case life < p.life || life == p.life && p.over:
		l.refuse(from, "stale-inc", o)
		return
	case life > p.life:
		l.begin(p, life, o)
	}
	switch m := m.(type) {
	case Data:
		l.receive(p, m, o)
	case Ack:
		if m.To == o.Self().Incarnation {
			l.acknowledge(p, m.Upto, o)
		}
	case Ask:
		l.owe(p)
		p.owesReset = true
	case Reset: // who sent it says it all
	default:
		panic(fmt.Sprintf("link: node %d: unknown message %T", o.Self().ID, m))
	}
}

// begin makes a newer life of a peer the present one. What was sent to the old one fails; what was sent when no life
// was known goes to this one.
func (l *Link) begin(p *peer, life protocol.Incarnation, o *protocol.Out) {
	if l.opts.Mistake == Readdresses {
		p.renumber()
	} else {
		l.part(p, o)
	}
	p.life, p.over, p.ejected = life, false, false
	if l.opts.Mistake != KeepsCount {
		p.next = 1
	}
	p.held, p.room = nil, 0
	p.owesAck, p.owesReset = false, false
	p.wait, p.waited = 0, 0
	if l.opts.Trace {
		o.Note(Opened{p.id, life})
	}
	if l.pump(p, o) {
		p.armed = false // the wait for the answer to an Ask is over
		l.await(p, o)
	}
}

// end notes that a life of a peer is over, though the next one was not heard of yet.
func (l *Link) end(p *peer, life protocol.Incarnation, o *protocol.Out) {
	if life < p.life || life == p.life && p.over || l.opts.Mistake == Readdresses {
		return
	}
	l.part(p, o)
	p.life, p.over, p.ejected = life, true, false
}

// part gives up what was sent to the present life of a peer. What was sent when none was known stays.
func (l *Link) part(p *peer, o *protocol.Out) {
	if p.known() {
		l.fail(p, o)
	}
	if p.known() || p.ejected {
		o.Tell(Over{p.id, p.target()})
	}
}

// Expire sends again what was not answered.
func (l *Link) Expire(t protocol.Timer, o *protocol.Out) { l.resend(l.at(protocol.ID(t.Arg)), o) }

// Indicate listens for restarts, and for news of the node's own disk; the layers above hear them too.
func (l *Link) Indicate(e protocol.Event, o *protocol.Out) (taken bool) {
	switch e := e.(type) {
	case detector.Suspect:
		if e.Why == detector.Restarted {
			l.end(l.at(e.Node), e.Incarnation, o)
		}
	case protocol.Disk:
		l.ill = e.Stalled
	case protocol.Steady:
		l.vouch(e, o)
		return true
	}
	return false
}

// Flush sends the acknowledgements and answers that are owed. They speak of this life only, so they need not wait for
// the disk.
func (l *Link) Flush(o *protocol.Out) {
	if len(l.owing) == 0 {
		return
	}
	o.Ungate()
	for _, id := range l.owing {
		p := l.at(id)
		if p.owesReset {
			o.Send(id, Reset{})
		}
		if p.owesAck {
			o.Send(id, Ack{p.life, l.upto(p)})
		}
		p.owesAck, p.owesReset = false, false
	}
	l.owing = l.owing[:0]
}

// owe keeps in mind that something is to be said to a peer.
func (l *Link) owe(p *peer) {
	if !p.owesAck && !p.owesReset {
		l.owing = append(l.owing, p.id)
	}
}

func (l *Link) refuse(from protocol.ID, reason string, o *protocol.Out) {
	o.Note(Dropped{from, o.SenderIncarnation(), reason})
}

// Answer answers a [Query].
func (l *Link) Answer(question any) (any, bool) {
	if _, ok := question.(Query); !ok {
		return nil, false
	}
	s := Status{}
	for i := range l.peers {
		p := &l.peers[i]
		s.Peers = append(s.Peers, PeerStatus{Node: p.id, Incarnation: p.target(), Packets: p.queue.len(), Bytes: p.bytes,
			Held: len(p.held), Full: p.full, Ejected: p.ejected})
	}
	return s, true
}

// String says for people what is on its way, waits or is held.
func (l *Link) String() string {
	texts := []string{}
	for i := range l.peers {
		p := &l.peers[i]
		text := fmt.Sprintf("%d#%d", p.id, p.life)
		for _, part := range []struct {
			is   bool
			text string
		}{
			{p.over, "over"}, {p.ejected, "ejected"}, {p.full, "full"},
			{p.queue.len() > 0, fmt.Sprintf("%d sent, %d waiting", p.sent+1-p.queue.first, p.queue.end-1-p.sent)},
			{p.next > 1, fmt.Sprintf("%d received", p.next-1)}, {len(p.held) > 0, fmt.Sprintf("%d held", len(p.held))},
		} {
			if part.is {
				text += " " + part.text
			}
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "; ")
}
