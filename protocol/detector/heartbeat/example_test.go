package heartbeat_test

import (
	"fmt"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/detector/heartbeat"
)

// A watcher asks its detector to watch node 2.
type watcher struct{ protocol.Base }

func (*watcher) Start(o *protocol.Out) { o.Request(detector.Watch{Node: 2}) }
func (*watcher) String() string        { return "" }
func (*watcher) Traits() protocol.Traits {
	return protocol.Traits{Channel: "watcher", Needs: protocol.FailureDetection}
}

// Two nodes, of which the second never says a word. An engine would let the timer expire when it is due.
func ExampleNew() {
	self := protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1, 2}}
	stack, err := protocol.NewStack(self, heartbeat.New(heartbeat.Options{Timeout: time.Second}), &watcher{})
	if err != nil {
		fmt.Println(err)
		return
	}
	out := &protocol.Out{}
	stack.Start(protocol.Inputs{Draw: func(int) int { return 0 }}, out)
	stack.Expire(0, protocol.Timer{Kind: detector.TimerDead, Arg: 2}, protocol.Inputs{}, out)
	for _, e := range out.Effects() {
		if e.Kind == protocol.Indicate {
			fmt.Printf("%+v\n", e.Body)
		}
	}
	// Output: {Node:2 Incarnation:0 Why:timeout}
}
