package node

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/transport/udp"
)

// scrape reads /metrics: the samples by their names with labels.
func scrape(t *testing.T, address string) map[string]string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+string(token))
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("got %s, %v: %s", answer.Status, err, body)
	}
	return readSamples(string(body))
}

func readSamples(page string) map[string]string {
	samples := map[string]string{}
	for line := range strings.Lines(page) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(line, "#") {
			samples[name] = value
		}
	}
	return samples
}

func TestMetrics(t *testing.T) {
	configs := three(t)
	for i := range configs {
		configs[i].Spec.App, configs[i].HTTP = "bank", freeAddress(t)
		n := start(t, configs[i])
		t.Cleanup(func() { stop(t, n) })
	}
	c := dial(t, configs[0].GRPC)
	await(t, c, "a leader", leader(3))
	if _, err := c.Bank.Transfer(t.Context(), &cirandav1.TransferRequest{From: 1, To: 2, Amount: 7, Wait: true}); err != nil {
		t.Fatal(err)
	}
	got := scrape(t, configs[0].HTTP)
	for name, want := range map[string]string{
		"ciranda_node_incarnation": "1", "ciranda_election_leader": "3", "ciranda_election_is_leader": "0",
		`ciranda_detector_suspected{peer="2"}`: "0", `ciranda_transport_connected{peer="3"}`: "1",
		"ciranda_bank_balance": "93", "ciranda_bank_in_flight": "0", "ciranda_bank_transfers_sent_total": "1",
		`ciranda_requests_total{code="ok",method="BankService/Transfer",port="grpc"}`: "1", "ciranda_insecure": "1",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if got["ciranda_disk_sync_seconds_count"] == "0" || got["ciranda_transport_messages_total{direction=\"sent\"}"] == "0" {
		t.Errorf("nothing was synced or sent: %v", got)
	}
	documented(t, got)
}

// ofLayers are what the layers alone tell, and datagrams beside them.
type ofLayers struct{ metrics }

func (m ofLayers) Collect(to chan<- prometheus.Metric) {
	m.layers(samples{to})
	samples{to}.datagrams(udp.Stats{Sent: 4, Dropped: map[string]uint64{"foreign": 5}})
}

// A node tells of its group: all that the handbook names, and no more.
func TestMetricsOfAGroup(t *testing.T) {
	h := hermit(t, &alone{})
	if _, err := h.Group.Multicast(soon(t), &cirandav1.MulticastRequest{Order: "total", Uniform: true, Payloads: [][]byte{{1}, {2, 3}}}); err != nil {
		t.Fatal(err)
	}
	registry, page := prometheus.NewRegistry(), httptest.NewRecorder()
	registry.MustRegister(ofLayers{metrics{&Node{cfg: Config{ID: 1}, live: h.live, member: h.member}}})
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	got := readSamples(page.Body.String())
	for name, want := range map[string]string{
		"ciranda_group_view": "3", "ciranda_group_members": "1", "ciranda_group_is_member": "1", "ciranda_multicast_waiting_bytes": "7",
		`ciranda_multicast_sent_total{order="total",uniform="true"}`:            "2",
		`ciranda_multicast_delivered_bytes_total{order="total",uniform="true"}`: "3",
		"ciranda_multicast_broadcasting":                                        "1", "ciranda_multicast_repairs_total": "9",
		`ciranda_udp_datagrams_total{direction="sent"}`: "4", `ciranda_udp_dropped_total{reason="foreign"}`: "5",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	told := map[string]bool{}
	for sample := range got {
		name, _, _ := strings.Cut(sample, "{")
		told[name] = true
	}
	text, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, name := range regexp.MustCompile("ciranda_(group|multicast|udp)_[a-z_]+").FindAllString(string(text), -1) {
		named[name] = true
	}
	if !maps.Equal(told, named) {
		t.Errorf("it tells %v; docs/operating.md names %v", slices.Sorted(maps.Keys(told)), slices.Sorted(maps.Keys(named)))
	}
}

// documented says that the handbook names each metric of ours, and no other.
func documented(t *testing.T, samples map[string]string) {
	t.Helper()
	text, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	named, told := map[string]bool{}, map[string]bool{}
	for _, name := range regexp.MustCompile(`ciranda_[a-z_]+`).FindAllString(string(text), -1) {
		named[base(name)] = true
	}
	for sample := range samples {
		name, _, _ := strings.Cut(sample, "{")
		if strings.HasPrefix(name, "ciranda_") {
			told[base(name)] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(told)) {
		if !named[name] {
			t.Errorf("docs/operating.md does not name %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if !told[name] && !regexp.MustCompile("^ciranda_(gateway|certificate|group|multicast|udp)_").MatchString(name) {
			t.Errorf("docs/operating.md names %s, which no node tells", name)
		}
	}
}

// base is a metric's name without what histograms and summaries add.
func base(name string) string {
	for _, end := range []string{"_count", "_sum", "_bucket"} {
		name = strings.TrimSuffix(name, end)
	}
	return name
}
