package ciranda_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"

	"ciranda.dev"
)

// A service that knows its leader. In earnest each member is a process of its own, and Peers come from its flags.
func ExampleJoin() {
	listeners, peers := ports(3)
	dir, err := os.MkdirTemp("", "ciranda")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	var members []*ciranda.Member
	for i, l := range listeners {
		m, err := ciranda.Join(ciranda.Config{
			Cluster: "orders", ID: i + 1, Peers: peers, Secret: []byte("sixteen bytes or more"),
			Dir: filepath.Join(dir, fmt.Sprint(i+1)), Profile: "Local", Listener: l,
		})
		if err != nil {
			log.Fatal(err)
		}
		members = append(members, m)
	}
	for now := range members[0].Watch(context.Background()) {
		if now.Leader != 0 {
			fmt.Println("member 1 has a leader:", now.Leader > 0)
			break
		}
	}
	for _, m := range members {
		if err := m.Leave(context.Background()); err != nil {
			log.Fatal(err)
		}
	}
	// Output: member 1 has a leader: true
}

// ports opens n ports of this machine.
func ports(n int) (listeners []net.Listener, peers map[int]string) {
	peers = map[int]string{}
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		listeners, peers[i+1] = append(listeners, l), l.Addr().String()
	}
	return listeners, peers
}
