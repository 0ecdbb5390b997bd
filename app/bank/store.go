package bank

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"

	"ciranda.dev/protocol"
)

// What is stored. Each step that changes the account writes one record, so that a crash keeps all of the step or
// nothing. It is an operation, under the next key of the log, as long as the log is short; then the whole account,
// under stateKey, and the log begins anew. So what a step writes does not grow with the account, and recovery reads
// at most twice the account. Records are numbered: what is left of an older log has too low a number.
const (
	stateKey = "state"
	logKey   = "log/" // and a number from 0
)

// leastLog is how many bytes of operations there may be at least before the account is written anew.
const leastLog = 512

// A log is where the next record goes.
type log struct {
	serial uint64 // of the last record
	slot   uint64 // of the next operation
	length int    // of the operations
	state  int    // of the account when it was last written
}

// save stores an operation that was done, or the account with it.
func (b *Bank) save(op operation, o *protocol.Out) {
	b.log.serial++
	record := appendOperation(nil, b.log.serial, op)
	if b.log.length+len(record) > max(leastLog, b.log.state) {
		b.saveAll(o)
		return
	}
	o.Persist(logKey+strconv.FormatUint(b.log.slot, 10), record)
	b.log.slot++
	b.log.length += len(record)
}

// saveAll stores the account.
func (b *Bank) saveAll(o *protocol.Out) {
	record := appendAccount(nil, b.log.serial, &b.account)
	o.Persist(stateKey, record)
	b.log = log{serial: b.log.serial, state: len(record)}
}

// load reads what a former life stored, if there is anything.
func (b *Bank) load(stored protocol.Stored) (found bool, err error) {
	record, found := stored(stateKey)
	if !found {
		return false, nil
	}
	if b.log.serial, err = readAccount(record, &b.account); err != nil {
		return true, fmt.Errorf("%q: %w", stateKey, err)
	}
	b.log.state = len(record)
	for {
		key := logKey + strconv.FormatUint(b.log.slot, 10)
		record, found := stored(key)
		if !found {
			return true, nil
		}
		serial, op, err := readOperation(record)
		switch {
		case err != nil:
		case serial <= b.log.serial:
			return true, nil // of an older log
		case serial > b.log.serial+1:
			err = fmt.Errorf("it is record %d and follows record %d", serial, b.log.serial)
		default:
			err = b.account.do(op, b.opts.Remember)
		}
		if err != nil {
			return true, fmt.Errorf("%q: %w", key, err)
		}
		b.log.serial, b.log.slot, b.log.length = serial, b.log.slot+1, b.log.length+len(record)
	}
}

// version is the first byte of each record.
const version = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal appends a checksum.
func seal(b []byte) []byte { return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)) }

func appendOperation(b []byte, serial uint64, op operation) []byte {
	b = append(b, version, byte(op.kind))
	for _, n := range []uint64{serial, uint64(op.peer), op.number, uint64(op.amount), op.low} {
		b = binary.AppendUvarint(b, n)
	}
	b = appendText(b, op.request.Client)
	b = binary.AppendUvarint(binary.AppendUvarint(b, op.request.Number), op.request.Below)
	return seal(appendText(b, op.why))
}

