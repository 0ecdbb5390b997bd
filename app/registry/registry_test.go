package registry

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/invocation"
	"ciranda.dev/protocol/multicast"
)

// A mast takes the place of the layers below: what is cast comes back at once, as everybody's next message.
type mast struct{ protocol.Base }

func (*mast) String() string { return "" }
func (*mast) Traits() protocol.Traits {
	return protocol.Traits{Channel: "mast", Gives: protocol.Multicast | protocol.Views, Requests: []any{multicast.Within{}, multicast.Consumed{}}}
}
func (*mast) Request(r any, o *protocol.Out) bool {
	if w, is := r.(multicast.Within); is {
		o.Tell(multicast.Delivery{View: 1, Sender: o.Self().ID, Lane: multicast.Inner, Payloads: w.Payloads})
	}
	return true
}

// A desk is a node alone in its group.
type desk struct {
	*testing.T
	stack *protocol.Stack
	out   protocol.Out
	calls uint64
}

func open(t *testing.T, opts Options) *desk {
	t.Helper()
	d := &desk{T: t}
	var err error
	if d.stack, err = protocol.NewStack(protocol.Self{ID: 2, Incarnation: 3, Group: []protocol.ID{1, 2}}, &mast{}, New(opts)); err != nil {
		t.Fatal(err)
	}
	d.stack.Start(protocol.Inputs{}, &d.out)
	d.tell(group.Installed{View: group.View{ID: 1, Members: []group.Member{me}}, First: true})
	return d
}

var me = group.Member{Node: 2, Incarnation: 3, Life: 1}

func (d *desk) tell(e protocol.Event) { d.stack.Notify(e, protocol.Inputs{}, &d.out) }

// ask gives the answer to a call; nil if there is none yet.
func (d *desk) ask(body any) any {
	d.calls++
	d.stack.Call(protocol.Call{ID: d.calls, Body: body}, protocol.Inputs{}, &d.out)
	return d.answer()
}

func (d *desk) answer() any {
	for _, e := range d.out.Effects() {
		if r, is := e.Body.(protocol.Reply); is && e.Kind == protocol.Leave {
			return r.Body
		}
	}
	return nil
}

var client = invocation.ClientID{0xc1, 15: 1}

func entry(name string, object byte) Entry {
	return Entry{Name: name, Ref: invocation.Ref{Owner: client, Incarnation: 1, Object: invocation.ObjectID{object}, Interface: "Account"}}
}

func request(seq uint64) invocation.RID {
	return invocation.RID{Client: client, Incarnation: 1, Seq: seq}
}

// Calls do what they say, and a request that is made again has no second effect.
func TestCalls(t *testing.T) {
	d := open(t, Options{Entries: 2})
	bound := entry("bank/alice", 1)
	bound.By, bound.Home = client, me
	for _, step := range []struct{ call, want any }{
		{Lookup{"bank/alice"}, Failed{NoName, "nothing is called bank/alice", 0}},
		{Bind{request(1), entry("bank/alice", 1)}, Done{1}},
		{Bind{request(2), entry("bank/alice", 2)}, Failed{Taken, "bank/alice has an object", 1}},
		{Lookup{"bank/alice"}, Found{bound, 1}},
		{Bind{request(1), entry("bank/alice", 1)}, Done{1}},
		{Unbind{Request: request(3), Name: "bank/alice"}, Done{2}},
		{Bind{request(1), entry("bank/alice", 1)}, Done{1}},
		{Lookup{"bank/alice"}, Failed{NoName, "nothing is called bank/alice", 2}},
		{Rebind{Entry: entry("x", 1)}, Done{3}},
		{Rebind{Entry: entry("x", 2)}, Done{4}},
		{Unbind{Request: request(4), Name: "x", Own: true}, Failed{NotYours, "x was bound by somebody else", 4}},
		{Bind{Entry: entry("y", 1)}, Done{5}},
		{Expire{client, 2}, Done{5}},
		{Expire{client, 1}, Done{7}},
		{List{}, Listed{nil, 7}},
	} {
		if got := d.ask(step.call); !reflect.DeepEqual(got, step.want) {
			t.Errorf("%+v: got %+v, want %+v", step.call, got, step.want)
		}
	}
	d.ask(Bind{Entry: entry("a", 1)})
	d.ask(Bind{Entry: entry("b/1", 1)})
	if l := d.ask(List{"b/"}).(Listed); len(l.Entries) != 1 || l.Entries[0].Name != "b/1" {
		t.Errorf("got %+v, want b/1", l)
	}
	if f, is := d.ask(Bind{Entry: entry("c", 1)}).(Failed); !is || f.Reason != Full || !strings.Contains(f.Why, "found 2 names") {
		t.Errorf("got %+v, want full", f)
	}
	stranger := entry("a", 3)
	stranger.Ref.Owner = invocation.NodeClient(1)
	if f, is := d.ask(Rebind{Entry: stranger}).(Failed); !is || f.Reason != NoOwner {
		t.Errorf("got %+v, want no owner", f)
	}
}

