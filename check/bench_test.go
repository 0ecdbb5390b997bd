package check_test

import (
	"testing"

	"ciranda.dev/check"
	"ciranda.dev/protocol/election/bully"
	"ciranda.dev/trace"
)

// BenchmarkSuite is what it costs to judge a run of five nodes through turmoil by all properties; an operation is an
// event. At level protocol a simulated second has some ten events, at level full two thousand.
func BenchmarkSuite(b *testing.B) {
	for _, level := range []trace.Level{trace.Protocol, trace.Full} {
		c := cluster{nodes: 5, bully: &bully.Options{}, level: level}
		m := &trace.Memory{}
		c.feed(b, 3, m)
		events := m.Events()
		b.Run(level.String(), func(b *testing.B) { benchmark(b, c, events, "") })
		for _, name := range check.Names() {
			if p, err := check.New(name, nil, c.setup(3)); err == nil && level == trace.Full && p.Kinds() != 0 {
				b.Run(level.String()+"/"+name, func(b *testing.B) { benchmark(b, c, events, name) })
			}
		}
	}
}

// benchmark judges the run again and again, by one property or by all.
func benchmark(b *testing.B, c cluster, events []trace.Event, only string) {
	b.ReportAllocs()
	for done := 0; done < b.N; {
		var properties []check.Property
		for _, name := range check.Names() {
			if p, err := check.New(name, nil, c.setup(3)); err == nil && (only == "" || only == name) {
				properties = append(properties, p)
			}
		}
		suite := check.NewSuite(properties...)
		for i := range events {
			suite.Record(&events[i])
		}
		suite.Results()
		done += len(events)
	}
}
