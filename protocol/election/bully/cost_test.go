package bully_test

import (
	"fmt"
	"strings"
	"testing"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/election/bully"
)

// sends carries out commands on a bench and counts the messages that they send, by name.
func sends(t *testing.T, size int, rules string, commands ...string) map[string]int {
	t.Helper()
	b := kit.New(size, strings.Fields(rules)...)
	count := map[string]int{}
	for _, command := range commands {
		text, err := b.Do(command)
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		for line := range strings.Lines(text) {
			if fields := strings.Fields(line); len(fields) > 1 && strings.Contains(fields[0], "->") {
				count[fields[1]]++
			}
		}
		if command == "crash "+fmt.Sprint(size) {
			clear(count) // what it took to begin does not count
		}
	}
	return count
}

// The highest node has died. The dearest election is the one that the lowest node begins, for each node holds one; the
// cheapest the one of the second highest.
func TestMessagesOfAnElection(t *testing.T) {
	for n := 3; n <= 8; n++ {
		highest, second := fmt.Sprint(n), fmt.Sprint(n-1)
		begin := []string{"start", "deliver", "crash " + highest}
		end := []string{"deliver", "fire " + second + " answer", "deliver"}
		dearest := sends(t, n, "nobeat", append(append(begin, "call 1 campaign"), end...)...)
		check(t, n, "Stand", dearest, n*(n-1)/2)
		check(t, n, "OK", dearest, (n-1)*(n-2)/2)
		check(t, n, "Coordinator", dearest, n-1) // one of them to the dead
		cheapest := sends(t, n, "nobeat", append(append(begin, "call "+second+" campaign"), end...)...)
		check(t, n, "Stand", cheapest, 1)
		check(t, n, "OK", cheapest, 0)
		check(t, n, "Coordinator", cheapest, n-1)
		storm := sends(t, n, fmt.Sprint("nobeat ", bully.M2), append(append(begin, "call 1 campaign"), end...)...)
		if n > 3 && storm["Stand"] <= dearest["Stand"] {
			t.Errorf("%d nodes: M2 does not show: %d times Stand", n, storm["Stand"])
		}
	}
}

// With Quorum an election asks everybody once more, with Stable too once more again.
func TestMessagesOfAQuorum(t *testing.T) {
	for _, rules := range []string{"quorum", "quorum stable"} {
		const n = 5
		count := sends(t, n, rules+" nobeat", "start", "run 1s", "crash 5", "event 4 suspect 5", "deliver 4 5",
			"event 1 suspect 5", "event 2 suspect 5", "event 3 suspect 5", "drop", "fire 4 answer", "deliver")
		rounds := len(strings.Fields(rules))
		check(t, n, "Ask", count, rounds*(n-1))
		check(t, n, "Grant", count, n-2)
		check(t, n, "Would", count, (rounds-1)*(n-2))
	}
}

func check(t *testing.T, n int, name string, count map[string]int, want int) {
	t.Helper()
	if count[name] != want {
		t.Errorf("%d nodes: %d times %s, want %d", n, count[name], name, want)
	}
}

// In peace each other node and the leader exchange one message a beat.
func TestMessagesOfABeat(t *testing.T) {
	const n, beats = 5, 10
	b := kit.New(n)
	for _, command := range []string{"start", "deliver", "run 50ms"} {
		if _, err := b.Do(command); err != nil {
			t.Fatal(err)
		}
	}
	text, err := b.Do("run 1s")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(text, "->"); got != beats*2*(n-1) {
		t.Errorf("%d messages in %d beats of %d nodes, want %d", got, beats, n, beats*2*(n-1))
	}
}

// A beat of the leader costs one message value, whatever the number of nodes, and one of a follower does too. To hear
// one costs nothing.
func TestBeatsAllocateOneMessage(t *testing.T) {
	for _, opts := range []bully.Options{{}, {Stable: true}} {
		leader, follower := settled(t, 20, opts), settled(t, 1, opts)
		in := protocol.Inputs{Draw: func(int) int { return 0 }}
		var o protocol.Out
		beat := func(s *protocol.Stack) func() {
			return func() { s.Expire(1, protocol.Timer{Kind: 4}, in, &o) }
		}
		if got := testing.AllocsPerRun(100, beat(leader)); got > 1 {
			t.Errorf("%+v: a leader's beat allocates %v times", opts, got)
		}
		hear := protocol.Packet{Channel: 1, Body: bully.Coordinator{Counter: 1, Round: 7}}
		receive := func() { follower.Receive(20, 1, hear, in, &o) }
		if got := testing.AllocsPerRun(100, receive); got > 0 {
			t.Errorf("%+v: to hear a beat allocates %v times", opts, got)
		}
		if got := testing.AllocsPerRun(3, beat(follower)); got > 1 {
			t.Errorf("%+v: a follower's beat allocates %v times", opts, got)
		}
	}
}

// settled is a node of a group of 20 that node 20 leads by the counter 1.
func settled(t *testing.T, id protocol.ID, opts bully.Options) *protocol.Stack {
	t.Helper()
	self := protocol.Self{ID: id, Incarnation: 1}
	for q := protocol.ID(1); q <= 20; q++ {
		self.Group = append(self.Group, q)
	}
	s := over("oracle", opts)(self)
	in := protocol.Inputs{Draw: func(int) int { return 0 }}
	var o protocol.Out
	s.Start(in, &o)
	if id == 20 {
		if opts.Stable {
			s.Expire(1, protocol.Timer{Kind: 2}, in, &o)
		}
	} else {
		s.Receive(20, 1, protocol.Packet{Channel: 1, Body: bully.Coordinator{Counter: 1}}, in, &o)
	}
	return s
}
