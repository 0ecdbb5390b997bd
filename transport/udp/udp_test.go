package udp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/transport"
)

// An ether is a network of the tests: what is written to it reaches all who have joined, the writer too.
type ether struct {
	mu     sync.Mutex
	conns  []*plug
	heard  [][]byte                      // all that was ever written
	deaf   map[int]bool                  // who hears nothing
	refuse map[int]error                 // whose writes fail
	nodes  map[protocol.ID]*station      // for the words
	closed map[[2]protocol.ID]bool       // connections that carry nothing
	words  map[[2]protocol.ID]([][]byte) // that were said
}

func newEther() *ether {
	return &ether{deaf: map[int]bool{}, refuse: map[int]error{}, nodes: map[protocol.ID]*station{}, closed: map[[2]protocol.ID]bool{},
		words: map[[2]protocol.ID][][]byte{}}
}

type plug struct {
	ether *ether
	id    int
	come  chan []byte
	over  chan struct{}
	once  sync.Once
}

func (e *ether) join(id int) (Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := &plug{ether: e, id: id, come: make(chan []byte, 1000), over: make(chan struct{})}
	e.conns = append(e.conns, p)
	return p, nil
}

func (p *plug) Read(b []byte) (int, error) {
	select {
	case d := <-p.come:
		return copy(b, d), nil
	case <-p.over:
		return 0, net.ErrClosed
	}
}

func (p *plug) Write(b []byte) (int, error) {
	p.ether.mu.Lock()
	err := p.ether.refuse[p.id]
	p.ether.mu.Unlock()
	if err != nil {
		return 0, err
	}
	p.ether.write(b)
	return len(b), nil
}

func (e *ether) write(b []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, slices.Clone(b))
	for _, p := range e.conns {
		if !e.deaf[p.id] {
			select {
			case p.come <- slices.Clone(b):
			default: // full
			}
		}
	}
}

// last is what was written last, and all is everything.
func (e *ether) last() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heard[len(e.heard)-1]
}

func (e *ether) all() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return bytes.Join(e.heard, nil)
}

func (p *plug) Close() error {
	p.once.Do(func() { close(p.over) })
	return nil
}

// A station is a node of the tests, as its transport sees it: handler and connections.
type station struct {
	ether   *ether
	id      protocol.ID
	inc     protocol.Incarnation
	handler transport.Handler
	t       *Transport

	mu    sync.Mutex
	got   []string
	told  []protocol.Carries
	other []string // what came over connections
}

func (s *station) Up(transport.Hello) {}
func (s *station) Receive(from protocol.ID, _ protocol.Incarnation, messages [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range messages {
		s.other = append(s.other, fmt.Sprintf("%d: %s", from, m))
	}
}
func (s *station) Down(protocol.ID, protocol.Incarnation) {}
func (s *station) Room(protocol.ID)                       {}
func (s *station) Refused(string, error)                  {}
func (s *station) Carries() {
	now := s.t.Carries()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, now)
}
func (s *station) Hear(from protocol.ID, inc protocol.Incarnation, messages [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range messages {
		s.got = append(s.got, fmt.Sprintf("%d#%d: %s", from, inc, m))
	}
}

func (s *station) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}

// A cable stands for the connections: what is sent arrives at once.
type cable struct{ *station }

func (c cable) Send(to protocol.ID, head, body []byte) error {
	c.ether.mu.Lock()
	other, closed := c.ether.nodes[to], c.ether.closed[[2]protocol.ID{c.id, to}]
	c.ether.words[[2]protocol.ID{c.id, to}] = append(c.ether.words[[2]protocol.ID{c.id, to}], append(slices.Clone(head), body...))
	c.ether.mu.Unlock()
	if other == nil || closed {
		return transport.ErrDown
	}
	other.handler.Receive(c.id, c.inc, [][]byte{append(slices.Clone(head), body...)})
	return nil
}

// said are the words that a node said to another.
func (e *ether) said(from, to protocol.ID) (all []word) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range e.words[[2]protocol.ID{from, to}] {
		w, _ := parseWord(b)
		all = append(all, w)
	}
	return all
}

