package socket

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// Limits of a server.
const (
	maxCalls   = 256              // at a time
	maxHeld    = 32 << 20         // bytes of long requests that arrive, and as many of long answers that leave
	lineTime   = 10 * time.Second // for a request to arrive once it has begun
	answerTime = 10 * time.Second // for a client to take an answer
	linger     = time.Second      // for a client to read why its connection ends
)

// Options say how a server treats who connects.
type Options struct {
	// Enter gives the context for the calls of a connection, or the error that ends it. It is asked once: when the
	// connection is made, or, with NeedsToken, with the token that the first line shows. Nil lets everybody in.
	Enter func(ctx context.Context, conn net.Conn, token string) (context.Context, error)
	// NeedsToken says that the first line must show a token. Nothing else is read before.
	NeedsToken bool
	// Interceptor stands around each call, as it would in a gRPC server; nil: nothing does.
	Interceptor grpc.UnaryServerInterceptor
	// Refused is told of connections that end for what was sent; nil: nobody is.
	Refused func(from net.Addr, why string)
}

// A Server serves the unary methods of services that are registered as with a gRPC server.
type Server struct {
	opts     Options
	calls    map[string]*method
	help     func() []byte
	slots    chan struct{} // one for each call under way
	arriving *budget
	leaving  *budget
	ctx      context.Context // of all calls
	cancel   context.CancelFunc

	closing atomic.Bool
	mu      sync.Mutex
	open    map[*conn]struct{}
	ports   []net.Listener
	done    sync.WaitGroup // connections
}

// A method is what a call calls.
type method struct {
	full    string // such as /ciranda.v1.BankService/Transfer
	handler grpc.MethodHandler
	service any
}

// NewServer makes a server without services.
func NewServer(o Options) *Server {
	s := &Server{opts: o, calls: map[string]*method{}, slots: make(chan struct{}, maxCalls), arriving: newBudget(maxHeld),
		leaving: newBudget(maxHeld), open: map[*conn]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.help = sync.OnceValue(s.describe)
	return s
}

// RegisterService implements [grpc.ServiceRegistrar]. It must not be called once the server serves.
func (s *Server) RegisterService(d *grpc.ServiceDesc, service any) {
	for _, m := range d.Methods {
		full := "/" + d.ServiceName + "/" + m.MethodName
		s.calls[shortName(full)] = &method{full, m.Handler, service}
	}
}

// Serve serves the connections of a listener, which it takes over, until one of them is closed. It gives the listener's
// error then, which wraps [net.ErrClosed] if all is in order. The listener limits how many connections there are, and
// waits out errors that pass.
func (s *Server) Serve(l net.Listener) error {
	if !s.took(l) {
		l.Close()
		return net.ErrClosed
	}
	for {
		nc, err := l.Accept()
		if err != nil && s.closing.Load() {
			return net.ErrClosed
		}
		if err != nil {
			return err
		}
		s.begin(nc)
	}
}

func (s *Server) took(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ports = append(s.ports, l)
	return !s.closing.Load()
}

// begin serves a connection, unless the server is about to close.
func (s *Server) begin(nc net.Conn) {
	c := &conn{Conn: nc, server: s, ctx: s.ctx}
	c.lines = lines{from: nc, budget: s.arriving, arriving: c.arriving}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		nc.Close()
		return
	}
	s.open[c] = struct{}{}
	s.done.Go(c.serve)
}

func (s *Server) left(c *conn) {
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
}

// Close ends what is idle, lets the calls under way be answered until ctx ends, and breaks off what is left.
func (s *Server) Close(ctx context.Context) {
	s.closing.Store(true)
	s.each(func(c *conn) { c.SetReadDeadline(past) })
	ended := make(chan struct{})
	go func() {
		s.done.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		s.cancel()
		s.each(func(c *conn) { c.Conn.Close() })
		<-ended
	}
	s.cancel()
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

// each closes the listeners and does something to each connection.
func (s *Server) each(do func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.ports {
		l.Close()
	}
	s.ports = nil
	for c := range s.open {
		do(c)
	}
}

// do does what a request asks for, and writes its answer.
func (s *Server) do(ctx context.Context, r request) []byte {
	if r.call == helpCall {
		result, err := s.helpOn(r.args)
		return finish(r.id, func(b []byte) []byte { return append(b, result...) }, err)
	}
	m := s.calls[r.call]
	if m == nil {
		return finish(r.id, nil, s.unknownCall(r.call))
	}
	ctx, cancel := context.WithTimeout(ctx, timeFor(r))
	defer cancel()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return finish(r.id, nil, &problem{code: codes.ResourceExhausted, hint: "try again later",
			message: "the server had too many calls to do until the deadline of this one; it did not happen"})
	}
	result, err := m.handler(m.service, ctx, func(into any) error {
		if r.args == nil {
			return nil
		}
		return decode(r.args, into.(proto.Message), true)
	}, s.opts.Interceptor)
	return finish(r.id, func(b []byte) []byte { return appendMessage(b, result.(proto.Message)) }, err)
}

func timeFor(r request) time.Duration {
	if r.deadline > 0 {
		return r.deadline
	}
	return Deadline
}

func finish(id []byte, result func([]byte) []byte, err error) []byte {
	if err != nil {
		return appendAnswer(nil, id, nil, problemOf(err))
	}
	return appendAnswer(nil, id, result, nil)
}