func readOperation(record []byte) (serial uint64, op operation, err error) {
	r := open(record)
	op.kind = kind(r.byte("the kind of an operation", byte(debit), byte(refusal)))
	serial = r.number("the number of a record")
	op.peer = r.node()
	op.number, op.amount, op.low = r.number("a transfer"), r.amount(), r.number("a transfer")
	op.request.Client = r.text(longestName, "the name of a client")
	op.request.Number, op.request.Below = r.number("a request"), r.number("a request")
	op.why = r.text(longestWhy, "a reason")
	if r.err == nil && !op.request.valid() {
		r.err = fmt.Errorf("found the request %q; expected one that a client can make", op.request)
	}
	return serial, op, r.end(func() []byte { return appendOperation(nil, serial, op) })
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func appendAccount(b []byte, serial uint64, a *account) []byte {
	b = append(b, version, byte(checkpoint))
	b = binary.AppendVarint(binary.AppendUvarint(b, serial), a.balance)
	peers := slices.DeleteFunc(slices.Clone(a.peers), peer.blank)
	b = binary.AppendUvarint(binary.AppendUvarint(b, a.next), uint64(len(peers)))
	for i := range peers {
		b = appendPeer(b, &peers[i])
	}
	return seal(appendAnswers(b, &a.answers))
}

// blank says that nothing is known of a peer.
func (p peer) blank() bool { return len(p.window) == 0 && p.below == 0 && len(p.also) == 0 }

// appendPeer writes numbers as the distance from the one before.
func appendPeer(b []byte, p *peer) []byte {
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(p.id)), uint64(len(p.window)))
	last := uint64(0)
	for _, e := range p.window {
		b = binary.AppendUvarint(binary.AppendUvarint(b, e.number-last), uint64(e.amount))
		last = e.number
	}
	b = binary.AppendUvarint(binary.AppendUvarint(b, p.count), p.below)
	b = binary.AppendUvarint(b, uint64(len(p.also)))
	last = p.below
	for _, n := range p.also {
		b = binary.AppendUvarint(b, n-last)
		last = n
	}
	return b
}

func appendAnswers(b []byte, a *answers) []byte {
	b = binary.AppendUvarint(b, uint64(len(a.held)))
	for _, id := range a.order {
		n, held := a.held[id]
		if !held {
			continue
		}
		b = appendText(b, id.client)
		for _, v := range []uint64{id.number, a.clients[id.client].floor, uint64(n.to), uint64(n.amount), n.number} {
			b = binary.AppendUvarint(b, v)
		}
		b = appendText(b, n.why)
	}
	b = binary.AppendUvarint(b, uint64(len(a.idle)))
	for _, name := range a.idle {
		b = binary.AppendUvarint(appendText(b, name), a.clients[name].floor)
	}
	return b
}

func readAccount(record []byte, a *account) (serial uint64, err error) {
	r := open(record)
	r.byte("an account", byte(checkpoint), byte(checkpoint))
	serial = r.number("the number of a record")
	a.balance, a.next = r.balance(a.overdraws), r.number("a transfer")
	a.peers = make([]peer, 0, r.count("nodes"))
	last := protocol.None
	for range cap(a.peers) {
		p := r.peer(a.next)
		if r.err == nil && p.id <= last {
			r.err = fmt.Errorf("found node %d after node %d; expected ascending numbers", p.id, last)
		}
		a.peers, last = append(a.peers, p), p.id
	}
	a.answers = r.answers()
	return serial, r.end(func() []byte { return appendAccount(nil, serial, a) })
}

func (r *reader) peer(next uint64) peer {
	p := peer{id: r.node()}
	number := uint64(0)
	for range r.count("transfers") {
		number = r.after(number, 1)
		p.window = append(p.window, entry{number: number, amount: r.amount()})
	}
	if r.err == nil && len(p.window) > 0 && (number >= next || p.window[0].amount == 0) {
		r.err = fmt.Errorf("found transfers %d to %d to node %d; expected the first not settled, and numbers below %d",
			p.low(), number, p.id, next)
	}
	p.count, p.below = r.number("how many were applied"), r.number("a transfer")
	number = p.below
	for i := range r.count("transfers") {
		number = r.after(number, min(uint64(i), 1))
		p.also = append(p.also, number)
	}
	if r.err == nil && p.count < uint64(len(p.also)) {
		r.err = fmt.Errorf("found %d transfers of node %d applied; expected %d at least", p.count, p.id, len(p.also))
	}
	return p
}

