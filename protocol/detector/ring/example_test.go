package ring_test

import (
	"fmt"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector/ring"
)

// Node 1 of six times nodes 6 and 5, and beats to nodes 2 and 3. It hears that node 2 is down: it beats to 3 and 4.
func ExampleNew() {
	self := protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1, 2, 3, 4, 5, 6}}
	stack, err := protocol.NewStack(self, ring.New(ring.Options{}))
	if err != nil {
		fmt.Println(err)
		return
	}
	out := &protocol.Out{}
	stack.Start(protocol.Inputs{Draw: func(int) int { return 0 }}, out)
	news := ring.News{Node: 2, Incarnation: 1, Down: true, Origin: 4}
	stack.Receive(4, 1, protocol.Packet{Body: news}, protocol.Inputs{}, out)
	fmt.Print(stack)
	// Output: ring: beats to [3 4], hears [6 5], holds down [2], awaits [5 6]
}
