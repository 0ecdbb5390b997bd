package clock_test

import (
	"fmt"
	"time"

	"ciranda.dev/protocol/clock"
)

// A receipt is later than the sending, however little the receiver has seen.
func ExampleLamport() {
	var a, b clock.Lamport
	a.Tick()
	message := a.Tick()
	received, _ := b.Receive(message)
	fmt.Println(message, received)

	_, err := b.Receive(1<<64 - 1) // a corrupt stamp changes nothing
	fmt.Println(err)
	fmt.Println(b.Time())
	// Output:
	// 2 3
	// clock: stamp refused (ceiling): found 18446744073709551615; expected at most 4611686018427387904
	// 3
}

// Two processes that have not heard from each other order nothing; one message is enough.
func ExampleVector_Compare() {
	one, two := clock.Process{Node: 1, Incarnation: 1}, clock.Process{Node: 2, Incarnation: 1}
	a := clock.Vector{one: 1}         // process 1 works alone
	b := clock.Vector{two: 1}         // so does process 2
	c := clock.Vector{one: 1, two: 2} // process 2 receives from process 1
	fmt.Println(a.Compare(b), a.Compare(c), c)
	// Output: concurrent before {n1#1:1 n2#1:2}
}

// The wall clock of b is 10 ms behind, and yet the receipt is later than the sending.
func ExampleHybrid() {
	var a, b clock.Hybrid
	sent, _ := a.Tick(2 * time.Second)
	received, _ := b.Receive(2*time.Second-10*time.Millisecond, sent)
	fmt.Println(sent, received)
	// Output: 2s+0 2s+1
}
