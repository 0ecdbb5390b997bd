package grpc

import (
	"fmt"
	"sync/atomic"
	"testing"

	"ciranda.dev/protocol"
	"ciranda.dev/transport"
	"ciranda.dev/transport/tcp"
	"ciranda.dev/transport/transporttest"
)

// The ways that the benchmarks compare in one run.
var ways = []struct {
	name string
	open func(Config) (*Transport, error)
	tls  bool
}{
	{"tcp", tcp.Open, false}, {"grpc", Open, false}, {"tcp+tls", tcp.Open, true}, {"grpc+tls", Open, true},
}

// A counter counts messages and says when there are as many as the benchmark sends.
type counter struct {
	ups, room, complete chan struct{}
	got                 atomic.Int64
	want                int64
	answer              func()
}

func newCounter(want int) *counter {
	return &counter{
		ups: make(chan struct{}, 10), room: make(chan struct{}, 1), complete: make(chan struct{}),
		want: int64(want), answer: func() {},
	}
}

func (c *counter) Up(transport.Hello)                     { c.ups <- struct{}{} }
func (c *counter) Down(protocol.ID, protocol.Incarnation) {}
func (c *counter) Refused(string, error)                  {}
func (c *counter) Room(protocol.ID)                       { c.room <- struct{}{} }
func (c *counter) Receive(_ protocol.ID, _ protocol.Incarnation, messages [][]byte) {
	if c.got.Add(int64(len(messages))) >= c.want {
		close(c.complete)
		return
	}
	c.answer()
}

// meet opens nodes 1 and 2, each told to its counter.
func meet(b *testing.B, open func(Config) (*Transport, error), secure bool, one, two *counter) (*Transport, *Transport) {
	config := Config{}
	if secure {
		config.TLS = transporttest.NewAuthority(b).TLS(b, 1)
	}
	first := start(b, open, 1, one, config)
	config.Peers = map[protocol.ID]string{1: first.Addr()}
	second := start(b, open, 2, two, config)
	<-one.ups
	<-two.ups
	return first, second
}

// BenchmarkStream sends messages one way as fast as they are taken.
func BenchmarkStream(b *testing.B) {
	for _, size := range []int{64, 1024} {
		for _, way := range ways {
			b.Run(fmt.Sprintf("%dB/%s", size, way.name), func(b *testing.B) {
				from, to := newCounter(b.N+1), newCounter(b.N)
				_, sender := meet(b, way.open, way.tls, to, from)
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
			})
		}
	}
}

// BenchmarkRoundTrip sends one small message at a time there and back.
func BenchmarkRoundTrip(b *testing.B) {
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			here, there := newCounter(b.N), newCounter(b.N+1)
			one, two := meet(b, way.open, way.tls, there, here)
			there.answer = func() { one.Send(2, []byte{1}, nil) }
			here.answer = func() { two.Send(1, []byte{1}, nil) }
			b.ReportAllocs()
			b.ResetTimer()
			two.Send(1, []byte{1}, nil)
			<-here.complete
		})
	}
}
