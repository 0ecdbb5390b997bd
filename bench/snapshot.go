package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"sync"
	"time"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/cluster"
	"ciranda.dev/gateway"
	"ciranda.dev/node"
)

// A SnapshotResult says what snapshots cost a bank under load, in a cluster of real processes. Pairs of stretches of time, one
// without snapshots and one with snapshots back to back, are compared each by itself: what else the machine does falls on both.
type SnapshotResult struct {
	Nodes     int     `json:"nodes"`
	TLS       bool    `json:"tls"`
	Clients   int     `json:"clients"`
	Pairs     int     `json:"pairs"`
	Stretch   float64 `json:"stretch_s"`
	Without   float64 `json:"without_per_s"` // transfers acknowledged a second, the median
	With      float64 `json:"with_per_s"`
	Ratio     float64 `json:"ratio"` // of a stretch with snapshots to the one beside it without, the median of all pairs
	RatioLow  float64 `json:"ratio_low"`
	RatioHigh float64 `json:"ratio_high"` // the true median is between these two in 95 of 100 measurements
	// CPURatio is what a transfer costs the nodes and the gateway of processor time without snapshots, to what it costs with
	// them: what the ratio would be if the processors were all that matters. All stretches together; null where that cannot be
	// seen.
	CPURatio  *float64 `json:"cpu_ratio"`
	Snapshots int      `json:"snapshots"`
	PerSecond float64  `json:"snapshots_per_s"`
	Complete  int      `json:"complete"`
	Violated  int      `json:"violated"` // not consistent, or money was lost or made
	P50       float64  `json:"p50_ms"`   // of a snapshot, as its client sees it
	P99       float64  `json:"p99_ms"`
	First     string   `json:"first_violated,omitempty"`
	Conserved *bool    `json:"load_conserved"` // what the load found in the end; null if it could not tell
}

// SnapshotOptions say what is measured.
type SnapshotOptions struct {
	Shape    cluster.Shape
	Pairs    int           // zero means 12
	Stretch  time.Duration // zero means 1s
	Clients  int           // of the load; zero means 32
	Progress func(done, of int)
}

// Snapshot starts a cluster of its own, measures and ends it.
func Snapshot(ctx context.Context, o SnapshotOptions) (result SnapshotResult, err error) {
	o.Pairs, o.Stretch, o.Clients = cmp.Or(o.Pairs, 12), cmp.Or(o.Stretch, time.Second), cmp.Or(o.Clients, 32)
	name := fmt.Sprintf("bench-%d", os.Getpid())
	dir, err := cluster.Dir(name)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := cluster.Open(ctx, cluster.Config{Name: name, Shape: o.Shape, Fresh: true, Gateways: 1})
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	e, err := cluster.Find(name)
	if err != nil {
		return result, err
	}
	bank, err := api.Dial(e.Gateways[0].GRPC, s.Access())
	if err != nil {
		return result, err
	}
	defer bank.Close()
	m := &snapshots{o: o, bank: bank, dir: s.Group().Dir}
	if m.pids, err = pids(ctx, s.Group()); err != nil {
		return result, err
	}
	if err := m.measure(ctx); err != nil {
		return result, err
	}
	return m.result(), nil
}

// A snapshots measurement goes on.
type snapshots struct {
	o    SnapshotOptions
	bank *api.Client
	dir  node.Directory
	pids []uint32 // of the nodes and the gateway

	mu   sync.Mutex
	last gateway.Progress // of the load

	without, with []float64 // transfers a second, by pair
	cost          [2]cost   // without, with
	took          []float64
	complete      int
	violated      int
	first         string
	taking        time.Duration // all stretches with snapshots
	load          *gateway.LoadResult
}

// A cost is what transfers have cost.
type cost struct {
	transfers int64
	busy      time.Duration
}

func (c cost) each() float64 { return c.busy.Seconds() / float64(c.transfers) }

// pids are the processes of nodes and gateways.
func pids(ctx context.Context, g *node.Group) ([]uint32, error) {
	s, err := g.Status(ctx, &cirandav1.StatusRequest{})
	var all []uint32
	for _, n := range s.GetNodes() {
		all = append(all, n.GetPid())
	}
	for _, g := range s.GetGateways() {
		all = append(all, g.GetPid())
	}
	return all, err
}

// busy is the time for which the processes have kept processors busy; 0 if that cannot be seen.
func (m *snapshots) busy() (sum time.Duration) {
	for _, pid := range m.pids {
		busy, ok := cpuOf(pid)
		if !ok {
			return 0
		}
		sum += busy
	}
	return sum
}

// measure lets a load run meanwhile.
func (m *snapshots) measure(ctx context.Context) error {
	work, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		load := gateway.Load{Banks: []cirandav1.BankServiceClient{m.bank.Bank}, Clients: m.o.Clients, Progress: m.note, Every: 2 * time.Millisecond}
		r, err := load.Run(work)
		m.load = r
		ended <- err
	}()
	err := m.pairs(ctx)
	stop()
	return errors.Join(<-ended, err)
}

