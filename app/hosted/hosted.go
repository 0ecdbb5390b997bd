// Package hosted lets a program outside of the stack be the application on top of it.
//
// The program hears what leaves the stack at its top, in order: deliveries and views of its group, what other nodes' programs
// send to it ([Received]), and where its state is asked for ([snapshot.Cut], and Capture of package transfer). It answers
// by calls. It may take its time: its place is that in the row of events up to which it has got, and not that of the stack.
//
// A program sends bytes to that of another node with [Send]. They arrive once and in order, as long as neither node
// restarts; what is lost with a life is lost. What the other program has not consumed ([Consumed]) is bounded: when it
// is too much, further sends wait here, as many bytes as [Options.Backlog] says, and beyond that they are refused.
//
// Snapshots. The program answers a Cut, when it comes to it in the row, with [Picture]: its state after all that came before the
// Cut and nothing of what comes after. It has sent what its state says that it has sent, and nothing more: what it calls
// before the Picture is before the picture, what after, after. What came to the node after the Cut and before the marker of the
// other end is recorded on its way, whether or not the program has seen it meanwhile. So the picture is consistent
// however late the program is, but one that takes longer than half of what a snapshot may take is missing in it. What waits
// here to be sent is part of this node's [State], as on its way: [Flying] gives all that is on its way in a snapshot.
//
// What it does not promise: that a picture is consistent with regard to multicasts; they do not pass the layer for
// snapshots. A program whose state is made by multicasts alone has the same at all members, and needs no snapshot.
package hosted

import (
	"fmt"
	"slices"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/link"
	"ciranda.dev/protocol/snapshot"
)

// Calls of the program.
type (
	// Send sends bytes to another node's program. It is answered by Sent once they are in the row; by protocol.Refused if
	// they never will be. So a program that sends never waits for one that does not consume.
	Send struct {
		To   protocol.ID
		Data []byte // never changed from here on
	}
	// Consumed says that so many messages of a node are done with, of so many bytes. It is answered by Noted.
	Consumed struct {
		From     protocol.ID
		Messages int
		Bytes    int
	}
	// Picture answers a snapshot.Cut with the program's state. It is answered by Noted.
	Picture struct {
		ID    snapshot.ID
		State []byte // never changed from here on
	}
	// Sent answers Send.
	Sent struct{}
	// Noted answers Consumed and Picture.
	Noted struct{}
)

// Received is an indication: another node's program has sent this.
type Received struct {
	From protocol.ID
	Data []byte
}

// Kind is the event's name in traces.
func (Received) Kind() string { return "hosted.receive" }

// Dropped is the note that a message of another node was refused.
type Dropped struct {
	From   protocol.ID `json:"from"`
	Reason string      `json:"reason"` // unexpected
}

// Kind is the event's name in traces.
func (Dropped) Kind() string { return "hosted.drop" }

// The messages, and what is in snapshots.
type (
	// Data is what a program sends.
	Data struct{ Bytes []byte }
	// Credit says that so many bytes of what was sent are consumed.
	Credit struct{ Bytes uint64 }
	// State is a piece of a node's part of a snapshot.
	State struct {
		Bytes   []byte
		Waiting []Waiting // to be sent when there is room; with the last piece
	}
	// Waiting is what waits to be sent to a node, in order.
	Waiting struct {
		To   protocol.ID
		Data [][]byte
	}
)

// Size is about how many bytes the message takes on the wire.
func (d Data) Size() int { return len(d.Bytes) + 16 }

// Size is about how many bytes the message takes on the wire.
func (s State) Size() int {
	size := len(s.Bytes) + 16
	for _, w := range s.Waiting {
		for _, d := range w.Data {
			size += len(d) + 16
		}
	}
	return size
}

// Options set the sizes. They should be the same at all nodes.
type Options struct {
	// Largest is how many bytes may be sent at once, 1 to 2^19, and with 64 more at most three quarters of the Window. Zero
	// means 256 KiB.
	Largest int
	// Window is how many bytes may be on their way to a node and not consumed there, 1 to 2^30. Each message counts 64 beside
	// its own. Zero means 1 MiB.
	Window int
	// Backlog is how many bytes may wait for that, to each node, 1 to 2^30. Zero means 1 MiB.
	Backlog int
}

