package ciranda

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"ciranda.dev/app/hosted"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/protocol/transfer"
	"ciranda.dev/stacks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newRow(limit int) *row { return &row{wake: make(chan struct{}, 1), limit: limit} }

func delivery(view, first uint64, payloads ...string) multicast.Delivery {
	d := multicast.Delivery{View: view, Sender: 2, Lane: multicast.Lane{Order: multicast.Total, Uniform: true}, First: first}
	for _, p := range payloads {
		d.Payloads = append(d.Payloads, []byte(p))
	}
	return d
}

// Deliveries are read message by message, in their place among the other events.
func TestRowOrder(t *testing.T) {
	r := newRow(1 << 20)
	for _, e := range []protocol.Event{group.Installed{View: group.View{ID: 1}}, delivery(1, 4, "a", "b"), hosted.Received{From: 3, Data: []byte("c")},
		group.Excluded{View: 1}} {
		if r.add(e) {
			t.Fatal("it is full")
		}
	}
	for i, check := range []func(e any) bool{
		func(e any) bool { v, is := e.(group.Installed); return is && v.View.ID == 1 },
		func(e any) bool {
			m, is := e.(Message)
			return is && m.From == 2 && m.Seq == 4 && m.View == 1 && m.Order == Total && m.Uniform && string(m.Payload) == "a"
		},
		func(e any) bool { m, is := e.(Message); return is && m.Seq == 5 && string(m.Payload) == "b" },
		func(e any) bool { m, is := e.(hosted.Received); return is && string(m.Data) == "c" },
		func(e any) bool { _, is := e.(group.Excluded); return is },
		func(e any) bool { return e == nil },
	} {
		if e, err := r.take(); err != nil || !check(e) {
			t.Errorf("%d: got %+v, %v", i, e, err)
		}
	}
	if r.bytes != 0 {
		t.Errorf("%d bytes are left of nothing", r.bytes)
	}
}

// What has no room is left out with all that follows, which is said after the rest. One thing always has room.
func TestRowFull(t *testing.T) {
	r := newRow(300)
	large := delivery(1, 1, string(make([]byte, 1000)))
	if r.add(large) {
		t.Error("there is no room in an empty row")
	}
	if !r.add(delivery(1, 2, "b")) || r.add(delivery(1, 3, "c")) {
		t.Error("it is full once, and then silent")
	}
	if e, err := r.take(); err != nil || e.(Message).Seq != 1 {
		t.Errorf("got %+v, %v", e, err)
	}
	if r.add(delivery(1, 4, "d")) {
		t.Error("full again")
	}
	if e, err := r.take(); e != nil || !errors.Is(err, ErrSlow) {
		t.Errorf("got %+v, %v; want ErrSlow, and nothing beyond the gap", e, err)
	}
}

// A state that waits does not count, however large it is. A second one does: a member that reads nothing and comes back time after
// time would pile them up.
func TestRowStates(t *testing.T) {
	r := newRow(300)
	state := transfer.Load{State: make([]byte, 150)}
	for i, full := range []bool{false, false, true} {
		if r.add(state) != full {
			t.Errorf("state %d: got %t, want %t", i+1, !full, full)
		}
	}
	for range 2 {
		if e, err := r.take(); err != nil || len(e.(transfer.Load).State) != 150 {
			t.Errorf("got %+v, %v", e, err)
		}
	}
	if r.bytes != 0 || r.states != 1 { // the third one is not there, and nothing follows
		t.Errorf("%d bytes and %d states are left", r.bytes, r.states)
	}
}

// What nobody will get is told to operators.
func TestStateTooLarge(t *testing.T) {
	var text bytes.Buffer
	m := &Member{log: slog.New(slog.NewTextHandler(&text, nil)), spec: stacks.Spec{App: stacks.Hosted, Orders: stacks.AllOrders}, group: &Group{}}
	for size, said := range map[int]bool{256 << 20: false, 256<<20 + 1: true} {
		text.Reset()
		m.group.Save = func() []byte { return make([]byte, size) }
		if got := len(m.save()); got != size || strings.Contains(text.String(), "too large") != said {
			t.Errorf("%d bytes: got %d and the log %q", size, got, &text)
		}
	}
}

// A reader waits for events, and ends with its context or with the node, after what is left.
func TestRowWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, ended := newRow(1<<20), make(chan struct{})
		got := make(chan any)
		read := func(ctx context.Context) {
			e, _ := r.next(ctx, ended)
			got <- e
		}
		go read(t.Context())
		synctest.Wait()
		r.add(group.Blocked{Why: "x"})
		if e := <-got; e != (group.Blocked{Why: "x"}) {
			t.Errorf("got %+v", e)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go read(ctx)
		synctest.Wait()
		cancel()
		if e := <-got; e != nil {
			t.Errorf("got %+v", e)
		}
		r.add(group.Blocked{})
		close(ended)
		for _, want := range []any{group.Blocked{}, nil} {
			go read(t.Context())
			if e := <-got; e != want {
				t.Errorf("got %+v, want %+v", e, want)
			}
		}
	})
}

