package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"time"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/cluster"
	"ciranda.dev/protocol"
)

// An ElectionResult says how long a cluster of real processes is without a leader. Times are from the moment at which
// the harness killed or paused the leader until the last of the others held the new one, in milliseconds, by the
// machine's monotonic clock.
type ElectionResult struct {
	Nodes           int     `json:"nodes"`
	Stack           string  `json:"stack"`
	Kills           int     `json:"kills"`
	P50             float64 `json:"p50_ms"`
	P99             float64 `json:"p99_ms"`
	Max             float64 `json:"max_ms"`
	Pauses          int     `json:"pauses"`
	PausedP50       float64 `json:"paused_p50_ms"`
	PausedP99       float64 `json:"paused_p99_ms"`
	FalseSuspicions int     `json:"false_suspicions"` // of nodes that were up and not paused for longer than 0.5s
	Watched         float64 `json:"watched_s"`        // for how long the cluster was watched for them
	Busy            bool    `json:"busy"`             // every core was kept busy meanwhile, in the quiet part
}

// ElectionOptions say what is measured.
type ElectionOptions struct {
	Shape         cluster.Shape
	Kills, Pauses int
	Quiet         time.Duration // afterwards: no kill, pauses of 0.5s, every core busy; only false suspicions count
	Progress      func(done, of int)
}

