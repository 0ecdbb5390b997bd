package board

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/protocol/transfer"
)

// A mast takes the place of the layers below: it keeps what is asked of it.
type mast struct {
	protocol.Base
	asked []any `layer:"const"`
}

func (*mast) String() string { return "" }
func (*mast) Traits() protocol.Traits {
	return protocol.Traits{Channel: "mast", Gives: protocol.Multicast, Requests: []any{transfer.Captured{}}}
}
func (m *mast) Request(r any, _ *protocol.Out) bool {
	m.asked = append(m.asked, r)
	return true
}

// open puts a board on a mast.
func open(t *testing.T, keep int) (*protocol.Stack, *mast, *protocol.Out) {
	t.Helper()
	m := &mast{}
	s, err := protocol.NewStack(protocol.Self{ID: 2, Incarnation: 1, Group: []protocol.ID{1, 2}}, m, New(Options{Keep: keep}))
	if err != nil {
		t.Fatal(err)
	}
	o := &protocol.Out{}
	s.Start(protocol.Inputs{}, o)
	return s, m, o
}

func contents(t *testing.T, s *protocol.Stack) Contents {
	t.Helper()
	a, ok := s.Answer(Query{})
	if !ok {
		t.Fatal("no answer")
	}
	return a.(Contents)
}

func delivery(sender protocol.ID, texts ...string) multicast.Delivery {
	d := multicast.Delivery{View: 1, Sender: sender, Lane: Lane, First: 1}
	for _, text := range texts {
		d.Payloads = append(d.Payloads, []byte(text))
	}
	return d
}

// What is cast in the board's lane is put up, the last ones are kept, and all are counted.
func TestNotices(t *testing.T) {
	s, _, o := open(t, 2)
	s.Notify(transfer.Anew{View: 1}, protocol.Inputs{}, o)
	s.Notify(delivery(1, "a", "b"), protocol.Inputs{}, o)
	other := delivery(1, "not a notice")
	other.Uniform = false
	s.Notify(other, protocol.Inputs{}, o)
	s.Notify(delivery(2, "c"), protocol.Inputs{}, o)
	got := contents(t, s)
	if want := []Notice{{1, "b"}, {2, "c"}}; got.Count != 3 || got.Since != 1 || !reflect.DeepEqual(got.Notices, want) {
		t.Errorf("got %+v, want 3 notices, the last %v", got, want)
	}
}

// The hash tells apart what differs, in text, sender or order, and where one text ends.
func TestHash(t *testing.T) {
	seen := map[Hash]string{}
	for name, all := range map[string][]multicast.Delivery{
		"a, b": {delivery(1, "a", "b")}, "b, a": {delivery(1, "b", "a")}, "ab": {delivery(1, "ab")}, "of 2": {delivery(2, "a", "b")},
		"empty": {delivery(1, "")}, "none": {}, "a": {delivery(1, "a")},
	} {
		s, _, o := open(t, 0)
		s.Notify(transfer.Anew{View: 1}, protocol.Inputs{}, o)
		for _, d := range all {
			s.Notify(d, protocol.Inputs{}, o)
		}
		h := contents(t, s).Hash
		if other, twice := seen[h]; twice {
			t.Errorf("%s and %s have the same hash", name, other)
		}
		seen[h] = name
	}
}

// A post goes to the group in the board's lane.
func TestPost(t *testing.T) {
	s, m, o := open(t, 0)
	s.Call(protocol.Call{ID: 7, Body: Post{"hello"}}, protocol.Inputs{}, o)
	want := protocol.Call{ID: 7, Body: multicast.Cast{Order: multicast.Total, Uniform: true, Payloads: [][]byte{[]byte("hello")}}}
	if len(m.asked) != 1 || !reflect.DeepEqual(m.asked[0], want) {
		t.Errorf("got %+v, want %+v", m.asked, want)
	}
}

// A board that is handed over is the same at its taker, and goes on alike.
func TestHandOver(t *testing.T) {
	giver, below, o := open(t, 3)
	giver.Notify(transfer.Anew{View: 4}, protocol.Inputs{}, o)
	giver.Notify(delivery(1, "a", "b", "c", strings.Repeat("d", 1000)), protocol.Inputs{}, o)
	giver.Notify(transfer.Capture{View: 9}, protocol.Inputs{}, o)
	captured, ok := below.asked[0].(transfer.Captured)
	if !ok || captured.View != 9 {
		t.Fatalf("got %+v, want the state of view 9", below.asked)
	}
	taker, _, p := open(t, 3)
	taker.Notify(transfer.Load{View: 9, State: captured.State}, protocol.Inputs{}, p)
	for _, s := range []*protocol.Stack{giver, taker} {
		s.Notify(delivery(2, "e"), protocol.Inputs{}, p)
	}
	if a, b := contents(t, giver), contents(t, taker); !reflect.DeepEqual(a, b) {
		t.Errorf("got %+v, want %+v", b, a)
	}
}

// A state that cannot be read leaves an empty board, and a note.
func TestSpoilt(t *testing.T) {
	s, _, o := open(t, 0)
	s.Notify(transfer.Load{View: 1, State: []byte{version, 1, 5, 5, 3}}, protocol.Inputs{}, o)
	noted := false
	for _, e := range o.Effects() {
		if n, is := e.Body.(Spoilt); is {
			noted = strings.Contains(n.Why, "does not end")
		}
	}
	if got := contents(t, s); !noted || got.Count != 0 {
		t.Errorf("got %+v, noted %v", got, noted)
	}
}

func TestBounds(t *testing.T) {
	for keep, ok := range map[int]bool{0: true, 1: true, mostKept: true, -1: false, mostKept + 1: false} {
		if err := (Options{Keep: keep}).Validate(); (err == nil) != ok {
			t.Errorf("%d: %v", keep, err)
		}
	}
}

// What is read is written as the same, and nothing else is read.
func FuzzState(f *testing.F) {
	b := Board{keep: 5, since: 3, count: 9, hash: 77, notices: []Notice{{1, "a"}, {2, ""}}}
	f.Add(b.encode())
	f.Add([]byte{})
	f.Add([]byte{version, 0, 0, 0, 0})
	f.Add([]byte{version, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 5, 200})
	f.Fuzz(func(t *testing.T, s []byte) {
		b, err := decode(s, 5)
		if err != nil {
			return
		}
		again, err := decode(b.encode(), 5)
		if err != nil || !reflect.DeepEqual(b, again) || !bytes.Equal(b.encode(), again.encode()) {
			t.Errorf("got %+v, %v, want %+v", again, err, b)
		}
	})
}
