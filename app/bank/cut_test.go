package bank

import (
	"math/rand/v2"
	"slices"
	"testing"

	"ciranda.dev/protocol"
)

// A town is a bank of three whose messages wait until the test delivers them.
type town struct {
	nodes   []*rig
	transit []letter
}

type letter struct {
	from, to protocol.ID
	m        protocol.Message
}

func newTown(t *testing.T) *town {
	w := &town{}
	for id := range 3 {
		r := &rig{tb: t, disk: map[string][]byte{}}
		r.bank = New(Options{})
		s, err := protocol.NewStack(protocol.Self{ID: protocol.ID(id + 1), Incarnation: 1, Group: []protocol.ID{1, 2, 3}}, r.bank)
		if err != nil {
			t.Fatal(err)
		}
		r.stack = s
		r.stack.Start(protocol.Inputs{}, &r.out)
		w.nodes = append(w.nodes, r)
		w.collect(r)
	}
	return w
}

func (w *town) collect(r *rig) {
	for _, e := range r.out.Effects() {
		if e.Kind == protocol.Send {
			w.transit = append(w.transit, letter{r.bank.self, e.To, e.Body})
		}
	}
	r.store()
}

// act lets one thing happen: a transfer, a delivery (now and then the message stays, to come again), or sending again.
func (w *town) act(rnd *rand.Rand) {
	i := rnd.IntN(3)
	r := w.nodes[i]
	switch n := rnd.IntN(10); {
	case n < 4:
		to := protocol.ID(1 + (i+1+rnd.IntN(2))%3)
		r.stack.Call(protocol.Call{ID: 1, Body: Transfer{To: to, Amount: int64(1 + rnd.IntN(30))}}, protocol.Inputs{}, &r.out)
	case n < 9 && len(w.transit) > 0:
		j := rnd.IntN(len(w.transit))
		l := w.transit[j]
		if rnd.IntN(5) > 0 {
			w.transit = slices.Delete(w.transit, j, j+1)
		}
		r = w.nodes[l.to-1]
		r.stack.Receive(l.from, 1, protocol.Packet{Body: l.m}, protocol.Inputs{}, &r.out)
	default:
		r.stack.Expire(0, protocol.Timer{Kind: resendTimer}, protocol.Inputs{}, &r.out)
	}
	w.collect(r)
}

// What is read at one moment is consistent; whatever is taken as consistent adds up, and readings of different moments
// are refused or not by what happened between them.
func TestConsistentReadingsAddUp(t *testing.T) {
	refused, wrong, taken := 0, 0, 0
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		w := newTown(t)
		var history [][]Account
		for range 300 {
			w.act(rnd)
			var now []Account
			for _, r := range w.nodes {
				now = append(now, r.bank.view())
			}
			if !Consistent(now) {
				t.Fatalf("seed %d: read at one moment: %+v", seed, now)
			}
			history = append(history, now)
			var mixed []Account
			for i := range 3 {
				mixed = append(mixed, history[max(0, len(history)-1-rnd.IntN(6))][i])
			}
			right := Total(mixed) == 300
			switch {
			case !Consistent(mixed):
				refused++
				if !right {
					wrong++
				}
			case !right:
				t.Fatalf("seed %d: taken as consistent, %d in all: %+v", seed, Total(mixed), mixed)
			default:
				taken++
			}
		}
	}
	t.Logf("%d refused, of which %d do not add up; %d taken", refused, wrong, taken)
	if wrong == 0 || taken == 0 {
		t.Error("the readings show nothing")
	}
}
