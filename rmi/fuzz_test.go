package rmi

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"ciranda.dev/protocol/dgc"
	"ciranda.dev/protocol/invocation"
)

// FuzzFrames reads what a peer may send as each kind of frame. What reads well is written as it was.
func FuzzFrames(f *testing.F) {
	me, you := ID{1}, ID{2}
	rid := invocation.RID{Client: you, Incarnation: 7, Seq: 9}
	body := func(frame []byte) []byte { return frame[headSize:] }
	f.Add(body(appendRequest(nil, &invocation.Request{RID: rid, Root: rid, Op: 3, Args: []byte("args"), Budget: time.Second, AckBelow: 4})))
	f.Add(body(appendRequest(nil, &invocation.Request{RID: rid, Root: invocation.RID{Client: me, Incarnation: 1, Seq: 1}, Parent: rid, Semantics: invocation.Maybe})))
	f.Add(body(appendReply(nil, &invocation.Reply{RID: rid, Status: invocation.OK, Result: []byte("result")})))
	f.Add(body(appendSignal(nil, &invocation.Signal{Kind: invocation.Welcome, RID: rid, Session: 5, Stamp: 3, Lease: time.Minute})))
	f.Add((&intro{id: you, life: 3}).frame()[headSize:])
	f.Add(appendTarget(nil, Ref{Ref: invocation.Ref{Object: invocation.ObjectID{4}, Incarnation: 6}}, []hop{{Text: "A.B on node 1"}}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		var request, again invocation.Request
		if readRequest(b, you, &request) == nil {
			if err := readRequest(body(appendRequest(nil, &request)), you, &again); err != nil || !reflect.DeepEqual(request, again) {
				t.Errorf("%+v reads as %+v, %v", request, again, err)
			}
			readTarget(request.Args)
		}
		var reply, same invocation.Reply
		if readReply(b, me, 1, &reply) == nil {
			if err := readReply(body(appendReply(nil, &reply)), me, 1, &same); err != nil || !reflect.DeepEqual(reply, same) {
				t.Errorf("%+v reads as %+v, %v", reply, same, err)
			}
		}
		if g, err := readSignal(b, you, me, 1); err == nil {
			if h, err := readSignal(body(appendSignal(nil, &g)), you, me, 1); err != nil || g != h {
				t.Errorf("%+v reads as %+v, %v", g, h, err)
			}
		}
		if to, err := readTarget(b); err == nil && len(to.args) > len(b) {
			t.Errorf("%d bytes of arguments in %d", len(to.args), len(b))
		}
	})
}

// A mixture has fields of all forms.
type mixture struct {
	Text  string            `cbor:"text"`
	Count int8              `cbor:"count"`
	Many  []uint16          `cbor:"many"`
	Some  [3]bool           `cbor:"some"`
	By    map[string]Change `cbor:"by"`
	At    *mixture          `cbor:"at"`
	When  time.Time         `cbor:"when"`
	Ref   Ref               `cbor:"ref"`
	Rest  dgc.Update        `cbor:"rest"`
	Bytes []byte            `cbor:"bytes"`
	Real  float64           `cbor:"real"`
}

// FuzzArguments decodes what a caller may send as arguments, and as an error. What decodes can be encoded, and reads as the same bytes.
func FuzzArguments(f *testing.F) {
	for _, m := range []mixture{{}, {Text: "a", Count: -3, Many: []uint16{1}, By: map[string]Change{"x": {Revision: 3}}, At: &mixture{}, Bytes: []byte{1}}} {
		b, err := encode(&m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	_, b := encodeError(&Error{Kind: Failed, Happened: Yes, cause: &typedError{3}})
	f.Add(b)
	f.Add([]byte("\xa1\x64many\x9b\x00\x00\x00\x01\x00\x00\x00\x00"))
	f.Add([]byte("\xa1\x62by\xbb\x00\x00\x00\x01\x00\x00\x00\x00"))
	f.Add(bytes.Repeat([]byte("\xa1\x62at"), 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m mixture
		if decode(b, &m) == nil {
			if again, err := encode(&m); err == nil {
				var n mixture
				if err := decode(again, &n); err != nil {
					t.Errorf("%+v does not read again: %v", m, err)
				}
			}
		}
		var w wireError
		if decMode.Unmarshal(b, &w) == nil && w.Cause != nil {
			_ = w.Cause.error().Error()
		}
		var d Description
		if decode(b, &d) == nil {
			for _, method := range d.Methods {
				example(method.In)
				for _, field := range method.Out {
					plain(map[any]any{"a": 1}, field.Type)
				}
			}
		}
	})
}
