// Package bench measures Ciranda on the machine at hand: the simulator beside a bare event loop, and elections of a
// living cluster.
//
// Every figure of speed is taken in rounds that alternate with those of what it is compared to, in one run, and the
// median is reported: on a shared machine only ratios of such figures mean something.
package bench

import (
	"container/heap"
	"context"
	"runtime"
	"slices"
	"time"

	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/world"
	"ciranda.dev/stacks"
	"ciranda.dev/trace"
)

// A SimResult says how fast the simulator is, on one core.
type SimResult struct {
	Nodes             int     `json:"nodes"`
	Detector          string  `json:"detector"`
	Election          string  `json:"election"`
	MessagesPerSecond float64 `json:"messages_per_s"`         // delivered, without a trace
	TracedPerSecond   float64 `json:"traced_messages_per_s"`  // with the full trace in memory
	HeapLoopPerSecond float64 `json:"heap_loop_events_per_s"` // a bare loop over container/heap
	TimesRealTime     float64 `json:"times_real_time"`        // virtual time over real time, without a trace
	AllocsPerMessage  float64 `json:"allocs_per_message"`     // without a trace
	Rounds            int     `json:"rounds"`
}

// SimOptions say what is simulated.
type SimOptions struct {
	Nodes  int           // zero means 5
	Spec   stacks.Spec   // profile Lab fits the network
	Round  time.Duration // about how long one round of each kind takes; zero means 1s
	Rounds int           // zero means 5
}

// Sim measures the simulator with a quiet cluster: heartbeats and the election's beat, no fault.
func Sim(ctx context.Context, o SimOptions) (SimResult, error) {
	if o.Nodes == 0 {
		o.Nodes = 5
	}
	if o.Rounds == 0 {
		o.Rounds = 5
	}
	if o.Round == 0 {
		o.Round = time.Second
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	spec := o.Spec.Filled()
	r := SimResult{Nodes: o.Nodes, Detector: spec.Detector, Election: spec.Election, Rounds: o.Rounds}
	virtual, err := calibrate(o)
	if err != nil {
		return r, err
	}
	var plain, traced, loop, times, allocs []float64
	recorder := &trace.Memory{}
	for range o.Rounds {
		if ctx.Err() != nil {
			return r, context.Cause(ctx)
		}
		a, err := round(o, virtual, nil)
		if err != nil {
			return r, err
		}
		b, err := round(o, virtual/2, recorder)
		if err != nil {
			return r, err
		}
		plain, traced = append(plain, a.perSecond()), append(traced, b.perSecond())
		times, allocs = append(times, virtual.Seconds()/a.seconds), append(allocs, a.allocs/a.messages)
		loop = append(loop, heapLoop(o.Round/2))
	}
	r.MessagesPerSecond, r.TracedPerSecond, r.HeapLoopPerSecond = median(plain), median(traced), median(loop)
	r.TimesRealTime, r.AllocsPerMessage = median(times), median(allocs)
	return r, nil
}

// A measured is one round.
type measured struct{ messages, seconds, allocs float64 }

func (m measured) perSecond() float64 { return m.messages / m.seconds }

// calibrate finds the virtual time that takes about one round.
func calibrate(o SimOptions) (time.Duration, error) {
	virtual := 2 * time.Second
	for {
		m, err := round(o, virtual, nil)
		if err != nil {
			return 0, err
		}
		if m.seconds > o.Round.Seconds()/10 {
			return time.Duration(float64(virtual) * o.Round.Seconds() / m.seconds), nil
		}
		virtual *= 2
	}
}

// round simulates so much virtual time, at level full if there is a recorder, which is emptied now and then.
func round(o SimOptions, virtual time.Duration, recorder *trace.Memory) (measured, error) {
	cfg := sim.Config{
		World:    world.Config{Nodes: o.Nodes, Build: o.Spec.Build},
		Network:  network.Link{Delay: network.Between(time.Millisecond, 10*time.Millisecond)},
		Duration: virtual,
		Seed:     1,
	}
	if recorder != nil {
		recorder.Reset()
		cfg.World.Level, cfg.World.Sink = trace.Full, &rolling{recorder}
	}
	s, err := sim.New(cfg)
	if err != nil {
		return measured{}, err
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	result, err := s.Run()
	seconds := time.Since(began).Seconds()
	runtime.ReadMemStats(&after)
	return measured{float64(result.Messages), seconds, float64(after.Mallocs - before.Mallocs)}, err
}

// rolling forgets a trace once it is long, so that a round does not outgrow the memory.
type rolling struct{ recorder *trace.Memory }

const longest = 1 << 20

func (r *rolling) Record(e *trace.Event) {
	if r.recorder.Len() >= longest {
		r.recorder.Reset()
	}
	r.recorder.Record(e)
}

// heapLoop is the bare loop that every simulator in Go is measured by: take the earliest of 64 events, put in a
// later one.
func heapLoop(round time.Duration) (perSecond float64) {
	random := network.NewSource(1, 1)
	h := &moments{}
	for range 64 {
		heap.Push(h, moment{int64(random.Uint64n(1e6)), 0})
	}
	began, events := time.Now(), 0
	for time.Since(began) < round {
		for range 10_000 {
			m := heap.Pop(h).(moment)
			m.at += int64(random.Uint64n(1e6))
			heap.Push(h, m)
		}
		events += 10_000
	}
	return float64(events) / time.Since(began).Seconds()
}

type moment struct {
	at  int64
	who int
}

type moments []moment

func (m moments) Len() int           { return len(m) }
func (m moments) Less(i, j int) bool { return m[i].at < m[j].at }
func (m moments) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *moments) Push(x any)        { *m = append(*m, x.(moment)) }
func (m *moments) Pop() any {
	old := *m
	last := old[len(old)-1]
	*m = old[:len(old)-1]
	return last
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}