// A reader that takes its time slows the senders down: what waits for it stays at what their windows have room for, and it
// gets all of it, in order, as a member.
func TestReaderSetsThePace(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const messages, size, most = 300, 64 << 10, 6 << 20 // in all 19 MiB
	members := pair(t)
	var reading sync.WaitGroup
	reading.Go(func() {
		for range members[0].Events(ctx) {
			if ctx.Err() != nil {
				return
			}
		}
	})
	together := make(chan struct{})
	heard, highest := 0, 0
	done := make(chan struct{})
	reading.Go(func() {
		for e, err := range members[1].Events(ctx) {
			switch e := e.(type) {
			case View:
				if len(e.Members) == 2 {
					close(together)
				}
			case Message:
				if e.Seq != uint64(heard+1) {
					t.Errorf("message %d comes after %d", e.Seq, heard)
				}
				highest = max(highest, members[1].row.waits())
				for range 500 { // this takes a while
					crc32.ChecksumIEEE(e.Payload)
				}
				if heard++; heard == messages {
					close(done)
					return
				}
			default:
				t.Errorf("got %T, %v", e, err)
				return
			}
		}
	})
	<-together
	var sending sync.WaitGroup
	for range 4 {
		sending.Go(func() {
			for range messages / 4 {
				if err := members[0].Multicast(ctx, FIFO, false, bytes.Repeat([]byte("x"), size)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	sending.Wait()
	select {
	case <-done:
	case <-ctx.Done():
		t.Error("not all came")
	}
	t.Logf("at most %d KiB waited", highest>>10)
	if highest > most {
		t.Errorf("%d bytes waited; expected at most %d", highest, most)
	}
	cancel()
	reading.Wait()
}

// A reader that stops in the middle and goes on with another context loses nothing: the senders learn of all that it has read.
func TestReaderStopsAndGoesOn(t *testing.T) {
	const messages, size = 150, 64 << 10 // in all far more than a window
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	members := pair(t)
	var reading sync.WaitGroup
	reading.Go(func() {
		for range members[0].Events(ctx) {
			if ctx.Err() != nil {
				return
			}
		}
	})
	together := make(chan struct{})
	heard := make(chan int)
	reading.Go(func() {
		defer close(heard)
		for n := 0; n < messages && ctx.Err() == nil; {
			switch e, err := one(ctx, members[1]); e := e.(type) {
			case View:
				if len(e.Members) == 2 {
					close(together)
				}
			case Message:
				n++
			default:
				t.Errorf("got %+v, %v after %d messages", e, err, n)
				return
			}
		}
	})
	<-together
	for range messages {
		if err := members[0].Multicast(ctx, FIFO, false, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	<-heard
	cancel()
	reading.Wait()
}

// one reads one event, and stops.
func one(ctx context.Context, m *Member) (e Event, err error) {
	some, stop := context.WithCancel(ctx)
	defer stop()
	for e, err = range m.Events(some) {
		stop()
	}
	return e, err
}

// A program that is too slow from the first event on is told so, whether or not Join is done by then.
func TestSlowAtOnce(t *testing.T) {
	for range 20 {
		m, err := Join(Config{Cluster: "test", ID: 1, Peers: map[int]string{1: "127.0.0.1:0"}, Secret: make([]byte, 16), Dir: t.TempDir(),
			Profile: "Local", Group: &Group{Buffer: 1}})
		if err != nil {
			t.Fatal(err)
		}
		<-m.row.wake // the first thing has room
		if err := m.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		var last error
		for _, err := range m.Events(t.Context()) {
			last = err
		}
		if !errors.Is(last, ErrSlow) {
			t.Errorf("got %v, want ErrSlow", last)
		}
	}
}

func (r *row) waits() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bytes
}

// pair is two members of a group.
func pair(t *testing.T) (members [2]*Member) {
	t.Helper()
	var listeners [2]net.Listener
	peers := map[int]string{}
	for i := range listeners {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[i], peers[i+1] = l, l.Addr().String()
	}
	for i := range members {
		m, err := Join(Config{Cluster: "test", ID: i + 1, Peers: peers, Secret: make([]byte, 16), Dir: t.TempDir(), Profile: "Local",
			Listener: listeners[i], Group: &Group{}})
		if err != nil {
			t.Fatal(err)
		}
		members[i] = m
		t.Cleanup(func() {
			if err := m.Leave(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	return members
}
