package scenarios_test

import (
	"context"
	"testing"

	"ciranda.dev/scenario"
	"ciranda.dev/scenarios"
)

// Every shipped experiment gives the verdict that it states. A thousand seeds of each are run elsewhere.
func TestShipped(t *testing.T) {
	for _, name := range scenarios.List() {
		t.Run(name, func(t *testing.T) {
			s, err := scenarios.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			if s.About == "" || s.Name == name {
				t.Error("it says neither what it is nor what to look at")
			}
			report, err := s.Simulate(context.Background(), scenario.Campaign{Runs: min(25, s.Runs)})
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
