package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ciranda.dev/app/bank"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/election"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/trace"
)

// A mockup stands for a cluster of real processes: a tenth of a second after a change, all that are up follow the
// highest one. It writes down what is done to it.
type mockup struct {
	began  time.Time
	nodes  []mockNode
	events chan trace.Event
	term   uint64
	done   []string
	broken string // the action that fails
	mu     sync.Mutex
	asked  []string // by clients
}

type mockNode struct {
	up, paused bool
	inc        protocol.Incarnation
	n          uint64
}

type mockPlace struct {
	*mockup
	cannot string
}

func (p mockPlace) Engine() Engine { return Local }

func (p mockPlace) Nodes() (least, most int) { return 2, 10 }

func (p mockPlace) Supports(a Action) error {
	if p.cannot != "" && strings.HasPrefix(a.String(), p.cannot) {
		return errors.New("processes have no such thing")
	}
	return nil
}

func (p mockPlace) Open(_ context.Context, s *Scenario, _ trace.Level) (Live, error) {
	m := p.mockup
	m.began, m.nodes, m.events = time.Now(), make([]mockNode, s.Cluster.Nodes), make(chan trace.Event, 10_000)
	for i := range m.nodes {
		m.Recover(context.Background(), protocol.ID(i+1), false)
	}
	m.done = nil
	return m, nil
}

func (m *mockup) Now() time.Duration { return time.Since(m.began) }

func (m *mockup) Follow(ctx context.Context, record func(trace.Event)) error {
	for {
		select {
		case e := <-m.events:
			record(e)
		case <-ctx.Done():
			for len(m.events) > 0 {
				record(<-m.events)
			}
			return nil
		}
	}
}

// Transfer answers those who ask for less than 10 at once, and others the third time.
func (m *mockup) Transfer(ctx context.Context, id protocol.ID, t bank.Transfer) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, fmt.Sprintf("%.1fs %d: %d to %d as %s", m.Now().Seconds(), id, t.Amount, t.To, t.Request))
	return t.Amount < 10 || len(m.asked) == 3
}

func (m *mockup) Cast(_ context.Context, id protocol.ID, c multicast.Cast) bool {
	uniform := ""
	if c.Uniform {
		uniform = "uniform "
	}
	m.hear("%d: %s%s %q", id, uniform, c.Order, c.Payloads)
	return true
}

func (m *mockup) Snapshot(ctx context.Context, id protocol.ID) {
	m.hear("%d: snapshot", id)
	<-ctx.Done()
}

func (m *mockup) Leave(_ context.Context, id protocol.ID) { m.hear("%d: leave", id) }

func (m *mockup) Join(_ context.Context, id protocol.ID) { m.hear("%d: join", id) }

// hear notes what a client asks for.
func (m *mockup) hear(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, fmt.Sprintf("%.2fs ", m.Now().Seconds())+fmt.Sprintf(format, args...))
}

// tell records an event of a node.
func (m *mockup) tell(id protocol.ID, k trace.Kind, data any) {
	n := &m.nodes[id-1]
	n.n++
	m.events <- trace.Event{T: int64(m.Now()), N: n.n, Node: id, Inc: n.inc, Kind: k, Data: data}
}

// settle lets everybody who is up follow the highest of them.
func (m *mockup) settle() {
	time.Sleep(100 * time.Millisecond)
	m.term++
	leader := protocol.None
	for i, n := range m.nodes {
		if n.up && !n.paused {
			leader = protocol.ID(i + 1)
		}
	}
	for i, n := range m.nodes {
		id := protocol.ID(i + 1)
		if !n.up || n.paused {
			continue
		}
		m.tell(id, trace.Told, election.Elected{Leader: leader, Term: election.Term{Counter: m.term, Leader: leader}})
		for j, o := range m.nodes {
			if !o.up && o.inc > 0 {
				m.tell(id, trace.Told, detector.Suspect{Node: protocol.ID(j + 1), Incarnation: o.inc, Why: detector.Link})
			}
		}
	}
}

func (m *mockup) do(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	m.done = append(m.done, fmt.Sprintf("%4.1fs %s", m.Now().Seconds(), text))
	if m.broken != "" && strings.HasPrefix(text, m.broken) {
		return errors.New("it does not answer")
	}
	return nil
}

