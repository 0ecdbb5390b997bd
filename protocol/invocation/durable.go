package invocation

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"ciranda.dev/protocol"
)

// tableVersion begins each stored table.
const tableVersion = 1

// Table gives what the server knows of a client, as bytes: to be stored, and given to [Server.Restore] of the same life of the
// server.
func (s *Server) Table(id ClientID) []byte {
	b := append([]byte{tableVersion}, id[:]...)
	l, ses := s.lives[id], s.sessions[id]
	closed := uint64(0)
	if l.closed {
		closed = 1
	}
	if ses == nil {
		ses = &session{}
	}
	for _, n := range []uint64{l.incarnation, closed, s.opened, ses.number, ses.ackBelow} {
		b = binary.AppendUvarint(b, n)
	}
	for i := ses.entries.head; i < len(ses.entries.items); i++ {
		if e := ses.entries.items[i]; e.keeps {
			b = appendEntry(b, e)
		}
	}
	return b
}

func appendEntry(b []byte, e *entry) []byte {
	status, result := e.reply.Status, e.reply.Result
	if !e.done { // should it be read, nobody will know how far it came
		status, result = Orphaned, []byte("the server was restarted meanwhile")
	}
	b = binary.AppendUvarint(b, e.rid.Seq)
	b = append(b, byte(status))
	b = binary.AppendUvarint(b, uint64(len(result)))
	return append(b, result...)
}

// errTable says that a stored table is damaged.
var errTable = errors.New("invocation: the stored table of a client ends where it should not")

// Restore takes what [Server.Table] gave, before anything arrives. The session, if it is not over, has a whole lease from now on.
func (s *Server) Restore(now time.Duration, b []byte) error {
	if len(b) < 17 || b[0] != tableVersion {
		return fmt.Errorf("invocation: a stored table begins with version %d and a client", tableVersion)
	}
	t := tableReader{b: b[17:]}
	id, inc, closed := ClientID(b[1:17]), t.number(), t.number() == 1
	opened, number, ackBelow := t.number(), t.number(), t.number()
	ses := &session{number: number, client: id, incarnation: inc, renewed: now, ackBelow: ackBelow}
	for !t.bad && len(t.b) > 0 {
		if err := t.entry(ses, s.life); err != nil {
			return err
		}
	}
	if t.bad {
		return errTable
	}
	s.opened = max(s.opened, opened)
	s.lives[id] = life{inc, closed, now}
	if number != 0 {
		s.sessions[id] = ses
	}
	s.next = min(s.next, now+s.opts.Lease)
	return nil
}

// A tableReader reads until something is missing.
type tableReader struct {
	b   []byte
	bad bool
}

func (t *tableReader) number() uint64 {
	n, size := binary.Uvarint(t.b)
	if size <= 0 {
		t.b, t.bad = nil, true
		return 0
	}
	t.b = t.b[size:]
	return n
}

// entry reads the reply of a call. They are in ascending order.
func (t *tableReader) entry(ses *session, server uint64) error {
	rid := RID{ses.client, ses.incarnation, t.number()}
	if t.bad || len(t.b) == 0 {
		return errTable
	}
	status := Status(t.b[0])
	t.b = t.b[1:]
	n := t.number()
	i, known := ses.entries.find(rid.Seq)
	if t.bad || n > uint64(len(t.b)) || known || i != ses.entries.len() {
		return errTable
	}
	reply := Reply{rid, status, slices.Clone(t.b[:n]), server}
	t.b = t.b[n:]
	ses.entries.put(i, rid.Seq, &entry{rid: rid, root: rid, keeps: true, done: true, reply: reply})
	ses.kept += len(reply.Result)
	return nil
}

// lifeKey is where a durable server keeps the number of its life, which its restarts do not change.
const lifeKey = "life"

func tableKey(id protocol.ID) string { return "client-" + id.String() }

func (l *Layer) saveLife(o *protocol.Out) {
	o.Persist(lifeKey, binary.AppendUvarint(nil, l.life))
}

// save stores the table of a client that is a node.
func (l *Layer) save(id ClientID, o *protocol.Out) {
	o.Persist(tableKey(protocol.ID(id.Node())), l.server.Table(id))
}

// Recover begins anew, with the tables that were stored if the layer is durable.
func (l *Layer) Recover(stored protocol.Stored, o *protocol.Out) {
	number, found := stored(lifeKey)
	was, _ := binary.Uvarint(number)
	l.Start(o)
	if !l.opts.Durable || !found {
		return
	}
	o.Persist(lifeKey, number)
	l.server = NewServer(was, l.opts.Options)
	for _, id := range o.Self().Group {
		if b, ok := stored(tableKey(id)); ok {
			if err := l.server.Restore(o.Now(), b); err != nil { // to go on without it would be to execute twice
				panic(fmt.Sprintf("invocation: node %d: %v", l.self, err))
			}
		}
	}
	for _, ses := range l.server.sorted() {
		for _, e := range ses.entries.all() {
			o.Note(Restored{e.rid, e.reply.Status.String(), string(e.reply.Result)})
		}
	}
	l.arm(o)
}
