package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"ciranda.dev/api"
)

// An RPCResult compares ways of calling a server over the loopback interface. Server and callers are two processes.
// The first result is the floor: a bare round trip over TCP. While there is one caller, the two processes keep to a
// processor each.
type RPCResult struct {
	RawP50  float64      `json:"raw_p50_us"`
	RawFree float64      `json:"raw_free_p50_us"` // of raw, where the system places the two processes as it likes
	Results []CallResult `json:"results"`
	TLS     bool         `json:"tls"`
	Size    int          `json:"size"` // of the payload, in bytes, in each direction
	Rounds  int          `json:"rounds"`
}

// A CallResult is one way of calling.
type CallResult struct {
	Name      string  `json:"name"`
	P50       float64 `json:"p50_us"` // of one call after the other, in microseconds
	P99       float64 `json:"p99_us"`
	TimesRaw  float64 `json:"times_raw"`       // P50 over the one of raw
	PerSecond float64 `json:"calls_per_s_64"`  // of 64 callers at a time: the median of the rounds
	CPU       float64 `json:"cpu_us_per_call"` // of both processes, in the system too, while there are 64 callers
	Calls     int     `json:"calls"`           // that P50 and P99 rest on
}

// RPCOptions say what is measured.
type RPCOptions struct {
	For      time.Duration // about how long all of it takes; zero means 20s
	Rounds   int           // zero means 10
	Insecure bool          // no TLS
	Progress func(done, of int)
}

const (
	rpcSize    = 64 // bytes
	rpcCallers = 64
	rpcWarmUp  = 20 // calls at the start of a part that do not count: caches are cold
)

// RPC measures. In each round every way has its turn twice: with one caller, then with 64. So noise hits all alike.
// The server is another process, which runs [ServeRPC]: this program with the arguments "bench rpc-server".
func RPC(ctx context.Context, o RPCOptions) (result RPCResult, err error) {
	if o.For == 0 {
		o.For = 20 * time.Second
	}
	if o.Rounds == 0 {
		o.Rounds = 10
	}
	parties, err := newParties(o.Insecure)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, parties.remove()) }()
	server, err := startServer(parties)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, server.close()) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := &calls{server: server, part: o.For / time.Duration(2*o.Rounds*len(ways))}
	if err := m.dial(ctx, parties.client); err != nil {
		return result, err
	}
	for i := range o.Rounds {
		if o.Progress != nil {
			o.Progress(i, o.Rounds)
		}
		if err := m.round(ctx); err != nil {
			return result, err
		}
	}
	return m.result(o), nil
}

// calls is a measurement going on.
type calls struct {
	server *rpcServer
	part   time.Duration // of a round, for one way
	of     []*callsOf
	free   []float64 // microseconds of bare round trips where the system placed the processes
}

// callsOf is what was measured of one way.
type callsOf struct {
	way
	callers   []caller
	took      []float64 // microseconds
	perSecond []float64 // one a round
	count     int       // of calls by 64 callers
	busy      time.Duration
}

func (m *calls) dial(ctx context.Context, a api.Access) error {
	for i, w := range ways {
		callers, err := w.dial(ctx, m.server.addresses[i], a, rpcCallers)
		if err != nil {
			return fmt.Errorf("bench: %s: %w", w.name, err)
		}
		m.of = append(m.of, &callsOf{way: w, callers: callers})
	}
	return nil
}

func (m *calls) round(ctx context.Context) error {
	if err := m.apart(ctx); err != nil {
		return err
	}
	if err := m.of[0].alone(ctx, m.part, &m.free); err != nil {
		return m.of[0].explain(ctx, err)
	}
	for _, w := range m.of {
		if err := w.together(ctx, m.part, m.server); err != nil {
			return w.explain(ctx, err)
		}
	}
	return nil
}

// apart measures one caller of each way, with the two processes on a processor each.
func (m *calls) apart(ctx context.Context) error {
	defer keepApart(os.Getpid(), m.server.process.Process.Pid)()
	for _, w := range m.of {
		if err := w.alone(ctx, m.part, &w.took); err != nil {
			return w.explain(ctx, err)
		}
	}
	return nil
}

func (w *callsOf) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx) // connections end with it
	}
	return fmt.Errorf("bench: %s: %w", w.name, err)
}

var payload = bytes.Repeat([]byte("ciranda "), rpcSize/len("ciranda "))

// call makes one call and looks at the answer.
func call(ctx context.Context, c caller) error {
	answer, err := c(ctx, payload)
	if err == nil && !bytes.Equal(answer, payload) {
		err = fmt.Errorf("%d bytes were answered by %d others", len(payload), len(answer))
	}
	return err
}

// alone makes one call after the other, and takes the time of each.
func (w *callsOf) alone(ctx context.Context, length time.Duration, took *[]float64) error {
	for range rpcWarmUp {
		if err := call(ctx, w.callers[0]); err != nil {
			return err
		}
	}
	now := time.Now()
	for end := now.Add(length); now.Before(end); {
		if err := call(ctx, w.callers[0]); err != nil {
			return err
		}
		after := time.Now()
		*took = append(*took, float64(after.Sub(now))/1e3)
		now = after
	}
	return nil
}

// together lets all callers call at a time, and counts.
func (w *callsOf) together(ctx context.Context, length time.Duration, s *rpcServer) error {
	if err := w.each(func(c caller) (int, error) { return 1, call(ctx, c) }, nil); err != nil {
		return err
	}
	theirs, err := s.busy()
	if err != nil {
		return err
	}
	before, began := cpuTime()+theirs, time.Now()
	end, count := began.Add(length), 0
	if err := w.each(func(c caller) (n int, err error) {
		for ; err == nil && time.Now().Before(end); n++ {
			err = call(ctx, c)
		}
		return n, err
	}, &count); err != nil {
		return err
	}
	took := time.Since(began)
	theirs, err = s.busy()
	w.count += count
	w.busy += cpuTime() + theirs - before
	w.perSecond = append(w.perSecond, float64(count)/took.Seconds())
	return err
}

// each does something with every caller at a time, and adds up what that gives.
func (w *callsOf) each(do func(caller) (int, error), sum *int) error {
	counts, errs := make([]int, len(w.callers)), make([]error, len(w.callers))
	var all sync.WaitGroup
	for i, c := range w.callers {
		all.Go(func() { counts[i], errs[i] = do(c) })
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			return err // one is enough: they fail for the same reason
		}
		if sum != nil {
			*sum += counts[i]
		}
	}
	return nil
}

func (m *calls) result(o RPCOptions) RPCResult {
	slices.Sort(m.free)
	r := RPCResult{TLS: !o.Insecure, Size: len(payload), Rounds: o.Rounds, RawFree: percentile(m.free, 0.5)}
	for _, w := range m.of {
		slices.Sort(w.took)
		c := CallResult{Name: w.name, P50: percentile(w.took, 0.5), P99: percentile(w.took, 0.99), Calls: len(w.took),
			PerSecond: median(w.perSecond), CPU: float64(w.busy.Nanoseconds()) / 1e3 / float64(max(w.count, 1))}
		if len(r.Results) == 0 {
			r.RawP50 = c.P50
		}
		c.TimesRaw = c.P50 / r.RawP50
		r.Results = append(r.Results, c)
	}
	return r
}
