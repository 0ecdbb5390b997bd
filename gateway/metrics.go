package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	"ciranda.dev/trace"
)

// What a gateway tells at /metrics.
var (
	infoMetric      = metric("info", "Which gateway this is; always 1.", "cluster", "gateway", "version")
	transfersMetric = metric("transfers_total", "Transfers that clients asked for, by what they were told.", "outcome")
	retriesMetric   = metric("retries_total", "How often a node was asked again for a transfer.")
	castsMetric     = metric("multicasts_total", "Calls that send messages to the group, by what clients were told.", "outcome")
	movedMetric     = metric("multicast_retries_total", "How often another node was asked to send messages, because one did not.")
	reachedMetric   = metric("node_reached", "1 for each node that answered when it was last asked, else 0.", "node")
)

func metric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("ciranda_gateway_"+name, help, labels, nil)
}

// metrics asks the gateway when somebody asks for its metrics.
type metrics struct{ *Gateway }

// Describe names what Collect gives.
func (m metrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{infoMetric, transfersMetric, retriesMetric, castsMetric, movedMetric, reachedMetric} {
		to <- d
	}
}

// Collect gives the metrics as they are now.
func (m metrics) Collect(to chan<- prometheus.Metric) {
	give := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, kind, value, labels...)
	}
	give(infoMetric, prometheus.GaugeValue, 1, m.cfg.Cluster, m.cfg.Name, trace.Version())
	s := m.Stats()
	for outcome, count := range map[string]uint64{"done": s.Done.Load(), "refused": s.Refused.Load(),
		"unavailable": s.Unavailable.Load(), "unknown": s.Unknown.Load(), "overload": s.Overload.Load()} {
		give(transfersMetric, prometheus.CounterValue, float64(count), outcome)
	}
	give(retriesMetric, prometheus.CounterValue, float64(s.Retries.Load()))
	c := m.router.Stats()
	for outcome, count := range map[string]uint64{"done": c.Done.Load(), "refused": c.Refused.Load(),
		"unavailable": c.Unavailable.Load(), "unknown": c.Unknown.Load()} {
		give(castsMetric, prometheus.CounterValue, float64(count), outcome)
	}
	give(movedMetric, prometheus.CounterValue, float64(c.Moved.Load()))
	for id, reached := range m.Reaches() {
		value := 0.0
		if reached {
			value = 1
		}
		give(reachedMetric, prometheus.GaugeValue, value, id.String())
	}
}
