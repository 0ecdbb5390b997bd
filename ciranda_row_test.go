package ciranda

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ciranda.dev/app/hosted"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
)

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
