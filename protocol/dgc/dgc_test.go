package dgc

import (
	"math/rand/v2"
	"testing"
	"time"

	"ciranda.dev/protocol/invocation"
)

var alice, bob = Client{invocation.ClientID{1}, 1}, Client{invocation.ClientID{2}, 1}

// exchange carries updates until there is nothing more to tell.
func exchange(t *testing.T, o *Owner, h *Holder, from Client) (usable, lost, collected []ObjectID) {
	t.Helper()
	for {
		u, ok := h.Next(true)
		if !ok {
			return usable, lost, collected
		}
		ack, collect := o.Update(from, &u)
		more, gone := h.Acked(ack)
		usable, lost, collected = append(usable, more...), append(lost, gone...), append(collected, collect...)
	}
}

// An object is collected once nobody refers to it and no reference to it travels, and not before.
func TestCollects(t *testing.T) {
	o, a, b := NewOwner(Options{}), NewHolder(Options{}), NewHolder(Options{})
	id := ObjectID{7}
	o.Export(id, false)
	o.Pin(id)
	a.Want(id)
	if usable, lost, _ := exchange(t, o, a, alice); len(usable) != 1 || len(lost) != 0 || a.State(id) != Usable {
		t.Fatalf("usable %v, lost %v", usable, lost)
	}
	if collect := o.Unpin(id); collect != nil {
		t.Fatal("collected while it is held")
	}
	b.Want(id)
	exchange(t, o, b, bob)
	a.Drop(id)
	if _, _, collect := exchange(t, o, a, alice); collect != nil || a.Len() != 0 {
		t.Fatalf("collected %v, %d references", collect, a.Len())
	}
	b.Drop(id)
	if _, _, collect := exchange(t, o, b, bob); len(collect) != 1 || o.Knows(id) {
		t.Fatalf("collected %v", collect)
	}
	b.Want(id)
	if usable, lost, _ := exchange(t, o, b, bob); len(usable) != 0 || len(lost) != 1 || b.State(id) != None {
		t.Errorf("usable %v, lost %v", usable, lost)
	}
}

// Whoever is silent for a lease loses all. What is kept for its own sake stays.
func TestGone(t *testing.T) {
	o, a := NewOwner(Options{}), NewHolder(Options{})
	for i := range byte(3) {
		o.Export(ObjectID{i}, i == 0)
		a.Want(ObjectID{i})
	}
	exchange(t, o, a, alice)
	if free := o.Gone(alice); len(free) != 3 || !o.Knows(ObjectID{0}) || o.Knows(ObjectID{1}) {
		t.Errorf("free are %v", free)
	}
	a.Anew()
	if usable, lost, _ := exchange(t, o, a, Client{alice.ID, 2}); len(usable) != 1 || len(lost) != 2 {
		t.Errorf("usable %v, lost %v", usable, lost)
	}
	if collect := o.Release(ObjectID{0}); collect != nil {
		t.Error("collected while it is held")
	}
	if collect := o.Gone(Client{alice.ID, 2}); len(collect) != 1 {
		t.Errorf("collected %v", collect)
	}
}

// Updates that arrive late or twice change nothing.
func TestLateUpdates(t *testing.T) {
	o, a := NewOwner(Options{}), NewHolder(Options{})
	id := ObjectID{7}
	o.Export(id, true)
	a.Want(id)
	first, _ := a.Next(false)
	if _, ok := a.Next(false); ok {
		t.Error("two updates are under way")
	}
	ack, _ := o.Update(alice, &first)
	a.Acked(ack)
	a.Drop(id)
	exchange(t, o, a, alice)
	if o.Update(alice, &first); o.Held(id) {
		t.Error("it is held again")
	}
}

func TestFull(t *testing.T) {
	o := NewOwner(Options{Held: 2})
	for i := range byte(3) {
		o.Export(ObjectID{i}, true)
	}
	ack, _ := o.Update(alice, &Update{Seq: 1, Dirty: []ObjectID{{0}, {1}, {2}}})
	if len(ack.Unknown) != 1 || !o.Held(ObjectID{1}) || o.Held(ObjectID{2}) {
		t.Errorf("got %v", ack)
	}
}

func TestPins(t *testing.T) {
	p := NewPins[string](Options{Pin: time.Second})
	one, two, three := p.Add(0, "one", alice.ID), p.Add(1, "two", alice.ID), p.Add(2, "three", bob.ID)
	if got := p.Acked(bob.ID, []uint64{one, three, three, 99}); len(got) != 1 || got[0] != "three" {
		t.Errorf("arrived %v", got)
	}
	if got := p.Expire(time.Second); len(got) != 1 || got[0] != "one" || p.Next() != time.Second+1 {
		t.Errorf("expired %v, next %v", got, p.Next())
	}
	if got := p.Gone(alice.ID); len(got) != 1 || got[0] != "two" || p.Len() != 0 || two == 0 {
		t.Errorf("gone %v", got)
	}
}

// Whatever a holder does, and whichever updates are lost or doubled: what it may use the owner keeps, and in the end what is dropped is
// collected.
func TestNothingUsableIsCollected(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		o, h := NewOwner(Options{}), NewHolder(Options{Batch: 3})
		var ids []ObjectID
		for i := range byte(8) {
			ids = append(ids, ObjectID{i, 1})
			o.Export(ids[i], false)
			o.Pin(ids[i])
		}
		var late []Update
		for range 200 {
			id := ids[r.IntN(len(ids))]
			switch r.IntN(4) {
			case 0:
				h.Want(id)
			case 1:
				h.Drop(id)
			default:
				u, ok := h.Next(r.IntN(2) == 0)
				if !ok {
					break
				}
				late = append(late, u)
				if r.IntN(3) == 0 {
					break // lost
				}
				if r.IntN(3) == 0 {
					u = late[r.IntN(len(late))] // one that is late comes first
					o.Update(alice, &u)
					u = late[len(late)-1]
				}
				if ack, _ := o.Update(alice, &u); r.IntN(3) > 0 {
					h.Acked(ack)
				}
			}
			for _, id := range ids {
				if holders, _ := o.Holders(id); h.State(id) == Usable && len(holders) == 0 {
					t.Fatalf("seed %d: %x is usable, and the owner does not know", seed, id[0])
				}
			}
		}
		for _, id := range ids {
			h.Drop(id)
		}
		exchange(t, o, h, alice)
		for _, id := range ids {
			if o.Unpin(id); o.Knows(id) || h.Len() > 0 {
				t.Fatalf("seed %d: %x is not collected", seed, id[0])
			}
		}
	}
}
