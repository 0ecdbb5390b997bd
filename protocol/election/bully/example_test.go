package bully_test

import (
	"fmt"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector/oracle"
	"ciranda.dev/protocol/election"
	"ciranda.dev/protocol/election/bully"
	"ciranda.dev/protocol/protocoltest"
)

// Three nodes elect the highest one. It dies, node 1 notices, and node 2 takes over.
func ExampleNew() {
	kit := protocoltest.Kit{Build: func(self protocol.Self, _ []string) (*protocol.Stack, error) {
		return protocol.NewStack(self, oracle.New(oracle.Options{}), bully.New(bully.Options{}))
	}}
	group := kit.New(3)
	do := func(command string) {
		if _, err := group.Do(command); err != nil {
			fmt.Println(err)
		}
	}
	leader := func() {
		opinion, _ := group.Stack(1).Answer(election.Query{})
		fmt.Println(opinion.(election.Opinion).Term)
	}
	do("start")
	do("run 100ms")
	leader()
	do("crash 3")
	do("run 1s") // the oracle says nothing, but the leader's beats have stopped
	leader()
	// Output:
	// 1.3
	// 3.2
}

// Timeouts that the network does not keep are refused, with the formula.
func ExampleOptions_Validate() {
	opts := bully.Options{Answer: 20 * time.Millisecond}
	fmt.Println(opts.Validate(30*time.Millisecond, 350*time.Millisecond))
	// Output: bully: Answer >= 2*delay does not hold: 20ms < 60ms
}
