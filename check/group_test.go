package check

import (
	"fmt"
	"strconv"
	"strings"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
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
	default:
		return fmt.Errorf("unknown event %q", words[0])
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
