package check

import (
	"strconv"
	"strings"
	"testing"

	"ciranda.dev/app/board"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/protocol/transfer"
	"ciranda.dev/trace"
)

// describeGroup fills in what happens in a group.
func describeGroup(e *trace.Event, words []string) error {
	arg := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	num := func(i int, otherwise uint64) uint64 {
		if v, err := strconv.ParseUint(arg(i), 10, 64); err == nil {
			return v
		}
		return otherwise
	}
	sender := func(i int) protocol.ID { return protocol.ID(num(i, 0)) }
	lane := parseLane(arg(2))
	noted := func(v protocol.Event) { e.Kind, e.Data = trace.Noted, v }
	switch words[0] {
	case "view": // id members [first] [joined:1,2] [gone:3]
		e.Kind, e.Data = trace.Told, parseView(num(1, 0), words[2:])
	case "out": // last view, why
		e.Kind, e.Data = trace.Told, group.Excluded{View: num(1, 0), Why: group.Why(arg(2))}
	case "back":
		e.Kind, e.Data = trace.Told, protocol.Reply{ID: 1, Body: group.Back{}}
	case "blocked": // [why]
		e.Kind, e.Data = trace.Told, group.Blocked{Why: strings.Join(words[1:], " ")}
	case "cast": // view lane first [count]
		noted(multicast.Began{View: num(1, 0), Lane: lane, First: num(3, 0), Count: int(num(4, 1))})
	case "got": // view lane sender first [count]
		noted(multicast.Delivered{View: num(1, 0), Lane: lane, Sender: sender(3), First: num(4, 0), Count: int(num(5, 1))})
	case "holds": // view numbers by rank
		noted(multicast.Holds{View: num(1, 0), Upto: parseNumbers(arg(2))})
	case "stream": // view lane first number [count]
		noted(multicast.Streamed{View: num(1, 0), Lane: lane, First: num(3, 0), Stream: num(4, 0), Count: int(num(5, 1))})
	case "place": // view lane place sender first [count]
		noted(multicast.Ordered{View: num(1, 0), Lane: lane, Place: num(3, 0), Sender: sender(4), First: num(5, 0), Count: int(num(6, 1))})
	case "gc": // view sender upto
		noted(multicast.Collected{View: num(1, 0), Sender: sender(2), Upto: num(3, 0)})
	case "away": // as a client asked
		e.Kind, e.Data = trace.Told, protocol.Reply{ID: 1, Body: group.Out{}}
	default:
		return describeTransfer(e, words)
	}
	return nil
}

// parseLane reads an order; with an exclamation mark it is uniform.
func parseLane(text string) multicast.Lane {
	name, uniform := strings.CutSuffix(text, "!")
	order, _ := multicast.ParseOrder(name)
	return multicast.Lane{Order: order, Uniform: uniform}
}

// parseView reads members such as 1,2#2,3#1.2 and what is told with a view.
func parseView(id uint64, words []string) group.Installed {
	v := group.Installed{View: group.View{ID: id}}
	for part := range strings.SplitSeq(words[0], ",") {
		node, life, again := strings.Cut(part, ".")
		m := group.Member{Life: 1}
		m.Node, m.Incarnation = parseLife(node)
		if n, _ := strconv.ParseUint(life, 10, 32); again {
			m.Life = uint32(n)
		}
		v.View.Members = append(v.View.Members, m)
	}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, ":")
		switch key {
		case "first":
			v.First = true
		case "joined":
			v.Joined = parseIDs(value)
		case "gone":
			v.Gone = parseIDs(value)
		}
	}
	return v
}

func parseIDs(text string) (ids []protocol.ID) {
	for _, n := range parseNumbers(text) {
		ids = append(ids, protocol.ID(n))
	}
	return ids
}

func parseNumbers(text string) (all []uint64) {
	for part := range strings.SplitSeq(text, ",") {
		n, _ := strconv.ParseUint(part, 10, 64)
		all = append(all, n)
	}
	return all
}