// What cannot be done is refused with what was expected, before it goes to the group.
func TestRefusals(t *testing.T) {
	d := open(t, Options{})
	large, tagged := entry("x", 1), entry("x", 1)
	large.Description = make([]byte, mostDescription+1)
	tagged.Tags = map[string]string{"": "v"}
	for want, call := range map[string]any{
		"expected 1 to 255 bytes": Lookup{""}, "such as bank/alice": Bind{Entry: entry("a b", 1)}, "found the name \"\\xff\"": Unbind{Name: "\xff"},
		"65537 bytes of description": Bind{Entry: large}, "found the tag \"\"": Rebind{Entry: tagged}, "expected a reference": Bind{Entry: Entry{Name: "x"}},
		"found the name \"a\\nb\"": List{"a\nb"},
	} {
		if r, is := d.ask(call).(protocol.Refused); !is || !strings.Contains(r.Why, want) {
			t.Errorf("%+v: got %+v, want %q", call, r, want)
		}
	}
	d.tell(group.Blocked{Why: "1 of 2 is up"})
	if r, is := d.ask(Lookup{"x"}).(protocol.Refused); !is || !strings.Contains(r.Why, "1 of 2 is up") {
		t.Errorf("blocked: got %+v", r)
	}
	d.tell(group.Excluded{View: 1, Why: group.Passed})
	if r, is := d.ask(Lookup{"x"}).(protocol.Refused); !is || !strings.Contains(r.Why, "in no view") {
		t.Errorf("excluded: got %+v", r)
	}
}

// A name ends with the member on which it rests.
func TestHome(t *testing.T) {
	d := open(t, Options{})
	other := group.Member{Node: 1, Incarnation: 5, Life: 1}
	both := group.View{ID: 2, Members: []group.Member{me, other}}
	d.tell(group.Installed{View: both})
	e := entry("node", 1)
	e.Ref.Owner, e.Ref.Incarnation = invocation.NodeClient(1), 5
	d.ask(Bind{Entry: e})
	d.ask(Bind{Entry: entry("client", 1)})
	other.Life = 2 // it was away
	d.tell(group.Installed{View: group.View{ID: 3, Members: []group.Member{me, other}}})
	if l := d.ask(List{}).(Listed); len(l.Entries) != 1 || l.Entries[0].Name != "client" {
		t.Errorf("got %+v, want what is of a client", l)
	}
}

// Whoever waits for a call's place in the order is told when it does not come.
func TestPatience(t *testing.T) {
	l := New(Options{})
	l.tickets, l.calls[9] = 12, asked{7, true}
	s, err := protocol.NewStack(protocol.Self{ID: 2, Incarnation: 3, Group: []protocol.ID{1, 2}}, &mast{}, l)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{T: t, stack: s}
	s.Expire(1, protocol.Timer{Kind: patienceTimer, Arg: 9}, protocol.Inputs{}, &d.out)
	if u, is := d.answer().(Unknown); !is || !strings.Contains(u.Why, "it may have happened") {
		t.Errorf("got %+v", d.answer())
	}
}

func TestBounds(t *testing.T) {
	for opts, ok := range map[Options]bool{{}: true, {Entries: 1 << 20}: true, {Entries: -1}: false, {Bytes: 1<<30 + 1}: false, {Piece: 1 << 20}: false,
		{Patience: 1}: false, {Mistake: lastMistake + 1}: false} {
		if err := opts.Validate(); (err == nil) != ok {
			t.Errorf("%+v: %v", opts, err)
		}
	}
}

// What is read is written as the same, and nothing else is read.
func FuzzState(f *testing.F) {
	opts := Options{}.WithDefaults()
	full := table{since: 3, revision: 9, entries: map[string]Entry{}}
	for i := range 3 {
		e := entry(fmt.Sprintf("n%d", i), byte(i))
		e.Tags, e.Description, e.Home = map[string]string{"a": "1", "b": ""}, []byte("d"), me
		full.put(e)
	}
	full.answers = []answered{{request(4), answer{Taken, 2}}}
	c := command{op: opBind, ticket: 5, request: request(6), entry: entry("x", 1)}
	f.Add(encodeState(&full, []held{{me, c}}))
	f.Add([]byte{version, 0, 0, 1, 0, 0, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		is, waiting, err := decodeState(b, &opts)
		if err == nil && !bytes.Equal(encodeState(&is, waiting), b) {
			t.Errorf("%x is read, and written as %x", b, encodeState(&is, waiting))
		}
	})
}

func FuzzCommand(f *testing.F) {
	c := command{op: opUnbind, ticket: 5, request: request(6), entry: Entry{Name: "x"}}
	f.Add(c.encode()[1:])
	f.Add([]byte{99})
	f.Fuzz(func(t *testing.T, b []byte) {
		is, err := decodeCommand(b)
		if err == nil && !bytes.Equal(is.encode()[1:], b) {
			t.Errorf("%x is read, and written as %x", b, is.encode()[1:])
		}
	})
}
