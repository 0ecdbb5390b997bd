package multicast_test

import (
	"fmt"
	"strconv"
	"strings"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/link"
)

// A viewer takes the place of the group's layer and of the links: it lets the views pass that a test makes up, and notes what
// the layer above answers.
type viewer struct{ protocol.Base }

// Answered is the note of a request from above.
type Answered struct {
	Request any `json:"request"`
}

func (Answered) Kind() string { return "answered" }

func (viewer) String() string { return "" }
func (*viewer) Traits() protocol.Traits {
	return protocol.Traits{Channel: "viewer", Gives: protocol.FIFO | protocol.NoLoss | protocol.Views,
		Requests: []any{group.Held{}, group.Gathered{}, group.Exclude{}}}
}

func (*viewer) Request(r any, o *protocol.Out) bool {
	switch r.(type) {
	case group.Held, group.Gathered, group.Exclude:
		o.Note(Answered{r})
		return true
	}
	return false
}

// views are the events of a test: "view 7 1,2,3", where who was in the one before adds "upto 4,2,0"; "flush 7 1" with the
// ballot's counter; "gather 7 1 upto 4,2,0 from 1,2,2"; "excluded 7 passed"; and of the links "over 2 1", with the life. In a view, 2#3 is node 2
// in its third life.
var views = map[string]func([]string) (protocol.Event, error){
	"view": func(args []string) (protocol.Event, error) {
		if len(args) < 2 {
			return nil, fmt.Errorf("usage: view NUMBER NODES [upto CUT]")
		}
		n, err := lists(args, 1)
		if err != nil {
			return nil, err
		}
		members, err := membersOf(args[1])
		if err != nil {
			return nil, err
		}
		e := group.Installed{View: group.View{ID: n[0][0], Members: members}, First: true}
		if len(args) == 4 {
			upto, err := lists(args[3:], 1)
			e.First, e.Upto = false, upto[0]
			return e, err
		}
		return e, nil
	},
	"flush": func(args []string) (protocol.Event, error) {
		n, err := lists(args, 2)
		if err != nil {
			return nil, err
		}
		return group.Flush{View: n[0][0], Ballot: group.Ballot{Counter: uint32(n[1][0]), Node: 1}}, nil
	},
	"gather": func(args []string) (protocol.Event, error) {
		if len(args) != 6 {
			return nil, fmt.Errorf("usage: gather VIEW BALLOT upto CUT from NODES")
		}
		n, err := lists([]string{args[0], args[1], args[3], args[5]}, 4)
		if err != nil {
			return nil, err
		}
		e := group.Gather{View: n[0][0], Ballot: group.Ballot{Counter: uint32(n[1][0]), Node: 1}, Upto: n[2]}
		for _, id := range n[3] {
			e.From = append(e.From, protocol.ID(id))
		}
		return e, nil
	},
	"over": func(args []string) (protocol.Event, error) {
		n, err := lists(args, 2)
		if err != nil {
			return nil, err
		}
		return link.Over{Node: protocol.ID(n[0][0]), Incarnation: protocol.Incarnation(n[1][0])}, nil
	},
	"excluded": func(args []string) (protocol.Event, error) {
		n, err := lists(args, 1)
		if err != nil {
			return nil, err
		}
		return group.Excluded{View: n[0][0], Why: group.Why(args[1])}, nil
	},
}

func membersOf(text string) (members []group.Member, err error) {
	for _, name := range strings.Split(text, ",") {
		node, life, later := strings.Cut(name, "#")
		if !later {
			life = "1"
		}
		n, err := lists([]string{node, life}, 2)
		if err != nil {
			return nil, err
		}
		members = append(members, group.Member{Node: protocol.ID(n[0][0]), Incarnation: protocol.Incarnation(n[1][0]), Life: 1})
	}
	return members, nil
}

// lists reads so many lists of numbers.
func lists(args []string, count int) (all [][]uint64, err error) {
	if len(args) < count {
		return nil, fmt.Errorf("found %d words; expected at least %d", len(args), count)
	}
	for _, arg := range args[:count] {
		var list []uint64
		for _, part := range strings.Split(arg, ",") {
			v, err := strconv.ParseUint(part, 10, 64)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		all = append(all, list)
	}
	return all, nil
}
