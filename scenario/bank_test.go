package scenario

import (
	"context"
	"fmt"
	"reflect"
	"testing"

	"ciranda.dev/app/bank"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

const loaded = `
cluster: {nodes: 3, app: bank}
steps:
  - {at: 1s, load: {every: 10ms, for: 2s}}
  - {at: 1500ms, request: {node: 2, transfer: {to: 3, amount: 1000}}}
  - {at: 2s, crash: 3}
  - {at: 4s, recover: 3}
calm: 5s
duration: 10s
expect: [money-conserved, debits-applied]
on: [sim]
`

// A load asks any node to pay any other, as often as it is said, but those that are down. Its steps can be taken again.
func TestLoad(t *testing.T) {
	s := mustParse(t, loaded)
	var m trace.Memory
	var steps []world.Step
	if err := s.Record(context.Background(), 1, trace.Full, &m, func(st world.Step) { steps = append(steps, st) }); err != nil {
		t.Fatal(err)
	}
	calls, asked, single := 0, map[string]int{}, 0
	for _, e := range m.Events() {
		d, ok := e.Data.(bank.Transfer)
		switch {
		case e.Kind != trace.Call || !ok:
		case d.Amount == 1000:
			single++
		case d.Amount < 1 || d.Amount > maxLoad || d.To == e.Node || e.T < 1e9 || e.T >= 3e9 || e.Node == 3 && e.T > 2e9:
			t.Errorf("at %d node %d is asked for %+v", e.T, e.Node, d)
		default:
			asked[fmt.Sprintf("%d→%d", e.Node, d.To)]++
			calls++
		}
	}
	if single != 1 || len(asked) != 6 || calls < 130 || calls >= 200 {
		t.Errorf("got %d calls, %v, and %d by a step; want some 167 of 200, as node 3 is down for half of the time", calls, asked, single)
	}
	events, result, err := s.judge(steps, 0)
	if err != nil || result.Verdict != "holds" || len(events) != len(m.Events()) {
		t.Errorf("taken again: %v, %v, %d events of %d", err, result, len(events), len(m.Events()))
	}
}

// What a client asks can be read from its name in the steps of a run, and nothing else can.
func TestNamesOfTransfers(t *testing.T) {
	for _, want := range []bank.Transfer{
		{To: 3, Amount: 1000},
		{To: 12, Amount: 1, Request: bank.Request{Client: "step-7", Number: 5, Below: 2}},
	} {
		if got := named(transferName(want)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as %v", transferName(want), got)
		}
	}
	for _, name := range []string{"", "elect", "transfer", "transfer 5 to 70000", "transfer 5 to 2 ", "transfer 05 to 2",
		"transfer 5 to 2 as me", "transfer 5 to 2 as me 1", "transfer 5 to 2 as me 1 above", "transfer 5 to 2 as me 1 above 0 more"} {
		if got := named(name); got != nil {
			t.Errorf("%q is read as %v", name, got)
		}
	}
}

// A load draws the same whoever is up: so that a shortened scenario goes on as the whole one does.
func TestLoadDraws(t *testing.T) {
	asked := func(crash string) map[string]bool {
		s := mustParse(t, "cluster: {nodes: 3, app: bank}\nsteps: [{at: 1s, "+crash+"}, {at: 1s, load: {every: 50ms, for: 2s}}]\n"+
			"calm: 4s\nduration: 5s\nexpect: [no-overdraft]\non: [sim]")
		found := map[string]bool{}
		sink := sinkFunc(func(e *trace.Event) {
			if d, ok := e.Data.(bank.Transfer); ok && e.Kind == trace.Call && e.Node != protocol.ID(3) {
				found[fmt.Sprintf("%d: %d pays %d to %d", e.T, e.Node, d.Amount, d.To)] = true
			}
		})
		if err := s.Record(context.Background(), 1, trace.Full, sink, nil); err != nil {
			t.Fatal(err)
		}
		return found
	}
	down, up := asked("crash: 3"), asked("heal: all")
	if len(up) < 20 || !reflect.DeepEqual(down, up) {
		t.Errorf("got %v with node 3 down and %v with it up", down, up)
	}
}
