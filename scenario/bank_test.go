package scenario

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"ciranda.dev/app/bank"
	"ciranda.dev/check"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector/heartbeat"
	"ciranda.dev/protocol/election/bully"
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

// Who keeps no answers pays twice, and who answers before its disk does breaks its word: clients that ask again through
// crashes show both.
func TestClientsThatAskAgainFindMistakes(t *testing.T) {
	text, err := os.ReadFile("../scenarios/bank-ask-again.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := mustParse(t, string(text))
	for mistake, want := range map[bank.Mistake]string{
		bank.NoMistake: "", bank.M8: "twice", bank.M9: "does not know transfer",
	} {
		found := ""
		for seed := uint64(1); seed <= 10 && found == ""; seed++ {
			o, err := s.run(t.Context(), seed, recording{build: func(self protocol.Self) (*protocol.Stack, error) {
				return protocol.NewStack(self, heartbeat.New(heartbeat.Options{}), bully.New(bully.Options{}), bank.New(bank.Options{Mistake: mistake}))
			}})
			if err != nil {
				t.Fatal(err)
			}
			if r := o.results[0]; r.Property != "request-once" {
				t.Fatalf("the first property is %s", r.Property)
			} else if r.Verdict == check.Violated {
				found = r.Why
			} else if r.Verdict != check.Holds {
				t.Errorf("M%d, seed %d: %s: %s", mistake, seed, r.Verdict, r.Why)
			}
		}
		if (found == "") != (want == "") || !strings.Contains(found, want) {
			t.Errorf("M%d: found %q; expected %q", mistake, found, want)
		}
	}
}

// A client asks again until it has heard an answer, and no longer; what was asked before has the same id.
func TestAskingAgain(t *testing.T) {
	s := mustParse(t, `
cluster: {nodes: 3, app: bank}
steps:
  - {at: 1s, request: {node: "1,2", transfer: {to: 3, amount: 10, again: 300ms, lost: 100%}}}
  - {at: 1100ms, crash: 2}
  - {at: 2s, recover: 2}
calm: 3s
duration: 6s
expect: [request-once]
on: [sim]`)
	var asked []string
	sink := sinkFunc(func(e *trace.Event) {
		if d, ok := e.Data.(bank.Transfer); ok && e.Kind == trace.Call {
			asked = append(asked, fmt.Sprintf("%.1fs %d: %s", float64(e.T)/1e9, e.Node, d.Request))
		}
	})
	if err := s.Record(context.Background(), 1, trace.Full, sink, nil); err != nil {
		t.Fatal(err)
	}
	want := []string{"1.0s 1: step-4/1", "1.0s 2: step-4/2", "1.3s 1: step-4/1", "2.2s 2: step-4/2"}
	if !reflect.DeepEqual(asked, want) {
		t.Errorf("got %v, want %v", asked, want)
	}
}
