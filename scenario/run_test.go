package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"ciranda.dev/trace"
)

func mustParse(t *testing.T, text string) *Scenario {
	t.Helper()
	s, err := Parse("lab.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func simulate(t *testing.T, text string, c Campaign) *Report {
	t.Helper()
	report, err := mustParse(t, text).Simulate(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// The report is that of the seeds, whoever did them and in whichever order.
func TestCampaignIsDeterministic(t *testing.T) {
	lesson := "cluster: {nodes: 3}\nnetwork: {loss: 30%}\nsteps: [{at: 2s, crash: leader}]\ncalm: 6s\nduration: 12s\n" +
		"expect: [one-leader-at-a-time]\n"
	one := simulate(t, lesson, Campaign{FirstSeed: 7, Runs: 40, Workers: 1})
	many := simulate(t, lesson, Campaign{FirstSeed: 7, Runs: 40, Workers: 5})
	one.Elapsed, many.Elapsed = 0, 0
	if !reflect.DeepEqual(one, many) {
		t.Errorf("one worker: %+v\nfive workers: %+v", one, many)
	}
	if one.Verdict != Violated || one.Properties[0].Seed == nil {
		t.Fatalf("got %s: a network that loses a third cannot keep two leaders apart", one.Verdict)
	}
	early := simulate(t, lesson, Campaign{FirstSeed: 7, Runs: 40, Workers: 3, StopEarly: true})
	if *early.Properties[0].Seed != *one.Properties[0].Seed || early.Runs != int(*one.Properties[0].Seed)-7+1 {
		t.Errorf("stopped early: found seed %d after %d runs, want seed %d", *early.Properties[0].Seed, early.Runs,
			*one.Properties[0].Seed)
	}
	again := simulate(t, lesson, Campaign{FirstSeed: *one.Seed, Runs: 1})
	if again.Properties[0].Why != one.Properties[0].Why {
		t.Errorf("%s shows %q, want %q", one.Repeat, again.Properties[0].Why, one.Properties[0].Why)
	}
}

func TestVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		text, verdict, reason string
	}{
		"holds": {"expect: [leader-agreed]", "holds", "all that is expected holds in all 5 runs"},
		"violated": {"steps: [{at: 2s, partition: [[1,2],[3,4,5]]}]\ncalm: 5s\nexpect: [one-leader-at-a-time]",
			"violated", "one-leader-at-a-time is violated in all 5 runs: nodes 5 and 2 both lead"},
		"lesson": {"steps: [{at: 2s, partition: [[1,2],[3,4,5]]}]\ncalm: 5s\nexpect: [leader-agreed]\n" +
			"violates: [one-leader-at-a-time]", "as-expected", "one-leader-at-a-time is violated in all 5 runs, as it should be"},
		"no lesson": {"violates: [one-leader-per-term]", "unexercised",
			"one-leader-per-term should be violated, and holds in all 5 runs"},
		"nothing happens": {"expect: [detector-complete]", "unexercised", "detector-complete: "},
		"no leader": {"cluster: {election: bully+quorum}\nsteps: [{at: 2s, crash: [1,2,3]}, {at: 5s, crash: leader}]\n" +
			"expect: [one-leader-per-term]", "unexercised",
			"the step of line 2, crash leader, never came: there was no leader whom most nodes follow"},
		"nobody suspects": {"steps: [{when: {suspected: 2}, crash: 1}]\nexpect: [one-leader-per-term]", "unexercised",
			"the step of line 1, crash 1, never came: nobody suspected 2"},
		"nobody suspects, and it is never calm": {"steps: [{when: {suspected: 2}, crash: 1}]\nexpect: [leader-agreed]", "unexercised",
			"the step of line 1, crash 1, never came: nobody suspected 2"},
		"nobody is elected": {"cluster: {election: bully+quorum}\nsteps: [{at: 1s, partition: [[1,2],[3,4],[5]]}, {at: 4s, crash: 1},\n" +
			"  {when: elected, crash: 2}]\ncalm: 8s\nexpect: [one-leader-per-term]", "unexercised",
			"the step of line 3, crash 2, never came: no leader was agreed on"},
	} {
		t.Run(name, func(t *testing.T) {
			r := simulate(t, c.text, Campaign{Runs: 5})
			if string(r.Verdict) != c.verdict || !strings.Contains(r.Reason, c.reason) {
				t.Errorf("got %s: %s; want %s: %s", r.Verdict, r.Reason, c.verdict, c.reason)
			}
			if failed := c.verdict == "violated" || c.verdict == "unexercised"; r.Verdict.Failed() != failed {
				t.Errorf("failed: %v", r.Verdict.Failed())
			}
		})
	}
}

// Every action has its effect on a simulated run, and is told in the trace.
func TestActions(t *testing.T) {
	for action, want := range map[string]string{
		"crash: 5":                          "n5 crash",
		"crash: {node: 5, disk: lost}":      "n5 crash",
		"pause: 5":                          "n5 pause",
		"partition: [[1, 2], [3, 4, 5]]":    "fault partition 1,2 / 3,4,5",
		"isolate: leader":                   "fault isolate 5",
		"cut: 1 -> 5":                       "fault cut 1 -> 5",
		"cut: \"all <-> 2,3\"":              "fault cut 3 -> 5",
		"reset: 1 <-> 2":                    "fault reset 1 2",
		"link: {from: 1, to: 2, loss: 20%}": "fault link 1 -> 2: delay 1ms..10ms, loss 20%",
		"disk: {node: 5, stall: 1s}":        "fault disk stalled: 5",
		"disk: {node: 5, slow: 10ms}":       "fault disk stalled: 5",
		"clock: {node: 5, jump: -3s}":       "fault clock of 5 jumps -3s",
		"clock: {node: 5, rate: 1.01}":      "fault clock of 5 runs at 1.01s a second",
		"slow: {node: 5, step: 5ms}":        "fault node 5 takes 5ms a step",
		"request: {node: 2, elect: {}}":     "n2 request",
		"load: {every: 1ms, for: 500ms}":    "n2 request",

		"request: {node: 2, transfer: {to: 3, amount: 10}}": "n2 request",
	} {
		s := mustParse(t, "cluster: {app: bank}\non: [sim]\nsteps: [{at: 2s, "+action+"}, {at: 3s, heal: all}]\ncalm: 5s\nduration: 6s\nexpect: [leader-agreed: {within: 1s}]")
		events := &texts{}
		if err := s.Record(context.Background(), 3, trace.Full, events, nil); err != nil {
			t.Fatal(err)
		}
		if !events.seen[want] {
			t.Errorf("%s: %q is not in the trace: %v", action, want, events.faults())
		}
	}
}

// texts are the events of a run in words, from two seconds on.
type texts struct{ seen map[string]bool }

func (x *texts) Record(e *trace.Event) {
	if x.seen == nil {
		x.seen = map[string]bool{}
	}
	text := e.Kind.String()
	if note, ok := e.Data.(trace.FaultNote); ok {
		text += " " + note.Text
	} else {
		text = fmt.Sprintf("n%d %s", e.Node, text)
	}
	x.seen[text] = x.seen[text] || e.T >= 2e9
}

func (x *texts) faults() []string {
	var all []string
	for text := range x.seen {
		if strings.HasPrefix(text, "fault") {
			all = append(all, text)
		}
	}
	return all
}

// The steps of an experiment come in their order, those with conditions too.
func TestOrderOfSteps(t *testing.T) {
	s := mustParse(t, `
cluster: {nodes: 5, election: bully+stable}
steps:
  - {when: elected, after: 500ms, do: {pause: leader}}
  - {when: {suspected: 5}, do: {crash: 1}}
  - {at: 1s, recover: last}
  - {at: 6s, resume: 5}
duration: 12s
expect: [leader-agreed]
`)
	var order []string
	sink := sinkFunc(func(e *trace.Event) {
		switch e.Kind {
		case trace.Pause, trace.Resume, trace.Crash, trace.Recover:
			order = append(order, fmt.Sprintf("%s %d", e.Kind, e.Node))
		}
	})
	if err := s.Record(context.Background(), 1, trace.Protocol, sink, nil); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(order, ", "), "pause 5, crash 1, recover 1, resume 5"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

type sinkFunc func(*trace.Event)

func (f sinkFunc) Record(e *trace.Event) { f(e) }

// Scripts rely on these names.
func TestReportJSON(t *testing.T) {
	r := simulate(t, "expect: [leader-agreed]", Campaign{Runs: 2})
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"scenario", "engine", "runs", "first_seed", "events", "messages", "elapsed_s", "verdict",
		"reason", "trace", "properties"} {
		if _, there := fields[name]; !there {
			t.Errorf("%s is not in %s", name, data)
		}
	}
	property := fields["properties"].([]any)[0].(map[string]any)
	if property["name"] != "leader-agreed" || property["verdict"] != "holds" || property["violations"] != 0.0 ||
		property["seed"] != nil || fields["trace"] != nil {
		t.Errorf("got %s", data)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	c := Campaign{Runs: 100_000, Workers: 2, Progress: func(done, _ int) {
		if done == 10 {
			stop()
		}
	}}
	r, err := mustParse(t, "expect: [leader-agreed]").Simulate(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Interrupted || r.Runs < 10 || r.Runs > 1000 || r.Verdict != Holds {
		t.Errorf("got %+v", r)
	}
}
