package invocation_test

import (
	"fmt"
	"time"

	"ciranda.dev/protocol/invocation"
)

// A request arrives twice: once while it is executed, and once after. It is executed once.
func ExampleServer() {
	client := invocation.NewClient(invocation.ClientID{1}, invocation.Life(1, 0), invocation.Options{})
	server := invocation.NewServer(1, invocation.Options{})
	hello := client.Connected(0, false, nil)
	welcome := server.Signal(0, hello[0].Signal, nil)
	client.Signal(0, welcome[len(welcome)-1].Signal, nil)

	sent := client.Call(0, &invocation.Call{Seq: 1, Args: []byte("add"), Deadline: time.Second}, nil)
	request := *sent[0].Request
	for range 2 {
		for _, e := range server.Request(0, &request, nil) {
			if e.Kind == invocation.Execute {
				fmt.Println("execute", string(e.Request.Args))
			} else {
				fmt.Println(e.Signal.Kind)
			}
		}
	}
	server.Done(request.RID, invocation.OK, []byte("7"), nil)
	again := server.Request(0, &request, nil)
	over := client.Reply(0, &again[0].Reply, nil)
	fmt.Println(over[0].Outcome.Knowledge, string(over[0].Outcome.Result))
	// Output:
	// execute add
	// working
	// executed 7
}
