package protocol_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ciranda.dev/protocol"
)

// A scripted layer does what its test says and logs what it sees.
type scripted struct {
	protocol.Base
	Name string
	Log  []string

	traits   protocol.Traits                                `layer:"const"`
	start    func(o *protocol.Out)                          `layer:"const"`
	receive  func(from protocol.ID, m any, o *protocol.Out) `layer:"const"`
	expire   func(o *protocol.Out)                          `layer:"const"`
	request  func(r any, o *protocol.Out) bool              `layer:"const"`
	indicate func(e protocol.Event, o *protocol.Out) bool   `layer:"const"`
}

// The messages and events of the tests.
type (
	note struct{ Text string }
	wrap struct{ Inside protocol.Packet }
	news struct{ Text string }
)

func (news) Kind() string { return "test.news" }

func (s *scripted) log(format string, args ...any) {
	s.Log = append(s.Log, fmt.Sprintf(format, args...))
}

func (s *scripted) Start(o *protocol.Out) {
	if s.start != nil {
		s.start(o)
	}
}

func (s *scripted) Receive(from protocol.ID, m protocol.Message, o *protocol.Out) {
	s.log("receive %v from %d/%d", m, from, o.SenderIncarnation())
	if s.receive != nil {
		s.receive(from, m, o)
	}
}

func (s *scripted) Expire(t protocol.Timer, o *protocol.Out) {
	s.log("expire %v", t)
	if s.expire != nil {
		s.expire(o)
	}
}

func (s *scripted) Request(r any, o *protocol.Out) bool {
	s.log("request %v", r)
	return s.request != nil && s.request(r, o)
}

func (s *scripted) Indicate(e protocol.Event, o *protocol.Out) bool {
	s.log("indicate %v", e)
	return s.indicate != nil && s.indicate(e, o)
}

func (s *scripted) Traits() protocol.Traits {
	t := s.traits
	t.Channel, t.Messages = s.Name, []protocol.Message{note{}, wrap{}}
	return t
}

func (s *scripted) String() string { return strings.Join(s.Log, "; ") }

// A filter is a scripted layer that sees the packets of the layers above.
type filter struct {
	scripted
	down func(to protocol.ID, p protocol.Packet, o *protocol.Out) bool   `layer:"const"`
	pass func(from protocol.ID, p protocol.Packet, o *protocol.Out) bool `layer:"const"`
}

func (f *filter) Down(to protocol.ID, p protocol.Packet, o *protocol.Out) bool {
	f.log("down %v to %d", p.Body, to)
	return f.down != nil && f.down(to, p, o)
}

func (f *filter) Pass(from protocol.ID, p protocol.Packet, o *protocol.Out) bool {
	f.log("pass %v from %d/%d", p.Body, from, o.SenderIncarnation())
	return f.pass != nil && f.pass(from, p, o)
}

var self = protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1, 2, 3}}