// WithDefaults gives the options with the defaults filled in.
func (p Options) WithDefaults() Options {
	if p.Largest == 0 {
		p.Largest = 256 << 10
	}
	if p.Window == 0 {
		p.Window = 1 << 20
	}
	if p.Backlog == 0 {
		p.Backlog = 1 << 20
	}
	return p
}

// Validate says which of the options, defaults filled in, are out of bounds.
func (p Options) Validate() error {
	p = p.WithDefaults()
	for _, b := range []struct {
		name     string
		is, most int
	}{{"Largest", p.Largest, 1 << 19}, {"Window", p.Window, 1 << 30}, {"Backlog", p.Backlog, 1 << 30}} {
		if b.is < 1 || b.is > b.most {
			return fmt.Errorf("hosted: %s is %d bytes; it must be between 1 and %d", b.name, b.is, b.most)
		}
	}
	if p.Largest+slot > p.Window/4*3 {
		return fmt.Errorf("hosted: Largest is %d bytes; it and %d must be at most three quarters of Window = %d", p.Largest, slot, p.Window)
	}
	return nil
}

// slot is what a message counts beside its bytes.
const slot = 64

// A Layer is one node's.
type Layer struct {
	protocol.Base
	opts  Options `layer:"const"`
	peers []peer  // ascending
}

// A peer is another node.
type peer struct {
	id      protocol.ID
	out     int      // bytes sent to its present life that it has not consumed
	waiting [][]byte // for room
	size    int      // of those
	owed    int      // bytes consumed here of which it was not told
}

// New makes a node's layer. Options that [Options.Validate] refuses are not usable.
func New(opts Options) *Layer { return &Layer{opts: opts.WithDefaults()} }

// Traits say what the layer is.
func (l *Layer) Traits() protocol.Traits {
	return protocol.Traits{Channel: "hosted", Needs: protocol.FIFO | protocol.NoLoss,
		Messages: []protocol.Message{Data{}, Credit{}, State{}}, Requests: []any{Send{}, Consumed{}, Picture{}}}
}

// Start knows the other nodes.
func (l *Layer) Start(o *protocol.Out) {
	for _, id := range o.Self().Group {
		if id != o.Self().ID {
			l.peers = append(l.peers, peer{id: id})
		}
	}
}

func (l *Layer) peer(id protocol.ID) *peer {
	i, found := slices.BinarySearchFunc(l.peers, id, func(p peer, id protocol.ID) int { return protocol.ByID(p.id, id) })
	if !found {
		return nil
	}
	return &l.peers[i]
}

// Request takes what the program asks.
func (l *Layer) Request(r any, o *protocol.Out) (taken bool) {
	call, _ := r.(protocol.Call)
	if call.Body != nil {
		r = call.Body
	}
	switch r := r.(type) {
	case Send:
		l.send(r, call.ID, o)
	case Consumed:
		l.consumed(r, o)
		reply(call.ID, Noted{}, o)
	case Picture:
		l.picture(r, o)
		reply(call.ID, Noted{}, o)
	default:
		return false
	}
	return true
}

// reply answers a call, if it was one.
func reply(call uint64, body any, o *protocol.Out) {
	if call != 0 {
		o.Indicate(protocol.Reply{ID: call, Body: body})
	}
}

func (l *Layer) send(r Send, call uint64, o *protocol.Out) {
	p, size := l.peer(r.To), len(r.Data)+slot
	switch {
	case p == nil:
		reply(call, protocol.Refused{Why: fmt.Sprintf("found node %d; expected another one of the group", r.To)}, o)
	case len(r.Data) > l.opts.Largest:
		reply(call, protocol.Refused{Why: fmt.Sprintf("found a message of %d bytes; expected at most %d", len(r.Data), l.opts.Largest)}, o)
	case p.size > 0 && p.size+size > l.opts.Backlog:
		reply(call, protocol.Refused{Why: fmt.Sprintf("found %d bytes that wait to be sent to node %d; expected at most %d with these %d",
			p.size, r.To, l.opts.Backlog, size)}, o)
	default:
		p.waiting = append(p.waiting, r.Data)
		p.size += size
		l.goOn(p, o)
		reply(call, Sent{}, o)
	}
}

