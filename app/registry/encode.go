package registry

import (
	"encoding/binary"
	"errors"
	"fmt"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/invocation"
)

// What members say to each other: a byte says what it is.
const (
	aCommand = 1
	aPiece   = 2
)

// version begins each encoded table.
const version = 1

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func appendNumbers(b []byte, numbers ...uint64) []byte {
	for _, n := range numbers {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func appendMember(b []byte, m group.Member) []byte {
	return appendNumbers(b, uint64(m.Node), uint64(m.Incarnation), uint64(m.Life))
}

func appendRequest(b []byte, r invocation.RID) []byte {
	return appendNumbers(append(b, r.Client[:]...), r.Incarnation, r.Seq)
}

// appendEntry gives an entry as bytes: equal ones give equal bytes.
func appendEntry(b []byte, e *Entry) []byte {
	b = appendText(b, e.Name)
	b = append(b, e.Ref.Owner[:]...)
	b = appendNumbers(b, e.Ref.Incarnation)
	b = append(b, e.Ref.Object[:]...)
	b = appendText(appendText(b, e.Ref.Interface), e.Ref.Fingerprint)
	b = appendNumbers(b, uint64(len(e.Tags)))
	for _, key := range sortedKeys(e.Tags) {
		b = appendText(appendText(b, key), e.Tags[key])
	}
	b = append(appendNumbers(b, uint64(len(e.Description))), e.Description...)
	return appendMember(append(b, e.By[:]...), e.Home)
}

// encode gives a command as bytes.
func (c *command) encode() []byte {
	b := appendNumbers([]byte{aCommand, byte(c.op)}, c.ticket)
	return appendEntry(appendRequest(b, c.request), &c.entry)
}

// encodeState gives a table and the commands that wait as bytes. Equal ones give equal bytes.
func encodeState(t *table, waiting []held) []byte {
	b := appendNumbers([]byte{version}, t.since, t.revision, uint64(len(t.entries)), uint64(len(t.answers)), uint64(len(waiting)))
	for _, name := range t.names() {
		e := t.entries[name]
		b = appendEntry(b, &e)
	}
	for i := range t.answers {
		a := &t.answers[i]
		b = appendNumbers(appendText(appendRequest(b, a.request), string(a.answer.reason)), a.answer.revision)
	}
	for i := range waiting {
		b = appendText(appendMember(b, waiting[i].from), string(waiting[i].command.encode()))
	}
	return b
}

// A piece is a part of a state on its way to those who join.
type piece struct {
	view  uint64 // whose beginning the state is of
	last  bool
	bytes []byte
}

func (p *piece) encode() []byte {
	last := uint64(0)
	if p.last {
		last = 1
	}
	return append(appendNumbers([]byte{aPiece}, p.view, last), p.bytes...)
}

func decodePiece(b []byte) (piece, error) {
	r := reader{b: b}
	p := piece{view: r.number(), last: r.number() == 1, bytes: r.b}
	return p, r.err()
}

func decodeCommand(b []byte) (command, error) {
	r := reader{b: b}
	c := command{op: op(r.byte()), ticket: r.number(), request: r.request(), entry: r.entry()}
	if r.bad || len(r.b) > 0 {
		return command{}, errCut
	}
	if c.op == 0 || c.op > lastOp {
		return command{}, fmt.Errorf("registry: found the command %d; expected 1 to %d", c.op, lastOp)
	}
	return c, nil
}

// decodeState reads what encodeState wrote.
func decodeState(b []byte, opts *Options) (table, []held, error) {
	r := reader{b: b}
	if r.byte() != version {
		return table{}, nil, fmt.Errorf("registry: the table does not begin with version %d", version)
	}
	t := table{since: r.number(), revision: r.number(), entries: map[string]Entry{}}
	names, answers, waits := r.number(), r.number(), r.number()
	if names > uint64(opts.Entries) || answers > uint64(opts.Remember) || waits > mostHeld {
		return table{}, nil, fmt.Errorf("registry: found %d names, %d answers and %d commands; expected at most %d, %d and %d", names, answers, waits,
			opts.Entries, opts.Remember, mostHeld)
	}
	last := ""
	for i := uint64(0); i < names && !r.bad; i++ {
		e := r.entry()
		if e.Name <= last {
			r.bad = true
		}
		last = e.Name
		t.entries[e.Name] = e
		t.hash, t.size = t.hash+e.hash(), t.size+e.weight()
	}
	for i := uint64(0); i < answers && !r.bad; i++ {
		t.answers = append(t.answers, answered{r.request(), answer{Reason(r.text()), r.number()}})
	}
	var waiting []held
	for i := uint64(0); i < waits && !r.bad; i++ {
		from, text := r.member(), r.text()
		if len(text) == 0 || text[0] != aCommand {
			return table{}, nil, errCut
		}
		c, err := decodeCommand([]byte(text[1:]))
		if err != nil {
			return table{}, nil, err
		}
		waiting = append(waiting, held{from, c})
	}
	if r.bad || len(r.b) > 0 {
		return table{}, nil, errCut
	}
	return t, waiting, nil
}

// errCut says that bytes are missing, too many, or not as they are written.
var errCut = errors.New("registry: the bytes do not end where they should, or are out of order")

// A reader reads until something is missing or out of bounds.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) err() error {
	if r.bad {
		return errCut
	}
	return nil
}

func (r *reader) fail() {
	r.b, r.bad = nil, true
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.fail()
		return make([]byte, min(n, 16))
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte { return r.take(1)[0] }

// number reads a number as it is written: the shortest way.
func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || size > 1 && r.b[size-1] == 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) bytes() []byte {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	return r.take(int(n))
}

func (r *reader) text() string { return string(r.bytes()) }

func (r *reader) id() (id [16]byte) {
	copy(id[:], r.take(16))
	return id
}

func (r *reader) request() invocation.RID {
	return invocation.RID{Client: r.id(), Incarnation: r.number(), Seq: r.number()}
}

func (r *reader) member() group.Member {
	node, inc, life := r.number(), r.number(), r.number()
	if node > 1<<16-1 || inc > 1<<32-1 || life > 1<<32-1 {
		r.fail()
	}
	return group.Member{Node: protocol.ID(node), Incarnation: protocol.Incarnation(inc), Life: uint32(life)}
}

func (r *reader) entry() Entry {
	e := Entry{Name: r.text()}
	e.Ref = invocation.Ref{Owner: r.id(), Incarnation: r.number(), Object: r.id(), Interface: r.text(), Fingerprint: r.text()}
	e.Tags = r.tags()
	if b := r.bytes(); len(b) > 0 {
		e.Description = b
	}
	e.By, e.Home = r.id(), r.member()
	return e
}

func (r *reader) tags() map[string]string {
	n := r.number()
	if n == 0 {
		return nil
	}
	if n > mostTags {
		r.fail()
		return nil
	}
	tags := make(map[string]string, n)
	last := ""
	for range n {
		key := r.text()
		if key <= last {
			r.fail()
		}
		last, tags[key] = key, r.text()
	}
	return tags
}
