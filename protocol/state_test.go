package protocol_test

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"ciranda.dev/protocol"
	"pgregory.net/rapid"
)

// A rich layer has state of every kind that may be state.
type rich struct {
	protocol.Base
	numbers []uint16
	names   map[string]int
	nested  map[protocol.ID][]inner
	pair    [2]int8
	next    *inner
	any     any
	flag    bool
	ratio   float64
	shared  *options `layer:"const"`
}

type inner struct {
	text string
	deep *inner
	term struct{ counter uint64 }
}

type options struct{ limit int }

func (*rich) Traits() protocol.Traits { return protocol.Traits{Channel: "rich"} }
func (*rich) String() string          { return "" }

// key is the state key of a layer.
func key(t testing.TB, l protocol.Layer) []byte {
	s, err := protocol.NewStack(self, l)
	if err != nil {
		t.Fatal(err)
	}
	return s.AppendState(nil)
}

func full() *rich {
	return &rich{
		numbers: []uint16{1, 2}, names: map[string]int{"a": 1, "b": -1},
		nested: map[protocol.ID][]inner{3: {{text: "x", deep: &inner{text: "y"}}}},
		pair:   [2]int8{-1, 1}, next: &inner{text: "z"}, any: inner{text: "in an interface"},
		flag: true, ratio: 0.5, shared: &options{limit: 9},
	}
}

// A clone has the state of its original, and neither sees what later happens to the other.
func TestCloneIsEqualAndIndependent(t *testing.T) {
	changes := map[string]func(l *rich){
		"slice element":  func(l *rich) { l.numbers[0]++ },
		"slice length":   func(l *rich) { l.numbers = append(l.numbers, 0) },
		"map entry":      func(l *rich) { l.names["a"]++ },
		"map size":       func(l *rich) { l.names["c"] = 0 },
		"map of slices":  func(l *rich) { l.nested[3][0].text = "" },
		"behind pointer": func(l *rich) { l.nested[3][0].deep.text = "" },
		"array":          func(l *rich) { l.pair[1]++ },
		"pointer":        func(l *rich) { l.next.term.counter++ },
		"no pointer":     func(l *rich) { l.next = nil },
		"interface":      func(l *rich) { l.any = 3 },
		"other type":     func(l *rich) { l.any = struct{ text string }{"in an interface"} },
		"no interface":   func(l *rich) { l.any = nil },
		"boolean":        func(l *rich) { l.flag = false },
		"float":          func(l *rich) { l.ratio = -0.5 },
	}
	for name, change := range changes {
		original := full()
		s := stackOf(t, original)
		before := s.AppendState(nil)
		clone := s.Clone()
		if !bytes.Equal(clone.AppendState(nil), before) {
			t.Fatalf("%s: the clone's state differs", name)
		}
		change(original)
		if bytes.Equal(s.AppendState(nil), before) {
			t.Errorf("%s: the key does not show the change", name)
		}
		if !bytes.Equal(clone.AppendState(nil), before) {
			t.Errorf("%s: the clone saw a change of its original", name)
		}
		change(clone.Layer(0).(*rich))
		if !bytes.Equal(clone.AppendState(nil), s.AppendState(nil)) {
			t.Errorf("%s: the same change gives different states", name)
		}
	}
}

// Fields that are tagged as constant are shared and no part of the state.
func TestConstantsAreShared(t *testing.T) {
	l := full()
	s := stackOf(t, l)
	before := s.AppendState(nil)
	if s.Clone().Layer(0).(*rich).shared != l.shared {
		t.Error("a constant was copied")
	}
	l.shared.limit = 10
	if !bytes.Equal(s.AppendState(nil), before) {
		t.Error("a constant is part of the state")
	}
}

// The key does not depend on how a state came to be: the order of a map, room in a slice, nil or empty.
func TestKeyIsCanonical(t *testing.T) {
	empty := &rich{numbers: make([]uint16, 0, 9), names: map[string]int{}, nested: map[protocol.ID][]inner{}}
	if !bytes.Equal(key(t, empty), key(t, &rich{})) {
		t.Error("empty and nil differ")
	}
	rapid.Check(t, func(rt *rapid.T) {
		names := rapid.MapOf(rapid.StringN(0, 3, -1), rapid.IntRange(-2, 2)).Draw(rt, "names")
		forwards, backwards := map[string]int{}, map[string]int{"gone": 1}
		order := slices.Sorted(maps.Keys(names))
		for _, name := range order {
			forwards[name] = names[name]
		}
		for _, name := range slices.Backward(order) {
			backwards[name] = names[name]
		}
		if _, stays := names["gone"]; !stays {
			delete(backwards, "gone")
		}
		if !bytes.Equal(key(t, &rich{names: forwards}), key(t, &rich{names: backwards})) {
			rt.Fatalf("the order of insertion shows in the key of %v", names)
		}
	})
}

// Different states have different keys: no two fields run into each other.
func TestKeyTellsStatesApart(t *testing.T) {
	states := rapid.Custom(func(t *rapid.T) *rich {
		small := rapid.IntRange(0, 2)
		l := &rich{names: map[string]int{}}
		for range small.Draw(t, "numbers") {
			l.numbers = append(l.numbers, uint16(small.Draw(t, "number")))
		}
		for range small.Draw(t, "names") {
			l.names[rapid.SampledFrom([]string{"", "a", "ab", "b"}).Draw(t, "name")] = small.Draw(t, "value")
		}
		if small.Draw(t, "next") > 0 {
			l.next = &inner{text: rapid.SampledFrom([]string{"", "a", "ab"}).Draw(t, "text")}
		}
		l.flag = small.Draw(t, "flag") > 0
		return l
	})
	rapid.Check(t, func(rt *rapid.T) {
		a, b := states.Draw(rt, "a"), states.Draw(rt, "b")
		same := slices.Equal(a.numbers, b.numbers) && maps.Equal(a.names, b.names) && a.flag == b.flag &&
			(a.next == nil) == (b.next == nil) && (a.next == nil || *a.next == *b.next)
		if got := bytes.Equal(key(t, a), key(t, b)); got != same {
			rt.Fatalf("keys equal: %v, states equal: %v\n%+v\n%+v", got, same, a, b)
		}
	})
}