func (m *mockup) Kill(_ context.Context, id protocol.ID) error {
	m.tell(id, trace.Crash, nil)
	m.nodes[id-1].up = false
	err := m.do("kill %d", id)
	m.settle()
	return err
}

func (m *mockup) Recover(_ context.Context, id protocol.ID, lost bool) error {
	n := &m.nodes[id-1]
	*n = mockNode{up: true, inc: n.inc + 1}
	kind := trace.Recover
	if n.inc == 1 {
		kind = trace.Start
	}
	m.tell(id, kind, trace.Life{Stored: !lost})
	err := m.do("recover %d, disk lost %v", id, lost)
	m.settle()
	return err
}

func (m *mockup) Pause(_ context.Context, id protocol.ID) error {
	m.tell(id, trace.Pause, nil)
	m.nodes[id-1].paused = true
	return m.do("pause %d", id)
}

func (m *mockup) Resume(_ context.Context, id protocol.ID) error {
	m.nodes[id-1].paused = false
	m.tell(id, trace.Resume, nil)
	return m.do("resume %d", id)
}

func (m *mockup) SetLinks(_ context.Context, text string, links []LinkState) error {
	return m.do("%s: %d links, the first %d -> %d: %s", text, len(links), links[0].From, links[0].To, links[0].Link)
}

func (m *mockup) Reset(_ context.Context, a, b protocol.ID) error { return m.do("reset %d %d", a, b) }

func (m *mockup) SetDisk(_ context.Context, id protocol.ID, stall bool, write time.Duration) error {
	return m.do("disk of %d: stall %v, write %s", id, stall, write)
}

func (m *mockup) SetSlow(_ context.Context, id protocol.ID, step time.Duration) error {
	return m.do("slow %d %s", id, step)
}

func (m *mockup) JumpClock(_ context.Context, id protocol.ID, by time.Duration) error {
	return m.do("clock of %d jumps by %s", id, by)
}

func (m *mockup) SetRate(_ context.Context, id protocol.ID, rate float64) error {
	return m.do("clock of %d at %v", id, rate)
}

func (m *mockup) Elect(_ context.Context, id protocol.ID) error { return m.do("elect %d", id) }

func (m *mockup) Close() error { return nil }

const everything = `
cluster: {nodes: 3}
network: {loss: 10%}
steps:
  - {at: 1s, crash: {node: leader, disk: lost}}
  - {when: {suspected: 3}, after: 1s, do: {recover: last}}
  - {at: 4s, pause: 1}
  - {at: 5s, partition: [[1], [2, 3]]}
  - {at: 5s, partition: [[1, 2], [3]]}
  - {at: 6s, link: {from: 1, to: 2, delay: 5ms}}
  - {at: 6s, heal: 1 -> 2}
  - {at: 7s, disk: {node: 2, stall: 1s}}
  - {at: 7s, reset: 1 <-> 2}
  - {at: 8s, clock: {node: 1, rate: 1.5}}
  - {at: 8s, clock: {node: 1, jump: 3s}}
  - {at: 8s, slow: {node: 2, step: 1ms}}
  - {at: 9s, request: {node: 2, elect: {}}}
  - {at: 9s, cut: 3 -> all}
calm: 10s
duration: 15s
expect: [incarnations-rise, one-leader-per-term]
`

// The steps are done to real processes at their times, and all is undone in the calm.
func TestRunLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mockup{}
		report, err := mustParse(t, everything).RunLive(context.Background(), mockPlace{mockup: m}, LiveRuns{})
		if err != nil {
			t.Fatal(err)
		}
		if report.Verdict != Holds || report.Runs != 1 || report.Engine != Local || report.Trail == nil {
			t.Errorf("got %+v", report)
		}
		want := []string{
			" 0.3s network: loss 10%: 6 links, the first 1 -> 2: delay 0s, loss 10%",
			" 1.3s kill 3",
			" 2.4s recover 3, disk lost true",
			" 4.3s pause 1",
			" 5.3s partition 1 / 2,3: 4 links, the first 1 -> 2: cut",
			" 5.3s mend: 2 links, the first 1 -> 2: delay 0s, loss 10%",
			" 5.3s partition 1,2 / 3: 4 links, the first 1 -> 3: cut",
			" 6.3s link 1 -> 2: delay 5ms: 1 links, the first 1 -> 2: delay 5ms, loss 10%",
			" 6.3s heal 1 -> 2: 1 links, the first 1 -> 2: delay 0s, loss 10%",
			" 7.3s disk of 2: stall true, write 0s",
			" 7.3s reset 1 2",
			" 8.3s disk of 2: stall false, write 0s",
			" 8.3s clock of 1 at 1.5",
			" 8.3s clock of 1 jumps by 3s",
			" 8.3s slow 2 1ms",
			" 9.3s elect 2",
			" 9.3s cut 3 -> all: 2 links, the first 3 -> 1: cut",
			"10.3s heal all: 6 links, the first 1 -> 2: delay 0s",
			"10.3s slow 2 0s",
			"10.3s clock of 1 at 1",
			"10.3s resume 1",
		}
		if got := strings.Join(m.done, "\n"); got != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
		last := report.Trail.Events[len(report.Trail.Events)-1]
		if last.Kind != trace.End || time.Duration(last.T) != 15300*time.Millisecond {
			t.Errorf("the trail ends with %+v", last)
		}
	})
}