func (r *reader) answers() answers {
	a := answers{}
	for range r.count("answers") {
		id := requestID{r.text(longestName, "the name of a client"), r.number("a request")}
		floor := r.number("a request")
		n := answer{r.node(), r.amount(), r.number("a transfer"), r.text(longestWhy, "a reason")}
		request := Request{Client: id.client, Number: id.number}
		if r.err == nil && (id.client == "" || !request.valid() || a.holds(id)) {
			r.err = fmt.Errorf("found the request %q; expected one that a client can make, and once", request)
		}
		if r.err != nil {
			break
		}
		a.remember(request, n, mostRemember)
		c := a.clients[id.client]
		c.floor = floor
		a.clients[id.client] = c
	}
	for range r.count("clients") {
		name, floor := r.text(longestName, "the name of a client"), r.number("a request")
		if _, known := a.clients[name]; known && r.err == nil {
			r.err = fmt.Errorf("found the client %q twice", name)
		}
		if r.err != nil {
			break
		}
		if a.clients == nil {
			a.held, a.clients = map[requestID]answer{}, map[string]client{}
		}
		a.clients[name], a.idle = client{floor: floor}, append(a.idle, name)
	}
	return a
}

// A reader reads a record up to the first thing that is wrong.
type reader struct {
	record, b []byte
	err       error
}

// open checks what all records have.
func open(record []byte) *reader {
	r := &reader{record: record, b: record}
	body := len(record) - crc32.Size
	if body < 1 || crc32.Checksum(record[:body], castagnoli) != binary.BigEndian.Uint32(record[body:]) {
		r.err = fmt.Errorf("%d bytes with a wrong checksum: the record is damaged", len(record))
		return r
	}
	r.b = record[:body]
	if v := r.byte("a version", 0, 255); v != version {
		r.err = fmt.Errorf("found version %d; expected %d", v, version)
	}
	return r
}

// end says what was wrong. A record has one form only, so what was read and is written again must be the same.
func (r *reader) end(again func() []byte) error {
	switch {
	case r.err != nil:
		return r.err
	case len(r.b) > 0:
		return fmt.Errorf("found %d bytes more; expected the end", len(r.b))
	case !bytes.Equal(again(), r.record):
		return fmt.Errorf("found %d bytes in a form that no node writes", len(r.record))
	}
	return nil
}

func (r *reader) fail(what, expected string) {
	if r.err == nil {
		r.err = fmt.Errorf("found %s; expected %s", what, expected)
	}
	r.b = nil
}

func (r *reader) byte(what string, least, most byte) byte {
	if r.err != nil || len(r.b) == 0 || r.b[0] < least || r.b[0] > most {
		r.fail("the end or another byte", what)
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) below(limit uint64, what string) uint64 {
	v, n := binary.Uvarint(r.b)
	if r.err != nil || n <= 0 || v >= limit {
		r.fail("no number below "+strconv.FormatUint(limit, 10), what)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) number(what string) uint64 { return r.below(ceiling, what) }

func (r *reader) amount() int64 { return int64(r.below(ceiling, "an amount")) }

func (r *reader) balance(below bool) int64 {
	v, n := binary.Varint(r.b)
	if r.err != nil || n <= 0 || v >= ceiling || v < 0 && !below {
		r.fail("no number from 0 below "+strconv.FormatUint(ceiling, 10), "a balance")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) node() protocol.ID { return protocol.ID(r.below(1<<16, "a node")) }

// after reads the distance of a transfer from the one before.
func (r *reader) after(last, least uint64) uint64 {
	v := last + r.number("the distance to a transfer")
	if r.err == nil && (v < last+least || v >= ceiling) {
		r.fail("transfer "+strconv.FormatUint(v, 10), "a greater one than "+strconv.FormatUint(last, 10))
	}
	return v
}

// count is how many things follow. Each takes a byte at least.
func (r *reader) count(what string) int {
	return int(r.below(uint64(len(r.b))+1, "how many "+what+" follow"))
}

func (r *reader) text(longest int, what string) string {
	n := int(r.below(uint64(min(longest, len(r.b)))+1, "the length of "+what))
	if r.err != nil || n > len(r.b) {
		r.fail("the end", what)
		return ""
	}
	text := string(r.b[:n])
	r.b = r.b[n:]
	return text
}
