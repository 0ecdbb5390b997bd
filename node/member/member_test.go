package member

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"ciranda.dev/engine/live"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var fifo = multicast.Lane{Order: multicast.FIFO}

// A fake node takes casts, and answers them when it is told to.
type fake struct {
	mu      sync.Mutex
	taken   []multicast.Cast
	replies []chan any
	stopped bool
	next    uint64 // if not 0, casts are answered at once, and this is the number of the next message
	done    chan struct{}
}

func newFake() *fake { return &fake{done: make(chan struct{})} }

func (f *fake) Done() <-chan struct{} { return f.done }

func (f *fake) Begin(_ context.Context, body any) (func(context.Context) (any, error), error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return nil, live.ErrStopped
	}
	reply := make(chan any, 1)
	cast := body.(multicast.Cast)
	f.taken, f.replies = append(f.taken, cast), append(f.replies, reply)
	if f.next > 0 {
		reply <- multicast.Sent{View: 1, First: f.next, Count: len(cast.Payloads)}
		f.next += uint64(len(cast.Payloads))
	}
	return func(context.Context) (any, error) {
		select {
		case r := <-reply:
			if err, ok := r.(error); ok {
				return nil, err
			}
			return r, nil
		case <-f.done:
			return nil, live.ErrMaybe
		}
	}, nil
}

func (f *fake) answer(n int, reply any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replies[n] <- reply
}

// seen is what was cast, a batch a line.
func (f *fake) seen() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	for _, c := range f.taken {
		lines = append(lines, string(bytes.Join(c.Payloads, []byte(" "))))
	}
	return strings.Join(lines, "|")
}

func (f *fake) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	close(f.done)
}

// within runs a test in a bubble, with a group whose window and row hold three messages of a byte, and batches two.
func within(t *testing.T, do func(t *testing.T, g *Group, f *fake)) {
	synctest.Test(t, func(t *testing.T) {
		g, f := New(Options{Batch: 2 * (slot + 1), Window: 3 * (slot + 1), Queue: 3 * (slot + 1)}), newFake()
		g.Attach(f)
		do(t, g, f)
		if !f.stopped {
			f.stop()
		}
		synctest.Wait()
	})
}

// begin casts messages of a byte each, one after the other.
func begin(t *testing.T, g *Group, names ...string) []*Casting {
	t.Helper()
	var all []*Casting
	for _, name := range names {
		c, err := g.Begin(t.Context(), fifo, [][]byte{[]byte(name)})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
		synctest.Wait()
	}
	return all
}

// If the view changes in the middle of a batch, each caller learns where its own messages stand.
func TestBatchInTwoViews(t *testing.T) {
	within(t, func(t *testing.T, g *Group, f *fake) {
		all := begin(t, g, "a", "b", "c", "d", "e")
		f.answer(0, multicast.Sent{View: 4, First: 1, Count: 1})
		synctest.Wait()
		if got, want := f.seen(), "a|b|c|d e"; got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		f.answer(3, multicast.Sent{View: 6, First: 1, Count: 1, Before: &multicast.Sent{View: 5, First: 9, Count: 1}})
		for n, want := range map[int]multicast.Sent{3: {View: 5, First: 9, Count: 1}, 4: {View: 6, First: 1, Count: 1}} {
			if got, err := all[n].Wait(t.Context()); got != want || err != nil {
				t.Errorf("message %d: got %+v, %v; want %+v", n, got, err, want)
			}
		}
	})
}

// Who has messages on both sides of a change learns where either are.
func TestCutOff(t *testing.T) {
	where := inOrder(multicast.Sent{View: 6, First: 1, Count: 3, Before: &multicast.Sent{View: 5, First: 9, Count: 2}})
	for _, want := range []struct {
		last, before multicast.Sent
	}{
		{multicast.Sent{View: 5, First: 9, Count: 1}, multicast.Sent{}},
		{multicast.Sent{View: 6, First: 1, Count: 1}, multicast.Sent{View: 5, First: 10, Count: 1}},
		{multicast.Sent{View: 6, First: 2, Count: 2}, multicast.Sent{}},
	} {
		got, before := cutOff(&where, want.last.Count+want.before.Count), multicast.Sent{}
		if got.Before != nil {
			before, got.Before = *got.Before, nil
		}
		if got != want.last || before != want.before {
			t.Errorf("got %+v behind %+v, want %+v behind %+v", got, before, want.last, want.before)
		}
	}
}

