package ciranda_test

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ciranda.dev"
)

// A state of 64 MiB for a member that joins: how many bytes a second, and for how long a sender waits at most meanwhile. With
// "load" 32 goroutines multicast messages of 1 KiB as fast as they can.
func BenchmarkStateTransfer(b *testing.B) {
	for _, c := range []struct {
		name    string
		senders int
	}{{"idle", 0}, {"load", 32}} {
		b.Run(c.name, func(b *testing.B) {
			state := bytes.Repeat([]byte("state678"), 8<<20)
			var took, pause time.Duration
			var sent int64
			for b.Loop() {
				t, p, n := transferOnce(b, state, c.senders)
				took, pause, sent = took+t, max(pause, p), sent+n
			}
			b.ReportMetric(float64(len(state)*b.N)/took.Seconds()/1e6, "MB/s")
			b.ReportMetric(float64(pause.Microseconds())/1000, "ms-pause")
			b.ReportMetric(float64(sent)/took.Seconds(), "msgs/s")
		})
	}
}

// transferOnce has a third member join. It gives how long its state took, how long a sender waited at most and how much was sent
// in that time.
func transferOnce(b *testing.B, state []byte, senders int) (took, pause time.Duration, sent int64) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := newCircle(b, 3)
	loaded := make(chan time.Time, 4)
	var reading sync.WaitGroup
	begin := func(id int) {
		m := c.join(id, &ciranda.Group{Save: func() []byte { return state }, Load: func(s []byte) {
			if s != nil {
				loaded <- time.Now()
			}
		}})
		reading.Go(func() {
			for range m.Events(ctx) {
			}
		})
	}
	begin(1)
	begin(2)
	if err := c.members[1].Multicast(ctx, ciranda.Total, false, nil); err != nil {
		b.Fatal(err)
	}
	load := newLoad(ctx, b, c.members[1:3], senders)
	from := time.Now()
	begin(3)
	select {
	case end := <-loaded:
		took = end.Sub(from)
	case <-ctx.Done():
		b.Fatal("no state came")
	}
	sent, pause = load.stop()
	for id := range c.members[1:] {
		c.leave(id + 1)
	}
	cancel()
	reading.Wait()
	return took, pause, sent
}

// A load multicasts all the time.
type load struct {
	sending sync.WaitGroup
	over    chan struct{}
	sent    atomic.Int64
	longest atomic.Int64 // that one waited, in ns
}

func newLoad(ctx context.Context, b *testing.B, members []*ciranda.Member, senders int) *load {
	l := &load{over: make(chan struct{})}
	for i := range senders {
		l.sending.Go(func() {
			payload := make([]byte, 1<<10)
			for {
				select {
				case <-l.over:
					return
				default:
				}
				began := time.Now()
				if err := members[i%len(members)].Multicast(ctx, ciranda.Total, false, payload); err != nil {
					b.Error(err)
					return
				}
				l.note(time.Since(began))
			}
		})
	}
	return l
}

func (l *load) note(waited time.Duration) {
	l.sent.Add(1)
	for was := l.longest.Load(); int64(waited) > was && !l.longest.CompareAndSwap(was, int64(waited)); was = l.longest.Load() {
	}
}

func (l *load) stop() (sent int64, longest time.Duration) {
	close(l.over)
	l.sending.Wait()
	return l.sent.Load(), time.Duration(l.longest.Load())
}
