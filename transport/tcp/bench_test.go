package tcp

import (
	"fmt"
	"sync/atomic"
	"testing"

	"ciranda.dev/protocol"
	"ciranda.dev/transport"
)

// A counter counts messages and says when there are as many as the benchmark sends.
type counter struct {
	ups      chan struct{}
	room     chan struct{}
	got      atomic.Int64
	want     int64
	complete chan struct{}
}

func newCounter(want int) *counter {
	return &counter{ups: make(chan struct{}, 10), room: make(chan struct{}, 1), want: int64(want), complete: make(chan struct{})}
}

func (c *counter) Up(transport.Hello)                     { c.ups <- struct{}{} }
func (c *counter) Down(protocol.ID, protocol.Incarnation) {}
func (c *counter) Refused(string, error)                  {}
func (c *counter) Room(protocol.ID)                       { c.room <- struct{}{} }
func (c *counter) Receive(_ protocol.ID, _ protocol.Incarnation, messages [][]byte) {
	if c.got.Add(int64(len(messages))) == c.want {
		close(c.complete)
	}
}

// BenchmarkStream sends messages one way as fast as they are taken.
func BenchmarkStream(b *testing.B) {
	for _, size := range []int{64, 1024} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			from, to := newCounter(b.N), newCounter(b.N)
			receiver := start(b, 1, to, Config{})
			sender := start(b, 2, from, Config{Peers: map[protocol.ID]string{1: receiver.Addr()}})
			<-from.ups
			<-to.ups
			message := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				for sender.Send(1, message, nil) == transport.ErrFull {
					<-from.room
				}
			}
			<-to.complete
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
			b.ReportMetric(float64(b.N)/float64(sender.Stats().Writes), "messages/write")
		})
	}
}

// An echo sends back what it receives.
type echo struct {
	*counter
	transport *Transport
	to        protocol.ID
}

func (e *echo) Receive(from protocol.ID, inc protocol.Incarnation, messages [][]byte) {
	if e.got.Load() < e.want {
		e.transport.Send(e.to, []byte{1}, nil)
	}
	e.counter.Receive(from, inc, messages)
}

// BenchmarkRoundTrip sends one small message at a time there and back.
func BenchmarkRoundTrip(b *testing.B) {
	here, there := &echo{counter: newCounter(b.N), to: 1}, &echo{counter: newCounter(b.N), to: 2}
	there.transport = start(b, 1, there, Config{})
	here.transport = start(b, 2, here, Config{Peers: map[protocol.ID]string{1: there.transport.Addr()}})
	<-here.ups
	<-there.ups
	b.ReportAllocs()
	b.ResetTimer()
	here.transport.Send(1, []byte{1}, nil)
	<-here.complete
}