// Clients of real processes ask again until they hear an answer, and a load asks as often as it says.
func TestLiveClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mockup{}
		s := mustParse(t, `cluster: {nodes: 3, app: bank}
steps:
  - {at: 1s, request: {node: 2, transfer: {to: 3, amount: 10, again: 300ms}}}
  - {at: 3s, request: {node: 1, transfer: {to: 3, amount: 5, again: 300ms, lost: 100%}}}
  - {at: 4s, load: {every: 100ms, for: 250ms}}
  - {at: 5s, request: {node: 1, transfer: {to: 2, amount: 11, again: 600ms}}}
calm: 6s
duration: 6s
expect: [request-once]`)
		if _, err := s.RunLive(context.Background(), mockPlace{mockup: m}, LiveRuns{}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, line := range m.asked {
			if strings.Contains(line, "none") { // of the load: who, whom and how much are drawn
				line = line[:4]
			}
			got = append(got, line)
		}
		want := []string{"1.3s 2: 10 to 3 as step-3/1", "1.6s 2: 10 to 3 as step-3/1", "1.9s 2: 10 to 3 as step-3/1",
			"3.3s 1: 5 to 3 as step-4/1", "3.6s 1: 5 to 3 as step-4/1", "4.3s", "4.4s", "4.5s",
			"5.3s 1: 11 to 2 as step-6/1", "5.9s 1: 11 to 2 as step-6/1"}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
	fast := mustParse(t, "cluster: {app: bank}\nsteps: [{at: 1s, load: {every: 1ms, for: 2s}}]\nexpect: [request-once]")
	if err := fast.Refuses(mockPlace{mockup: &mockup{}}); err == nil || !strings.Contains(err.Error(), "expected 5ms or more") {
		t.Errorf("too fast: got %v", err)
	}
}

