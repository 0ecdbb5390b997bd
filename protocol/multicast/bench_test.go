package multicast_test

import (
	"fmt"
	"testing"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/multicast"
)

// A counter counts what is delivered.
type counter struct {
	protocol.Base
	delivered int
}

func (*counter) String() string { return "" }
func (*counter) Traits() protocol.Traits {
	return protocol.Traits{Channel: "counter", Needs: protocol.Multicast}
}

func (c *counter) Indicate(e protocol.Event, _ *protocol.Out) bool {
	if d, ok := e.(multicast.Delivery); ok {
		c.delivered += len(d.Payloads)
	}
	return false
}

// A room is the members of a view, which hear each other at once and in order.
type room struct {
	stacks []*protocol.Stack
	outs   []protocol.Out
	queues [][]flight // by receiver
	sent   int        // messages
}

type flight struct {
	from   protocol.ID
	packet protocol.Packet
}

func newRoom(b *testing.B, members int) *room {
	r := &room{stacks: make([]*protocol.Stack, members), outs: make([]protocol.Out, members), queues: make([][]flight, members)}
	ids, view := []protocol.ID{}, ""
	for i := range members {
		ids = append(ids, protocol.ID(i+1))
		view += fmt.Sprintf(",%d", i+1)
	}
	installed, err := views["view"]([]string{"1", view[1:]})
	if err != nil {
		b.Fatal(err)
	}
	for i := range members {
		self := protocol.Self{ID: ids[i], Incarnation: 1, Group: ids}
		if r.stacks[i], err = protocol.NewStack(self, &viewer{}, multicast.New(multicast.Options{}), &counter{}); err != nil {
			b.Fatal(err)
		}
		r.stacks[i].Start(protocol.Inputs{}, &r.outs[i])
		r.stacks[i].Notify(installed, protocol.Inputs{}, &r.outs[i])
		r.carry(i)
	}
	return r
}

func (r *room) carry(i int) {
	for k := range r.outs[i].Effects() {
		if e := &r.outs[i].Effects()[k]; e.Kind == protocol.Send {
			r.sent++
			r.queues[e.To-1] = append(r.queues[e.To-1], flight{protocol.ID(i + 1), protocol.Packet{Channel: e.Channel, Body: e.Body}})
		}
	}
}

// turn hands everybody what has come for it, and tells it that the batch of input has ended.
func (r *room) turn() (idle bool) {
	idle = true
	for i, s := range r.stacks {
		for _, f := range r.queues[i] {
			s.Receive(f.from, 1, f.packet, protocol.Inputs{}, &r.outs[i])
			r.carry(i)
			idle = false
		}
		clear(r.queues[i])
		r.queues[i] = r.queues[i][:0]
		s.Flush(protocol.Inputs{}, &r.outs[i])
		r.carry(i)
	}
	return idle
}

// What a delivery of a message of 1 KiB costs: five members send, all of them deliver. A cast has 48 messages.
func BenchmarkDelivery(b *testing.B) {
	for _, lane := range allLanes() {
		name := lane.Order.String()
		if lane.Uniform {
			name = "uniform " + name
		}
		b.Run(name, func(b *testing.B) { benchmarkLane(b, lane, 48) })
	}
	b.Run("fifo, one by one", func(b *testing.B) { benchmarkLane(b, multicast.Lane{Order: multicast.FIFO}, 1) })
}

func benchmarkLane(b *testing.B, lane multicast.Lane, together int) {
	const members = 5
	payloads := make([][]byte, together)
	for i := range payloads {
		payloads[i] = make([]byte, 1024)
	}
	cast := protocol.Call{ID: 1, Body: multicast.Cast{Order: lane.Order, Uniform: lane.Uniform, Payloads: payloads}}
	r := newRoom(b, members)
	b.ReportAllocs()
	delivered, want := 0, 0
	for b.Loop() {
		if delivered++; delivered <= want {
			continue
		}
		for i, s := range r.stacks {
			s.Call(cast, protocol.Inputs{}, &r.outs[i])
			r.carry(i)
			want += members * together
		}
		r.turn()
		r.turn()
	}
	b.StopTimer()
	for !r.turn() {
	}
	for i, s := range r.stacks {
		if got := s.Layer(2).(*counter).delivered; got != want/members {
			b.Fatalf("node %d delivered %d of %d", i+1, got, want/members)
		}
	}
	b.ReportMetric(float64(r.sent)/float64(want), "messages/op")
}
