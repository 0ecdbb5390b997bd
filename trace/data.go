package trace

import (
	"encoding/json"
	"reflect"

	"ciranda.dev/protocol"
)

// Raw is the Data of an event that was read from a file, where the file alone does not say which Go type it had:
// messages, calls, indications and notes. [DataOf] makes the typed value of it.
type Raw struct {
	Name string          // the event's kind such as "fd.suspect", or the message's type such as "bully.Election"
	JSON json.RawMessage // nil if the value had no fields
}

// Kind is the kind of the event that was read.
func (r Raw) Kind() string { return r.Name }

// MarshalJSON is the JSON that was read.
func (r Raw) MarshalJSON() ([]byte, error) {
	if r.JSON == nil {
		return []byte("{}"), nil
	}
	return r.JSON, nil
}

// A Digest stands for a message's body that was too long to be written.
type Digest struct {
	Name   string `json:"-"`      // the message's type
	Length int    `json:"len"`    // of the body as JSON, in bytes
	Hash   string `json:"sha256"` // the first 16 hexadecimal digits
}

// DataOf gives an event's Data as a T, whether it was recorded in this process or read from a file. It is not ok if
// the Data is something else.
func DataOf[T any](e *Event) (T, bool) {
	if d, ok := e.Data.(T); ok {
		return d, true
	}
	var d T
	raw, ok := e.Data.(Raw)
	if !ok || raw.Name != nameOf(d, e.Kind) {
		return d, false
	}
	if raw.JSON == nil {
		return d, true
	}
	err := json.Unmarshal(raw.JSON, &d)
	return d, err == nil
}

// nameOf is the Name that Raw has for data of an event of kind k.
func nameOf(data any, k Kind) string {
	if k == Told || k == Noted {
		if e, ok := data.(protocol.Event); ok && !isNilPointer(data) {
			return e.Kind()
		}
		return ""
	}
	return protocol.Name(data)
}

func isNilPointer(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

// Name is the event's kind as files have it: that of the indication or note where there is one, such as "fd.suspect".
func (e *Event) Name() string {
	if e.Kind == Told || e.Kind == Noted {
		if name := nameOf(e.Data, e.Kind); name != "" {
			return name
		}
	}
	return e.Kind.String()
}

// MessageName is the type of the message that was sent, received, dropped or duplicated, such as "bully.Election"; of
// a Call that of the request. It is empty where the event has none.
func (e *Event) MessageName() string {
	switch d := e.Data.(type) {
	case Raw:
		return d.Name
	case Digest:
		return d.Name
	case nil, Loss:
		return ""
	}
	if e.Kind != Send && e.Kind != Receive && e.Kind != Duplicate && e.Kind != Call {
		return ""
	}
	return protocol.Name(e.Data)
}

// OfNode says whether the event is one of its node's, and so has a place in happened-before.
func (e *Event) OfNode() bool { return e.Node != protocol.None && e.Kind >= Start && e.Kind <= Noted }