// Layers that NewStack must refuse. Each is wrong in one way.
type (
	messenger struct {
		scripted
		messages []protocol.Message `layer:"const"`
	}
	withChannel struct {
		scripted
		c chan int
	}
	withComplex struct {
		scripted
		c complex128
	}
	withPointerKeys struct {
		scripted
		m map[*int]int
	}
	byValue struct{ protocol.Base }

	hidden    struct{ count int }
	pointing  struct{ To *int }
	open      struct{ Any any }
	openInMap struct{ M map[string][]any }
)

func (m *messenger) Traits() protocol.Traits {
	return protocol.Traits{Channel: m.Name, Messages: m.messages}
}
func (byValue) Traits() protocol.Traits { return protocol.Traits{Channel: "value"} }
func (byValue) String() string          { return "" }

func TestNewStackRefuses(t *testing.T) {
	named := func(name string) *scripted { return &scripted{Name: name} }
	sends := func(m protocol.Message) protocol.Layer {
		return &messenger{scripted: scripted{Name: "m"}, messages: []protocol.Message{m}}
	}
	needs := &scripted{Name: "election", traits: protocol.Traits{Needs: protocol.FailureDetection | protocol.FIFO}}
	gives := &scripted{Name: "detector", traits: protocol.Traits{Gives: protocol.FailureDetection}}
	fifo := &scripted{Name: "link", traits: protocol.Traits{Gives: protocol.FIFO}}
	tests := []struct {
		self   protocol.Self
		layers []protocol.Layer
		want   string // the error; empty for none
	}{
		{self, []protocol.Layer{gives, fifo, needs}, ""},
		{self, []protocol.Layer{sends(wrap{})}, ""},
		{self, nil, "protocol: a stack has 1 to 255 layers, not 0"},
		{self, []protocol.Layer{gives, needs, fifo}, "protocol: election needs FIFO order, and no layer below it gives that"},
		{self, []protocol.Layer{needs}, "protocol: election needs FIFO order, failure detection, and no layer below it gives that"},
		{self, []protocol.Layer{named("a"), named("a")}, `protocol: two layers are called "a"`},
		{self, []protocol.Layer{named("a/b")}, `protocol: *protocol_test.scripted: a layer's name is a word without a slash, not "a/b"`},
		{self, []protocol.Layer{byValue{}}, "protocol: value: a layer is a pointer to a struct, not a protocol_test.byValue"},
		{self, []protocol.Layer{&withChannel{scripted: *named("c"), c: nil}}, "protocol: c: field .c is a chan int, which cannot be cloned; tag it `layer:\"const\"` if it is never written"},
		{self, []protocol.Layer{&withComplex{scripted: *named("c"), c: 0}}, "protocol: c: field .c is a complex128, which cannot be cloned; tag it `layer:\"const\"` if it is never written"},
		{self, []protocol.Layer{&withPointerKeys{scripted: *named("k"), m: nil}}, "protocol: k: field .m has keys of type *int, which have no order"},
		{self, []protocol.Layer{sends(7)}, "protocol: m: message int: is not a plain struct"},
		{self, []protocol.Layer{sends(&note{})}, "protocol: m: message *protocol_test.note: is not a plain struct"},
		{self, []protocol.Layer{sends(hidden{count: 0})}, "protocol: m: message protocol_test.hidden: field .count is not exported, so it would not travel"},
		{self, []protocol.Layer{sends(pointing{})}, "protocol: m: message protocol_test.pointing: field .To is a *int, and messages are plain values"},
		{self, []protocol.Layer{sends(open{})}, "protocol: m: message protocol_test.open: field .Any is a interface {}, and messages are plain values"},
		{self, []protocol.Layer{sends(openInMap{})}, "protocol: m: message protocol_test.openInMap: field .M is a interface {}, and messages are plain values"},
		{protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{2, 1}}, []protocol.Layer{gives}, "protocol: the group [2 1] is not ascending"},
		{protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1, 1}}, []protocol.Layer{gives}, "protocol: the group [1 1] is not ascending"},
		{protocol.Self{ID: 4, Incarnation: 1, Group: []protocol.ID{1, 2}}, []protocol.Layer{gives}, "protocol: node 4 is not in the group [1 2] of numbers from 1"},
		{protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{0, 1}}, []protocol.Layer{gives}, "protocol: node 1 is not in the group [0 1] of numbers from 1"},
		{protocol.Self{ID: 1, Group: []protocol.ID{1}}, []protocol.Layer{gives}, "protocol: incarnations count from 1"},
	}
	for _, test := range tests {
		got := ""
		if _, err := protocol.NewStack(test.self, test.layers...); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("\n got %s\nwant %s", got, test.want)
		}
	}
	if _, err := protocol.NewStack(self, slices.Repeat([]protocol.Layer{gives}, 256)...); err == nil || !strings.Contains(err.Error(), "not 256") {
		t.Errorf("256 layers: %v", err)
	}
}
