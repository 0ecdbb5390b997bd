package trace_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"ciranda.dev/trace"
)

// A logged is an event as ShiViz reads it.
type logged struct {
	text, host string
	clock      map[string]uint32
}

var entries = regexp.MustCompile(`(.*)\n(\S*) ({.*})`) // the parser expression, without the names of groups

func parseShiViz(t *testing.T, log string) []logged {
	t.Helper()
	var all []logged
	for _, m := range entries.FindAllStringSubmatch(log, -1) {
		e := logged{text: m[1], host: m[2]}
		if err := json.Unmarshal([]byte(m[3]), &e.clock); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// What ShiViz demands: a host's own entry rises by exactly 1; whoever is named has as many events. And what it does
// not check: the vectors are happened-before (CLK-V1) of the listed events.
func checkShiViz(t *testing.T, events []trace.Event, o trace.ShiVizOptions) {
	t.Helper()
	var b bytes.Buffer
	if err := trace.WriteShiViz(&b, []trace.Execution{{Header: header, Events: events}}, o); err != nil {
		t.Fatal(err)
	}
	log := parseShiViz(t, b.String())
	var listed []int
	for i := range events {
		if events[i].OfNode() && (o.Keep == nil || o.Keep(&events[i])) {
			listed = append(listed, i)
		}
	}
	if len(log) != len(listed) {
		t.Fatalf("got %d events, want %d", len(log), len(listed))
	}
	count := map[string]uint32{}
	for _, e := range log {
		count[e.host]++
		if e.clock[e.host] != count[e.host] {
			t.Fatalf("event %d of %s has the own entry %d", count[e.host], e.host, e.clock[e.host])
		}
	}
	for _, e := range log {
		for host, n := range e.clock {
			if n == 0 || n > count[host] {
				t.Fatalf("a vector has %d events of %s, which has %d", n, host, count[host])
			}
		}
	}
	b4 := before(events)
	for x, i := range listed {
		for y, j := range listed {
			if x != y && (log[x].clock[log[x].host] <= log[y].clock[log[x].host]) != b4[i][j] {
				t.Fatalf("CLK-V1: %+v and %+v", log[x], log[y])
			}
		}
	}
}

func TestShiViz(t *testing.T) {
	few := func(e *trace.Event) bool {
		return e.Kind == trace.Told || e.Kind == trace.Crash || e.Kind == trace.Recover
	}
	for seed := range uint64(15) {
		events := seeded(seed, 4, 150)
		for _, lives := range []bool{false, true} {
			checkShiViz(t, events, trace.ShiVizOptions{Lives: lives})
			checkShiViz(t, events, trace.ShiVizOptions{Lives: lives, Keep: few})
		}
	}
}

func TestShiVizOfSeveral(t *testing.T) {
	var b bytes.Buffer
	runs := []trace.Execution{{"seed 1", header, seeded(1, 3, 20)}, {"seed\n2", header, seeded(2, 3, 20)}}
	if err := trace.WriteShiViz(&b, runs, trace.ShiVizOptions{}); err != nil {
		t.Fatal(err)
	}
	labels := regexp.MustCompile(`(?m)^=== (.*) ===$`).FindAllStringSubmatch(b.String(), -1)
	if len(labels) != 2 || labels[0][1] != "seed 1" || labels[1][1] != "seed 2" {
		t.Errorf("got labels %q", labels)
	}
	runs[1].Label = "seed 1"
	if err := trace.WriteShiViz(&b, runs, trace.ShiVizOptions{}); err == nil {
		t.Error("two executions of one label were written")
	}
}

func ExampleWriteShiViz() {
	events := []trace.Event{
		{Kind: trace.Start, Node: 1, Inc: 1, N: 1},
		{Kind: trace.Start, Node: 2, Inc: 1, N: 1},
		{Kind: trace.Send, Node: 1, Inc: 1, N: 2, T: 1e6, Peer: 2, Seq: 1, Data: "hello"},
		{Kind: trace.Receive, Node: 2, Inc: 1, N: 2, T: 5e6, Peer: 1, PeerInc: 1, Seq: 1, Data: "hello"},
	}
	var b strings.Builder
	if err := trace.WriteShiViz(&b, []trace.Execution{{Events: events}}, trace.ShiVizOptions{}); err != nil {
		fmt.Println(err)
	}
	fmt.Print(b.String())
	// Output:
	// starts (t=0.000000s)
	// n1 {"n1":1}
	// starts (t=0.000000s)
	// n2 {"n2":1}
	// sends "hello" to 2 (t=0.001000s)
	// n1 {"n1":2}
	// receives "hello" from 1 (t=0.005000s)
	// n2 {"n1":2,"n2":2}
}
