package rmi

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A store keeps what it is given, for the tests of references.
type store interface {
	Make(ctx context.Context) (listener, error)
	Keep(ctx context.Context, key int, l listener) error
	Give(ctx context.Context, key int) (listener, error)
	Drop(ctx context.Context, key int) error
}

type (
	keyIn struct {
		Key int `cbor:"key"`
	}
	keepIn struct {
		Key int `cbor:"key"`
		L   Ref `cbor:"l"`
	}
	listenerOut struct {
		L Ref `cbor:"l"`
	}
)

var storeRemote = NewInterface("test.Store", func(r *Remote) store { return storeStub{r} })

var (
	storeMake = NewMethod(storeRemote, "Make", AtMostOnce, func(ctx context.Context, s store, _ *struct{}, out *listenerOut) error {
		l, err := s.Make(ctx)
		if err == nil {
			out.L, err = listenerRemote.Pass(Caller(ctx), l)
		}
		return err
	})
	storeKeep = NewMethod(storeRemote, "Keep", AtMostOnce, func(ctx context.Context, s store, in *keepIn, _ *struct{}) error {
		l, err := listenerRemote.Take(ctx, Caller(ctx), in.L)
		if err != nil {
			return Wrong("l", err)
		}
		return s.Keep(ctx, in.Key, l)
	})
	storeGive = NewMethod(storeRemote, "Give", AtMostOnce, func(ctx context.Context, s store, in *keyIn, out *listenerOut) error {
		l, err := s.Give(ctx, in.Key)
		if err == nil {
			out.L, err = listenerRemote.Pass(Caller(ctx), l)
		}
		return err
	})
	storeDrop = NewMethod(storeRemote, "Drop", AtMostOnce, func(ctx context.Context, s store, in *keyIn, _ *struct{}) error { return s.Drop(ctx, in.Key) })
)

type storeStub struct{ *Remote }

func (s storeStub) Make(ctx context.Context) (listener, error) {
	out, err := storeMake.Invoke(ctx, s.Remote, &struct{}{})
	if err != nil {
		return nil, err
	}
	return listenerRemote.Take(ctx, s.Peer(), out.L)
}

func (s storeStub) Keep(ctx context.Context, key int, l listener) error {
	ref, err := listenerRemote.Pass(s.Peer(), l)
	if err == nil {
		_, err = storeKeep.Invoke(ctx, s.Remote, &keepIn{key, ref})
	}
	return err
}

func (s storeStub) Give(ctx context.Context, key int) (listener, error) {
	out, err := storeGive.Invoke(ctx, s.Remote, &keyIn{key})
	if err != nil {
		return nil, err
	}
	return listenerRemote.Take(ctx, s.Peer(), out.L)
}

func (s storeStub) Drop(ctx context.Context, key int) error {
	_, err := storeDrop.Invoke(ctx, s.Remote, &keyIn{key})
	return err
}

// A shelf is a store. What it makes counts how much of it was collected.
type shelf struct {
	mu        sync.Mutex
	kept      map[int]listener
	collected int
}

// A thing is what a shelf makes.
type thing struct {
	of *shelf
	ear
}

func (t *thing) Unreferenced(context.Context) {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.of.collected++
}

func (s *shelf) Make(context.Context) (listener, error) { return &thing{of: s}, nil }

func (s *shelf) Keep(_ context.Context, key int, l listener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[key] = l
	return nil
}

func (s *shelf) Give(_ context.Context, key int) (listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept[key] == nil {
		return nil, fmt.Errorf("there is no %d", key)
	}
	return s.kept[key], nil
}

func (s *shelf) Drop(_ context.Context, key int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	Release(s.kept[key])
	delete(s.kept, key)
	return nil
}

func (s *shelf) gone() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.collected
}

// stores makes nodes with a shelf each, and what calls the shelves of all others from the last.
func stores(t *testing.T, s *sea, count int) (nodes []*Node, shelves []*shelf, stubs []store) {
	t.Helper()
	for i := range count {
		nodes = append(nodes, s.node(t, string(rune('a'+i)), Options{}))
		shelves = append(shelves, &shelf{kept: map[int]listener{}})
	}
	for i := range count - 1 {
		ref, err := storeRemote.Export(nodes[i], shelves[i])
		if err != nil {
			t.Fatal(err)
		}
		stub, err := storeRemote.At(t.Context(), nodes[count-1], ref)
		if err != nil {
			t.Fatal(err)
		}
		stubs = append(stubs, stub)
	}
	return nodes, shelves, stubs
}

