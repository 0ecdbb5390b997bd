package transfer_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/protocol/protocoltest"
	"ciranda.dev/protocol/transfer"
)

// A stage takes the place of all layers below: it lets the events pass that a transcript makes up, and notes what is asked.
type stage struct{ protocol.Base }

// Asked is the note of a request from above.
type Asked struct {
	Request any `json:"request"`
}

func (Asked) Kind() string { return "asked" }

func (*stage) String() string { return "" }
func (*stage) Traits() protocol.Traits {
	return protocol.Traits{Channel: "stage", Gives: protocol.FIFO | protocol.NoLoss | protocol.Views | protocol.Multicast}
}

func (*stage) Request(r any, o *protocol.Out) bool {
	if c, is := r.(protocol.Call); is {
		o.Indicate(protocol.Reply{ID: c.ID, Body: multicast.Noted{}})
		r = c.Body
	}
	switch r.(type) {
	case group.Ready, group.Leave, group.Join, multicast.Consumed:
		o.Note(Asked{r})
		return true
	}
	return false
}

// A diary is an application whose state is the text of all that it heard. With "slow" it hands the state over, and
// says that it has consumed something, when it is told.
type diary struct {
	protocol.Base
	slow bool `layer:"const"`
	text string
}

func (d *diary) String() string { return strconv.Quote(d.text) }
func (*diary) Traits() protocol.Traits {
	return protocol.Traits{Channel: "diary", Needs: protocol.Multicast}
}

func (d *diary) Indicate(e protocol.Event, o *protocol.Out) bool {
	switch e := e.(type) {
	case multicast.Delivery:
		for _, p := range e.Payloads {
			d.text += string(p)
		}
		if !d.slow {
			o.Request(multicast.Consumed{Bytes: multicast.Weight(e.Payloads...)})
		}
	case group.Installed:
		d.text += fmt.Sprintf("[%d]", e.View.ID)
	case transfer.Capture:
		if !d.slow {
			o.Request(transfer.Captured{View: e.View, State: []byte(d.text)})
		}
	case transfer.Load:
		d.text = string(e.State)
	case transfer.Anew:
		d.text = ""
	default:
		return false
	}
	return true
}

// kit is for a diary over a stage, with chunks of four bytes and a window of two.
var kit = protocoltest.Kit{
	Build: func(self protocol.Self, options []string) (*protocol.Stack, error) {
		opts := transfer.Options{Chunk: 4, Window: 2, Largest: 60, Hold: 300}
		app := &diary{}
		for _, word := range options {
			switch word {
			case "slow":
				app.slow = true
			case "roomy":
				opts.Hold = 800
			default:
				return nil, fmt.Errorf("unknown option %q", word)
			}
		}
		return protocol.NewStack(self, &stage{}, transfer.New(opts), app)
	},
	Calls: map[string]func([]string) (any, error){
		"captured": func(args []string) (any, error) {
			n, err := strconv.ParseUint(args[0], 10, 64)
			return transfer.Captured{View: n, State: []byte(args[1])}, err
		},
		"consumed": func(args []string) (any, error) {
			n, err := strconv.Atoi(args[0])
			return multicast.Consumed{Bytes: n}, err
		},
	},
	Events: map[string]func([]string) (protocol.Event, error){
		"view": viewOf,
		"flush": func(args []string) (protocol.Event, error) {
			n, err := strconv.ParseUint(args[0], 10, 64)
			return group.Flush{View: n}, err
		},
		"excluded": func([]string) (protocol.Event, error) { return group.Excluded{Why: group.Passed}, nil },
		"message": func(args []string) (protocol.Event, error) {
			return multicast.Delivery{Sender: 1, Lane: multicast.Lane{Order: multicast.Total}, First: 1, Payloads: [][]byte{[]byte(args[0])}}, nil
		},
		"sent": func(args []string) (protocol.Event, error) {
			n, err := strconv.ParseUint(args[0], 10, 64)
			return protocol.Reply{ID: n, Body: multicast.Sent{View: 1, First: 1, Count: 1}}, err
		},
	},
	Questions: map[string]any{"state": transfer.Query{}},
}

