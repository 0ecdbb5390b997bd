package multicast

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
)

// A batch in a trace has what programs say, and hashes of what layers say among themselves.
func TestInnerIsHidden(t *testing.T) {
	b := Batch{View: 1, First: 1, Got: []uint64{1}, Runs: []Run{{Lane: 1, First: 1, Count: 1}, {Lane: uint8(Inner.index()), First: 1, Count: 2}, {Lane: 3, First: 1, Count: 1}},
		Payloads: [][]byte{[]byte("open one"), []byte("secret one"), []byte("secret two"), []byte("open two")}}
	text, err := json.Marshal(Again{Batch: b})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range b.Payloads {
		shows := bytes.Contains(text, []byte(base64.StdEncoding.EncodeToString(p)))
		if want := strings.HasPrefix(string(p), "open"); shows != want {
			t.Errorf("%s: shown %t, want %t", p, shows, want)
		}
	}
	if string(b.Payloads[1]) != "secret one" {
		t.Error("to be shown changes a batch")
	}
}

// Layers talk among themselves whatever orders are run; where the lane is not run its messages are refused.
func TestInner(t *testing.T) {
	for _, runs := range []bool{true, false} {
		l := New(Options{Orders: []Order{FIFO}, Inner: runs})
		l.begin(group.View{ID: 1, Members: []group.Member{{Node: 1}}}, nil)
		why := l.inspect(0, &Batch{View: 1, First: 1, Got: []uint64{0}, Runs: []Run{{Lane: uint8(Inner.index()), First: 1, Count: 1, After: []uint64{0}}}, Payloads: [][]byte{nil}})
		if (why == "") != runs {
			t.Errorf("Inner %t: refused as %q", runs, why)
		}
	}
	s, err := protocol.NewStack(protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1}}, &below{}, New(Options{Inner: true, Largest: 4}))
	if err != nil {
		t.Fatal(err)
	}
	o := &protocol.Out{}
	s.Start(protocol.Inputs{}, o)
	l := s.Layer(1).(*Layer)
	l.begin(group.View{ID: 1, Members: []group.Member{{Node: 1}}}, o)
	l.within(Within{Payloads: [][]byte{[]byte("hello")}, Tag: 7}, o)
	if l.bytes != 0 {
		t.Error("a message that is too large is taken")
	}
	l.within(Within{Payloads: [][]byte{[]byte("hell")}}, o)
	if l.bytes != 4+slot {
		t.Errorf("%d bytes wait, want %d", l.bytes, 4+slot)
	}
}

// below takes the place of the layers below.
type below struct{ protocol.Base }

func (*below) String() string { return "" }
func (*below) Traits() protocol.Traits {
	return protocol.Traits{Channel: "below", Gives: protocol.FIFO | protocol.NoLoss | protocol.Views}
}
