package rmi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"ciranda.dev/protocol/invocation"
)

// What is said over a connection is a row of frames: the length of what follows, in four bytes; the kind; the body. Whose
// requests and replies they are follows from the connection: both ends have said who they are, in which life.
const (
	introFrame = iota + 1 // who this end is; the first frame of each end
	proofFrame            // that it has the secret; the second, if the connection is in plain text
	requestFrame
	replyFrame
	signalFrame
)

const (
	headSize = 5
	maxFrame = MaxSize + 8<<10 // bytes of a frame's body: a largest request, with its head and its path
	maxIntro = 256             // of what is read of strangers
	idSize   = len(invocation.ClientID{})
)

// errShort is the error of a frame that ends too soon.
var errShort = errors.New("a frame that is cut off")

// beginFrame leaves room for the head of a frame at the end of b, and says where it begins.
func beginFrame(b []byte, kind byte) (_ []byte, at int) {
	return append(b, 0, 0, 0, 0, kind), len(b)
}

// endFrame fills in the length of the frame that began there.
func endFrame(b []byte, at int) []byte {
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

// appendRequest adds the frame of a request.
func appendRequest(b []byte, r *invocation.Request) []byte {
	b, at := beginFrame(b, requestFrame)
	nested := r.Root != r.RID
	flags := byte(r.Semantics) << 1
	if nested {
		flags |= 1
	}
	b = append(b, flags)
	for _, n := range [...]uint64{r.RID.Incarnation, r.RID.Seq, r.Session, r.ServerIncarnation, uint64(r.Op), uint64(r.Budget), r.AckBelow} {
		b = binary.AppendUvarint(b, n)
	}
	if nested {
		b = appendRID(appendRID(b, r.Root), r.Parent)
	}
	return endFrame(append(b, r.Args...), at)
}

func appendRID(b []byte, r invocation.RID) []byte {
	b = append(b, r.Client[:]...)
	return binary.AppendUvarint(binary.AppendUvarint(b, r.Incarnation), r.Seq)
}

// readRequest reads the body of a frame into r. Its arguments are part of the body.
func readRequest(b []byte, client invocation.ClientID, r *invocation.Request) error {
	d := reader{b: b}
	flags := d.byte()
	*r = invocation.Request{Semantics: invocation.Semantics(flags >> 1)}
	r.RID = invocation.RID{Client: client, Incarnation: d.number(), Seq: d.number()}
	r.Session, r.ServerIncarnation = d.number(), d.number()
	op := d.number()
	r.Op, r.Budget, r.AckBelow = uint32(op), time.Duration(d.number()), d.number()
	if r.Root = r.RID; flags&1 != 0 {
		r.Root, r.Parent = d.rid(), d.rid()
	}
	if d.failed {
		return errShort
	}
	if r.Semantics > invocation.Maybe || op>>32 != 0 {
		return fmt.Errorf("a request with the semantics %d and the method %d", flags>>1, op)
	}
	r.Args = d.b
	return nil
}

// appendReply adds the frame of a reply.
func appendReply(b []byte, r *invocation.Reply) []byte {
	b, at := beginFrame(b, replyFrame)
	b = append(b, byte(r.Status))
	b = binary.AppendUvarint(binary.AppendUvarint(b, r.RID.Incarnation), r.RID.Seq)
	return endFrame(append(b, r.Result...), at)
}

// readReply reads the body of a frame into r. The result is part of the body.
func readReply(b []byte, client invocation.ClientID, server uint64, r *invocation.Reply) error {
	d := reader{b: b}
	*r = invocation.Reply{Status: invocation.Status(d.byte()), ServerIncarnation: server}
	r.RID = invocation.RID{Client: client, Incarnation: d.number(), Seq: d.number()}
	if d.failed {
		return errShort
	}
	if r.Status < invocation.OK || r.Status > invocation.Orphaned {
		return fmt.Errorf("a reply with the status %d", uint8(r.Status))
	}
	r.Result = d.b
	return nil
}

// appendSignal adds the frame of a signal.
func appendSignal(b []byte, g *invocation.Signal) []byte {
	b, at := beginFrame(b, signalFrame)
	b = append(b, byte(g.Kind))
	for _, n := range [...]uint64{g.RID.Incarnation, g.RID.Seq, g.Session, uint64(g.Stamp), uint64(g.Lease), g.AckBelow} {
		b = binary.AppendUvarint(b, n)
	}
	return endFrame(b, at)
}

// readSignal reads the body of a frame. Signals up to Bye are of clients, the others of servers.
func readSignal(b []byte, client, self invocation.ClientID, server uint64) (g invocation.Signal, err error) {
	d := reader{b: b}
	g.Kind = invocation.SignalKind(d.byte())
	g.RID = invocation.RID{Client: client, Incarnation: d.number(), Seq: d.number()}
	g.Session, g.Stamp, g.Lease, g.AckBelow = d.number(), time.Duration(d.number()), time.Duration(d.number()), d.number()
	if g.Kind > invocation.Bye {
		g.RID.Client, g.ServerIncarnation = self, server
	}
	switch {
	case d.failed || len(d.b) > 0:
		return g, errShort
	case g.Kind < invocation.Hello || g.Kind > invocation.Expired:
		return g, fmt.Errorf("a signal of the kind %d", uint8(g.Kind))
	}
	return g, nil
}

// A reader takes values from the front of bytes.
type reader struct {
	b      []byte
	failed bool
}

func (d *reader) byte() byte {
	if len(d.b) == 0 {
		d.failed = true
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *reader) number() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.failed, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *reader) bytes(to []byte) {
	if len(d.b) < len(to) {
		d.failed, d.b = true, nil
		return
	}
	copy(to, d.b)
	d.b = d.b[len(to):]
}

func (d *reader) rid() (r invocation.RID) {
	d.bytes(r.Client[:])
	r.Incarnation, r.Seq = d.number(), d.number()
	return r
}