// note notes how far the load is.
func (m *snapshots) note(p gateway.Progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = p
}

func (m *snapshots) progress() gateway.Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// pairs measures one pair after the other. Every other one begins with snapshots.
func (m *snapshots) pairs(ctx context.Context) error {
	if _, err := m.stretch(ctx, max(2*m.o.Stretch, warming), false); err != nil {
		return err
	}
	for i := range m.o.Pairs {
		if m.o.Progress != nil {
			m.o.Progress(i, m.o.Pairs)
		}
		for _, with := range []bool{i%2 == 1, i%2 == 0} {
			busy, before := m.busy(), m.progress()
			rate, err := m.stretch(ctx, m.o.Stretch, with)
			if err != nil {
				return err
			}
			into, cost := &m.without, &m.cost[0]
			if with {
				into, cost = &m.with, &m.cost[1]
			}
			*into = append(*into, rate)
			cost.transfers += m.progress().Acknowledged - before.Acknowledged
			cost.busy += m.busy() - busy
		}
	}
	return nil
}

// warming is how long the load runs before anything is measured.
const warming = 3 * time.Second

// stretch gives the load some time, with snapshots or without, and says how many transfers a second were acknowledged.
func (m *snapshots) stretch(ctx context.Context, length time.Duration, with bool) (float64, error) {
	inTime, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var failed error
	var taking sync.WaitGroup
	began, before := time.Now(), m.progress()
	if with {
		taking.Go(func() { failed = m.takeAll(inTime, ctx) })
	}
	<-inTime.Done()
	after := m.progress()
	taking.Wait() // the last one ends, and belongs to no stretch
	if with {
		m.taking += time.Since(began)
	}
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case failed != nil:
		return 0, failed
	case after.Acknowledged == before.Acknowledged:
		return 0, errors.New("bench: the load stands still")
	}
	return float64(after.Acknowledged-before.Acknowledged) / (after.Since - before.Since).Seconds(), nil
}

// takeAll asks a node for snapshots back to back, in each pair another one, until the first context ends. What is under
// way then goes on.
func (m *snapshots) takeAll(until, ctx context.Context) error {
	members := m.dir.Members()
	for until.Err() == nil {
		if err := m.take(ctx, members[len(m.with)%len(members)]); err != nil {
			return err
		}
	}
	return nil
}

func (m *snapshots) take(ctx context.Context, member node.Member) error {
	began := time.Now()
	answer, err := member.Client.Snapshots.Take(ctx, &cirandav1.TakeRequest{})
	if err != nil {
		return fmt.Errorf("bench: node %d: %w", member.Known.GetId(), err)
	}
	m.took = append(m.took, float64(time.Since(began).Microseconds())/1000)
	m.judge(answer.GetSnapshot())
	return nil
}

// judge counts what is complete and what is wrong.
func (m *snapshots) judge(s *cirandav1.Snapshot) {
	if s.GetComplete() {
		m.complete++
	}
	for _, c := range s.GetChecks() {
		if c.GetVerdict() == "violated" {
			m.violated++
			m.first = cmp.Or(m.first, fmt.Sprintf("%s: %s: %s", s.GetId(), c.GetName(), c.GetDetail()))
			return
		}
	}
}

func (m *snapshots) result() SnapshotResult {
	r := SnapshotResult{Nodes: len(m.dir.Members()), TLS: !m.o.Shape.Insecure, Clients: m.o.Clients, Pairs: m.o.Pairs,
		Stretch: m.o.Stretch.Seconds(), Without: median(m.without), With: median(m.with), Snapshots: len(m.took),
		PerSecond: float64(len(m.took)) / m.taking.Seconds(), Complete: m.complete, Violated: m.violated, First: m.first}
	if without, with := m.cost[0], m.cost[1]; without.busy > 0 && with.busy > 0 {
		ratio := without.each() / with.each()
		r.CPURatio = &ratio
	}
	if m.load != nil {
		r.Conserved = m.load.Conserved
	}
	var ratios []float64
	for i := range m.with {
		ratios = append(ratios, m.with[i]/m.without[i])
	}
	r.Ratio = median(ratios)
	slices.Sort(ratios)
	low, high := medianBetween(len(ratios))
	r.RatioLow, r.RatioHigh = ratios[low], ratios[high]
	slices.Sort(m.took)
	r.P50, r.P99 = percentile(m.took, 0.5), percentile(m.took, 0.99)
	return r
}

// medianBetween are the places, among n sorted figures, between which the true median is in 95 of 100 cases: as many
// figures are below that as n tosses of a coin show heads. Of fewer than six figures these are the first and the last.
func medianBetween(n int) (low, high int) {
	choose, tail := 1.0, 1.0 // of the outcomes with low heads, and with no more
	for ; low+1 < n/2; low++ {
		choose *= float64(n-low) / float64(low+1)
		if tail += choose; tail > 0.025*math.Exp2(float64(n)) {
			break
		}
	}
	return low, n - 1 - low
}