func (cable) Redial(protocol.ID)          {}
func (cable) Reset(protocol.ID)           {}
func (cable) Addr() string                { return "" }
func (cable) Stats() transport.Stats      { return transport.Stats{} }
func (cable) Close(context.Context) error { return nil }

var everybody = []protocol.ID{1, 2, 3}

// begin starts a node, and connects it with those that there are.
func (e *ether) begin(t *testing.T, id protocol.ID, inc protocol.Incarnation, change func(*Config)) *station {
	t.Helper()
	s := &station{ether: e, id: id, inc: inc}
	c := Config{Group: "239.1.2.3:4567", Join: func() (Conn, error) { return e.join(int(id)) }}
	if change != nil {
		change(&c)
	}
	hello := transport.Hello{Cluster: "test", Group: everybody, ID: id, Incarnation: inc}
	var err error
	s.t, err = Open(c, s, hello, func(h transport.Handler) (transport.Transport, error) {
		s.handler = h
		return cable{s}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	e.mu.Lock()
	e.nodes[id] = s
	others := []*station{}
	for _, o := range e.nodes {
		others = append(others, o)
	}
	e.mu.Unlock()
	for _, o := range others {
		if o != s {
			o.handler.Up(transport.Hello{ID: id, Incarnation: inc})
			s.handler.Up(transport.Hello{ID: o.id, Incarnation: o.inc})
		}
	}
	t.Cleanup(func() { s.t.Close(context.Background()) })
	return s
}

// trio starts three nodes in a view.
func trio(t *testing.T, change func(*Config)) (*ether, []*station) {
	e := newEther()
	var all []*station
	for _, id := range everybody {
		all = append(all, e.begin(t, id, 7, change))
	}
	install(1, all...)
	rest(4 * leastPause)
	return e, all
}

// rest lets time pass, and everybody come to rest.
func rest(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func install(view uint64, nodes ...*station) {
	var members []Member
	for _, n := range nodes {
		members = append(members, Member{n.id, n.inc})
	}
	for _, n := range nodes {
		n.t.View(view, members)
	}
}

func expect(t *testing.T, s *station, want ...string) {
	t.Helper()
	if got := s.take(); !slices.Equal(got, want) {
		t.Errorf("node %d got %q, want %q", s.id, got, want)
	}
}

func dropped(t *testing.T, s *station, why reason, want uint64) {
	t.Helper()
	if got := s.t.Datagrams().Dropped[reasonNames[why]]; got != want {
		t.Errorf("node %d dropped %d datagrams: %s; want %d", s.id, got, reasonNames[why], want)
	}
}

// What is broadcast reaches the other members once, sealed or not, and its sender not at all.
func TestBroadcast(t *testing.T) {
	for _, insecure := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			e, all := trio(t, func(c *Config) { c.Insecure = insecure })
			if c := all[0].t.Carries(); c != (protocol.Carries{Broadcasts: true, Size: usualSize - overhead}) {
				t.Fatalf("got %+v", c)
			}
			if err := all[0].t.Broadcast([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			all[1].t.Broadcast([]byte("there"))
			synctest.Wait()
			expect(t, all[0], "2#7: there")
			expect(t, all[1], "1#7: hello")
			expect(t, all[2], "1#7: hello", "2#7: there")
			if clear := bytes.Contains(e.all(), []byte("hello")); clear != insecure {
				t.Errorf("insecure is %v, and the text is in the clear: %v", insecure, clear)
			}
			s := all[2].t.Datagrams()
			if s.Received != 2 || s.Sent != 0 || all[0].t.Datagrams().Sent != 1 {
				t.Errorf("got %+v", s)
			}
			if d := s.Dropped["own"]; d == 0 {
				t.Error("the node's own probe should have come back")
			}
			if len(all[0].other) > 0 {
				t.Errorf("words came through to the node: %q", all[0].other)
			}
		})
	}
}

// What comes over connections and is no word goes through.
func TestMessagesPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, all := trio(t, nil)
		all[0].handler.Receive(2, 7, [][]byte{{0, 1}, word{kind: readyWord, view: 1}.bytes(), {1, 2}})
		if want := []string{"2: \x00\x01", "2: \x01\x02"}; !slices.Equal(all[0].other, want) {
			t.Errorf("got %q, want %q", all[0].other, want)
		}
	})
}

