package multicast_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/protocol/protocoltest"
)

// kit is for stacks of a viewer and multicast. A transcript's option "small" has batches of 100 bytes and windows of 200,
// "credit" has consumers tell what they consume, and "fifo" runs no other order.
var kit = protocoltest.Kit{
	Build: func(self protocol.Self, options []string) (*protocol.Stack, error) {
		opts := multicast.Options{}
		for _, word := range options {
			switch word {
			case "small":
				opts.Window, opts.Batch, opts.Largest, opts.Backlog, opts.Patience = 200, 100, 250, 400, time.Second
			case "credit":
				opts.Credit = true
			case "fifo":
				opts.Orders = []multicast.Order{multicast.FIFO}
			case "trace":
				opts.Trace = true
			default:
				return nil, fmt.Errorf("unknown option %q", word)
			}
		}
		if err := opts.Validate(); err != nil {
			return nil, err
		}
		return protocol.NewStack(self, &viewer{}, multicast.New(opts), &teller{})
	},
	Calls: map[string]func([]string) (any, error){
		"cast": castOf,
		"consumed": func(args []string) (any, error) {
			n, err := lists(args, 1)
			return multicast.Consumed{Bytes: int(n[0][0])}, err
		},
	},
	Events:    views,
	Questions: map[string]any{"multicast": multicast.Query{}},
}

// castOf reads "fifo hello world", "uniform fifo hello"; a text like "x*90" is that letter ninety times.
func castOf(args []string) (any, error) {
	c := multicast.Cast{}
	if len(args) > 0 && args[0] == "uniform" {
		c.Uniform, args = true, args[1:]
	}
	if len(args) == 0 {
		return nil, fmt.Errorf("usage: call NODE cast [uniform] ORDER TEXT ...")
	}
	order, err := multicast.ParseOrder(args[0])
	c.Order = order
	for _, text := range args[1:] {
		if letter, times, long := strings.Cut(text, "*"); long {
			n, err := lists([]string{times}, 1)
			if err != nil {
				return nil, err
			}
			text = strings.Repeat(letter, int(n[0][0]))
		}
		c.Payloads = append(c.Payloads, []byte(text))
	}
	return c, err
}

// A teller writes down what is delivered.
type teller struct{ protocol.Base }

// Got is the note of a delivery.
type Got struct {
	From  protocol.ID `json:"from"`
	Lane  string      `json:"lane"`
	First uint64      `json:"first"`
	Texts []string    `json:"texts"`
}

func (Got) Kind() string      { return "got" }
func (teller) String() string { return "" }
func (*teller) Traits() protocol.Traits {
	return protocol.Traits{Channel: "teller", Needs: protocol.Multicast}
}

func (*teller) Indicate(e protocol.Event, o *protocol.Out) bool {
	d, ok := e.(multicast.Delivery)
	if !ok {
		return false
	}
	g := Got{From: d.Sender, Lane: d.Order.String(), First: d.First}
	if d.Uniform {
		g.Lane = "uniform " + g.Lane
	}
	for _, p := range d.Payloads {
		text := string(p)
		if len(p) > 20 {
			text = fmt.Sprintf("%s*%d", text[:1], len(p))
		}
		g.Texts = append(g.Texts, text)
	}
	o.Note(g)
	return true
}

func TestTranscripts(t *testing.T) { kit.Run(t, "testdata/*.txt") }

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		opts multicast.Options
		want string // part of the error; "" if there is none
	}{
		{multicast.Options{}, ""},
		{multicast.Options{Window: 1000}, ""},
		{multicast.Options{Backlog: 1000}, ""},
		{multicast.Options{Orders: []multicast.Order{multicast.FIFO}}, ""},
		{multicast.Options{Orders: []multicast.Order{multicast.FIFO, multicast.FIFO}}, "Orders has fifo"},
		{multicast.Options{Orders: []multicast.Order{9}}, "Orders has order 9"},
		{multicast.Options{Window: 10}, "Batch is 10 bytes; it must be between 64 and 1048576"},
		{multicast.Options{Window: 100, Batch: 200}, "Window is 100 bytes; it must be between 200 and"},
		{multicast.Options{Backlog: -1}, "Backlog is -1 bytes"},
		{multicast.Options{Backlog: 10, Largest: 20}, "Largest is 20 bytes; it must be between 1 and 10"},
		{multicast.Options{Patience: 1}, "Patience is 1ns; it must be between 1ms and 24h"},
		{multicast.Options{Mistake: 200}, "no mistake 200"},
	} {
		err := c.opts.Validate()
		if got := fmt.Sprint(err); (err == nil) != (c.want == "") || c.want != "" && !strings.Contains(got, c.want) {
			t.Errorf("%+v: %v, want %q", c.opts, err, c.want)
		}
	}
}

