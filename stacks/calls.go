package stacks

import (
	"strings"

	"ciranda.dev/app/counter"
	"ciranda.dev/protocol/invocation"
)

// Calls says whether the spec's application is counters that nodes increment by calls.
func (s Spec) Calls() bool { return strings.HasPrefix(s.App, "counter") }

// Invocation are the rules of the spec's calls: a request is sent again after a round trip, or a tenth of a second if that is more.
// Calls need no links below, they send again what they must.
func (s Spec) Invocation() invocation.LayerOptions {
	opts := invocation.Options{Resend: max(100*ms, s.patience()), Longest: max(2000*ms, 2*s.patience())}
	return invocation.LayerOptions{Options: opts.WithDefaults(), Durable: s.App == "counter-durable"}
}

// Counter are the rules of the spec's counters: each node makes ten calls a second, of the semantics that the application's name says.
func (s Spec) Counter() counter.Options {
	opts := counter.Options{Every: 100 * ms, Timeout: max(2000*ms, 20*s.Filled().Profile.Delay)}
	switch s.App {
	case "counter-at-least-once":
		opts.Semantics = invocation.AtLeastOnce
	case "counter-maybe":
		opts.Semantics = invocation.Maybe
	}
	return opts
}