// Datagrams of others, or that were tampered with, are counted by reason and cost nothing else.
func TestHostile(t *testing.T) {
	for _, insecure := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			e, all := trio(t, func(c *Config) { c.Insecure = insecure })
			all[0].t.Broadcast([]byte("true"))
			synctest.Wait()
			expect(t, all[1], "1#7: true")
			d := e.last()
			h, _ := parseHeader(d)
			before := all[1].t.Datagrams()
			forge := func(change func(*header)) []byte {
				g := h
				change(&g)
				l := lock{}
				if !insecure {
					l = newLock(make([]byte, keySize))
				}
				return l.seal(nil, g, []byte("false"))
			}
			change := func(at int) []byte {
				c := slices.Clone(d)
				c[at] ^= 1
				return c
			}
			for _, c := range []struct {
				why  reason
				what []byte
			}{
				{replay, d},
				{malformed, nil},
				{malformed, []byte("cir\x01")},
				{malformed, change(0)},
				{malformed, change(3)},
				{malformed, change(4)},
				{malformed, bytes.Repeat([]byte{0xff}, 3000)},
				{foreign, forge(func(h *header) { h.cluster = tagOf("another") })},
				{own, forge(func(h *header) { h.from.id = 2 })},
				{stranger, forge(func(h *header) { h.from.id = 9 })},
				{view, forge(func(h *header) { h.from.inc = 6 })},
				{view, forge(func(h *header) { h.view = 2 })},
				{view, forge(func(h *header) { h.view = 0 })},
				{mode, lock{}.seal(nil, h, []byte("false"))},
				{damaged, forge(func(h *header) { h.counter = 1000 })},
			} {
				if insecure && (c.why == mode || c.why == damaged) {
					continue
				}
				e.write(c.what)
				synctest.Wait()
				now := all[1].t.Datagrams()
				for name, n := range now.Dropped {
					want := before.Dropped[name]
					if name == reasonNames[c.why] {
						want++
					}
					if n != want {
						t.Errorf("insecure %v: %x should be %s, and %s rose from %d to %d", insecure, c.what[:min(50, len(c.what))], reasonNames[c.why],
							name, before.Dropped[name], n)
					}
				}
				before = now
			}
			expect(t, all[1])
			all[0].t.Broadcast([]byte("after"))
			synctest.Wait()
			expect(t, all[1], "1#7: after")
		})
	}
}

// No bit of a datagram can be changed.
func TestEveryBitCounts(t *testing.T) {
	h := header{kind: message, cluster: tagOf("c"), from: life{3, 4}, view: 5, counter: 6}
	for _, l := range []lock{{}, newLock(bytes.Repeat([]byte{1}, keySize))} {
		d := l.seal(nil, h, []byte("content"))
		for i := range len(d) * 8 {
			c := slices.Clone(d)
			c[i/8] ^= 1 << (i % 8)
			got, ok := parseHeader(c)
			if !ok {
				continue
			}
			if content, ok := l.open(c, got); ok {
				t.Errorf("sealed %v: bit %d is changed, and %q is taken", l.aead != nil, i, content)
			}
		}
		got, ok := parseHeader(d)
		if content, fine := l.open(d, got); !ok || !fine || string(content) != "content" || got.from != h.from || got.view != 5 || got.counter != 6 {
			t.Errorf("got %+v with %q", got, content)
		}
	}
}

// A member that hears nothing is named, after a while; once it hears, broadcasts are offered.
func TestDeafMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEther()
		e.deaf[3] = true
		all := []*station{}
		for _, id := range everybody {
			all = append(all, e.begin(t, id, 7, nil))
		}
		install(1, all...)
		synctest.Wait()
		if c := all[0].t.Carries(); c.Broadcasts {
			t.Fatalf("got %+v", c)
		}
		rest(2 * time.Second)
		if c := all[0].t.Carries(); c.Broadcasts || c.Why != "found no answer to datagrams from node 3" {
			t.Fatalf("got %+v", c)
		}
		e.mu.Lock()
		e.deaf[3] = false
		e.mu.Unlock()
		rest(2 * mostPause)
		if c := all[0].t.Carries(); !c.Broadcasts {
			t.Fatalf("got %+v", c)
		}
		if told := all[0].told; told[len(told)-1] != all[0].t.Carries() {
			t.Errorf("the handler was told %+v", told)
		}
	})
}

