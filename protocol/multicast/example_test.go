package multicast_test

import (
	"fmt"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
)

// A board shows what is cast to the group.
type board struct {
	protocol.Base
	lines []string
}

func (b *board) Indicate(e protocol.Event, _ *protocol.Out) bool {
	if d, ok := e.(multicast.Delivery); ok {
		for _, p := range d.Payloads {
			b.lines = append(b.lines, fmt.Sprintf("%d: %s", d.Sender, p))
		}
	}
	return false
}

func (b *board) String() string { return fmt.Sprint(b.lines) }

func (b *board) Traits() protocol.Traits {
	return protocol.Traits{Channel: "board", Needs: protocol.Multicast}
}

// A node that is alone in its group delivers what it casts at once. The layers of views and links are left out here.
func ExampleNew() {
	self := protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1}}
	shown := &board{}
	stack, err := protocol.NewStack(self, &viewer{}, multicast.New(multicast.Options{}), shown)
	if err != nil {
		fmt.Println(err)
		return
	}
	in, out := protocol.Inputs{}, &protocol.Out{}
	stack.Start(in, out)
	stack.Call(protocol.Call{ID: 1, Body: multicast.Cast{Order: multicast.Total, Payloads: [][]byte{[]byte("hello"), []byte("world")}}}, in, out)
	fmt.Println(shown)
	alone := group.View{ID: 1, Members: []group.Member{{Node: 1, Incarnation: 1, Life: 1}}}
	stack.Notify(group.Installed{View: alone, First: true}, in, out)
	stack.Flush(in, out) // no more input is at hand
	fmt.Println(shown)
	// Output:
	// []
	// [1: hello 1: world]
}