func closeAll(nodes []*Node) {
	for _, n := range nodes {
		n.Close()
	}
	time.Sleep(2 * time.Second) // for what the sea carries still
}

// Ten thousand references go from their owner to a second node and by it to a third. None of their objects is collected while somebody
// has it, also if the network fails for less than a lease; all are within two leases of the last use.
func TestTenThousandReferences(t *testing.T) {
	const count, lease = 10_000, 10 * time.Second
	synctest.Test(t, func(t *testing.T) {
		s := newSea()
		nodes, shelves, stubs := stores(t, s, 3)
		defer closeAll(nodes)
		owner, third := stubs[0], stubs[1]
		var held []listener
		var mu sync.Mutex
		inParallel(t, count, func(i int) error {
			l, err := owner.Make(t.Context())
			if err == nil {
				err = third.Keep(t.Context(), i, l)
			}
			mu.Lock()
			defer mu.Unlock()
			held = append(held, l)
			return err
		})
		for _, l := range held { // the second node lets go; the third still has them
			Release(l)
		}
		time.Sleep(3 * lease)
		if n := shelves[0].gone(); n != 0 {
			t.Fatalf("%d objects were collected while they were held", n)
		}
		s.cut()
		time.Sleep(lease * 8 / 10)
		s.mend()
		time.Sleep(3 * lease)
		if n := shelves[0].gone(); n != 0 {
			t.Fatalf("%d objects were collected after the network had failed for less than a lease", n)
		}
		mine, err := nodes[2].LeasesOf(t.Context(), nodes[0].id)
		if err != nil || mine.Exports != count+1 || len(mine.Exported) != MostLeases {
			t.Errorf("%v; %d exports, %d listed", err, mine.Exports, len(mine.Exported))
		}
		for _, e := range mine.Exported {
			if !e.Strong && (len(e.Holders) != 1 || e.Holders[0] != nodes[1].id || e.Travelling != 0) {
				t.Fatalf("got %+v", e)
			}
		}
		if theirs := nodes[1].Leases(); theirs.Holds != count || theirs.Held[0].Owner != nodes[0].id || theirs.Held[0].State != "usable" {
			t.Errorf("got %d, %+v", theirs.Holds, theirs.Held[0])
		}
		l, err := third.Give(t.Context(), 7)
		if err != nil || l.Hear(t.Context(), "still here") != nil {
			t.Errorf("an object that is held cannot be called: %v", err)
		}
		Release(l)
		inParallel(t, count, func(i int) error { return third.Drop(t.Context(), i) })
		time.Sleep(2 * lease)
		if n := shelves[0].gone(); n != count {
			t.Errorf("%d of %d objects were collected", n, count)
		}
		nodes[0].exports.mu.Lock()
		if n := len(nodes[0].exports.objects); n != 2 { // the shelf, and the root
			t.Errorf("%d objects are left", n)
		}
		nodes[0].exports.mu.Unlock()
	})
}

// inParallel does something so many times, 64 at a time.
func inParallel(t *testing.T, count int, do func(i int) error) {
	t.Helper()
	var all sync.WaitGroup
	next := make(chan int)
	for range 64 {
		all.Go(func() {
			for i := range next {
				if err := do(i); err != nil {
					t.Errorf("%d: %v", i, err)
				}
			}
		})
	}
	for i := range count {
		next <- i
	}
	close(next)
	all.Wait()
}

// Who is cut off for longer than a lease loses what it refers to: that is the price of collecting what the dead referred to. A call says
// so, and goes to no other object.
func TestLongPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSea()
		nodes, shelves, stubs := stores(t, s, 2)
		defer closeAll(nodes)
		l, err := stubs[0].Make(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.cut()
		time.Sleep(30 * time.Second)
		if n := shelves[0].gone(); n != 1 {
			t.Errorf("%d objects were collected, want 1", n)
		}
		s.mend()
		var is *Error
		if err := l.Hear(t.Context(), "?"); !errors.Is(err, ErrNoObject) || !errors.As(err, &is) || is.Happened != No {
			t.Errorf("got %v", err)
		}
		if _, err := stubs[0].Make(t.Context()); err != nil {
			t.Errorf("what is exported for good is lost: %v", err)
		}
	})
}

