package gateway

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// gathered are the samples of a gateway, by their names with the values of their labels.
func gathered(t *testing.T, g *Gateway) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics{g})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	samples := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			samples[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return samples
}

func TestMetrics(t *testing.T) {
	l := newLab(t, 3)
	g, c := l.gateway("one")
	await(t, c, 3)
	if _, err := c.Bank.Transfer(soon(t), &cirandav1.TransferRequest{From: 1, To: 2, Amount: 7}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Bank.Transfer(soon(t), &cirandav1.TransferRequest{From: 1, To: 2, Amount: 1000}); err == nil {
		t.Fatal("more money left than there is")
	}
	got := gathered(t, g)
	for name, want := range map[string]float64{"done": 1, "refused": 1, "unknown": 0} {
		if value, ok := got["ciranda_gateway_transfers_total "+name]; !ok || value != want {
			t.Errorf("%s: got %v, %v; want %v", name, value, ok, want)
		}
	}
	for id := range 3 {
		if got[fmt.Sprintf("ciranda_gateway_node_reached %d", id+1)] != 1 {
			t.Errorf("node %d: %v", id+1, got)
		}
	}
	l.stop(3)
	await(t, c, 2)
	if got := gathered(t, g); got["ciranda_gateway_node_reached 3"] != 0 {
		t.Errorf("a node that has ended: %v", got)
	}
}
