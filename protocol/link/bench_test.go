package link_test

import (
	"fmt"
	"testing"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/link"
)

// A pitcher throws balls to node 2, all of them the same.
type pitcher struct {
	protocol.Base
	Needs  protocol.Property `layer:"const"`
	caught int
}

// Ball is a message of 1 KiB.
type Ball struct{ Weight []byte }

type throw struct{}

var (
	ball    protocol.Message = Ball{make([]byte, 1024)}
	pitches                  = protocol.Call{Body: throw{}}
)

func (p *pitcher) Request(_ any, o *protocol.Out) bool {
	o.Send(2, ball)
	return true
}

func (p *pitcher) Receive(protocol.ID, protocol.Message, *protocol.Out) { p.caught++ }
func (p *pitcher) String() string                                       { return "" }
func (p *pitcher) Traits() protocol.Traits {
	return protocol.Traits{Channel: "pitcher", Needs: p.Needs, Messages: []protocol.Message{Ball{}}}
}

// A cable carries what two nodes send each other, without loss and in order.
type cable struct {
	stacks [2]*protocol.Stack
	outs   [2]protocol.Out
	queue  []flight

	carried int // messages
}

type flight struct {
	to     int
	packet protocol.Packet
}

func newCable(b *testing.B, needs protocol.Property) *cable {
	w := &cable{}
	for i := range w.stacks {
		self := protocol.Self{ID: protocol.ID(i + 1), Incarnation: 1, Group: []protocol.ID{1, 2}}
		s, err := protocol.NewStack(self, link.New(link.Options{}), &pitcher{Needs: needs})
		if err != nil {
			b.Fatal(err)
		}
		w.stacks[i] = s
		s.Start(protocol.Inputs{}, &w.outs[i])
	}
	return w
}

func (w *cable) carry(i int) {
	for _, e := range w.outs[i].Effects() {
		if e.Kind == protocol.Send {
			w.carried++
			w.queue = append(w.queue, flight{int(e.To) - 1, protocol.Packet{Channel: e.Channel, Body: e.Body}})
		}
	}
}

// deliver hands over all, and tells both that the batch has ended, until nothing is on its way.
func (w *cable) deliver() {
	for len(w.queue) > 0 {
		for i := 0; i < len(w.queue); i++ {
			f := w.queue[i]
			w.stacks[f.to].Receive(protocol.ID(2-f.to), 1, f.packet, protocol.Inputs{}, &w.outs[f.to])
			w.carry(f.to)
		}
		w.queue = w.queue[:0]
		for i, s := range w.stacks {
			s.Flush(protocol.Inputs{}, &w.outs[i])
			w.carry(i)
		}
	}
}

// What a message of 1 KiB costs over a perfect network, at both ends, alone and in batches of 32: bare, over a link, and
// over a link for which the engine vouches.
func BenchmarkMessage(b *testing.B) {
	for _, batch := range []int{1, 32} {
		for _, c := range []struct {
			name   string
			needs  protocol.Property
			steady bool
		}{{"bare", 0, false}, {"link", reliable, false}, {"steady", reliable, true}} {
			b.Run(fmt.Sprintf("%s in %d", c.name, batch), func(b *testing.B) { throwAll(b, c.needs, c.steady, batch) })
		}
	}
}

func throwAll(b *testing.B, needs protocol.Property, steady bool, batch int) {
	w := newCable(b, needs)
	if steady {
		for i, s := range w.stacks {
			s.Notify(protocol.Steady{Node: protocol.ID(2 - i), Incarnation: 1, Is: true}, protocol.Inputs{}, &w.outs[i])
		}
	}
	b.ReportAllocs()
	for n := range b.N {
		w.stacks[0].Call(pitches, protocol.Inputs{}, &w.outs[0])
		w.carry(0)
		if n%batch == batch-1 {
			w.deliver()
		}
	}
	w.deliver()
	if caught := w.stacks[1].Layer(1).(*pitcher).caught; caught != b.N {
		b.Fatalf("%d of %d were caught", caught, b.N)
	}
	b.ReportMetric(float64(w.carried)/float64(b.N), "messages/op")
}
