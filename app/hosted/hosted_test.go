package hosted_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"ciranda.dev/app/hosted"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/link"
	"ciranda.dev/protocol/snapshot"
)

// A floor takes the place of the layers below: it notes states, and drops what is sent.
type floor struct {
	protocol.Base
	states []snapshot.State `layer:"const"`
}

func (*floor) String() string { return "" }
func (*floor) Traits() protocol.Traits {
	return protocol.Traits{Channel: "floor", Gives: protocol.FIFO | protocol.NoLoss}
}
func (f *floor) Request(r any, _ *protocol.Out) bool {
	s, is := r.(snapshot.State)
	if is {
		f.states = append(f.states, s)
	}
	return is
}

// A rig is node 1 of two with small windows.
type rig struct {
	*protocol.Stack
	floor *floor
	out   protocol.Out
	calls uint64
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{floor: &floor{}}
	opts := hosted.Options{Largest: 100, Window: 400, Backlog: 500}
	if err := opts.Validate(); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.Stack, err = protocol.NewStack(protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1, 2}}, r.floor, hosted.New(opts)); err != nil {
		t.Fatal(err)
	}
	r.Start(protocol.Inputs{}, &r.out)
	return r
}

// ask makes a call and says in short what follows: what is sent, and the answers.
func (r *rig) ask(body any) string {
	r.calls++
	r.Call(protocol.Call{ID: r.calls, Body: body}, protocol.Inputs{}, &r.out)
	return r.seen()
}

func (r *rig) get(m protocol.Message) string {
	r.Stack.Receive(2, 1, protocol.Packet{Channel: 1, Body: m}, protocol.Inputs{}, &r.out)
	return r.seen()
}

func (r *rig) seen() string {
	var all []string
	for _, e := range r.out.Effects() {
		switch body := e.Body.(type) {
		case hosted.Data:
			all = append(all, fmt.Sprintf("data %d", len(body.Bytes)))
		case hosted.Credit:
			all = append(all, fmt.Sprintf("credit %d", body.Bytes))
		case hosted.Received:
			all = append(all, "received "+string(body.Data))
		case hosted.Dropped:
			all = append(all, "dropped "+body.Reason)
		case protocol.Reply:
			if e.Kind != protocol.Leave {
				continue
			}
			if why, refused := body.Body.(protocol.Refused); refused {
				all = append(all, fmt.Sprintf("%d refused: %s", body.ID, why.Why))
			} else {
				all = append(all, fmt.Sprintf("%d %s", body.ID, strings.TrimPrefix(protocol.Name(body.Body), "hosted.")))
			}
		}
	}
	return strings.Join(all, ", ")
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// Sends beyond the window wait, those beyond the backlog are refused, and credit lets them go on, in order.
func TestWindow(t *testing.T) {
	r := newRig(t)
	send := hosted.Send{To: 2, Data: make([]byte, 100)}
	expect(t, "first", r.ask(send), "1 Sent, data 100")
	expect(t, "second", r.ask(send), "2 Sent, data 100")
	expect(t, "third, which waits", r.ask(send), "3 Sent")
	expect(t, "fourth", r.ask(send), "4 Sent")
	expect(t, "fifth", r.ask(send), "5 Sent")
	expect(t, "sixth", r.ask(send), "6 refused: found 492 bytes that wait to be sent to node 2; expected at most 500 with these 164")
	expect(t, "little credit", r.get(hosted.Credit{Bytes: 50}), "")
	expect(t, "enough credit", r.get(hosted.Credit{Bytes: 42}), "data 100")
	expect(t, "too much credit", r.get(hosted.Credit{Bytes: 1 << 60}), "data 100, data 100")
}

// With the next life of a node the window begins anew.
func TestNextLife(t *testing.T) {
	r := newRig(t)
	for range 4 {
		r.ask(hosted.Send{To: 2, Data: make([]byte, 100)})
	}
	r.Notify(link.Over{Node: 2, Incarnation: 1}, protocol.Inputs{}, &r.out)
	expect(t, "over", r.seen(), "data 100, data 100")
}

// What is consumed is told when there is enough of it.
func TestConsumed(t *testing.T) {
	r := newRig(t)
	expect(t, "data", r.get(hosted.Data{Bytes: []byte("hello")}), "received hello")
	expect(t, "little", r.ask(hosted.Consumed{From: 2, Messages: 1, Bytes: 30}), "1 Noted")
	expect(t, "enough", r.ask(hosted.Consumed{From: 2, Messages: 1, Bytes: 10}), "2 Noted, credit 168")
	expect(t, "nonsense", r.ask(hosted.Consumed{From: 2, Messages: -1000}), "3 Noted")
	expect(t, "nobody", r.ask(hosted.Consumed{From: 9, Messages: 1000}), "4 Noted")
}

func TestRefused(t *testing.T) {
	r := newRig(t)
	expect(t, "itself", r.ask(hosted.Send{To: 1}), "1 refused: found node 1; expected another one of the group")
	expect(t, "nobody", r.ask(hosted.Send{To: 7}), "2 refused: found node 7; expected another one of the group")
	expect(t, "large", r.ask(hosted.Send{To: 2, Data: make([]byte, 101)}), "3 refused: found a message of 101 bytes; expected at most 100")
	expect(t, "a state from the network", r.get(hosted.State{Bytes: []byte("x")}), "dropped unexpected")
}

// A large state travels in pieces, and with it what waits.
func TestPicture(t *testing.T) {
	r := newRig(t)
	for range 4 {
		r.ask(hosted.Send{To: 2, Data: []byte(strings.Repeat("w", 100))})
	}
	state := make([]byte, 1200<<10)
	state[len(state)-1] = 7
	r.ask(hosted.Picture{ID: snapshot.ID{Node: 1, Number: 1}, State: state})
	n := snapshot.NodeState{Node: 1}
	for i, s := range r.floor.states {
		if s.More != (i < len(r.floor.states)-1) {
			t.Errorf("piece %d of %d: more %t", i+1, len(r.floor.states), s.More)
		}
		m := snapshot.Message{Body: s.State.Body}
		if i == 0 {
			n.State = m
		} else {
			n.More = append(n.More, m)
		}
	}
	if !reflect.DeepEqual(hosted.StateOf(&n), state) {
		t.Error("the state is not the one that was handed over")
	}
	way := hosted.Flying(&snapshot.Taken{Nodes: []snapshot.NodeState{n}, Channels: []snapshot.ChannelPart{
		{From: 2, To: 1, Messages: []snapshot.Message{{Body: hosted.Data{Bytes: []byte("a")}}, {Body: hosted.Credit{}}}},
		{From: 1, To: 2, Messages: []snapshot.Message{{Body: hosted.Data{Bytes: []byte("before")}}}}}})
	if len(way) != 2 || way[0].From != 1 || len(way[0].Data) != 3 || string(way[0].Data[0]) != "before" || len(way[0].Data[2]) != 100 || string(way[1].Data[0]) != "a" {
		t.Errorf("got %+v", way)
	}
}

func TestOptions(t *testing.T) {
	for want, p := range map[string]hosted.Options{
		"":                     {},
		"Largest is -1":        {Largest: -1},
		"Window is 2147483647": {Window: 1<<31 - 1},
		"Backlog is -5":        {Backlog: -5},
		"three quarters":       {Largest: 700, Window: 1000},
	} {
		if err := p.Validate(); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: got %v, want %q", p, err, want)
		}
	}
}