// A node that dies loses what it refers to within a lease. The life after it has nothing of the sort.
func TestDeadHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSea()
		nodes, shelves, stubs := stores(t, s, 2)
		defer closeAll(nodes[:1])
		if _, err := stubs[0].Make(t.Context()); err != nil {
			t.Fatal(err)
		}
		nodes[1].Close()
		time.Sleep(21 * time.Second)
		if n := shelves[0].gone(); n != 1 {
			t.Errorf("%d objects were collected, want 1", n)
		}
		nodes[0].mu.Lock()
		defer nodes[0].mu.Unlock()
		if n := len(nodes[0].peers); n != 0 {
			t.Errorf("%d peers are remembered", n)
		}
	})
}

// What the program does not use any more the garbage collector finds.
func TestDroppedStubs(t *testing.T) {
	server, _, h, g := near(t)
	_ = h
	e := &ear{}
	if err := g.Call(t.Context(), e, 1); err != nil {
		t.Fatal(err)
	}
	_ = server
	client := g.(greeterStub).Peer().Node()
	for deadline := time.Now().Add(20 * time.Second); ; {
		runtime.GC()
		client.exports.mu.Lock()
		n := len(client.exports.objects)
		client.exports.mu.Unlock()
		if n == 1 { // the root
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d objects are exported still", n)
		}
		runtime.Gosched()
	}
}

// A released stub calls nobody. Stubs of one object are one.
func TestRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, shelves, stubs := stores(t, newSea(), 2)
		defer closeAll(nodes)
		l, err := stubs[0].Make(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		shelves[0].kept[1] = &thing{of: shelves[0]}
		one, err1 := stubs[0].Give(t.Context(), 1)
		two, err2 := stubs[0].Give(t.Context(), 1)
		if err1 != nil || err2 != nil || one != two || one == l {
			t.Fatalf("%v and %v, %v, %v", one, two, err1, err2)
		}
		Release(one)
		if err := two.Hear(t.Context(), "a"); err != nil {
			t.Errorf("released once of twice: %v", err)
		}
		Release(two)
		if err := two.Hear(t.Context(), "b"); !errors.Is(err, ErrNoObject) {
			t.Errorf("got %v", err)
		}
		Release(l)
		time.Sleep(time.Second)
		if n := shelves[0].gone(); n != 2 {
			t.Errorf("%d were collected", n)
		}
	})
}

// What a node offers is found at that node alone.
func TestOffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, shelves, _ := stores(t, newSea(), 2)
		defer closeAll(nodes)
		ref, err := storeRemote.Export(nodes[0], shelves[0])
		if err == nil {
			err = nodes[0].Offer("shelf", ref)
		}
		if err != nil {
			t.Fatal(err)
		}
		p := nodes[1].peer(nodes[0].id)
		if s, err := storeRemote.Offered(t.Context(), p, "shelf"); err != nil || s.Keep(t.Context(), 1, &ear{}) != nil || shelves[0].kept[1] == nil {
			t.Errorf("got %v, %v", s, err)
		}
		if _, err := storeRemote.Offered(t.Context(), p, "self"); !errors.Is(err, ErrNoName) || !strings.Contains(err.Error(), "offers shelf") {
			t.Errorf("got %v", err)
		}
		if nodes[0].Offer("", ref) == nil {
			t.Error("a name without letters is taken")
		}
	})
}

// A connection whose other end has vanished without a word is given up after a few seconds, and another one is made.
func TestHalfOpenConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSea()
		nodes, _, stubs := stores(t, s, 2)
		defer closeAll(nodes)
		if _, err := stubs[0].Make(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := nodes[1].peer(nodes[0].id).current()
		s.mu.Lock()
		s.hushed = true
		s.mu.Unlock()
		time.Sleep(12 * time.Second)
		if before.ended() == nil {
			t.Error("the silent connection is there still")
		}
		s.mu.Lock()
		s.hushed = false
		s.mu.Unlock()
		time.Sleep(6 * time.Second)
		if _, err := stubs[0].Make(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if now := nodes[1].peer(nodes[0].id).current(); now == nil || now == before {
			t.Errorf("the connection is %v", now)
		}
	})
}

// Words that describe no type come to an end.
func TestOddWords(t *testing.T) {
	for _, words := range []string{"{]", "{}}", "map[", "[]]", "{a {b", "}", "map[]]", "* ", "{ , }"} {
		(&wordReader{rest: words}).whole()
		plain(map[any]any{"a": 1}, words)
		(&wordReader{rest: words}).from(t.Context(), nil, map[string]any{"a": true})
	}
}
