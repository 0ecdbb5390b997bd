package detector_test

import (
	"slices"
	"testing"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"pgregory.net/rapid"
)

// A Set behaves like a map of its members, and equal sets are equal as values, however they came to be.
func TestSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set detector.Set
		members := map[protocol.ID]bool{}
		for range rapid.IntRange(0, 50).Draw(t, "changes") {
			id := protocol.ID(rapid.IntRange(1, 200).Draw(t, "id"))
			if rapid.Bool().Draw(t, "add") {
				set.Add(id)
				members[id] = true
			} else {
				set.Remove(id)
				delete(members, id)
			}
		}
		var want []protocol.ID
		var again detector.Set
		for id := protocol.ID(1); id <= 200; id++ {
			if members[id] != set.Has(id) {
				t.Fatalf("Has(%d) = %v", id, set.Has(id))
			}
			if members[id] {
				want = append(want, id)
				again.Add(id)
			}
		}
		if got := set.IDs(); !slices.Equal(got, want) {
			t.Fatalf("members %v, want %v", got, want)
		}
		if !slices.Equal(set, again) {
			t.Fatalf("two sets of %v differ", want)
		}
		checkRound(t, set, want)
	})
}

// checkRound goes through the set by Next, once round.
func checkRound(t *rapid.T, set detector.Set, want []protocol.ID) {
	at := protocol.None
	for range 2 {
		for _, id := range want {
			if at = set.Next(at); at != id {
				t.Fatalf("Next gives %d, want %d", at, id)
			}
		}
	}
	if len(want) == 0 && set.Next(7) != protocol.None {
		t.Fatal("Next of the empty set is a node")
	}
}

// host is a stack's layer that does nothing but lend its Out.
type host struct {
	protocol.Base
	do func(o *protocol.Out) `layer:"const"`
}

func (h *host) Start(o *protocol.Out) { h.do(o) }
func (h *host) String() string        { return "" }
func (*host) Traits() protocol.Traits { return protocol.Traits{Channel: "host"} }

// within runs do inside a step of node 1 of three and gives what it indicated.
func within(t *testing.T, do func(o *protocol.Out)) []any {
	t.Helper()
	self := protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1, 2, 5}}
	s, err := protocol.NewStack(self, &host{do: do})
	if err != nil {
		t.Fatal(err)
	}
	o := &protocol.Out{}
	s.Start(protocol.Inputs{}, o)
	told := []any{}
	for _, e := range o.Effects() {
		if e.Kind == protocol.Indicate {
			told = append(told, e.Body)
		}
	}
	return told
}

// Of a node that nobody watches nothing is told, but its lives are told apart all the same.
func TestTellsOfTheWatchedOnly(t *testing.T) {
	told := within(t, func(o *protocol.Out) {
		p := detector.Peers{}
		for range 2 { // the second time it is watched
			p.Suspect(p.At(5), detector.Timeout, o)
			p.Suspect(p.At(5), detector.Link, o) // it is suspected already
			p.Restore(p.At(5), o)
			p.Restore(p.At(5), o)
			p.Watch(5, o)
		}
		p.Begin(p.At(5), 3, o)
		p.Begin(p.At(5), 4, o)
		if p.Find(5).Life != 4 || p.Find(2) != nil {
			t.Errorf("knows %+v", p.All())
		}
	})
	want := []any{
		detector.Suspect{Node: 5, Why: detector.Timeout}, detector.Restore{Node: 5},
		detector.Suspect{Node: 5, Incarnation: 3, Why: detector.Restarted},
	}
	if !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

func TestWatchRefusesStrangers(t *testing.T) {
	defer func() {
		want := "detector: node 1 is asked to watch node 3, which is not in the group"
		if got := recover(); got != want {
			t.Errorf("panic %v, want %q", got, want)
		}
	}()
	within(t, func(o *protocol.Out) {
		p := detector.Peers{}
		if p.Watch(1, o) {
			t.Error("a node watches itself")
		}
		p.Watch(3, o)
	})
}
