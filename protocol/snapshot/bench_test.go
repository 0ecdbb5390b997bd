package snapshot_test

import (
	"testing"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector/oracle"
	"ciranda.dev/protocol/link"
	"ciranda.dev/protocol/snapshot"
)

// A cable carries what two nodes with purses send each other, without loss and in order.
type cable struct {
	stacks [2]*protocol.Stack
	outs   [2]protocol.Out
}

func newCable(b *testing.B, layers bool) *cable {
	w := &cable{}
	for i := range w.stacks {
		self := protocol.Self{ID: protocol.ID(i + 1), Incarnation: 1, Group: []protocol.ID{1, 2, 3, 4, 5}}
		pile := []protocol.Layer{oracle.New(oracle.Options{}), link.New(link.Options{})}
		if layers {
			pile = append(pile, snapshot.New(snapshot.Options{}))
		}
		s, err := protocol.NewStack(self, append(pile, newPurse(self))...)
		if err != nil {
			b.Fatal(err)
		}
		w.stacks[i] = s
		s.Start(protocol.Inputs{}, &w.outs[i])
	}
	for i, s := range w.stacks {
		s.Notify(protocol.Steady{Node: protocol.ID(2 - i), Incarnation: 1, Is: true}, protocol.Inputs{}, &w.outs[i])
	}
	return w
}

// carry hands over what a node sent, and what comes of it, if it is for the other.
func (w *cable) carry(from int) {
	for _, e := range append([]protocol.Effect{}, w.outs[from].Effects()...) {
		if to := int(e.To) - 1; e.Kind == protocol.Send && to == 1-from {
			w.stacks[to].Receive(protocol.ID(from+1), 1, protocol.Packet{Channel: e.Channel, Body: e.Body}, protocol.Inputs{}, &w.outs[to])
			w.carry(to)
		}
	}
}

// call lets node 1 give node 2 a coin. At the end of a batch the links acknowledge.
func (w *cable) call(body any, last bool) {
	w.stacks[0].Call(protocol.Call{Body: body}, protocol.Inputs{}, &w.outs[0])
	w.carry(0)
	if last {
		w.stacks[1].Flush(protocol.Inputs{}, &w.outs[1])
		w.carry(1)
	}
}

// What a packet costs from the call to the delivery at the other node: over a link alone, with the layer for snapshots
// above it, and while four snapshots are under way there. The differences are what the layer costs at both ends.
func BenchmarkPacket(b *testing.B) {
	var give any = Give{To: 2, Amount: 1, Times: 1}
	for _, c := range []struct {
		name      string
		layers    bool
		snapshots int
	}{{"link", false, 0}, {"idle", true, 0}, {"recording", true, 4}} {
		b.Run(c.name, func(b *testing.B) {
			w := newCable(b, c.layers)
			w.call(give, true)
			for range c.snapshots { // node 3 never answers, so they go on
				w.call(snapshot.Take{}, true)
			}
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				w.call(give, n%32 == 31)
			}
			if got := w.stacks[1].Layer(w.stacks[1].Len() - 1).(*purse).Got[1].N; got < uint64(b.N) {
				b.Fatalf("%d of %d coins came", got, b.N)
			}
		})
	}
}
