package scenarios_test

import (
	"context"
	"testing"

	"ciranda.dev/scenario"
	"ciranda.dev/scenarios"
)

// Every shipped experiment gives the verdict that it states. A thousand seeds of each are run elsewhere. What is violated only now and
// then needs some runs; the race detector makes them ten times slower, and finds nothing in a simulation of one goroutine.
func TestShipped(t *testing.T) {
	runs := 25
	if raceDetector {
		runs = 5
	}
	for _, name := range scenarios.List() {
		t.Run(name, func(t *testing.T) {
			s, err := scenarios.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			if s.About == "" || s.Name == name {
				t.Error("it says neither what it is nor what to look at")
			}
			report, err := s.Simulate(context.Background(), scenario.Campaign{Runs: min(runs, s.Runs)})
			if err != nil {
				t.Fatal(err)
			}
			want := scenario.Holds
			if len(s.Violates) > 0 {
				want = scenario.AsExpected
			}
			if report.Verdict != want {
				t.Errorf("got %s, want %s: %s (%s)", report.Verdict, want, report.Reason, report.Repeat)
			}
		})
	}
}
