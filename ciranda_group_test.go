package ciranda_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"ciranda.dev"
)

// A circle is the members of a test. They can end and come back.
type circle struct {
	t       testing.TB
	peers   map[int]string
	dirs    []string
	members []*ciranda.Member // nil where there is none
	open    []net.Listener
}

func newCircle(t testing.TB, n int) *circle {
	c := &circle{t: t, members: make([]*ciranda.Member, n+1), dirs: make([]string, n+1)}
	c.open, c.peers = ports(n)
	for i := range c.dirs {
		c.dirs[i] = t.TempDir()
	}
	t.Cleanup(func() {
		for id, m := range c.members {
			if m != nil {
				c.leave(id)
			}
		}
	})
	return c
}

// join begins a life of a member: the first on the port that is open, later ones where that was.
func (c *circle) join(id int, g *ciranda.Group) *ciranda.Member {
	c.t.Helper()
	m, err := ciranda.Join(ciranda.Config{Cluster: "test", ID: id, Peers: c.peers, Secret: make([]byte, 16), Dir: c.dirs[id], Profile: "Local",
		Listener: c.open[id-1], Group: g})
	if err != nil {
		c.t.Fatal(err)
	}
	c.members[id], c.open[id-1] = m, nil
	return m
}

func (c *circle) leave(id int) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := c.members[id].Leave(ctx); err != nil {
		c.t.Errorf("member %d: %v", id, err)
	}
	c.members[id] = nil
}

// within bounds a test that hangs.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// A diary is a program whose state is all that it heard.
type diary struct {
	mu    sync.Mutex // between the reader and the test
	text  string
	heard chan struct{} // takes one when there is more
}

func newDiary() *diary { return &diary{heard: make(chan struct{}, 1)} }

func (d *diary) group() *ciranda.Group {
	return &ciranda.Group{Save: func() []byte { return []byte(d.read()) }, Load: func(s []byte) { d.set(string(s)) }}
}

func (d *diary) read() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text
}

func (d *diary) set(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.text = text
	select {
	case d.heard <- struct{}{}:
	default:
	}
}

// follow reads the events of a member until ctx ends.
func (d *diary) follow(ctx context.Context, m *ciranda.Member) {
	for e := range m.Events(ctx) {
		if said, is := e.(ciranda.Message); is {
			d.set(d.read() + string(said.Payload))
		}
	}
}

// expect waits until the diary has a text.
func (d *diary) expect(ctx context.Context, t *testing.T, want string) {
	t.Helper()
	for d.read() != want {
		select {
		case <-d.heard:
		case <-ctx.Done():
			t.Fatalf("got %q, want %q", d.read(), want)
		}
	}
}