// viewOf reads "7 1,2,3 ready 1,2 gone 4 first".
func viewOf(args []string) (protocol.Event, error) {
	if len(args) < 2 {
		return nil, fmt.Errorf("usage: view NUMBER NODES [ready NODES] [gone NODES] [first]")
	}
	n, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return nil, err
	}
	members, err := nodes(args[1])
	e := group.Installed{View: group.View{ID: n}}
	for _, id := range members {
		e.View.Members = append(e.View.Members, group.Member{Node: id, Incarnation: 1, Life: 1})
	}
	for rest := args[2:]; len(rest) > 0 && err == nil; {
		switch word := rest[0]; {
		case word == "first":
			e.First, rest = true, rest[1:]
		case word == "ready" && len(rest) > 1:
			e.View.Ready, err = nodes(rest[1])
			rest = rest[2:]
		case word == "gone" && len(rest) > 1:
			e.Gone, err = nodes(rest[1])
			rest = rest[2:]
		default:
			return nil, fmt.Errorf("found %q; expected ready, gone or first", word)
		}
	}
	return e, err
}

func nodes(text string) (ids []protocol.ID, err error) {
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseUint(word, 10, 16)
		if err != nil {
			return nil, err
		}
		ids = append(ids, protocol.ID(n))
	}
	return ids, nil
}

func TestTranscripts(t *testing.T) { kit.Run(t, "testdata/*.txt") }

// Bad messages of others are refused, and nothing changes.
func TestBadMessages(t *testing.T) {
	for name, m := range map[string]protocol.Message{
		"no chunks":    transfer.Offer{View: 1, Size: 5},
		"large chunks": transfer.Offer{View: 1, Size: 5, Chunk: 1 << 20},
		"large state":  transfer.Offer{View: 1, Size: 1 << 62, Chunk: 4},
		"stray chunk":  transfer.Chunk{View: 1, Bytes: []byte("abcd")},
		"stray have":   transfer.Have{View: 1 << 62},
		"stray none":   transfer.None{View: 1},
	} {
		b := kit.New(2)
		for _, command := range []string{"start", "event 2 view 1 1,2 ready 1 first"} {
			if _, err := b.Do(command); err != nil {
				t.Fatal(err)
			}
		}
		before := b.Stack(2).AppendState(nil)
		s, o := b.Stack(2), &protocol.Out{}
		s.Receive(1, 1, protocol.Packet{Channel: 1, Body: m}, protocol.Inputs{}, o)
		after, ok := s.Answer(transfer.Query{})
		if st := after.(transfer.Status); !ok || st.From != protocol.None || st.Got != 0 {
			t.Errorf("%s: got %+v", name, st)
		}
		switch m.(type) {
		case transfer.Chunk, transfer.Have:
			if string(s.AppendState(nil)) != string(before) {
				t.Errorf("%s: the state has changed", name)
			}
		}
	}
}

// Want with numbers that cannot be is refused.
func TestBadWant(t *testing.T) {
	b := kit.New(2)
	for _, command := range []string{"start", "event 1 view 1 1 first", "event 1 message abcdefgh", "event 1 view 2 1,2 ready 1"} {
		if _, err := b.Do(command); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range []transfer.Want{{View: 2, First: 1 << 31, Count: 1}, {View: 2, Count: 1 << 31}, {View: 2, First: 1<<32 - 1, Count: 2}} {
		o := &protocol.Out{}
		b.Stack(1).Receive(2, 1, protocol.Packet{Channel: 1, Body: m}, protocol.Inputs{}, o)
		for _, e := range o.Effects() {
			if e.Kind == protocol.Send {
				t.Errorf("%+v is answered by %+v", m, e.Body)
			}
		}
	}
}

func TestOptions(t *testing.T) {
	for want, p := range map[string]transfer.Options{
		"":                               {},
		"Chunk is 1048576":               {Chunk: 1 << 20},
		"Window is 65":                   {Window: 65},
		"Largest is -1":                  {Largest: -1},
		"Hold is -1":                     {Hold: -1},
		"Silence is 1h":                  {Silence: time.Hour},
		"Keep is 1ms":                    {Keep: time.Millisecond},
		"transfer: there is no mistake ": {Mistake: 99},
	} {
		if err := p.Validate(); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: got %v, want %q", p, err, want)
		}
	}
}