// Only members get the key of a view, and a life that is not the member does not. Datagrams of an old view are not taken.
func TestKeysAreForMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, all := trio(t, nil)
		old := all[0].t.sending.Load()
		e.mu.Lock()
		e.words = map[[2]protocol.ID][][]byte{}
		e.mu.Unlock()
		install(2, all[0], all[1])
		rest(4 * leastPause)
		if all[0].t.Broadcast([]byte("ours")) != nil {
			t.Fatal("two members should do")
		}
		synctest.Wait()
		expect(t, all[1], "1#7: ours")
		expect(t, all[2])
		for _, w := range e.said(1, 3) {
			if w.kind == keyWord {
				t.Errorf("node 3 gets the key of view %d", w.view)
			}
		}
		before := all[1].t.Datagrams().Dropped["view"]
		e.write(old.lock.seal(nil, header{kind: message, cluster: all[0].t.cluster, from: all[0].t.self, view: 1, counter: 99}, []byte("late")))
		synctest.Wait()
		expect(t, all[1])
		dropped(t, all[1], view, before+1)

		again := e.begin(t, 3, 8, nil) // another life of node 3, which is no member
		install(3, all...)
		rest(time.Minute)
		for _, w := range e.said(1, 3) {
			if w.kind == keyWord && w.view == 3 {
				t.Error("a life that is no member gets the key")
			}
		}
		again.t.mu.Lock()
		defer again.t.mu.Unlock()
		if len(again.t.keys[1]) > 0 {
			t.Error("it has the key")
		}
	})
}

// A key that comes again keeps what is known of replays.
func TestKeyAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, all := trio(t, nil)
		all[0].t.Broadcast([]byte("once"))
		synctest.Wait()
		expect(t, all[1], "1#7: once")
		out := all[0].t.sending.Load()
		all[1].handler.Receive(1, 7, [][]byte{word{kind: keyWord, view: out.view, key: out.key}.bytes()})
		e.write(e.last())
		synctest.Wait()
		expect(t, all[1])
		dropped(t, all[1], replay, 1)
		for view := range uint64(100) { // of a peer that invents views
			all[1].handler.Receive(1, 7, [][]byte{word{kind: keyWord, view: 10 + view, key: out.key}.bytes()})
		}
		if n := len(all[1].t.keys[1]); n > keysKept {
			t.Errorf("%d keys are kept", n)
		}
	})
}

// Who cannot send says why, and tries again.
func TestSendingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, all := trio(t, nil)
		if err := all[0].t.Broadcast(make([]byte, usualSize-overhead)); err != nil {
			t.Error(err)
		}
		if err := all[0].t.Broadcast(make([]byte, usualSize-overhead+1)); !errors.Is(err, transport.ErrTooLarge) {
			t.Errorf("got %v", err)
		}
		e.mu.Lock()
		e.refuse[1] = errors.New("network is unreachable")
		e.mu.Unlock()
		if err := all[0].t.Broadcast([]byte("lost")); !errors.Is(err, transport.ErrDown) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if c := all[0].t.Carries(); c.Why != "a datagram cannot be sent: network is unreachable" {
			t.Errorf("got %+v", c)
		}
		e.mu.Lock()
		delete(e.refuse, 1)
		e.mu.Unlock()
		rest(2 * mostPause)
		if c := all[0].t.Carries(); !c.Broadcasts {
			t.Errorf("got %+v", c)
		}
		all[0].t.View(0, nil)
		synctest.Wait()
		if err := all[0].t.Broadcast([]byte("lost")); !errors.Is(err, transport.ErrDown) || all[0].t.Carries().Broadcasts {
			t.Errorf("a node that is no member broadcasts: %v", err)
		}
	})
}

