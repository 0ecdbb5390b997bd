package rmi

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ciranda.dev/protocol/invocation"
)

// A counted object counts how often each call was executed, over all its lives.
type counted struct {
	mu     sync.Mutex
	chance *rand.Rand
	times  map[string]int
}

func (c *counted) Hear(ctx context.Context, what string) error {
	c.mu.Lock()
	c.times[what]++
	slow := time.Duration(c.chance.IntN(50)) * time.Millisecond
	if c.chance.IntN(100) == 0 {
		slow = 3 * time.Second
	}
	c.mu.Unlock()
	select {
	case <-time.After(slow):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A hundred thousand calls, a tenth of all frames lost and another doubled, ten restarts of the server and twenty breaks of all
// connections: none is executed twice, and what an error says of a call is true.
func TestAtMostOnce(t *testing.T) {
	count := 100_000
	if testing.Short() || raceDetector {
		count = 10_000
	}
	synctest.Test(t, func(t *testing.T) {
		for _, wrong := range atMostOnce(t, count, invocation.NoMistake) {
			t.Error(wrong)
		}
	})
}

// The trial notices servers that forget what they execute, and those that forget all with the connection.
func TestAtMostOnceNotices(t *testing.T) {
	for _, m := range []invocation.Mistake{invocation.ForgetsRunning, invocation.SessionPerSocket} {
		synctest.Test(t, func(t *testing.T) {
			if wrong := atMostOnce(t, 10_000, m); len(wrong) == 0 {
				t.Errorf("nothing is noticed of the mistake %v", m)
			}
		})
	}
}

// atMostOnce makes a trial, and says what was executed twice or told untruly.
func atMostOnce(t *testing.T, count int, m invocation.Mistake) (wrong []string) {
	session := invocation.Options{Mistake: m}
	s := newSea()
	s.chance = rand.New(rand.NewPCG(1, 2))
	object := &counted{chance: rand.New(rand.NewPCG(3, 4)), times: map[string]int{}}
	id := ID{1, 2, 3}
	server := func(life uint64) *Node {
		n := s.node(t, "server", Options{ID: id, Life: life, Session: session})
		ref, err := listenerRemote.Export(n, object)
		if err == nil {
			err = n.Offer("counted", ref)
		}
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	now := server(1)
	program := s.node(t, "program", Options{Session: session})
	ended := make(chan struct{})
	var faults sync.WaitGroup
	faults.Go(func() {
		for life := uint64(2); ; life++ {
			for range 2 {
				select {
				case <-time.After(time.Duration(count/10_000) * 300 * time.Millisecond):
				case <-ended:
					return
				}
				s.cut()
				s.mend()
			}
			if life <= 11 {
				before := now
				now = server(life)
				before.crash()
			}
		}
	})
	var mu sync.Mutex
	claims := map[Happened]int{}
	said := map[string]Happened{}
	inParallel(t, count, func(i int) error {
		what := string(rune('a'+i%26)) + time.Duration(i).String()
		err := callCounted(t, program, id, what)
		happened := Yes
		var is *Error
		switch {
		case err == nil:
		case errors.As(err, &is):
			happened = is.Happened
		default:
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		claims[happened]++
		said[what] = happened
		return nil
	})
	close(ended)
	faults.Wait()
	time.Sleep(time.Minute) // for what is late
	object.mu.Lock()
	for what, happened := range said {
		n := object.times[what]
		if n > 1 || happened == Yes && n != 1 || happened == No && n != 0 {
			wrong = append(wrong, fmt.Sprintf("%s was executed %d times; the caller was told %s", what, n, happened))
		}
	}
	object.mu.Unlock()
	t.Logf("the server lived %d times; executed %d, not %d, unknown %d", now.life, claims[Yes], claims[No], claims[Unknown])
	if m == invocation.NoMistake && (now.life < 11 || claims[Yes] < count*8/10 || claims[Unknown] == 0) {
		t.Errorf("%d lives, %v: that is no trial", now.life, claims)
	}
	closeAll([]*Node{program, now})
	return wrong
}

// callCounted calls the object of the present life of a node.
func callCounted(t *testing.T, n *Node, id ID, what string) error {
	for {
		l, err := listenerRemote.Offered(t.Context(), n.Peer(id), "counted")
		if err != nil {
			time.Sleep(time.Millisecond) // that asked, and did nothing
			continue
		}
		defer Release(l)
		return l.Hear(t.Context(), what)
	}
}

// crash ends a node without a word.
func (n *Node) crash() {
	n.mu.Lock()
	for c := range n.open {
		c.(*shipped).Conn.Close()
		c.Close()
	}
	n.mu.Unlock()
	n.Close()
}