// one makes the stack of node 1 of three, in view 1.
func one(t testing.TB, opts multicast.Options, nodes ...uint64) (*protocol.Stack, *protocol.Out) {
	t.Helper()
	o := &protocol.Out{}
	s, err := protocol.NewStack(protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1, 2, 3}}, &viewer{}, multicast.New(opts), &teller{})
	if err != nil {
		t.Fatal(err)
	}
	s.Start(protocol.Inputs{}, o)
	view, _ := views["view"]([]string{"1", "1,2,3"})
	s.Notify(view, protocol.Inputs{}, o)
	s.Flush(protocol.Inputs{}, o)
	return s, o
}

func refusals(o *protocol.Out) (reasons []string) {
	for _, e := range o.Effects() {
		if d, ok := e.Body.(multicast.Dropped); ok {
			reasons = append(reasons, d.Reason)
		}
	}
	return reasons
}

// What makes no sense is refused, and nothing comes of it.
func TestRefusals(t *testing.T) {
	const fifo, causal, total = 2, 4, 6
	run := func(lane uint8, count uint32) []multicast.Run {
		return []multicast.Run{{Lane: lane, First: 1, Count: count}}
	}
	got, x := []uint64{0, 0, 0}, [][]byte{[]byte("x")}
	for name, test := range map[string]struct {
		from protocol.ID
		body protocol.Message
		want string
	}{
		"a good batch":             {2, multicast.Batch{View: 1, First: 1, Got: got, Runs: run(fifo, 1), Payloads: x}, ""},
		"an empty one":             {2, multicast.Batch{View: 1, First: 1, Got: got}, "damaged"},
		"no number":                {2, multicast.Batch{View: 1, Got: got, Runs: run(fifo, 1), Payloads: x}, "damaged"},
		"a view that is over":      {2, multicast.Batch{First: 1, Got: got, Runs: run(fifo, 1), Payloads: x}, "view"},
		"no report":                {2, multicast.Batch{View: 1, First: 1, Runs: run(fifo, 1), Payloads: x}, "damaged"},
		"too few payloads":         {2, multicast.Batch{View: 1, First: 1, Got: got, Runs: run(fifo, 2), Payloads: x}, "damaged"},
		"too many payloads":        {2, multicast.Batch{View: 1, First: 1, Got: got, Payloads: x}, "damaged"},
		"an empty run":             {2, multicast.Batch{View: 1, First: 1, Got: got, Runs: run(fifo, 0), Payloads: x}, "damaged"},
		"a run of 2^32-1":          {2, multicast.Batch{View: 1, First: 1, Got: got, Runs: run(fifo, 1<<32-1), Payloads: x}, "damaged"},
		"an unknown lane":          {2, multicast.Batch{View: 1, First: 1, Got: got, Runs: run(10, 1), Payloads: x}, "damaged"},
		"a lane that is not run":   {2, multicast.Batch{View: 1, First: 1, Got: got, Runs: run(0, 1), Payloads: x}, "lane"},
		"no causes":                {2, multicast.Batch{View: 1, First: 1, Got: got, Runs: run(causal, 1), Payloads: x}, "damaged"},
		"places from anybody":      {2, multicast.Batch{View: 1, First: 1, Got: got, Places: []multicast.Place{{Lane: total, Count: 1}}}, "damaged"},
		"a number beyond all":      {2, multicast.Batch{View: 1, First: 1 << 63, Got: got, Runs: run(fifo, 1), Payloads: x}, "ceiling"},
		"a stamp beyond all":       {2, multicast.Batch{View: 1, First: 1, Stamp: 1 << 63, Got: got, Runs: run(fifo, 1), Payloads: x}, "ceiling"},
		"a view beyond all":        {2, multicast.Batch{View: 1 << 63, First: 1, Got: got, Runs: run(fifo, 1), Payloads: x}, "ceiling"},
		"a report of what I lack":  {2, multicast.Report{View: 1, Got: []uint64{9, 0, 0}}, "ceiling"},
		"a short report":           {2, multicast.Report{View: 1, Got: []uint64{0}}, "damaged"},
		"a report beyond all":      {2, multicast.Report{View: 1, Got: []uint64{0, 1 << 63, 0}}, "damaged"},
		"a stranger's":             {4, multicast.Report{View: 1, Got: got}, "view"},
		"again, a rank beyond all": {2, multicast.Again{View: 1, Rank: 7}, "damaged"},
		"again, another view":      {2, multicast.Again{View: 1, Batch: multicast.Batch{View: 2, First: 1}}, "damaged"},
		"again, an empty batch":    {2, multicast.Again{View: 1, Rank: 1, Batch: multicast.Batch{View: 1, First: 1}}, "damaged"},
		"a batch of a later view":  {2, multicast.Batch{View: 2, First: 1, Got: got}, ""},
		"a want of nothing":        {2, multicast.Want{View: 1, Rank: 9}, ""},
	} {
		s, o := one(t, multicast.Options{Orders: []multicast.Order{multicast.FIFO, multicast.Causal, multicast.Total}})
		before := status(s)
		s.Receive(test.from, 1, protocol.Packet{Channel: 1, Body: test.body}, protocol.Inputs{}, o)
		reasons := refusals(o)
		if test.want == "" && len(reasons) > 0 || test.want != "" && !slices.Equal(reasons, []string{test.want}) {
			t.Errorf("%s: refused for %q, want %q", name, reasons, test.want)
		}
		if after := status(s); test.want != "" && fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("%s: %+v becomes %+v", name, before, after)
		}
	}
}

