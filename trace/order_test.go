package trace_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/clock"
	"ciranda.dev/trace"
	"pgregory.net/rapid"
)

// before rebuilds happened-before slowly and plainly: the closure of each node's order and of sending before receipt.
func before(events []trace.Event) [][]bool {
	b := make([][]bool, len(events))
	last, sends := map[protocol.ID]int{}, map[trace.MessageID]int{}
	for i := range events {
		b[i] = make([]bool, len(events))
		e := &events[i]
		if !e.OfNode() {
			continue
		}
		var direct []int
		if p, ok := last[e.Node]; ok {
			direct = append(direct, p)
		}
		if s, ok := sends[e.Message()]; ok && e.Kind == trace.Receive {
			direct = append(direct, s)
		}
		for _, p := range direct {
			b[p][i] = true
			for k := range p {
				b[k][i] = b[k][i] || b[k][p]
			}
		}
		last[e.Node] = i
		if e.Kind == trace.Send {
			sends[e.Message()] = i
		}
	}
	return b
}

func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := random(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") }, 4, 50)
		if err := checkOrder(events); err != "" {
			t.Fatal(err)
		}
	})
	for seed := range uint64(20) {
		if err := checkOrder(seeded(seed, 5, 150)); err != "" {
			t.Fatalf("seed %d: %s", seed, err)
		}
	}
}

func checkOrder(events []trace.Event) string {
	o, b := trace.NewOrder(events), before(events)
	stamps := make([]clock.Vector, len(events))
	for i := range events {
		stamps[i] = o.Stamp(i)
	}
	for j := range events {
		past := o.Past(j)
		for i := range events {
			if o.Before(i, j) != b[i][j] {
				return "Before is not happened-before"
			}
			if i != j && slices.Contains(past, i) != b[i][j] {
				return "Past is not what happened before"
			}
			if !events[i].OfNode() || !events[j].OfNode() || i == j {
				continue
			}
			if (stamps[i].Compare(stamps[j]) == clock.Before) != b[i][j] {
				return "CLK-V1: the stamps' order is not happened-before"
			}
		}
		if events[j].OfNode() {
			me := clock.Process{Node: events[j].Node, Incarnation: events[j].Inc}
			if stamps[j][me] != events[j].N {
				return "CLK-V2: the own entry is not the event's number"
			}
		}
	}
	return checkVectors(o, events, b)
}

// checkVectors compares dense vectors of some of the events with counts by hand.
func checkVectors(o *trace.Order, events []trace.Event, b [][]bool) string {
	keep := func(i int) bool { return events[i].Kind != trace.Send && i%3 != 0 }
	for i, v := range o.Vectors(keep) {
		for l, node := range o.Nodes() {
			want := uint32(0)
			for k := range events {
				if events[k].OfNode() && events[k].Node == node && keep(k) && (k == i || b[k][i]) {
					want++
				}
			}
			if v[l] != want {
				return "a vector of chosen events does not count them"
			}
		}
	}
	return ""
}

func TestOrderOfManyDoesNotStore(t *testing.T) {
	events := seeded(4, 200, 20_000)
	o := trace.NewOrder(events)
	n := 0
	for i, v := range o.Vectors(nil) {
		if len(v) != 200 || !events[i].OfNode() {
			t.Fatalf("event %d: got a vector of %d", i, len(v))
		}
		n++
	}
	if n < 15_000 || len(o.Missing) != 0 {
		t.Errorf("got %d vectors, %d missing", n, len(o.Missing))
	}
}

// split makes a file for each life of a node, with clocks that start at different moments, and one of the network.
func split(events []trace.Event, nodes int) []*trace.Trace {
	type life struct {
		node protocol.ID
		inc  protocol.Incarnation
	}
	parts := map[life]*trace.Trace{}
	var all []*trace.Trace
	for _, e := range events {
		l := life{e.Node, e.Inc}
		if !e.OfNode() {
			l = life{}
		}
		p := parts[l]
		if p == nil {
			h := header
			h.Node, h.Inc, h.Boot = l.node, l.inc, "one machine"
			h.Zero = 1_000_000_000 + int64(l.node)*1000
			if l.node == 2 {
				h.Layers, h.Timers = []string{"bully", "heartbeat"}, [][]string{{"answer"}, {"beat", "timeout"}}
			}
			p = &trace.Trace{Header: h}
			parts[l] = p
			all = append(all, p)
		}
		e.T -= p.Header.Zero - 1_000_000_000
		if l.node == 2 {
			e.Layer = 1 - e.Layer
		}
		p.Events = append(p.Events, e)
	}
	return all
}

func TestMerge(t *testing.T) {
	for seed := range uint64(30) {
		events := seeded(seed, 4, 200)
		parts := split(events, 4)
		rand.New(rand.NewPCG(seed, 9)).Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		got, report, err := trace.Merge(parts)
		if err != nil || len(report.Notes) != 0 {
			t.Fatalf("seed %d: %v, %v", seed, err, report.Notes)
		}
		if len(got.Events) != len(events) || len(trace.NewOrder(got.Events).Missing) != 0 {
			t.Fatalf("seed %d: %d of %d events, or a receipt before its sending", seed, len(got.Events), len(events))
		}
		for i := range events {
			if i > 0 && got.Events[i-1].T > got.Events[i].T {
				t.Fatalf("seed %d: event %d goes back in time, though all have one clock", seed, i)
			}
		}
		sameLanes(t, events, got)
	}
}

