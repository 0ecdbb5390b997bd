package transporttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"ciranda.dev/transport"
)

// payload is the i-th message: of any size, most of them small.
func payload(i int) string {
	r := rand.New(rand.NewPCG(1, uint64(i)))
	size := r.IntN(200)
	if r.IntN(50) == 0 {
		size = r.IntN(100_000)
	}
	return fmt.Sprintf("%d:", i) + strings.Repeat(string(rune('a'+i%26)), size)
}

func testOrder(t *testing.T, kit Kit) {
	const count = 5000
	a, b := pair(t, kit)
	var work sync.WaitGroup
	for _, way := range [][2]*node{{a, b}, {b, a}} {
		work.Go(func() {
			for i := range count {
				way[0].send(way[1].hello.ID, payload(i))
			}
		})
	}
	for i := range count {
		b.expect(payload(i))
		a.expect(payload(i))
	}
	work.Wait()
	if s := a.Stats(); s.MessagesSent != count || s.MessagesReceived != count || s.Writes == 0 || s.BytesSent == 0 || s.BytesReceived == 0 {
		t.Errorf("the counters are %+v", s)
	}
}

func testSizes(t *testing.T, kit Kit) {
	a, b := pair(t, kit)
	for _, size := range []int{0, 1, 127, 128, 1 << 14, 1<<16 - 10, 1 << 16, 1<<17 + 1, transport.MaxMessage, 0, 5} {
		a.send(2, strings.Repeat("x", size))
		b.expect(strings.Repeat("x", size))
	}
	if err := a.Send(2, make([]byte, transport.MaxMessage+1), nil); err != transport.ErrTooLarge {
		t.Errorf("got %v for a message that is too large", err)
	}
	if err := a.Send(3, nil, nil); err != transport.ErrDown {
		t.Errorf("got %v for a node that is not there", err)
	}
	if err := a.Send(9, nil, nil); err != transport.ErrDown {
		t.Errorf("got %v for a node that is not in the group", err)
	}
}

// A receiver that blocks is felt by the sender, who loses nothing of what was taken.
func testFull(t *testing.T, kit Kit) {
	const enough = 1 << 14 // messages of 16 KiB, to fill all queues and buffers on the way
	gate := make(chan struct{})
	a := open(t, kit, hello(1, 1))
	b := open(t, kit, hello(2, 1), func(_ *Setup, n *node) { n.gate = gate })
	connect(t, a, b)
	text := strings.Repeat("x", 16<<10)
	taken := 0
	var err error
	for taken < enough && err == nil {
		if err = a.Send(2, fmt.Appendf(nil, "%d%s", taken, text), nil); err == nil {
			taken++
		}
	}
	if err != transport.ErrFull {
		t.Fatalf("got %v after %d messages; expected ErrFull", err, taken)
	}
	close(gate)
	if id := a.rooms.next(t, "room"); id != 2 {
		t.Errorf("there is room for node %d", id)
	}
	a.send(2, "last")
	for i := range taken {
		b.expect(fmt.Sprintf("%d%s", i, text))
	}
	b.expect("last")
	if a.Stats().Full == 0 {
		t.Error("the refused message was not counted")
	}
}

func testDuplex(t *testing.T, kit Kit) {
	gate := make(chan struct{})
	a := open(t, kit, hello(1, 1))
	b := open(t, kit, hello(2, 1), func(_ *Setup, n *node) { n.gate = gate })
	connect(t, a, b)
	a.send(2, "blocks")
	for i := range 100 {
		b.send(1, fmt.Sprint(i))
		a.expect(fmt.Sprint(i))
	}
	close(gate)
	b.expect("blocks")
}

func testCloseWrites(t *testing.T, kit Kit) {
	const count = 3000
	a, b := pair(t, kit)
	for i := range count {
		a.send(2, payload(i))
	}
	if err := a.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if err := a.Send(2, nil, nil); err != transport.ErrClosed {
		t.Errorf("got %v after Close", err)
	}
	for i := range count {
		b.expect(payload(i))
	}
	b.expect(down(a))
}

// A Close that may not wait ends at once, and says so if it left anything.
func testCloseEnds(t *testing.T, kit Kit) {
	gate := make(chan struct{})
	a := open(t, kit, hello(1, 1))
	b := open(t, kit, hello(2, 1), func(_ *Setup, n *node) { n.gate = gate })
	connect(t, a, b)
	sent := 0
	for a.Send(2, make([]byte, 1<<16), nil) == nil {
		sent++
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := a.Close(ctx)
	close(gate)
	for received := 0; ; received++ {
		if b.news.next(t, down(a)) != down(a) {
			continue
		}
		if received > sent || err == nil && received != sent {
			t.Errorf("%d of %d messages arrived, and Close said %v", received, sent, err)
		}
		return
	}
}