// A group that cannot be joined, or that is lost, is no failure, and is joined later.
func TestJoinsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEther()
		var works atomic.Bool
		a := e.begin(t, 1, 7, nil)
		b := e.begin(t, 2, 7, func(c *Config) {
			c.Join = func() (Conn, error) {
				if !works.Load() {
					return nil, errors.New("no such device")
				}
				return e.join(2)
			}
		})
		install(1, a, b)
		synctest.Wait()
		if c := b.t.Carries(); c.Why != "the multicast group cannot be joined: no such device" {
			t.Errorf("got %+v", c)
		}
		works.Store(true)
		rest(3 * mostPause)
		if !a.t.Carries().Broadcasts || !b.t.Carries().Broadcasts {
			t.Errorf("got %+v, %+v", a.t.Carries(), b.t.Carries())
		}
		a.t.mu.Lock()
		a.t.conn.Close()
		a.t.mu.Unlock()
		rest(3 * mostPause)
		n := len(a.told)
		if n < 3 || !a.told[n-1].Broadcasts || a.told[n-2].Broadcasts || !a.told[n-3].Broadcasts {
			t.Errorf("got %+v", a.told)
		}
	})
}

// The window takes each counter once, in any order, unless it is far too late.
func TestWindow(t *testing.T) {
	var w window
	seen := map[uint64]bool{}
	n, top := uint64(0), uint64(0)
	for i := range 200_000 {
		n = n*6364136223846793005 + 1442695040888963407
		c := max(1, uint64(i/2)+n>>40%2500)
		if i%5000 == 4999 {
			c += 5000
		}
		fresh := !seen[c] && c+reach > top
		if got := w.fresh(c); got != fresh {
			t.Fatalf("counter %d, top %d: got %v, want %v", c, top, got, fresh)
		}
		if fresh {
			w.mark(c)
			seen[c], top = true, max(top, c)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []Config{{}, {Group: "10.0.0.1:80"}, {Group: "239.1.1.1"}, {Group: "239.1.1.1:0"}, {Group: "[ff02::1]:80"},
		{Group: "239.1.1.1:80", Size: 100}, {Group: "239.1.1.1:80", Size: 9000}} {
		if _, err := Open(c, &station{}, transport.Hello{}, nil); err == nil {
			t.Errorf("%+v should be refused", c)
		}
	}
	if _, err := Open(Config{Group: "239.1.1.1:80"}, &station{}, transport.Hello{}, func(transport.Handler) (transport.Transport, error) {
		return nil, net.ErrClosed
	}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// Whatever comes is opened or dropped, and taken once.
func FuzzDatagram(f *testing.F) {
	h := header{kind: message, cluster: tagOf("test"), from: life{1, 7}, view: 1, counter: 3}
	l := newLock(bytes.Repeat([]byte{1}, keySize))
	f.Add(l.seal(nil, h, []byte("content")))
	f.Add(lock{}.seal(nil, h, []byte("content")))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		node := &Transport{self: life{2, 7}, cluster: tagOf("test"), group: map[protocol.ID]bool{1: true}, view: 1,
			keys: map[protocol.ID][]*key{1: {{inc: 7, view: 1, lock: l}}}}
		whole := slices.Clone(b)
		from, kind, content, why := node.take(b)
		if why != none {
			return
		}
		g, _ := parseHeader(whole)
		if from != h.from || kind != g.kind || !bytes.Equal(l.seal(nil, g, content), whole) {
			t.Fatalf("%x is taken as %d of %v: %x", whole, kind, from, content)
		}
		if _, _, _, why := node.take(whole); why != replay {
			t.Error("it is taken twice")
		}
	})
}

// What is read as a word is written the same.
func FuzzWord(f *testing.F) {
	f.Add(word{kind: keyWord, view: 3, key: make([]byte, keySize)}.bytes())
	f.Add(word{kind: keyWord, view: 3}.bytes())
	f.Add(word{kind: heardWord, view: 1 << 60}.bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if w, ok := parseWord(b); ok && !bytes.Equal(w.bytes(), b) {
			t.Errorf("%x is read as %+v", b, w)
		}
	})
}
