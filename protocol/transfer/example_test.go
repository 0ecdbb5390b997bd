package transfer_test

import (
	"fmt"
)

// Node 1 has heard something before node 2 joins. Node 2 gets the state in pieces, and then what was delivered meanwhile.
func ExampleNew() {
	bench := kit.New(2)
	for _, command := range []string{
		"start",
		"event 1 view 1 1 first", "event 1 message hello", // node 1 is alone, and nobody has a state: it begins anew
		"event 1 view 2 1,2 ready 1", "event 2 view 2 1,2 ready 1 first", // node 2 joins
		"event 1 message world", "event 2 message world", // both are told; node 2 does not have the state yet
	} {
		if _, err := bench.Do(command); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(bench.Stack(2).Layer(2))
	if _, err := bench.Do("deliver"); err != nil {
		fmt.Println(err)
	}
	fmt.Println(bench.Stack(1).Layer(2))
	fmt.Println(bench.Stack(2).Layer(2))
	// Output:
	// ""
	// "[1]hello[2]world"
	// "[1]hello[2]world"
}
