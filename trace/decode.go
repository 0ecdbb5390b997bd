package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"ciranda.dev/protocol"
)

// kinds are the kinds by their names.
var kinds = func() map[string]Kind {
	m := map[string]Kind{}
	for k, name := range kindNames {
		if name != "" {
			m[name] = Kind(k)
		}
	}
	return m
}()

// A Decoder reads events from lines of JSON, as [Encoder] writes them. Fields may come in any order; those that it
// does not know are passed over.
type Decoder struct {
	header *Header
	names  map[string]string // of kinds and types, so that each is held once
	data   map[string]any    // by type and JSON: the same data is held once
	layers map[string]uint8
}

// Bounds of what a decoder remembers.
const (
	maxNames = 1 << 10
	maxData  = 1 << 13
)

// NewDecoder makes a decoder for events of a run with that header.
func NewDecoder(h *Header) *Decoder {
	return &Decoder{header: h, names: map[string]string{}, data: map[string]any{}, layers: map[string]uint8{}}
}

// A record is what a line holds.
type record struct {
	kind, typ, mid, proto, data, digest []byte
	timed, note                         bool
}

// Decode reads one event. The line is not kept.
func (d *Decoder) Decode(line []byte, e *Event) error {
	*e = Event{}
	s := &scanner{b: line}
	var r record
	s.object(func(key []byte) { d.field(key, s, e, &r) })
	s.end()
	if s.err != nil {
		return s.err
	}
	return d.finish(e, &r)
}

func (d *Decoder) field(key []byte, s *scanner, e *Event, r *record) {
	switch string(key) {
	case "node":
		e.Node = protocol.ID(s.number(1<<16 - 1))
	case "inc":
		e.Inc = protocol.Incarnation(s.number(1<<32 - 1))
	case "n":
		e.N = s.number(1<<64 - 1)
	case "kind":
		r.kind = s.text()
	case "t":
		e.T = s.signed()
	case "lam":
		e.Lamport = s.number(1<<64 - 1)
	case "mid":
		r.mid = s.text()
	case "copy":
		e.Copy = uint8(s.number(255))
	case "peer":
		e.Peer = protocol.ID(s.number(1<<16 - 1))
	case "pinc":
		e.PeerInc = protocol.Incarnation(s.number(1<<32 - 1))
	case "proto":
		r.proto = s.text()
	case "timer":
		r.timed, e.Timer = true, s.timer()
	case "after":
		e.After = s.signed()
	case "cause":
		e.Cause = s.number(1<<64 - 1)
	case "note":
		r.note = string(s.value()) == "true"
	case "type":
		r.typ = s.text()
	case "data":
		r.data = s.value()
	case "digest":
		r.digest = s.value()
	default:
		s.value()
	}
}

// finish makes of the texts of a line what the event holds.
func (d *Decoder) finish(e *Event, r *record) error {
	if len(r.kind) == 0 {
		return fmt.Errorf("found no kind; expected \"kind\":\"send\" or the like")
	}
	if e.Kind = kinds[string(r.kind)]; e.Kind == 0 {
		e.Kind, r.typ = Told, r.kind
		if r.note {
			e.Kind = Noted
		}
	}
	if ofMessage(e.Kind) != (r.mid != nil) || ofTimer(e.Kind) != r.timed {
		return fmt.Errorf("found a %s; expected a \"mid\" for messages and a \"timer\" for timers, and for them alone", r.kind)
	}
	if err := d.layer(e, r.proto); err != nil {
		return err
	}
	if err := parseMessage(e, r.mid); err != nil {
		return err
	}
	return d.setData(e, r)
}

func (d *Decoder) layer(e *Event, name []byte) error {
	if name == nil {
		return nil
	}
	i, ok := d.layers[string(name)]
	if !ok {
		if i, ok = d.header.layerIndex(string(name)); !ok {
			return fmt.Errorf("found layer %q; expected one of %q", name, d.header.Layers)
		}
		d.layers[string(name)] = i
	}
	e.Layer = i
	return nil
}