func stackOf(t *testing.T, layers ...protocol.Layer) *protocol.Stack {
	t.Helper()
	s, err := protocol.NewStack(self, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// texts writes effects of some kinds in short.
func texts(o *protocol.Out, kinds ...protocol.EffectKind) []string {
	list := []string{}
	for _, e := range o.Effects() {
		if !slices.Contains(kinds, e.Kind) {
			continue
		}
		text := fmt.Sprintf("%v", e.Body)
		if e.Kind == protocol.Send {
			text = fmt.Sprintf("%v to %d on %d", e.Body, e.To, e.Channel)
		}
		if e.Ungated {
			text += ", ungated"
		}
		list = append(list, text)
	}
	return list
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", what, strings.Join(got, "; "), strings.Join(want, "; "))
	}
}

// What a layer tells of a packet before it lets the packet pass is heard above before the packet, at every layer.
func TestEventsKeepTheirOrder(t *testing.T) {
	bottom := &filter{scripted: scripted{Name: "bottom"}}
	bottom.pass = func(from protocol.ID, p protocol.Packet, o *protocol.Out) bool {
		o.Indicate(news{"one"})
		o.Indicate(news{"two"})
		return false
	}
	middle := &filter{scripted: scripted{Name: "middle"}}
	middle.indicate = func(e protocol.Event, o *protocol.Out) bool {
		if e == (news{"one"}) {
			o.Indicate(news{"three"})
		}
		return false
	}
	top := &scripted{Name: "top"}
	s := stackOf(t, bottom, middle, top)
	s.Receive(2, 7, protocol.Packet{Channel: 2, Body: note{"hello"}}, protocol.Inputs{}, &protocol.Out{})
	equal(t, "middle", middle.Log, []string{"indicate {one}", "indicate {two}", "pass {hello} from 2/7"})
	equal(t, "top", top.Log, []string{"indicate {three}", "indicate {one}", "indicate {two}", "receive {hello} from 2/7"})
}

// Requests stop at every layer on their way down, and a taken one goes no further.
func TestRequestsStopAtEveryLayer(t *testing.T) {
	bottom, middle := &scripted{Name: "bottom"}, &scripted{Name: "middle"}
	bottom.request = func(any, *protocol.Out) bool { return true }
	middle.request = func(r any, o *protocol.Out) bool {
		if r == "mine" {
			o.Request("yours")
		}
		return r == "mine"
	}
	top := &scripted{Name: "top", start: func(o *protocol.Out) {
		o.Request("mine")
		o.Request("other")
	}}
	s := stackOf(t, bottom, middle, top)
	s.Start(protocol.Inputs{}, &protocol.Out{})
	equal(t, "middle", middle.Log, []string{"request mine", "request other"})
	equal(t, "bottom", bottom.Log, []string{"request yours", "request other"})
}

// A filter may wrap what goes down and unwrap it again on the way up. The life of the sender stays with it.
func TestFiltersWrapAndUnwrap(t *testing.T) {
	link := &filter{scripted: scripted{Name: "link"}}
	link.down = func(to protocol.ID, p protocol.Packet, o *protocol.Out) bool {
		o.Send(to, wrap{p})
		return true
	}
	link.receive = func(from protocol.ID, m any, o *protocol.Out) { o.Deliver(from, m.(wrap).Inside) }
	top := &scripted{Name: "top", start: func(o *protocol.Out) { o.SendAll(note{"hi"}) }}
	s, out := stackOf(t, link, top), &protocol.Out{}
	s.Start(protocol.Inputs{}, out)
	equal(t, "sent", texts(out, protocol.Send), []string{"{{1 {hi}}} to 2 on 0", "{{1 {hi}}} to 3 on 0"})
	inside := protocol.Packet{Channel: 1, Body: note{"hi"}}
	s.Receive(3, 4, protocol.Packet{Channel: 0, Body: wrap{inside}}, protocol.Inputs{}, out)
	equal(t, "top", top.Log, []string{"receive {hi} from 3/4"})
}

// A filter learns what the layers above it need, and nothing of the others.
func TestFiltersKnowWhatIsNeeded(t *testing.T) {
	bottom := &scripted{Name: "bottom", traits: protocol.Traits{Gives: protocol.FailureDetection}}
	below := &scripted{Name: "below", traits: protocol.Traits{Needs: protocol.FailureDetection}}
	link := &filter{scripted: scripted{Name: "link", traits: protocol.Traits{Gives: protocol.FIFO}}}
	known := []protocol.Property{}
	link.start = func(o *protocol.Out) {
		for channel := range uint8(6) {
			known = append(known, o.Needs(channel))
		}
	}
	modest := &scripted{Name: "modest"}
	top := &scripted{Name: "top", traits: protocol.Traits{Needs: protocol.FIFO | protocol.FailureDetection}}
	s := stackOf(t, bottom, below, link, modest, top)
	s.Start(protocol.Inputs{}, &protocol.Out{})
	if want := []protocol.Property{0, 0, 0, 0, protocol.FIFO | protocol.FailureDetection, 0}; !slices.Equal(known, want) {
		t.Errorf("got %v, want %v", known, want)
	}
}

// A filter may hold a packet and drop another.
func TestFiltersHoldAndDrop(t *testing.T) {
	held := []protocol.Packet{}
	f := &filter{scripted: scripted{Name: "fault"}}
	f.pass = func(_ protocol.ID, p protocol.Packet, _ *protocol.Out) bool {
		if p.Body == (note{"held"}) {
			held = append(held, p)
		}
		return p.Body != note{"free"}
	}
	f.expire = func(o *protocol.Out) { o.Deliver(2, held[0]) }
	top := &scripted{Name: "top"}
	s, out := stackOf(t, f, top), &protocol.Out{}
	for _, text := range []string{"held", "dropped", "free"} {
		s.Receive(2, 1, protocol.Packet{Channel: 1, Body: note{text}}, protocol.Inputs{}, out)
	}
	s.Expire(0, protocol.Timer{Kind: 3, Arg: 9}, protocol.Inputs{}, out)
	equal(t, "top", top.Log, []string{"receive {free} from 2/1", "receive {held} from 2/0"})
}

// Nobody sees the packets of another layer but the filters below it.
func TestChannelsAreApart(t *testing.T) {
	bottom, top := &scripted{Name: "bottom"}, &filter{scripted: scripted{Name: "top"}}
	s := stackOf(t, bottom, top)
	s.Receive(2, 1, protocol.Packet{Channel: 0, Body: note{"low"}}, protocol.Inputs{}, &protocol.Out{})
	s.Receive(2, 1, protocol.Packet{Channel: 1, Body: note{"high"}}, protocol.Inputs{}, &protocol.Out{})
	equal(t, "bottom", bottom.Log, []string{"receive {low} from 2/1"})
	equal(t, "top", top.Log, []string{"receive {high} from 2/1"})
}

// The sender's life belongs to the packet. An event that the packet caused has none.
func TestSenderIncarnationIsOfPacketsOnly(t *testing.T) {
	bottom := &scripted{Name: "bottom", receive: func(_ protocol.ID, _ any, o *protocol.Out) { o.Indicate(news{"x"}) }}
	seen := []protocol.Incarnation{}
	top := &scripted{Name: "top", indicate: func(_ protocol.Event, o *protocol.Out) bool {
		seen = append(seen, o.SenderIncarnation())
		return false
	}}
	s := stackOf(t, bottom, top)
	s.Receive(2, 5, protocol.Packet{Body: note{"y"}}, protocol.Inputs{}, &protocol.Out{})
	if !slices.Equal(seen, []protocol.Incarnation{0}) {
		t.Errorf("an indication came with the sender's life %v, want 0", seen)
	}
}

// Ungate holds for the rest of its handler, and for what a filter below makes of the packets; for nothing else.
func TestUngateIsInherited(t *testing.T) {
	link := &filter{scripted: scripted{Name: "link"}}
	link.down = func(to protocol.ID, p protocol.Packet, o *protocol.Out) bool {
		o.Send(to, wrap{p})
		return true
	}
	middle := &scripted{Name: "middle"}
	middle.start = func(o *protocol.Out) { o.Send(2, note{"gated"}) }
	top := &scripted{Name: "top"}
	top.start = func(o *protocol.Out) {
		o.Send(2, note{"before"})
		o.Ungate()
		o.Send(2, note{"after"})
	}
	s, out := stackOf(t, link, middle, top), &protocol.Out{}
	s.Start(protocol.Inputs{}, out)
	equal(t, "sent", texts(out, protocol.Send), []string{
		"{{1 {gated}}} to 2 on 0", "{{2 {before}}} to 2 on 0", "{{2 {after}}} to 2 on 0, ungated",
	})
}

// A client's call enters at the top. The reply of the layer that takes it completes it when it leaves the top.
func TestCalls(t *testing.T) {
	bottom, top := &scripted{Name: "bottom"}, &scripted{Name: "top"}
	bottom.request = func(r any, o *protocol.Out) bool {
		c := r.(protocol.Call)
		if c.Body == "known" {
			o.Indicate(protocol.Reply{ID: c.ID, Body: "done"})
		}
		return c.Body == "known"
	}
	s, out := stackOf(t, bottom, top), &protocol.Out{}
	s.Call(protocol.Call{ID: 8, Body: "known"}, protocol.Inputs{}, out)
	equal(t, "answers", texts(out, protocol.Leave), []string{"{8 done}"})
	s.Call(protocol.Call{ID: 9, Body: note{"what"}}, protocol.Inputs{}, out)
	equal(t, "answers", texts(out, protocol.Leave), []string{"{9 {no layer of this node takes protocol_test.note}}"})
	equal(t, "top", top.Log, []string{"request {8 known}", "indicate {8 done}", "request {9 {what}}"})
}

// Each layer has its own keys in the node's storage, and reads only those.
func TestStorageIsApart(t *testing.T) {
	save := func(o *protocol.Out) { o.Persist("term", []byte{7}) }
	s, out := stackOf(t, &scripted{Name: "a", start: save}, &scripted{Name: "b", start: save}), &protocol.Out{}
	s.Start(protocol.Inputs{}, out)
	stored := map[string][]byte{}
	for i, e := range out.Effects() {
		r := e.Body.(*protocol.Record)
		stored[r.Key] = append(r.Value, byte(i))
	}
	a, b := &recovering{scripted: scripted{Name: "a"}}, &recovering{scripted: scripted{Name: "b"}}
	again := stackOf(t, a, &scripted{Name: "fresh", start: func(o *protocol.Out) { o.Indicate(news{"begins"}) }}, b)
	again.Recover(func(key string) ([]byte, bool) { v, ok := stored[key]; return v, ok }, protocol.Inputs{}, out)
	equal(t, "a", a.Log, []string{"recovers [7 0] true"})
	equal(t, "b", b.Log, []string{"recovers [7 1] true", "indicate {begins}"})
}

type recovering struct{ scripted }

func (r *recovering) Recover(s protocol.Stored, _ *protocol.Out) {
	v, ok := s("term")
	r.log("recovers %v %v", v, ok)
}

// An Out may be used again; nothing of the step before is in it.
func TestEffectsAreOfOneStep(t *testing.T) {
	l := &scripted{Name: "l", start: func(o *protocol.Out) {
		o.Set(protocol.Timer{Kind: 1}, time.Second)
		o.Note(news{"a"})
		o.Cancel(protocol.Timer{Kind: 2})
	}}
	s, out := stackOf(t, l), &protocol.Out{}
	s.Start(protocol.Inputs{}, out)
	kinds := []protocol.EffectKind{}
	for _, e := range out.Effects() {
		kinds = append(kinds, e.Kind)
	}
	if want := []protocol.EffectKind{protocol.Set, protocol.Note, protocol.Cancel}; !slices.Equal(kinds, want) {
		t.Errorf("effects %v, want %v", kinds, want)
	}
	s.Notify(news{"b"}, protocol.Inputs{}, out)
	equal(t, "effects of the second step", texts(out, protocol.Set, protocol.Note, protocol.Cancel, protocol.Leave), []string{"{b}"})
}

// gated, flushed and asked are the optional sides of a layer.
type gated struct {
	scripted
	Open bool
}

func (g *gated) Ready() bool              { return g.Open }
func (g *gated) Flush(o *protocol.Out)    { o.Indicate(news{g.Name + " flushed"}) }
func (g *gated) Answer(q any) (any, bool) { return g.Name, q == "all" || q == g.Name }

func TestOptionalSides(t *testing.T) {
	low, high := &gated{scripted: scripted{Name: "low"}, Open: true}, &gated{scripted: scripted{Name: "high"}}
	s, out := stackOf(t, low, high), &protocol.Out{}
	if s.Ready() {
		t.Error("ready, though one layer says not now")
	}
	high.Open = true
	if !s.Ready() || !s.Flushes() {
		t.Errorf("Ready %v, Flushes %v; want both", s.Ready(), s.Flushes())
	}
	for question, want := range map[string]string{"all": "high true", "low": "low true", "else": "<nil> false"} {
		if answer, ok := s.Answer(question); fmt.Sprintf("%v %v", answer, ok) != want {
			t.Errorf("to %q: %v %v, want %s", question, answer, ok, want)
		}
	}
	s.Flush(protocol.Inputs{}, out)
	equal(t, "left", texts(out, protocol.Leave), []string{"{high flushed}", "{low flushed}"})
}

// Mistakes of an author stop the program, in words.
func TestPanics(t *testing.T) {
	s := func(start func(o *protocol.Out)) *protocol.Stack {
		return stackOf(t, &scripted{Name: "low"}, &scripted{Name: "high", start: start})
	}
	tests := map[string]func(){
		"high: node 1 sends protocol_test.note to node 1": func() {
			s(func(o *protocol.Out) { o.Send(1, note{}) }).Start(protocol.Inputs{}, &protocol.Out{})
		},
		"protocol: high requests string, and no layer below takes that": func() {
			s(func(o *protocol.Out) { o.Request("x") }).Start(protocol.Inputs{}, &protocol.Out{})
		},
		"protocol: a packet for channel 2 in a stack of 2 layers": func() {
			s(nil).Receive(2, 1, protocol.Packet{Channel: 2, Body: note{}}, protocol.Inputs{}, &protocol.Out{})
		},
	}
	for want, do := range tests {
		func() {
			defer func() {
				if got := recover(); got != want {
					t.Errorf("panic %v, want %q", got, want)
				}
			}()
			do()
		}()
	}
}

// A hearer takes what is broadcast.
type hearer struct{ scripted }

func (h *hearer) Hear(from protocol.ID, m protocol.Message, o *protocol.Out) {
	h.log("hear %v from %d/%d", m, from, o.SenderIncarnation())
	o.Deliver(from, protocol.Packet{Channel: 3, Body: m})
}

// A broadcast is one effect. It passes the filters by, on its way out and in.
func TestBroadcast(t *testing.T) {
	below := &filter{scripted: scripted{Name: "below"}}
	layer := &hearer{scripted{Name: "hearer"}}
	layer.expire = func(o *protocol.Out) { o.Broadcast(note{"hi"}) }
	above := &filter{scripted: scripted{Name: "above"}}
	s, o := stackOf(t, below, layer, above, &scripted{Name: "top"}), &protocol.Out{}
	s.Expire(1, protocol.Timer{}, protocol.Inputs{}, o)
	if e := o.Effects(); len(e) != 1 || e[0].Kind != protocol.Broadcast || e[0].Channel != 1 || e[0].To != protocol.None {
		t.Errorf("got the effects %+v", e)
	}
	if s.Hears(0) || !s.Hears(1) || s.Hears(9) {
		t.Error("the second layer hears, and no other")
	}
	s.Hear(2, 5, protocol.Packet{Channel: 1, Body: note{"hi"}}, protocol.Inputs{}, o)
	equal(t, "below", below.Log, []string{})
	equal(t, "the layer", layer.Log, []string{"expire {0 0}", "hear {hi} from 2/5"})
	equal(t, "above", above.Log, []string{"pass {hi} from 2/5"})
}
