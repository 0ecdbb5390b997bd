package trace

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"ciranda.dev/protocol"
)

// maxBody is the longest body of a message that is written, in bytes of JSON. A longer one becomes a [Digest].
const maxBody = 512

// An Encoder writes events as lines of JSON. The same events give the same bytes on every machine.
type Encoder struct {
	header *Header
	body   bytes.Buffer
	json   *json.Encoder
	proto  [][]byte // by layer: ,"proto":"name"
}

// NewEncoder makes an encoder for events of a run with that header.
func NewEncoder(h *Header) *Encoder {
	n := &Encoder{header: h}
	n.json = json.NewEncoder(&n.body)
	n.json.SetEscapeHTML(false)
	for i := range 256 {
		n.proto = append(n.proto, appendText([]byte(`,"proto":`), h.LayerName(uint8(i))))
	}
	return n
}

// Append appends e as a JSON object, without an end of line. The index is its position in the run's events, from 0;
// it is left out if negative.
func (n *Encoder) Append(b []byte, e *Event, index int) []byte {
	b = append(b, '{')
	if index >= 0 {
		b = append(b, `"i":`...)
		b = strconv.AppendInt(b, int64(index), 10)
		b = append(b, ',')
	}
	b = append(b, `"node":`...)
	b = strconv.AppendUint(b, uint64(e.Node), 10)
	b = appendNumber(b, `,"inc":`, uint64(e.Inc))
	b = appendNumber(b, `,"n":`, e.N)
	name, told := n.kind(e)
	b = appendText(append(b, `,"kind":`...), name)
	b = append(b, `,"t":`...)
	b = strconv.AppendInt(b, e.T, 10)
	b = appendNumber(b, `,"lam":`, e.Lamport)
	b = n.appendMessage(b, e)
	if e.Layer != 0 || e.Kind >= Send && e.Kind <= Duplicate && e.Kind != Call {
		b = append(b, n.proto[e.Layer]...)
	}
	b = appendTimer(b, e)
	b = appendNumber(b, `,"cause":`, e.Cause)
	if e.Kind == Noted && told {
		b = append(b, `,"note":true`...)
	}
	return append(n.appendData(b, e, told), '}')
}

// kind is the event's kind in the file. An indication's own kind stands for Told, unless there is none or it is one
// of ours.
func (n *Encoder) kind(e *Event) (name string, told bool) {
	if e.Kind == Told || e.Kind == Noted {
		if name := nameOf(e.Data, e.Kind); name != "" && kinds[name] == 0 {
			return name, true
		}
	}
	return e.Kind.String(), false
}

func (n *Encoder) appendMessage(b []byte, e *Event) []byte {
	if ofMessage(e.Kind) {
		m := e.Message()
		b = append(b, `,"mid":"n`...)
		b = strconv.AppendUint(b, uint64(m.Node), 10)
		b = append(b, '#')
		b = strconv.AppendUint(b, uint64(m.Inc), 10)
		b = append(b, ':')
		b = strconv.AppendUint(b, m.Seq, 10)
		b = append(b, '"')
	}
	b = appendNumber(b, `,"copy":`, uint64(e.Copy))
	b = appendNumber(b, `,"peer":`, uint64(e.Peer))
	if e.Kind != Receive {
		b = appendNumber(b, `,"pinc":`, uint64(e.PeerInc))
	}
	return b
}

func ofMessage(k Kind) bool { return k == Send || k == Receive || k == Drop || k == Duplicate }

func ofTimer(k Kind) bool { return k == TimerSet || k == TimerFire || k == TimerCancel }

func appendTimer(b []byte, e *Event) []byte {
	if !ofTimer(e.Kind) {
		return b
	}
	b = append(b, `,"timer":[`...)
	b = strconv.AppendUint(b, uint64(e.Timer.Kind), 10)
	b = append(b, ',')
	b = strconv.AppendUint(b, uint64(e.Timer.Arg), 10)
	b = append(b, ']')
	if e.Kind == TimerSet {
		b = append(b, `,"after":`...)
		b = strconv.AppendInt(b, e.After, 10)
	}
	return b
}

// appendData writes the Data, and its name where the kind does not have it already.
func (n *Encoder) appendData(b []byte, e *Event, told bool) []byte {
	name := ""
	switch d := e.Data.(type) {
	case nil:
		return b
	case Life, Record, Loss, FaultNote, Ending:
	case Raw:
		name = d.Name
	case Digest:
		name = d.Name
	case protocol.Event:
		if name = nameOf(d, e.Kind); name == "" {
			name = protocol.Name(d)
		}
	default:
		name = protocol.Name(d)
	}
	if name != "" && !told {
		b = appendText(append(b, `,"type":`...), name)
	}
	if d, ok := e.Data.(Digest); ok {
		return appendDigest(b, d.Length, d.Hash)
	}
	body := n.marshal(e.Data)
	if len(body) > maxBody && (ofMessage(e.Kind) || e.Kind == Call) {
		sum := sha256.Sum256(body)
		return appendDigest(b, len(body), hex.EncodeToString(sum[:8]))
	}
	if len(body) == 2 && body[0] == '{' {
		return b
	}
	return append(append(b, `,"data":`...), body...)
}

func appendDigest(b []byte, length int, hash string) []byte {
	b = append(b, `,"digest":{"len":`...)
	b = strconv.AppendInt(b, int64(length), 10)
	b = appendText(append(b, `,"sha256":`...), hash)
	return append(b, '}')
}

// marshal gives a value as JSON. What JSON cannot hold, such as a number that is none, becomes text: a trace that
// lacks an event would be worth less.
func (n *Encoder) marshal(v any) []byte {
	if r, ok := v.(Raw); ok {
		if r.JSON == nil {
			return []byte("{}")
		}
		return r.JSON
	}
	n.body.Reset()
	if err := n.json.Encode(v); err != nil {
		n.body.Reset()
		if err := n.json.Encode(fmt.Sprintf("%+v", v)); err != nil {
			return []byte("null")
		}
	}
	return bytes.TrimSuffix(n.body.Bytes(), []byte("\n"))
}

func appendNumber(b []byte, key string, v uint64) []byte {
	if v == 0 {
		return b
	}
	return strconv.AppendUint(append(b, key...), v, 10)
}

// appendText appends a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // strings always can
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
