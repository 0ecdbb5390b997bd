package api

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"ciranda.dev/pki"
)

// metrics are what a server tells of itself at /metrics, in a registry of its own. Their labels are names from the
// contract: nobody can make more of them by what they send.
type metrics struct {
	registry *prometheus.Registry
	handled  *prometheus.CounterVec
	took     *prometheus.HistogramVec
	open     prometheus.Gauge
}

// newMetrics makes the registry: what calls are made, what the process uses, and what its owner adds.
func newMetrics(refused *atomic.Uint64, c Config) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		handled: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ciranda_requests_total",
			Help: "Calls that were answered, by port, method and code."}, []string{"port", "method", "code"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "ciranda_request_duration_seconds",
			Help: "How long calls took, streams left out.", Buckets: prometheus.ExponentialBuckets(100e-6, 4, 9)},
			[]string{"port", "method"}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ciranda_requests_in_flight",
			Help: "Calls and streams under way."}),
	}
	m.registry.MustRegister(m.handled, m.took, m.open, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "ciranda_connections_refused_total",
			Help: "Connections to the API that were turned away for what they were or sent."},
			func() float64 { return float64(refused.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ciranda_insecure",
			Help: "1 if all traffic goes unencrypted."}, func() float64 { return one(c.Access.Insecure()) }))
	if own := c.Access.Credentials; own != nil {
		m.registry.MustRegister(certificateMetrics(own)...)
	}
	m.registry.MustRegister(c.Metrics...)
	return m
}

// certificateMetrics tell when the process can prove no longer who it is.
func certificateMetrics(own *pki.Credentials) []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ciranda_certificate_expiry_timestamp_seconds",
			Help: "When the certificate in use expires."}, func() float64 { return float64(own.Expires().Unix()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ciranda_certificate_renewal_failed",
			Help: "1 while newer credentials are there that cannot be used."}, func() float64 { return one(own.Problem() != nil) }),
	}
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// methods are those of the contract, such as ciranda.v1.BankService/Transfer.
var methods = sync.OnceValue(func() map[string]protoreflect.MethodDescriptor {
	all := map[string]protoreflect.MethodDescriptor{}
	protoregistry.GlobalFiles.RangeFilesByPackage("ciranda.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				all[string(service.FullName())+"/"+string(method.Name())] = method
			}
		}
		return true
	})
	return all
})

// done counts a call. What is not in the contract (health, reflection, nonsense) counts as one method.
func (m *metrics) done(port, name, code string, took time.Duration) {
	method := methods()[strings.TrimPrefix(name, "/")]
	if method == nil {
		m.handled.WithLabelValues(port, "other", code).Inc()
		return
	}
	label := string(method.Parent().Name()) + "/" + string(method.Name())
	m.handled.WithLabelValues(port, label, code).Inc()
	if !method.IsStreamingServer() && !method.IsStreamingClient() {
		m.took.WithLabelValues(port, label).Observe(took.Seconds())
	}
}

// The calls of the gRPC port are counted by a stats handler.
type grpcMetrics struct{ *metrics }

type methodKey struct{}

// TagRPC remembers the method.
func (grpcMetrics) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, methodKey{}, info.FullMethodName)
}

// HandleRPC counts.
func (m grpcMetrics) HandleRPC(ctx context.Context, s stats.RPCStats) {
	switch s := s.(type) {
	case *stats.Begin:
		m.open.Inc()
	case *stats.End:
		m.open.Dec()
		method, _ := ctx.Value(methodKey{}).(string)
		code := strings.ToLower(status.Code(s.Error).String())
		m.done("grpc", method, code, s.EndTime.Sub(s.BeginTime))
	}
}

// TagConn does nothing.
func (grpcMetrics) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn does nothing.
func (grpcMetrics) HandleConn(context.Context, stats.ConnStats) {}

// httpMetrics count the calls of the HTTP port.
type httpMetrics struct{ *metrics }

func (m httpMetrics) count(procedure string, call func() error) {
	began := time.Now()
	m.open.Inc()
	defer m.open.Dec()
	err := call()
	code := "ok"
	if err != nil {
		code = strings.ReplaceAll(connect.CodeOf(err).String(), "_", "")
	}
	m.done("http", procedure, code, time.Since(began))
}

// WrapUnary counts.
func (m httpMetrics) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (answer connect.AnyResponse, err error) {
		m.count(r.Spec().Procedure, func() error {
			answer, err = next(ctx, r)
			return err
		})
		return answer, err
	}
}

// WrapStreamingClient does nothing.
func (m httpMetrics) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler counts.
func (m httpMetrics) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, c connect.StreamingHandlerConn) (err error) {
		m.count(c.Spec().Procedure, func() error {
			err = next(ctx, c)
			return err
		})
		return err
	}
}