// A member that ends and comes back, without anything of its program, has the state of the others, and goes on from there.
func TestComesBack(t *testing.T) {
	ctx := within(t)
	c := newCircle(t, 3)
	var diaries [4]*diary
	begin := func(id int) {
		diaries[id] = newDiary()
		go diaries[id].follow(ctx, c.join(id, diaries[id].group()))
	}
	for id := 1; id <= 3; id++ {
		begin(id)
	}
	say := func(id int, text string) {
		t.Helper()
		if err := c.members[id].Multicast(ctx, ciranda.Total, true, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	say(1, "a")
	for id := 1; id <= 3; id++ {
		diaries[id].expect(ctx, t, "a")
	}
	c.leave(2)
	say(3, "b")
	begin(2)
	diaries[2].expect(ctx, t, "ab")
	say(2, "c")
	for id := 1; id <= 3; id++ {
		diaries[id].expect(ctx, t, "abc")
	}
}

// A program that does not read fills its buffer, and no more: then it is told, after what came before. The others go on.
func TestSlowReader(t *testing.T) {
	ctx := within(t)
	c := newCircle(t, 3)
	without := make(chan struct{}, 1) // node 1 is in a view that is without node 3
	for id := 1; id <= 2; id++ {
		m := c.join(id, &ciranda.Group{})
		go func() {
			members := 0
			for e := range m.Events(ctx) {
				if v, is := e.(ciranda.View); is {
					if id == 1 && len(v.Members) < members {
						without <- struct{}{}
					}
					members = len(v.Members)
				}
			}
		}()
	}
	slow := c.join(3, &ciranda.Group{Buffer: 300 << 10})
	for e := range slow.Events(ctx) {
		if v, is := e.(ciranda.View); is && len(v.Members) == 3 {
			break
		}
	}
	for i := range 20 {
		payload := bytes.Repeat([]byte{byte(i)}, 64<<10)
		if err := c.members[1].Multicast(ctx, ciranda.FIFO, false, payload); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-without: // it has given up; before that, reading would make room
	case <-ctx.Done():
		t.Fatal("node 3 stays in the group")
	}
	heard := 0
	for e, err := range slow.Events(ctx) {
		if said, is := e.(ciranda.Message); is {
			if int(said.Payload[0]) != heard {
				t.Errorf("message %d comes after %d", said.Payload[0], heard)
			}
			heard++
		}
		if err != nil && !errors.Is(err, ciranda.ErrSlow) {
			t.Error(err)
		}
	}
	if ctx.Err() != nil || heard == 0 || heard > 5 {
		t.Errorf("%d messages were read, %v; want those of 300 KiB, and then ErrSlow", heard, ctx.Err())
	}
}

// What is not sent is told apart from what may have been.
func TestOutcomes(t *testing.T) {
	ctx := within(t)
	c := newCircle(t, 3)
	m := c.join(1, &ciranda.Group{Orders: []ciranda.Order{ciranda.FIFO}})
	go func() {
		for range m.Events(ctx) {
		}
	}()
	for name, err := range map[string]error{
		"an order that is not run": m.Multicast(ctx, ciranda.Total, false, []byte("x")),
		"too large":                m.Multicast(ctx, ciranda.FIFO, false, make([]byte, 2<<20)),
		"to itself":                m.Send(ctx, 1, nil),
		"to nobody":                m.Send(ctx, 9, nil),
		"to no number":             m.Send(ctx, -1, nil),
		"too large to one":         m.Send(ctx, 2, make([]byte, 1<<20)),
	} {
		if !errors.Is(err, ciranda.ErrNotSent) || errors.Is(err, ciranda.ErrUnknown) {
			t.Errorf("%s: got %v, want ErrNotSent", name, err)
		}
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond) // alone of three there is no view
	defer cancel()
	if err := m.Multicast(short, ciranda.FIFO, false, []byte("x")); !errors.Is(err, ciranda.ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want ErrUnknown and the reason", err)
	}
	c.leave(1)
	if err := m.Multicast(ctx, ciranda.FIFO, false, []byte("x")); !errors.Is(err, ciranda.ErrNotSent) {
		t.Errorf("after the end: got %v, want ErrNotSent", err)
	}
}

// A panic of the program is its own affair, in a function or in the loop: the events go on behind the one in which it was.
func TestPanics(t *testing.T) {
	ctx := within(t)
	m := newCircle(t, 1).join(1, &ciranda.Group{Save: func() []byte { return nil }, Load: func([]byte) { panic("load") }})
	read := func(take func(ciranda.Event)) (why any) {
		defer func() { why = recover() }()
		for e := range m.Events(ctx) {
			take(e)
		}
		return nil
	}
	if why := read(func(ciranda.Event) {}); why != "load" {
		t.Errorf("got the panic %v, want that of Load", why)
	}
	if why := read(func(e ciranda.Event) { panic(fmt.Sprintf("%T", e)) }); why != "ciranda.View" {
		t.Errorf("got the panic %v, want that of the loop at the view", why)
	}
	if err := m.Multicast(ctx, ciranda.FIFO, false, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if why := read(func(e ciranda.Event) { panic(string(e.(ciranda.Message).Payload)) }); why != "x" {
		t.Errorf("got %v, want the message", why)
	}
}

// Who reads the events may leave; so may others at the same time, and again. Then all that can be called says that it is over.
func TestLeavesWhileItReads(t *testing.T) {
	ctx := within(t)
	c := newCircle(t, 1)
	m := c.join(1, &ciranda.Group{})
	c.members[1] = nil
	for range m.Events(ctx) {
		var leaving sync.WaitGroup
		for range 2 {
			leaving.Go(func() {
				if err := m.Leave(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		leaving.Wait()
	}
	if err := m.Leave(ctx); err != nil || m.Err() != nil {
		t.Errorf("once more: %v, %v", err, m.Err())
	}
	_, noPicture := m.Snapshot(ctx)
	for name, err := range map[string]error{
		"Multicast": m.Multicast(ctx, ciranda.FIFO, false, nil), "Send": m.Send(ctx, 1, nil), "Snapshot": noPicture, "Campaign": m.Campaign(ctx),
	} {
		if err == nil || ctx.Err() != nil {
			t.Errorf("%s after the end: %v", name, err)
		}
	}
	for e, err := range m.Events(ctx) {
		t.Errorf("after the end: %+v, %v", e, err)
	}
	for range m.Watch(ctx) { // what it believed last, and the end
	}
}

// A member without a group says so, and one reader at a time has the events.
func TestNoGroup(t *testing.T) {
	ctx := within(t)
	c := newCircle(t, 2)
	m := c.join(1, nil)
	if err := m.Multicast(ctx, ciranda.FIFO, false, nil); !errors.Is(err, ciranda.ErrNoGroup) || !errors.Is(err, ciranda.ErrNotSent) {
		t.Errorf("got %v", err)
	}
	if _, err := m.Snapshot(ctx); !errors.Is(err, ciranda.ErrNoGroup) {
		t.Errorf("got %v", err)
	}
	for _, err := range m.Events(ctx) {
		if !errors.Is(err, ciranda.ErrNoGroup) {
			t.Errorf("got %v", err)
		}
	}
	other := newCircle(t, 1)
	alone := other.join(1, &ciranda.Group{})
	for range alone.Events(ctx) { // its first view
		for _, err := range alone.Events(ctx) {
			if err == nil || !strings.Contains(err.Error(), "another goroutine") {
				t.Errorf("got %v", err)
			}
		}
		break
	}
}

func TestGroupMistakes(t *testing.T) {
	for want, g := range map[string]ciranda.Group{
		"expected both or none": {Save: func() []byte { return nil }},
		"a Buffer of -1":        {Buffer: -1},
		"different ones":        {Orders: []ciranda.Order{ciranda.FIFO, ciranda.FIFO}},
	} {
		m, err := ciranda.Join(ciranda.Config{Cluster: "test", ID: 1, Peers: map[int]string{1: "127.0.0.1:0"}, Secret: make([]byte, 16),
			Dir: t.TempDir(), Group: &g})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if m != nil {
			m.Leave(context.Background())
		}
	}
	if _, err := ciranda.Join(ciranda.Config{Cluster: "test", ID: 1, Peers: map[int]string{1: "127.0.0.1:0"}, Secret: make([]byte, 16),
		Group: &ciranda.Group{}}); err == nil || !strings.Contains(err.Error(), "needs a Dir") {
		t.Errorf("without a Dir: %v", err)
	}
}

// Large states and many messages pass: the readers get all of it, in order, while one of them joins.
func TestLargeState(t *testing.T) {
	ctx := within(t)
	c := newCircle(t, 3)
	state := bytes.Repeat([]byte("state"), 1<<20)
	give := func() *ciranda.Group {
		return &ciranda.Group{Save: func() []byte { return state }, Load: func([]byte) {}}
	}
	read := func(m *ciranda.Member) {
		for range m.Events(ctx) {
		}
	}
	go read(c.join(1, give()))
	go read(c.join(2, give()))
	for i := range 10 {
		if err := c.members[1].Multicast(ctx, ciranda.Total, false, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	loaded := make(chan []byte, 2)
	third := c.join(3, &ciranda.Group{Save: func() []byte { return state }, Load: func(s []byte) { loaded <- s }})
	go read(third)
	select {
	case got := <-loaded:
		if !bytes.Equal(got, state) {
			t.Errorf("got %d bytes, want the %d of the others", len(got), len(state))
		}
	case <-ctx.Done():
		t.Fatal("no state came")
	}
}