func status(s *protocol.Stack) multicast.Status {
	answer, _ := s.Answer(multicast.Query{})
	return answer.(multicast.Status)
}

// A node keeps no more than a window of what comes too early, of a view to come as well as of this one.
func TestKeepsNoMoreThanTheWindow(t *testing.T) {
	for _, view := range []uint64{1, 2} {
		s, o := one(t, multicast.Options{Window: 2000, Batch: 1000})
		kept := 0
		for n := uint64(2); n < 100; n++ {
			b := multicast.Batch{View: view, First: n, Got: []uint64{0, n, 0}, Payloads: [][]byte{make([]byte, 100)},
				Runs: []multicast.Run{{Lane: 2, First: n, Count: 1}}}
			s.Receive(2, 1, protocol.Packet{Channel: 1, Body: b}, protocol.Inputs{}, o)
			if len(refusals(o)) == 0 {
				kept++
			}
		}
		if kept < 15 || kept > 30 {
			t.Errorf("view %d: %d early batches of 100 bytes are kept", view, kept)
		}
	}
}

// What comes late of what is missing takes the place of what is early, and must wait for it.
func TestMakesRoomForWhatIsMissing(t *testing.T) {
	s, o := one(t, multicast.Options{Window: 2000, Batch: 1000})
	comes := func(first, last uint64) {
		for n := first; n <= last; n++ {
			b := multicast.Batch{View: 1, First: n, Got: []uint64{0, n, 0}, Payloads: [][]byte{make([]byte, 100)},
				Runs: []multicast.Run{{Lane: 2, First: n, Count: 1}}}
			s.Receive(2, 1, protocol.Packet{Channel: 1, Body: b}, protocol.Inputs{}, o)
		}
	}
	comes(50, 99)
	early := status(s).Early
	comes(2, 15)
	if now := status(s).Early; now != early {
		t.Errorf("%d batches are early; want %d, as before", now, early)
	}
	comes(1, 1)
	if got := s.String(); !strings.Contains(got, "2: 15 held") {
		t.Errorf("got %s; want 15 items held of node 2", got)
	}
}

// What a node is sent that had to drop some of it in the end arrives all the same: it asks for it.
func TestAsksForWhatIsMissing(t *testing.T) {
	b := kit.New(2)
	for _, command := range []string{"start", "event 1 view 1 1,2", "event 2 view 1 1,2", "deliver", "call 1 cast fifo a", "drop 1 2",
		"call 1 cast fifo b", "deliver", "pass 100ms", "deliver"} {
		if _, err := b.Do(command); err != nil {
			t.Fatal(err)
		}
	}
	if st := status(b.Stack(2)); st.Early != 0 {
		t.Errorf("node 2 is left with %+v", st)
	}
	if got := b.Stack(2).String(); !strings.Contains(got, "1: 2 held") {
		t.Errorf("node 2 is %s; want 2 items held of node 1", got)
	}
}

// A member that has said that it left refuses casts, until it is a member again.
func TestRefusesCastsAfterLeaving(t *testing.T) {
	s, o := one(t, multicast.Options{})
	left, _ := views["excluded"]([]string{"1", "left"})
	s.Notify(left, protocol.Inputs{}, o)
	call := protocol.Call{ID: 7, Body: multicast.Cast{Order: multicast.FIFO, Payloads: [][]byte{nil}}}
	s.Call(call, protocol.Inputs{}, o)
	if e := o.Effects(); len(e) != 2 || !strings.Contains(fmt.Sprint(e[1].Body), "it has left") {
		t.Errorf("it says %v", e)
	}
	view, _ := views["view"]([]string{"3", "2,3,1"})
	s.Notify(view, protocol.Inputs{}, o)
	s.Call(call, protocol.Inputs{}, o)
	if waiting := status(s).Waiting; waiting != 16 {
		t.Errorf("%d bytes wait; want 16", waiting)
	}
}

// Old views are forgotten once all members have shown that they are in the new one.
func TestForgetsThePast(t *testing.T) {
	b := kit.New(3)
	run := func(commands ...string) {
		for _, command := range commands {
			if _, err := b.Do(command); err != nil {
				t.Fatal(err)
			}
		}
	}
	run("start", "event 1 view 1 1,2,3", "event 2 view 1 1,2,3", "event 3 view 1 1,2,3", "deliver", "call 1 cast fifo secret", "deliver 1 2",
		"drop 1 3", "event 1 flush 1 1", "event 2 flush 1 1", "event 1 view 2 1,2 upto 1,0,0")
	held := func(id protocol.ID) bool { return strings.Contains(string(b.Stack(id).AppendState(nil)), "secret") }
	if !held(1) {
		t.Error("node 1 has forgotten what node 2 may lack")
	}
	run("event 2 view 2 1,2 upto 1,0,0", "deliver")
	if held(1) || held(2) {
		t.Error("all are in the new view, and what was sent in the old is kept")
	}
}