// sameLanes says that each node has its own events, in its own order, in the layers they were in.
func sameLanes(t *testing.T, events []trace.Event, got *trace.Trace) {
	t.Helper()
	for node := protocol.ID(1); node <= 4; node++ {
		of := func(events []trace.Event, layers []string) (lane []string) {
			for _, e := range events {
				if e.OfNode() && e.Node == node {
					lane = append(lane, e.Name()+layers[e.Layer]+e.Message().String())
				}
			}
			return lane
		}
		if !slices.Equal(of(events, header.Layers), of(got.Events, got.Header.Layers)) {
			t.Fatalf("node %d has other events after the merge", node)
		}
	}
}

// What times say does not matter where messages say otherwise.
func TestMergeAgainstClocks(t *testing.T) {
	parts := split(seeded(3, 4, 200), 4)
	for i, p := range parts {
		p.Header.Boot = string(rune('a' + i)) // machines of their own
		p.Header.Zero += int64(i) * 1_000_000_000
		for j := range p.Events {
			p.Events[j].T += int64(i) * 1_000_000_000
		}
	}
	got, report, err := trace.Merge(parts)
	if err != nil || report.Forced != 0 || len(trace.NewOrder(got.Events).Missing) != 0 {
		t.Errorf("got %+v, %v", report, err)
	}
}

func TestMergeWithLosses(t *testing.T) {
	parts := split(seeded(3, 4, 200), 4)
	for _, p := range parts {
		if p.Header.Node == 3 {
			p.Events, p.Cut = p.Events[:len(p.Events)/2], "line 9 is cut off"
		}
	}
	got, report, err := trace.Merge(parts)
	if err != nil || report.Missing == 0 || len(report.Notes) < 2 {
		t.Fatalf("got %+v, %v", report, err)
	}
	if missing := trace.NewOrder(got.Events).Missing; len(missing) != report.Missing {
		t.Errorf("the report has %d missing, the order %d", report.Missing, len(missing))
	}
}

// Two files that each say that the other's message came first cannot both be right.
func TestMergeOfContradictions(t *testing.T) {
	lane := func(me, other protocol.ID) *trace.Trace {
		return &trace.Trace{Header: trace.Header{Node: me}, Events: []trace.Event{
			{Kind: trace.Receive, Node: me, Inc: 1, N: 1, Peer: other, PeerInc: 1, Seq: 1},
			{Kind: trace.Send, Node: me, Inc: 1, N: 2, Peer: other, Seq: 1},
		}}
	}
	got, report, err := trace.Merge([]*trace.Trace{lane(1, 2), lane(2, 1)})
	if err != nil || report.Forced != 1 || len(got.Events) != 4 {
		t.Errorf("got %d events, %+v, %v", len(got.Events), report, err)
	}
	if _, _, err := trace.Merge(nil); err == nil {
		t.Error("nothing was merged")
	}
	for name, whole := range map[string]*trace.Trace{"a node's": lane(1, 2), "a run's": {Events: lane(1, 2).Events}} {
		if _, _, err := trace.Merge([]*trace.Trace{whole, whole}); err == nil || !strings.Contains(err.Error(), "expected each file once") {
			t.Errorf("%s file twice: got %v", name, err)
		}
	}
}

// Who kills a node writes it down, for the node cannot.
func TestMergeWithKeeper(t *testing.T) {
	node := func(inc protocol.Incarnation, times ...int64) *trace.Trace {
		p := &trace.Trace{Header: trace.Header{Node: 1, Inc: inc}}
		for i, at := range times {
			p.Events = append(p.Events, trace.Event{Kind: trace.TimerFire, Node: 1, Inc: inc, N: uint64(i + 1), T: at})
		}
		return p
	}
	keeper := &trace.Trace{Events: []trace.Event{
		{Kind: trace.Pause, Node: 1, Inc: 1, T: 15}, {Kind: trace.Resume, Node: 1, Inc: 1, T: 16},
		{Kind: trace.Crash, Node: 1, Inc: 1, T: 25}, {Kind: trace.Crash, Node: 1, T: 65},
	}}
	got, _, err := trace.Merge([]*trace.Trace{node(2, 50, 60), keeper, node(1, 10, 20, 30)})
	if err != nil {
		t.Fatal(err)
	}
	var order []int64
	for _, e := range got.Events {
		order = append(order, e.T)
	}
	if want := []int64{10, 15, 16, 20, 30, 25, 50, 60, 65}; !slices.Equal(order, want) {
		t.Errorf("got %v, want %v", order, want)
	}
}

// What becomes of a message on its way comes after its sending, though it is no event of the sender.
func TestMergeOfLosses(t *testing.T) {
	node := &trace.Trace{Header: trace.Header{Node: 2}, Events: []trace.Event{
		{Kind: trace.TimerFire, Node: 2, Inc: 1, N: 1, T: 10},
		{Kind: trace.Send, Node: 2, Inc: 1, N: 2, T: 10, Peer: 1, Seq: 1},
	}}
	outside := &trace.Trace{Events: []trace.Event{
		{Kind: trace.Duplicate, Node: 2, Inc: 1, T: 10, Peer: 1, Seq: 1},
		{Kind: trace.Drop, Node: 2, Inc: 1, T: 10, Peer: 1, Seq: 2}, // of a message whose sending is not recorded
	}}
	got, report, err := trace.Merge([]*trace.Trace{outside, node})
	if err != nil || report.Missing != 0 {
		t.Fatalf("got %+v, %v", report, err)
	}
	var order []trace.Kind
	for _, e := range got.Events {
		order = append(order, e.Kind)
	}
	if want := []trace.Kind{trace.TimerFire, trace.Send, trace.Duplicate, trace.Drop}; !slices.Equal(order, want) {
		t.Errorf("got %v, want %v", order, want)
	}
}

func BenchmarkOrder(b *testing.B) {
	events := seeded(1, 5, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for range trace.NewOrder(events).Vectors(nil) {
			n++
		}
	}
	perEvent(b, len(events), 0)
}