// Clients of real processes cast to the group one by one or in a batch, and a node that is down is not asked.
func TestLiveGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mockup{}
		s := mustParse(t, `cluster: {nodes: 3, orders: all}
steps:
  - {at: 1s, multicast: {from: 2, order: total, uniform: true, text: "hello ", count: 2, every: 10ms}}
  - {at: 2s, multicast: {from: 3, order: fifo, count: 3}}
  - {at: 3s, multicasts: {from: 1, every: 20ms, for: 50ms, orders: causal, size: 5}}
  - {at: 4s, leave: 3}
  - {at: 5s, crash: 2}
  - {at: 5s, leave: 2}
  - {at: 6s, join: 3}
calm: 7s
duration: 7s
expect: [group-one-view]`)
		if _, err := s.RunLive(context.Background(), mockPlace{mockup: m}, LiveRuns{}); err != nil {
			t.Fatal(err)
		}
		want := []string{`1.30s 2: uniform total ["hello 1"]`, `1.31s 2: uniform total ["hello 2"]`, `2.30s 3: fifo ["1" "2" "3"]`,
			`3.30s 1: causal ["1...."]`, `3.32s 1: causal ["2...."]`, `3.34s 1: causal ["3...."]`, "4.30s 3: leave", "6.30s 3: join"}
		if strings.Join(m.asked, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(m.asked, "\n"), strings.Join(want, "\n"))
		}
	})
	for text, want := range map[string]string{
		"multicasts: {every: 1ms, for: 2s, orders: fifo}":           "expected 5ms or more",
		"multicast: {from: 1, order: fifo, size: 300000}":           "expected at most 200000 bytes",
		"multicast: {from: 1, order: fifo, size: 300, count: 1000}": "expected at most 200000 bytes",
	} {
		s := mustParse(t, "cluster: {orders: all}\nsteps: [{at: 1s, "+text+"}]\nexpect: [group-one-view]")
		if err := s.Refuses(mockPlace{mockup: &mockup{}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

// Snapshots are asked of the nodes that are up, without waiting for their ends.
func TestLiveSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mockup{}
		s := mustParse(t, `cluster: {nodes: 3, app: bank}
steps:
  - {at: 1s, snapshot: {node: all}}
  - {at: 2s, crash: 2}
  - {at: 3s, snapshot: {node: "1,2"}}
calm: 4s
duration: 5s
expect: [snapshot-ends]`)
		if _, err := s.RunLive(context.Background(), mockPlace{mockup: m}, LiveRuns{}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(m.asked)
		want := []string{"1.30s 1: snapshot", "1.30s 2: snapshot", "1.30s 3: snapshot", "3.30s 1: snapshot"}
		if !slices.Equal(m.asked, want) {
			t.Errorf("got %q, want %q", m.asked, want)
		}
	})
}

// What happens on a live engine is judged as in the simulator.
func TestLiveVerdicts(t *testing.T) {
	const steps = "cluster: {nodes: 3}\nsteps: [{at: 1s, crash: leader}]\n"
	for name, c := range map[string]struct{ text, verdict, reason string }{
		"holds":     {steps + "expect: [leader-agreed]", "holds", "all that is expected holds in the run"},
		"no lesson": {steps + "violates: [one-leader-per-term]", "unexercised", "should be violated"},
		"stuck": {"cluster: {nodes: 3}\nsteps: [{when: {suspected: 2}, crash: 1}]\nexpect: [one-leader-per-term]",
			"unexercised", "never came: nobody suspected 2"},
		"too late": {"cluster: {nodes: 3}\nsteps: [{at: 1s, crash: leader}, {when: {suspected: 2}, crash: 1}]\ncalm: 4s\n" +
			"expect: [one-leader-per-term]", "unexercised", "never came: nobody suspected 2"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, err := mustParse(t, c.text).RunLive(context.Background(), mockPlace{mockup: &mockup{}}, LiveRuns{})
				if err != nil {
					t.Fatal(err)
				}
				if string(r.Verdict) != c.verdict || !strings.Contains(r.Reason, c.reason) {
					t.Errorf("got %s: %s; want %s: %s", r.Verdict, r.Reason, c.verdict, c.reason)
				}
			})
		})
	}
}

// What a place cannot do is refused by name before anything starts; what fails is told with its line.
func TestLiveRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustParse(t, everything)
		for place, want := range map[mockPlace]string{
			{&mockup{}, "clock of 1 jumps"}: "lab.yaml:15: clock of 1 jumps by 3s cannot be done on local: processes have no such thing",
			{&mockup{}, "link all -> all"}:  "lab.yaml: the network, loss 10%, cannot be had on local: processes have no such thing",
			{&mockup{broken: "pause"}, ""}:  "lab.yaml:7: pause 1: it does not answer",
		} {
			if _, err := s.RunLive(context.Background(), place, LiveRuns{}); err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		}
		simOnly := mustParse(t, "on: [sim]\nexpect: [leader-agreed]")
		if _, err := simOnly.RunLive(context.Background(), mockPlace{mockup: &mockup{}}, LiveRuns{}); err == nil {
			t.Error("a scenario for the simulator alone was run on processes")
		}
	})
}

func TestLiveInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(context.Background(), 40*time.Second)
		defer stop()
		r, err := mustParse(t, everything).RunLive(ctx, mockPlace{mockup: &mockup{}}, LiveRuns{Runs: 10})
		if err != nil {
			t.Fatal(err)
		}
		if !r.Interrupted || r.Runs != 2 || r.Verdict != Holds {
			t.Errorf("got %+v", r)
		}
	})
}

// What a scenario adds to the delays of processes, checks allow.
func TestLiveDelays(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"expect: [leader-agreed]":                              10 * time.Millisecond,
		"network: {delay: 1ms..20ms}\nexpect: [leader-agreed]": 30 * time.Millisecond,
		"cluster: {profile: LAN}\nexpect: [leader-agreed]":     50 * time.Millisecond,
	} {
		if got := mustParse(t, text).Setup(Local, trace.Protocol).Delay; got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}