// Election starts a cluster of its own, measures and ends it.
func Election(ctx context.Context, o ElectionOptions) (result ElectionResult, err error) {
	name := fmt.Sprintf("bench-%d", os.Getpid())
	dir, err := cluster.Dir(name)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := cluster.Open(ctx, cluster.Config{Name: name, Shape: o.Shape, Fresh: true})
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	client, _, err := cluster.Connect(name)
	if err != nil {
		return result, err
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := &election{client: client, events: make(chan *cirandav1.Event, 1024), began: time.Now(), nodes: map[uint32]*observed{}}
	go m.follow(ctx)
	if err := m.measure(ctx, o); err != nil {
		return result, err
	}
	return m.result(ctx)
}

// An election is a measurement going on.
type election struct {
	client         *api.Client
	events         chan *cirandav1.Event
	failed         error // why events ended; read once they did
	began          time.Time
	nodes          map[uint32]*observed
	killed, paused []float64
	mistakes       int
	busy           bool
}

// An observed node is one of the cluster, as its events show it.
type observed struct {
	up, paused bool
	calm       int64 // since when it has been up and not paused, ns on the cluster's clock
	leader     uint32
	since      int64 // of that leader
}

func (m *election) follow(ctx context.Context) {
	defer close(m.events)
	stream, err := m.client.Events.Watch(ctx, &cirandav1.WatchRequest{Cursor: api.FromStart})
	for err == nil {
		var r *cirandav1.WatchResponse
		if r, err = stream.Recv(); err == nil {
			for _, e := range r.GetEvents() {
				m.events <- e
			}
		}
	}
	m.failed = err
}

func (m *election) measure(ctx context.Context, o ElectionOptions) error {
	if err := m.until(ctx, m.agreed); err != nil {
		return err
	}
	for i := range o.Kills + o.Pauses {
		if o.Progress != nil {
			o.Progress(i, o.Kills+o.Pauses)
		}
		times, act := &m.killed, m.kill
		if i >= o.Kills {
			times, act = &m.paused, m.pause
		}
		took, err := act(ctx)
		if err != nil {
			return fmt.Errorf("bench: round %d: %w", i+1, err)
		}
		*times = append(*times, took)
	}
	return m.quiet(ctx, o.Quiet)
}

// patience is how long the measurement waits for an agreement before it gives up.
const patience = 30 * time.Second

// until takes events until a condition holds.
func (m *election) until(ctx context.Context, holds func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("bench: the nodes do not agree on a leader"))
	defer cancel()
	for !holds() {
		select {
		case e, ok := <-m.events:
			if !ok {
				return fmt.Errorf("bench: the stream of events ended: %w", m.failed)
			}
			m.take(e)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// take notes what an event says.
func (m *election) take(e *cirandav1.Event) {
	n := m.nodes[e.GetNode()]
	if n == nil {
		n = &observed{}
		m.nodes[e.GetNode()] = n
	}
	switch e.GetKind() {
	case "start", "recover":
		*n = observed{up: true, calm: e.GetTime()}
	case "crash", "stop":
		*n = observed{}
	case "pause":
		n.paused = true
	case "resume":
		n.paused, n.calm = false, e.GetTime()
	case "el.leader":
		n.leader, n.since = uint32(dataOf(e).Leader), e.GetTime()
	case "el.stepdown":
		n.leader = 0
	case "fd.suspect":
		m.suspected(e)
	}
}

type eventData struct {
	Leader protocol.ID `json:"leader"`
	Node   protocol.ID `json:"node"`
	Why    string      `json:"why"`
}

func dataOf(e *cirandav1.Event) eventData {
	var line struct {
		Data eventData `json:"data"`
	}
	json.Unmarshal([]byte(e.GetJson()), &line) // without data it stays empty
	return line.Data
}

// forgiven is for how long a node that was down or paused may still be suspected for it.
const forgiven = int64(time.Second)

// suspected counts a suspicion of a node that is up, and by one that is.
func (m *election) suspected(e *cirandav1.Event) {
	d := dataOf(e)
	of, by := m.nodes[uint32(d.Node)], m.nodes[e.GetNode()]
	if of == nil || !of.up || d.Why == "restarted" || of.paused && !m.busy {
		return
	}
	if e.GetTime()-of.calm > forgiven && e.GetTime()-by.calm > forgiven || m.busy {
		m.mistakes++
	}
}

// agreed says whether all nodes that are up and not paused hold the same leader, which is one of them.
func (m *election) agreed() bool {
	leader := uint32(0)
	for _, n := range m.nodes {
		if !n.up || n.paused {
			continue
		}
		if n.leader == 0 || leader != 0 && n.leader != leader {
			return false
		}
		leader = n.leader
	}
	l := m.nodes[leader]
	return l != nil && l.up && !l.paused
}

func (m *election) leader() uint32 {
	for _, n := range m.nodes {
		if n.up && !n.paused {
			return n.leader
		}
	}
	return 0
}

func (m *election) kill(ctx context.Context) (float64, error) {
	id := m.leader()
	name := fmt.Sprint(id)
	if _, err := m.client.Supervisor.Kill(ctx, &cirandav1.KillRequest{Nodes: name}); err != nil {
		return 0, err
	}
	took, err := m.replaced(ctx, id, func(e *cirandav1.Event) bool { return e.GetKind() == "crash" && e.GetNode() == id })
	if err != nil {
		return 0, err
	}
	if _, err := m.client.Supervisor.Restart(ctx, &cirandav1.RestartRequest{Nodes: name}); err != nil {
		return 0, err
	}
	err = m.until(ctx, func() bool { n := m.nodes[id]; return n.up && m.agreed() })
	return took, err
}

func (m *election) pause(ctx context.Context) (float64, error) {
	id := m.leader()
	name := fmt.Sprint(id)
	if _, err := m.client.Supervisor.Pause(ctx, &cirandav1.PauseRequest{Nodes: name}); err != nil {
		return 0, err
	}
	took, err := m.replaced(ctx, id, func(e *cirandav1.Event) bool { return e.GetKind() == "pause" && e.GetNode() == id })
	if err != nil {
		return 0, err
	}
	if _, err := m.client.Supervisor.Resume(ctx, &cirandav1.ResumeRequest{Nodes: name}); err != nil {
		return 0, err
	}
	err = m.until(ctx, func() bool { n := m.nodes[id]; return !n.paused && m.agreed() })
	return took, err
}

// replaced waits for the event of a leader's end and then until all others agree on another. It gives the time
// between the two, in milliseconds.
func (m *election) replaced(ctx context.Context, id uint32, ended func(*cirandav1.Event) bool) (float64, error) {
	var from int64
	for from == 0 {
		select {
		case e, ok := <-m.events:
			if !ok {
				return 0, fmt.Errorf("bench: the stream of events ended: %w", m.failed)
			}
			if m.take(e); ended(e) {
				from = e.GetTime()
			}
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	if err := m.until(ctx, func() bool { return m.agreed() && m.leader() != id }); err != nil {
		return 0, err
	}
	last := int64(0)
	for _, n := range m.nodes {
		if n.up && !n.paused {
			last = max(last, n.since)
		}
	}
	return float64(last-from) / 1e6, nil
}

// quiet keeps every core busy and pauses some node for half a second now and then. No suspicion is right.
func (m *election) quiet(ctx context.Context, length time.Duration) error {
	if length == 0 {
		return nil
	}
	settle := time.After(2 * time.Second)
	for settled := false; !settled; {
		select {
		case e := <-m.events:
			m.take(e)
		case <-settle:
			settled = true
		}
	}
	m.busy = true
	burning, stop := context.WithCancel(ctx)
	defer stop()
	for range runtime.NumCPU() {
		go func() {
			for burning.Err() == nil {
			}
		}()
	}
	ids := slices.Sorted(maps.Keys(m.nodes))
	next := time.NewTicker(3 * time.Second)
	defer next.Stop()
	end := time.After(length)
	for {
		select {
		case e, ok := <-m.events:
			if !ok {
				return fmt.Errorf("bench: the stream of events ended: %w", m.failed)
			}
			m.take(e)
		case <-next.C:
			if err := m.blink(ctx, fmt.Sprint(ids[rand.IntN(len(ids))])); err != nil {
				return err
			}
		case <-end:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// blink pauses a node for half a second.
func (m *election) blink(ctx context.Context, name string) error {
	if _, err := m.client.Supervisor.Pause(ctx, &cirandav1.PauseRequest{Nodes: name}); err != nil {
		return err
	}
	select {
	case <-time.After(500 * time.Millisecond):
	case <-ctx.Done():
	}
	_, err := m.client.Supervisor.Resume(context.WithoutCancel(ctx), &cirandav1.ResumeRequest{Nodes: name})
	return err
}

func (m *election) result(ctx context.Context) (ElectionResult, error) {
	status, err := m.client.Cluster.Status(ctx, &cirandav1.StatusRequest{})
	if err != nil {
		return ElectionResult{}, err
	}
	slices.Sort(m.killed)
	slices.Sort(m.paused)
	return ElectionResult{
		Nodes: len(status.GetNodes()), Stack: status.GetStack(),
		Kills: len(m.killed), P50: percentile(m.killed, 0.5), P99: percentile(m.killed, 0.99), Max: percentile(m.killed, 1),
		Pauses: len(m.paused), PausedP50: percentile(m.paused, 0.5), PausedP99: percentile(m.paused, 0.99),
		FalseSuspicions: m.mistakes, Watched: time.Since(m.began).Seconds(), Busy: m.busy,
	}, nil
}

// percentile of sorted figures, by nearest rank; 0 if there are none.
func percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(p*float64(len(sorted)) + 0.999999)
	return sorted[min(max(rank, 1), len(sorted))-1]
}
