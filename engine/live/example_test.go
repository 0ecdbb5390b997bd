package live_test

import (
	"context"
	"fmt"
	"net"

	"ciranda.dev/engine/live"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector/heartbeat"
	"ciranda.dev/protocol/election"
	"ciranda.dev/protocol/election/bully"
	"ciranda.dev/transport"
	"ciranda.dev/transport/tcp"
)

// Three nodes in one process elect a leader over TCP.
func ExampleOpen() {
	group := []protocol.ID{1, 2, 3}
	ports, addresses := map[protocol.ID]net.Listener{}, map[protocol.ID]string{}
	for _, id := range group {
		port, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		ports[id], addresses[id] = port, port.Addr().String()
	}
	elected := make(chan string, 100)
	var nodes []*live.Node
	for _, id := range group {
		node, err := live.Open(live.Config{
			Cluster: "example", ID: id, Group: group, Incarnation: 1,
			Build: func(self protocol.Self) (*protocol.Stack, error) {
				return protocol.NewStack(self, heartbeat.New(heartbeat.Options{}), bully.New(bully.Options{}))
			},
			Transport: func(h transport.Handler, hello func() transport.Hello) (transport.Transport, error) {
				return tcp.Open(tcp.Config{Hello: hello, Handler: h, Listener: ports[id], Peers: addresses})
			},
			Leave: func(e protocol.Event, _ uint64) {
				if e, ok := e.(election.Elected); ok && id == 1 && e.Leader == 3 {
					elected <- fmt.Sprintf("node 1 follows node %d", e.Leader)
				}
			},
		})
		if err != nil {
			panic(err)
		}
		nodes = append(nodes, node)
	}
	fmt.Println(<-elected)
	for _, node := range nodes {
		if err := node.Close(context.Background()); err != nil {
			panic(err)
		}
	}
	// Output: node 1 follows node 3
}
