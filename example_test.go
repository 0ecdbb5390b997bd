package ciranda_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"sync"

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

// A chat: all members see the same messages in the same order, whoever sends them.
func ExampleMember_Multicast() {
	members, leave := join(3, func(int) *ciranda.Group { return &ciranda.Group{} })
	defer leave()

	var seen [3][]string
	var reading, sending, together sync.WaitGroup
	for i, m := range members {
		together.Add(1)
		reading.Go(func() {
			for e := range m.Events(context.Background()) {
				switch e := e.(type) {
				case ciranda.View:
					if len(e.Members) == len(members) {
						together.Done()
					}
				case ciranda.Message:
					if seen[i] = append(seen[i], fmt.Sprintf("%d: %s", e.From, e.Payload)); len(seen[i]) == 6 {
						return
					}
				}
			}
		})
	}
	together.Wait() // who joins later has missed what was said before
	for _, m := range members {
		sending.Go(func() {
			for _, text := range []string{"hello", "goodbye"} {
				if err := m.Multicast(context.Background(), ciranda.Total, true, []byte(text)); err != nil {
					log.Fatal(err)
				}
			}
		})
	}
	sending.Wait()
	reading.Wait()
	fmt.Println("all have seen the same:", fmt.Sprint(seen[0]) == fmt.Sprint(seen[1]) && fmt.Sprint(seen[1]) == fmt.Sprint(seen[2]))
	// Output: all have seen the same: true
}

// A replicated counter. Its state is brought to a member that joins later. Each counter belongs to the goroutine that reads
// the events of its member, so it needs no lock.
func ExampleGroup() {
	counts := make([]uint64, 4) // by member
	members, leave := join(3, func(id int) *ciranda.Group {
		return &ciranda.Group{
			Save: func() []byte { return binary.BigEndian.AppendUint64(nil, counts[id]) },
			Load: func(state []byte) {
				counts[id] = 0
				if state != nil { // nil: nobody has counted yet
					counts[id] = binary.BigEndian.Uint64(state)
				}
			},
		}
	}, 1, 2)
	defer leave()

	reading, stop := context.WithCancel(context.Background())
	var counting, ended sync.WaitGroup
	count := func(m *ciranda.Member, id int) {
		counting.Add(1)
		ended.Go(func() {
			told := false
			for e := range m.Events(reading) {
				if _, is := e.(ciranda.Message); is {
					counts[id]++
				}
				if counts[id] == 12 && !told {
					told = true
					counting.Done()
				}
			}
		})
	}
	add := func(m *ciranda.Member, times int) {
		for range times {
			if err := m.Multicast(context.Background(), ciranda.Total, true, nil); err != nil {
				log.Fatal(err)
			}
		}
	}
	count(members[0], 1)
	count(members[1], 2)
	add(members[0], 7)

	members[2] = late(3) // it joins only now
	count(members[2], 3)
	add(members[1], 5)
	counting.Wait()
	stop()
	ended.Wait()
	fmt.Println(counts[1:])
	// Output: [12 12 12]
}

// Members pass coins around, and a snapshot counts them while they fly: at members and on their way none is lost or twice.
func ExampleMember_Snapshot() {
	coins := make([]byte, 4) // by member
	members, leave := join(3, func(id int) *ciranda.Group {
		coins[id] = 10
		return &ciranda.Group{Picture: func() []byte { return []byte{coins[id]} }}
	})
	reading, stop := context.WithCancel(context.Background())
	flying := make(chan struct{})
	var passing sync.WaitGroup
	for i, m := range members {
		id := i + 1
		passing.Go(func() {
			give := func() {
				coins[id]--
				if err := m.Send(reading, id%3+1, []byte("a coin")); err != nil && reading.Err() == nil {
					log.Fatal(err)
				}
			}
			given, got := 0, 0
			for e := range m.Events(reading) {
				switch e.(type) {
				case ciranda.View:
					if given == 0 {
						given++
						give()
					}
				case ciranda.Received:
					if got++; got == 5 && id == 1 {
						close(flying)
					}
					coins[id]++
					give()
				}
			}
		})
	}
	<-flying
	picture, err := members[0].Snapshot(context.Background())
	for err == nil && !picture.Complete { // a member was busy
		picture, err = members[0].Snapshot(context.Background())
	}
	if err != nil {
		log.Fatal(err)
	}
	total := 0
	for _, state := range picture.States {
		total += int(state[0])
	}
	for _, f := range picture.Flying {
		total += len(f.Data)
	}
	fmt.Println("coins:", total)
	stop()
	passing.Wait()
	leave()
	// Output: coins: 30
}

// late joins a member that join has left out. It is set by join, for examples run one after the other.
var late func(id int) *ciranda.Member

// join joins members 1 to n, or those of them that are named, in one process, and gives what has them leave.
func join(n int, group func(id int) *ciranda.Group, named ...int) (members []*ciranda.Member, leave func()) {
	listeners, peers := ports(n)
	dir, err := os.MkdirTemp("", "ciranda")
	if err != nil {
		log.Fatal(err)
	}
	members = make([]*ciranda.Member, n)
	late = func(id int) *ciranda.Member {
		m, err := ciranda.Join(ciranda.Config{
			Cluster: "examples", ID: id, Peers: peers, Secret: []byte("sixteen bytes or more"), Election: "bully+stable+quorum",
			Dir: filepath.Join(dir, fmt.Sprint(id)), Profile: "Local", Listener: listeners[id-1], Group: group(id),
		})
		if err != nil {
			log.Fatal(err)
		}
		return m
	}
	for id := 1; id <= n; id++ {
		if len(named) == 0 || id <= len(named) {
			members[id-1] = late(id)
		}
	}
	return members, func() {
		for _, m := range members {
			if err := m.Leave(context.Background()); err != nil {
				log.Fatal(err)
			}
		}
		os.RemoveAll(dir)
	}
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