// What a file claims of groups is no reason to panic, nor for a set of numbers without bounds.
func FuzzGroups(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 0, 0, 3, 1, 1, 7, 0, 1, 4, 1, 1, 1, 1, 1, 5, 1, 1, 1, 1, 1, 3, 1, 2, 7, 0, 1})
	f.Add([]byte{3, 1, 1, 7, 1, 1, 13, 1, 1, 5, 0, 1, 14, 2, 1, 1, 5, 1, 17, 2, 1, 4, 9, 1, 16, 2, 1, 4, 10, 1, 15, 2, 1, 0, 0, 1, 3, 2, 2, 7, 1, 1})
	f.Add([]byte{3, 1, 1, 3, 1, 1, 6, 1, 1, 255, 255, 1, 7, 1, 1, 0, 0, 9, 8, 1, 1, 9, 9, 9, 9, 1, 1, 3, 3, 3, 5, 1, 1, 200, 3, 2})
	setup := Setup{Nodes: ids(3), Level: trace.Full, Transfer: true, Board: true, Group: &Group{Casts: true, Notes: true}, Detector: &Detector{Timeout: 1}}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, engine := range []Engine{Simulated, OneHost} {
			setup.Engine = engine
			var properties []Property
			for _, name := range Names() {
				if p, err := New(name, nil, setup); err == nil {
					properties = append(properties, p)
				}
			}
			suite := NewSuite(properties...)
			for i := 0; i+6 <= len(b); i += 6 {
				suite.Record(fuzzedGroup(int64(i/12), b[i:i+6]))
			}
			for _, r := range suite.Clone().Results() {
				if r.Verdict == Holds && r.Examined == 0 {
					t.Errorf("%s holds, and nothing was examined", r.Property)
				}
			}
		}
	})
}

// fuzzedGroup makes an event of a group of six bytes.
func fuzzedGroup(t int64, b []byte) *trace.Event {
	e := &trace.Event{T: t, N: uint64(t), Node: protocol.ID(b[1] & 7), Inc: protocol.Incarnation(b[5] & 3), Kind: trace.Noted}
	view, sender, first := uint64(b[2]&7), protocol.ID(b[3]&7), uint64(b[4])<<(b[5]&63)
	lane := multicast.Lane{Order: multicast.Order(b[5] & 7), Uniform: b[5]&8 > 0}
	told := func(v protocol.Event) { e.Kind, e.Data = trace.Told, v }
	switch b[0] % 19 {
	case 0:
		e.Kind, e.Data = trace.Start, trace.Life{}
	case 1:
		e.Kind, e.Data = trace.Recover, trace.Life{Stored: b[2] > 9}
	case 2:
		e.Kind = trace.Crash
	case 3:
		v := group.Installed{View: group.View{ID: view}, First: b[4] == 0, Gone: []protocol.ID{sender}}
		for i := range 8 {
			if b[3]>>i&1 > 0 {
				v.View.Members = append(v.View.Members, group.Member{Node: protocol.ID(i), Incarnation: e.Inc})
			}
		}
		told(v)
	case 4:
		e.Data = multicast.Began{View: view, Lane: lane, First: first, Count: int(b[3]) - 3}
	case 5, 6:
		e.Data = multicast.Delivered{View: view, Sender: sender, Lane: lane, First: first, Count: int(int8(b[2]))}
	case 7:
		e.Data = multicast.Streamed{View: view, Lane: lane, First: first, Stream: uint64(b[3]), Count: int(b[3]) - 3}
	case 8:
		e.Data = multicast.Holds{View: view, Upto: make([]uint64, b[3]&7)}
	case 9:
		e.Data = multicast.Ordered{View: view, Lane: lane, Place: uint64(b[3]), Sender: sender, First: first, Count: int(b[3]) - 3}
	case 10:
		e.Data = multicast.Collected{View: view, Sender: sender, Upto: first}
	case 11:
		told(group.Excluded{View: view, Why: []group.Why{group.Left, group.Passed}[b[3]&1]})
	case 12:
		told([]protocol.Event{group.Blocked{Why: "so"}, group.Blocked{}, protocol.Reply{Body: group.Back{}}, protocol.Reply{Body: group.Out{}}}[b[3]&3])
	case 13:
		e.Data = transfer.Keeping{View: view, Root: transfer.Root(b[3])}
	case 14:
		e.Data = transfer.Loaded{View: view, From: sender, Root: transfer.Root(b[4])}
	case 15:
		told(transfer.Ready{View: view})
	case 16:
		e.Data = board.Added{Count: first, Hash: board.Hash(b[3])}
	case 17:
		e.Data = board.Given{Since: view, Count: first, Hash: board.Hash(b[3])}
	default:
		e.Kind, e.Data, e.Node = []trace.Kind{trace.Calm, trace.End}[b[3]&1], nil, protocol.None
	}
	return e
}