// What comes while the window is full is sent as batches, in order, and each caller learns where its messages stand.
func TestBatches(t *testing.T) {
	within(t, func(t *testing.T, g *Group, f *fake) {
		all := begin(t, g, "a", "b", "c", "d", "e", "f")
		if got, want := f.seen(), "a|b|c"; got != want {
			t.Fatalf("at once: got %s, want %s", got, want)
		}
		f.answer(0, multicast.Sent{View: 4, First: 1, Count: 1})
		synctest.Wait()
		if got, want := f.seen(), "a|b|c|d e"; got != want { // a batch is sent when there is room for its first message
			t.Fatalf("with room: got %s, want %s", got, want)
		}
		f.answer(3, multicast.Sent{View: 5, First: 7, Count: 2})
		for n, want := range map[int]multicast.Sent{0: {View: 4, First: 1, Count: 1}, 3: {View: 5, First: 7, Count: 1}, 4: {View: 5, First: 8, Count: 1}} {
			if got, err := all[n].Wait(t.Context()); got != want || err != nil {
				t.Errorf("message %d: got %+v, %v; want %+v", n, got, err, want)
			}
		}
		if got := g.Sent(); len(got) != 1 || got[0] != (Count{fifo, 3, 3}) {
			t.Errorf("counted %+v", got)
		}
	})
}

// A caller waits for room in the row, and gives up when its time is over: then nothing of it was sent.
func TestTheRowIsFull(t *testing.T) {
	within(t, func(t *testing.T, g *Group, f *fake) {
		begin(t, g, "a", "b", "c", "d", "e", "f")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := g.Cast(ctx, fifo, []byte("g")); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnknown) {
			t.Errorf("no room: got %v", err)
		}
		done := make(chan error)
		go func() {
			_, err := g.Cast(t.Context(), fifo, []byte("h"))
			done <- err
		}()
		synctest.Wait()
		for n := range 3 {
			f.answer(n, multicast.Sent{View: 1, First: uint64(n + 1), Count: 1})
			synctest.Wait()
		}
		if got, want := f.seen(), "a|b|c|d e|f h"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		f.stop()
		if err := <-done; !errors.Is(err, ErrUnknown) {
			t.Errorf("the node ended under way: got %v", err)
		}
	})
}

// What becomes of messages whose caller gives up depends on whether they were sent.
func TestGivingUp(t *testing.T) {
	within(t, func(t *testing.T, g *Group, f *fake) {
		all := begin(t, g, "a", "b", "c", "d", "e")
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := all[0].Wait(over); !errors.Is(err, ErrUnknown) {
			t.Errorf("under way: got %v", err)
		}
		if _, err := all[3].Wait(over); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnknown) {
			t.Errorf("in the row: got %v", err)
		}
		for n := range 3 {
			f.answer(n, multicast.Sent{View: 1, First: uint64(n + 1), Count: 1})
		}
		synctest.Wait()
		if got, want := f.seen(), "a|b|c|e"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// All outcomes of the layer reach the caller as what they are.
func TestOutcomes(t *testing.T) {
	for name, c := range map[string]struct {
		reply   any
		unknown bool
		refused bool
	}{
		"refused":  {live.Refused{Why: "the group runs no order total"}, false, true},
		"excluded": {multicast.Unknown{Why: "excluded"}, true, false},
		"maybe":    {fmt.Errorf("%w: deadline", live.ErrMaybe), true, false},
		"nonsense": {42, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, func(t *testing.T, g *Group, f *fake) {
				all := begin(t, g, "a")
				f.answer(0, c.reply)
				_, err := all[0].Wait(t.Context())
				var refused live.Refused
				if err == nil || errors.Is(err, ErrUnknown) != c.unknown || errors.As(err, &refused) != c.refused {
					t.Errorf("got %v", err)
				}
			})
		})
	}
	within(t, func(t *testing.T, g *Group, f *fake) {
		f.stop()
		synctest.Wait()
		if _, err := g.Cast(t.Context(), fifo, []byte("late")); !errors.Is(err, live.ErrStopped) || errors.Is(err, ErrUnknown) {
			t.Errorf("of a node that has ended: got %v", err)
		}
		var refused live.Refused
		if _, err := g.Cast(t.Context(), fifo); !errors.As(err, &refused) {
			t.Errorf("no messages: got %v", err)
		}
	})
}