// parseMessage reads a message id such as n1#1:17.
func parseMessage(e *Event, mid []byte) error {
	if mid == nil {
		return nil
	}
	node, rest, _ := bytes.Cut(mid, []byte("#"))
	inc, seq, _ := bytes.Cut(rest, []byte(":"))
	if len(node) < 2 || node[0] != 'n' {
		return badMessage(mid)
	}
	n, ok1 := parseUint(node[1:], 1<<16-1)
	i, ok2 := parseUint(inc, 1<<32-1)
	q, ok3 := parseUint(seq, 1<<64-1)
	if !ok1 || !ok2 || !ok3 {
		return badMessage(mid)
	}
	m := MessageID{protocol.ID(n), protocol.Incarnation(i), q}
	if e.Seq = q; e.Kind == Receive {
		e.PeerInc = m.Inc
	}
	if e.Message() != m {
		return fmt.Errorf("found message %q at node %d, peer %d; expected the sender's name in it", mid, e.Node, e.Peer)
	}
	return nil
}

func badMessage(mid []byte) error {
	return fmt.Errorf("found message id %q; expected one like n1#1:17", mid)
}

// setData makes the event's Data: of the kinds that this package defines a typed value, of others a Raw or Digest.
func (d *Decoder) setData(e *Event, r *record) error {
	if r.digest != nil {
		g := Digest{Name: d.name(r.typ)}
		if err := json.Unmarshal(r.digest, &g); err != nil {
			return fmt.Errorf("found digest %s: %w", short(r.digest), err)
		}
		e.Data = g
		return nil
	}
	if r.data == nil && r.typ == nil && !hasOwnData(e.Kind) {
		return nil
	}
	var scratch [256]byte
	key := append(append(append(scratch[:0], byte(e.Kind)), r.typ...), 0)
	key = append(key, r.data...)
	if v, ok := d.data[string(key)]; ok {
		e.Data = v
		return nil
	}
	v, err := d.makeData(e.Kind, r)
	if err != nil {
		return err
	}
	if len(d.data) < maxData && len(key) < maxBody {
		d.data[string(key)] = v
	}
	e.Data = v
	return nil
}

func hasOwnData(k Kind) bool {
	return k == Start || k == Recover || k == Persisted || k == Drop || k == Fault || k == End
}

func (d *Decoder) makeData(k Kind, r *record) (any, error) {
	if r.data != nil && !json.Valid(r.data) {
		return nil, fmt.Errorf("found data %s; expected JSON", short(r.data))
	}
	switch k {
	case Start, Recover:
		return typed[Life](r.data)
	case Persisted:
		return typed[Record](r.data)
	case Drop:
		return typed[Loss](r.data)
	case Fault:
		return typed[FaultNote](r.data)
	case End:
		return typed[Ending](r.data)
	}
	return Raw{d.name(r.typ), bytes.Clone(r.data)}, nil
}

func typed[T any](data []byte) (any, error) {
	var v T
	if data == nil {
		return v, nil
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, fmt.Errorf("found data %s: %w", short(data), err)
	}
	return v, nil
}

// name gives the text as a string that is shared among events.
func (d *Decoder) name(text []byte) string {
	if s, ok := d.names[string(text)]; ok {
		return s
	}
	s := string(text)
	if len(d.names) < maxNames {
		d.names[s] = s
	}
	return s
}

// short is the beginning of a text, for an error.
func short(text []byte) string {
	if len(text) > 40 {
		return strconv.Quote(string(text[:40])) + "…"
	}
	return strconv.Quote(string(text))
}

func parseUint(b []byte, limit uint64) (uint64, bool) {
	if len(b) == 0 || len(b) > 20 || len(b) > 1 && b[0] == '0' {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		digit := uint64(c - '0')
		if digit > 9 || n > limit/10 || n*10 > limit-digit {
			return 0, false
		}
		n = n*10 + digit
	}
	return n, true
}