// goOn sends what waits, as far as there is room.
func (l *Layer) goOn(p *peer, o *protocol.Out) {
	n := 0
	for ; n < len(p.waiting); n++ {
		size := len(p.waiting[n]) + slot
		if p.out+size > l.opts.Window {
			break
		}
		o.Send(p.id, Data{p.waiting[n]})
		p.out, p.size = p.out+size, p.size-size
	}
	p.waiting = slices.Delete(p.waiting, 0, n)
}

// consumed tells the sender, when there is enough to tell. What is not told is less than the window has beside the largest
// message.
func (l *Layer) consumed(r Consumed, o *protocol.Out) {
	p := l.peer(r.From)
	if p == nil || r.Bytes < 0 || r.Messages < 0 {
		return
	}
	if p.owed += r.Bytes + slot*r.Messages; p.owed >= l.opts.Window/4 {
		o.Send(p.id, Credit{uint64(p.owed)})
		p.owed = 0
	}
}

// Receive handles what other nodes send.
func (l *Layer) Receive(from protocol.ID, m protocol.Message, o *protocol.Out) {
	p := l.peer(from)
	switch m := m.(type) {
	case Data:
		o.Tell(Received{from, m.Bytes})
	case Credit:
		p.out -= int(min(m.Bytes, uint64(p.out)))
		l.goOn(p, o)
	default: // a state is in reports only
		o.Note(Dropped{from, "unexpected"})
	}
}

// Indicate listens for the ends of lives. The program hears all that is told.
func (l *Layer) Indicate(e protocol.Event, o *protocol.Out) (taken bool) {
	if over, is := e.(link.Over); is {
		if p := l.peer(over.Node); p != nil { // a later life has got nothing yet, and is owed nothing
			p.out, p.owed = 0, 0
			l.goOn(p, o)
		}
		return true
	}
	return false
}

// piece is how much of a state travels at once.
const piece = 512 << 10

// picture hands the program's state to the layer for snapshots, with what waits here.
func (l *Layer) picture(r Picture, o *protocol.Out) {
	rest := r.State
	for len(rest) > piece {
		o.Request(snapshot.State{ID: r.ID, State: o.Packet(State{Bytes: rest[:piece:piece]}), More: true})
		rest = rest[piece:]
	}
	o.Request(snapshot.State{ID: r.ID, State: o.Packet(State{Bytes: rest}), More: l.anyWaits()})
	for i := range l.peers {
		l.pictureWaiting(&l.peers[i], r.ID, o)
	}
}

// pictureWaiting hands over what waits for a node, one message a piece; the last node's last one ends the state.
func (l *Layer) pictureWaiting(p *peer, id snapshot.ID, o *protocol.Out) {
	for i, data := range p.waiting {
		last := i == len(p.waiting)-1 && !slices.ContainsFunc(l.peers, func(q peer) bool { return q.id > p.id && len(q.waiting) > 0 })
		o.Request(snapshot.State{ID: id, State: o.Packet(State{Waiting: []Waiting{{p.id, [][]byte{data}}}}), More: !last})
	}
}

func (l *Layer) anyWaits() bool {
	return slices.ContainsFunc(l.peers, func(p peer) bool { return len(p.waiting) > 0 })
}

// Answer answers a [Query].
func (l *Layer) Answer(question any) (any, bool) {
	if _, ok := question.(Query); !ok {
		return nil, false
	}
	var s Status
	for i := range l.peers {
		s.Out += l.peers[i].out
		s.Waiting += l.peers[i].size
	}
	return s, true
}

// Query asks a node's layer for its Status, from outside and between steps.
type Query struct{}

// A Status is how much is on its way from a node.
type Status struct {
	Out     int // bytes sent that are not known to be consumed
	Waiting int // bytes that wait for room
}

// String says for people what is on its way.
func (l *Layer) String() string {
	text := ""
	for i := range l.peers {
		p := &l.peers[i]
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("to %d: %d bytes not consumed, %d wait", p.id, p.out, len(p.waiting))
	}
	return text
}