// A caller of a group without a node waits for it.
func TestBeforeThereIsANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, f := New(Options{}), newFake()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := g.Cast(ctx, fifo, []byte("a")); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnknown) {
			t.Errorf("got %v", err)
		}
		g.Attach(f)
		begin(t, g, "b")
		if got := f.seen(); got != "b" {
			t.Errorf("got %s", got)
		}
		f.stop()
	})
}

func delivery(view uint64, sender protocol.ID, lane multicast.Lane, first uint64, payloads ...string) multicast.Delivery {
	d := multicast.Delivery{View: view, Sender: sender, Lane: lane, First: first}
	for _, p := range payloads {
		d.Payloads = append(d.Payloads, []byte(p))
	}
	return d
}

func installed(id uint64) group.Installed { return group.Installed{View: group.View{ID: id}} }

// words are what a listener was told.
func words(events []Event) string {
	var all []string
	for _, e := range events {
		switch w := e.What.(type) {
		case multicast.Delivery:
			all = append(all, fmt.Sprintf("%d:%s %d from %d", w.View, w.Order, w.First, w.Sender))
		case group.Installed:
			all = append(all, fmt.Sprintf("view %d", w.View.ID))
		case group.Excluded:
			all = append(all, "out")
		case group.Blocked:
			all = append(all, "blocked "+w.Why)
		}
	}
	return strings.Join(all, ", ")
}

// A listener is told what it wants in the order in which it happened, and knows where it began.
func TestListening(t *testing.T) {
	within(t, func(t *testing.T, g *Group, _ *fake) {
		total := multicast.Lane{Order: multicast.Total, Uniform: true}
		g.Leave(installed(6), 1)
		g.Leave(delivery(6, 3, fifo, 1, "old"), 2)
		g.Leave(installed(7), 3)
		g.Leave(delivery(7, 2, total, 1, "x"), 4)
		g.Leave(delivery(7, 1, fifo, 1, "a", "b"), 5)
		some, all := g.Listen(ListenOptions{Lanes: []multicast.Lane{fifo}}), g.Listen(ListenOptions{})
		if s := some.Start; s.View != 7 || s.Lamport != 5 || len(s.Next) != 1 || s.Next[0] != (Next{1, fifo, 3}) {
			t.Errorf("it begins at %+v", s)
		}
		if s := all.Start; len(s.Next) != 2 || s.Next[1] != (Next{2, total, 2}) {
			t.Errorf("the other begins at %+v", s)
		}
		g.Leave(delivery(7, 2, total, 2, "y"), 6)
		g.Leave(delivery(7, 1, fifo, 3, "c"), 7)
		g.Leave(group.Blocked{Why: "alone"}, 8)
		g.Leave(group.Excluded{View: 7}, 9)
		got, err := some.Next(t.Context())
		if want := "7:fifo 3 from 1, blocked alone, out"; err != nil || words(got) != want || got[0].Lamport != 7 {
			t.Errorf("got %s, %v; want %s", words(got), err, want)
		}
		got, _ = all.Next(t.Context())
		if want := "7:total 2 from 2, 7:fifo 3 from 1, blocked alone, out"; words(got) != want {
			t.Errorf("got %s, want %s", words(got), want)
		}
		if late := g.Listen(ListenOptions{}); late.Start.View != 0 || len(late.Start.Next) != 0 {
			t.Errorf("of no member: %+v", late.Start)
		}
		deaf := g.Listen(ListenOptions{Deaf: true})
		g.Leave(delivery(7, 1, fifo, 4, "d"), 10)
		g.Leave(installed(8), 11)
		if got, _ := deaf.Next(t.Context()); words(got) != "view 8" {
			t.Errorf("who wants no deliveries got %s", words(got))
		}
		if got, _ := some.Next(t.Context()); words(got) != "7:fifo 4 from 1, view 8" {
			t.Errorf("meanwhile got %s", words(got))
		}
		some.Close()
		if _, err := some.Next(t.Context()); !errors.Is(err, ErrEnded) {
			t.Errorf("closed: got %v", err)
		}
		if got := g.Delivered(); len(got) != 2 || got[0] != (Count{fifo, 5, 7}) || got[1] != (Count{total, 2, 2}) {
			t.Errorf("counted %+v", got)
		}
	})
}

