package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"ciranda.dev/api/socket"
	"ciranda.dev/rmi"
)

// Limits of a request.
const (
	maxRequest = 256 << 10 // bytes of a request
	maxHeader  = 16 << 10  // bytes of a request's header
	maxStreams = 128       // calls at a time on one connection
)

// A Config says what to serve and where.
type Config struct {
	Services Services
	Access   Access
	GRPC     net.Listener // the gRPC port; nil: none
	HTTP     net.Listener // the HTTP port; nil: none
	Socket   net.Listener // the port for plain sockets; nil: none
	Hosts    []string     // names beside those of the loopback interface by which the HTTP port may be called
	Log      *slog.Logger // nil: nothing is logged
	Ready    func() bool  // what /readyz answers; nil: always ready
	Objects  *rmi.Node    // speaks remote objects at the gRPC port; nil: nothing does

	// Metrics are what /metrics tells beside the calls and the process.
	Metrics []prometheus.Collector
}

// A Server serves one process's services on all its ports.
type Server struct {
	grpc    *grpc.Server
	http    *http.Server
	socket  *socket.Server
	health  healthServer
	refused atomic.Uint64
	metrics *metrics
	begin   []func() // what Start does
	done    sync.WaitGroup
	log     *slog.Logger
	cancel  context.CancelFunc // ends the streams of the HTTP port
}

// New makes a server that takes the listeners over. It answers once it is started.
func New(c Config) *Server {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Log = Calm(c.Log)
	s := &Server{log: c.Log}
	s.metrics = newMetrics(&s.refused, c)
	if c.GRPC != nil {
		s.serveGRPC(c)
	}
	if c.HTTP != nil {
		s.serveHTTP(c)
	}
	if c.Socket != nil {
		s.serveSocket(c)
	}
	return s
}

// Start begins to answer.
func (s *Server) Start() {
	for _, begin := range s.begin {
		s.done.Go(begin)
	}
}

func (s *Server) serveGRPC(c Config) {
	s.health = healthServer{health.NewServer(), c.Ready}
	s.grpc = grpc.NewServer(
		grpc.UnaryInterceptor(c.Access.unary), grpc.StreamInterceptor(c.Access.stream),
		grpc.MaxRecvMsgSize(maxRequest), grpc.MaxHeaderListSize(maxHeader), grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(firstBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: silence / 2}),
		grpc.WaitForHandlers(true), grpc.StatsHandler(grpcMetrics{s.metrics}),
	)
	c.Services.registerGRPC(s.grpc)
	healthv1.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	speaks := grpcPort
	if c.Objects != nil {
		speaks = objectsPort
	}
	g := newGuard(c.GRPC, speaks, c.Access, c.Log, &s.refused)
	g.objects = c.Objects
	s.run("gRPC", func() error { return s.grpc.Serve(g) })
}

// A healthServer says that the process serves as long as it is ready.
type healthServer struct {
	*health.Server
	ready func() bool
}

// Check answers probes.
func (h healthServer) Check(ctx context.Context, r *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	if h.ready != nil && !h.ready() {
		return &healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_NOT_SERVING}, nil
	}
	return h.Server.Check(ctx, r)
}

// handleFunc registers a handler for the paths below one.
type handleFunc func(path string, h http.Handler)

func (s *Server) serveHTTP(c Config) {
	services := http.NewServeMux()
	options := append(jsonCodecs(), connect.WithInterceptors(httpMetrics{s.metrics}, connectErrors{}, connectRoles{}), connect.WithReadMaxBytes(maxRequest))
	c.Services.registerHTTP(services.Handle, options...)
	mux := http.NewServeMux()
	services.HandleFunc("GET /events", c.Services.events())
	services.HandleFunc("GET /deliveries", c.Services.deliveries())
	services.Handle("GET /metrics", s.metrics.handler())
	mux.Handle("/", c.Access.identified(readWhole(services)))
	mux.HandleFunc("GET /livez", probe(nil))
	mux.HandleFunc("GET /readyz", probe(c.Ready))
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.http = &http.Server{
		Handler:           inTime(c.Access.requireHost(c.Hosts, http.NewCrossOriginProtection().Handler(mux))),
		ReadHeaderTimeout: firstBytes,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeader,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, from{}, c.RemoteAddr())
		},
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelWarn),
	}
	s.run("HTTP", func() error { return s.http.Serve(newGuard(c.HTTP, httpPort, c.Access, c.Log, &s.refused)) })
}

func (s *Server) run(what string, serve func() error) {
	s.begin = append(s.begin, func() {
		if err := serve(); !closed(err) && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, grpc.ErrServerStopped) {
			s.log.Error("port lost", "port", what, "error", err)
		}
	})
}

// Refused counts the connections that were turned away for what they sent.
func (s *Server) Refused() uint64 { return s.refused.Load() }

// Close lets the calls under way end until ctx does, then breaks what is left, streams first.
func (s *Server) Close(ctx context.Context) {
	if s.http != nil {
		s.cancel()
		if s.http.Shutdown(ctx) != nil {
			s.http.Close()
		}
	}
	if s.grpc != nil {
		s.health.Shutdown()
		s.stopGRPC(ctx)
	}
	if s.socket != nil {
		s.socket.Close(ctx)
	}
	s.done.Wait()
}

func (s *Server) stopGRPC(ctx context.Context) {
	graceful := make(chan struct{})
	go func() {
		defer close(graceful)
		s.grpc.GracefulStop()
	}()
	select {
	case <-graceful:
	case <-ctx.Done():
		s.grpc.Stop()
		<-graceful
	}
}

// probe answers 200, or 503 while it is not ready.
func probe(ready func() bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		forgive(r.Context().Value(from{}).(net.Addr))
		if ready != nil && !ready() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("ok\n"))
	}
}

// from is where the context of an HTTP request has the address of its connection.
type from struct{}

// writeError answers an HTTP request in the form that connect's clients expect.
var writeError = connect.NewErrorWriter()

// inTime gives a request's body little time to come, also if nobody wants it.
func inTime(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(firstBytes))
		next.ServeHTTP(w, r)
	})
}

// identified finds out who calls before anything of the body is read.
func (a Access) identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := a.identify(r.Context().Value(from{}).(net.Addr), r.Header.Get("Authorization"))
		if err != nil {
			writeError.Write(w, r, toConnect(err))
			return
		}
		next.ServeHTTP(w, r.WithContext(withKey(WithCaller(r.Context(), id), r.Header[KeyHeader])))
	})
}

// readWhole reads a request's body before it is handled, and lets the answer take as long as it wants.
func readWhole(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
		if err != nil {
			code, text := codes.DeadlineExceeded, "the request did not arrive: "+err.Error()
			if errors.As(err, new(*http.MaxBytesError)) {
				code, text = codes.ResourceExhausted, fmt.Sprintf("the request is larger than %d bytes", maxRequest)
			}
			writeError.Write(w, r, toConnect(&Error{Code: code, Text: text}))
			return
		}
		http.NewResponseController(w).SetReadDeadline(time.Time{})
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// requireHost refuses requests that were addressed to a foreign name. A page whose own name was made to resolve to
// this machine (DNS rebinding) comes with such a Host, and the browser takes it for the same origin. With TLS the browser
// finds that the certificate is not of that name.
func (a Access) requireHost(names []string, next http.Handler) http.Handler {
	if !a.Insecure() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host := hostname(r.Host); !isLoopback(host) && !slices.Contains(names, host) {
			http.Error(w, "this server is not called "+host, http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func hostname(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