// A listener that waits is woken, by what happens and by the end of the node.
func TestListenersWait(t *testing.T) {
	within(t, func(t *testing.T, g *Group, f *fake) {
		l := g.Listen(ListenOptions{})
		told := make(chan string)
		go func() {
			for {
				events, err := l.Next(t.Context())
				if err != nil {
					told <- err.Error()
					return
				}
				told <- words(events)
			}
		}()
		synctest.Wait()
		g.Leave(installed(1), 1)
		if got := <-told; got != "view 1" {
			t.Errorf("got %s", got)
		}
		f.stop()
		if got := <-told; got != ErrEnded.Error() {
			t.Errorf("got %s", got)
		}
		synctest.Wait()
		if _, err := g.Listen(ListenOptions{}).Next(t.Context()); !errors.Is(err, ErrEnded) {
			t.Errorf("after the end: got %v", err)
		}
	})
}

// Who is too slow is told what came before its buffer was full, and then that it was too slow; others go on.
func TestSlowListeners(t *testing.T) {
	within(t, func(t *testing.T, g *Group, _ *fake) {
		slow, other := g.Listen(ListenOptions{Buffer: 2 * (slot + 1)}), g.Listen(ListenOptions{})
		for n := range uint64(4) {
			g.Leave(delivery(1, 1, fifo, n+1, "x"), n)
		}
		got, err := slow.Next(t.Context())
		if want := "1:fifo 1 from 1, 1:fifo 2 from 1"; err != nil || words(got) != want {
			t.Errorf("got %s, %v; want %s", words(got), err, want)
		}
		g.Leave(delivery(1, 1, fifo, 5, "x"), 5)
		if got, err := slow.Next(t.Context()); !errors.Is(err, ErrSlow) {
			t.Errorf("then: got %s, %v", words(got), err)
		}
		if got, _ := other.Next(t.Context()); len(got) != 5 {
			t.Errorf("the other got %s", words(got))
		}
		if g.Listeners() != 1 {
			t.Errorf("%d listeners are left", g.Listeners())
		}
		large := g.Listen(ListenOptions{Buffer: 1})
		g.Leave(delivery(1, 1, fifo, 6, "larger than the buffer"), 6)
		if got, err := large.Next(t.Context()); err != nil || len(got) != 1 {
			t.Errorf("one that is larger than the buffer: got %s, %v", words(got), err)
		}
	})
}

// Many callers cast at once: each message is sent once, those of a caller in its order.
func TestManyCallers(t *testing.T) {
	f := newFake()
	f.next = 1
	g := New(Options{Batch: 500, Window: 2000, Queue: 1000})
	g.Attach(f)
	var callers sync.WaitGroup
	for c := range 8 {
		callers.Go(func() {
			for m := range 50 {
				if _, err := g.Cast(t.Context(), fifo, fmt.Appendf(nil, "%d/%02d", c, m)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	last := map[byte]string{}
	words := strings.FieldsFunc(f.seen(), func(r rune) bool { return r == ' ' || r == '|' })
	for _, w := range words {
		if w <= last[w[0]] {
			t.Errorf("%s after %s", w, last[w[0]])
		}
		last[w[0]] = w
	}
	if len(words) != 400 {
		t.Errorf("%d messages were sent", len(words))
	}
	f.stop()
}

// All lanes share what may be on its way, and each goes on when there is room again.
func TestLanesShareTheWindow(t *testing.T) {
	within(t, func(t *testing.T, g *Group, f *fake) {
		begin(t, g, "a", "b", "c")
		total, err := g.Begin(t.Context(), multicast.Lane{Order: multicast.Total}, [][]byte{[]byte("t")})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got, want := f.seen(), "a|b|c"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		f.answer(1, multicast.Sent{View: 1, First: 2, Count: 1})
		synctest.Wait()
		if got, want := f.seen(), "a|b|c|t"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		f.answer(3, multicast.Sent{View: 1, First: 1, Count: 1})
		if got, err := total.Wait(t.Context()); err != nil || got.First != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}
