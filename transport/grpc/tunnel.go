package grpc

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"ciranda.dev/transport"
	"ciranda.dev/transport/tcp"
)

const (
	service = "ciranda.transport.Peer"
	method  = "Connect"
	// window is how many bytes may be on their way to a reader that is busy. It is fixed, so memory is bounded.
	window = 1 << 20
	// buffers are for writing and for reading, in bytes each.
	buffers = 64 << 10
	// maxMessage is the largest message of gRPC: a frame with one message, or a number with all that a handshake says
	// at once.
	maxMessage = transport.MaxMessage + 1<<10
	// maxEarly is how many bytes may come from outside before the handshake is over. A handshake takes a fifth of it. In
	// memory gRPC spends a hundred times the size of a tiny frame, so window alone would allow a stranger too much.
	maxEarly = 64 << 10
	// maxHeaders bounds the headers of a stream, in bytes.
	maxHeaders = 8 << 10
)

// A tunnel is gRPC at one node: a server, and a client for each connection that it dials.
type tunnel struct {
	server  *grpc.Server
	arrived *handover
	work    sync.WaitGroup
	once    sync.Once
}

func newTunnel() *tunnel {
	t := &tunnel{arrived: &handover{carriers: make(chan *carrier), closed: make(chan struct{})}}
	t.server = grpc.NewServer(
		grpc.Creds(carriers{}), grpc.ForceServerCodecV2(codec{}), grpc.WaitForHandlers(true),
		grpc.MaxConcurrentStreams(1), grpc.MaxRecvMsgSize(maxMessage), grpc.MaxHeaderListSize(maxHeaders),
		grpc.StaticStreamWindowSize(window), grpc.StaticConnWindowSize(window),
		grpc.ReadBufferSize(buffers), grpc.WriteBufferSize(buffers),
		// A process that is stopped is not gone: its connection stays. A machine that is gone, TCP finds out.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: math.MaxInt64}),
	)
	t.server.RegisterService(&grpc.ServiceDesc{
		ServiceName: service, HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: method, Handler: connect, ServerStreams: true, ClientStreams: true}},
	}, nil)
	t.work.Go(func() { t.server.Serve(t.arrived) })
	return t
}

// Close stops the server. It waits for all that it began.
func (t *tunnel) Close() {
	t.once.Do(func() {
		close(t.arrived.closed)
		t.server.Stop()
	})
	t.work.Wait()
}

// Server waits for the stream on a connection.
func (t *tunnel) Server(nc net.Conn) (net.Conn, error) {
	c := newCarrier(nc)
	c.early.Store(maxEarly)
	select {
	case t.arrived.carriers <- c:
	case <-t.arrived.closed:
		return nil, net.ErrClosed
	}
	select {
	case s := <-c.streams:
		return s, nil
	case <-c.gone:
		return nil, c.reason()
	}
}

// connect is the method. The stream is another goroutine's until it ends.
func connect(_ any, stream grpc.ServerStream) error {
	from, _ := peer.FromContext(stream.Context())
	c := from.AuthInfo.(*carrier)
	if c.taken.Swap(true) {
		return status.Error(codes.ResourceExhausted, "a connection has one stream")
	}
	end := make(chan struct{})
	s := newConn(c, stream)
	s.closeWrite = sync.OnceFunc(func() { close(end) })
	select {
	case c.streams <- s:
	case <-stream.Context().Done():
		return nil
	}
	select {
	case <-end:
	case <-stream.Context().Done():
	}
	return nil
}

// Client begins the stream on a connection.
func (t *tunnel) Client(nc net.Conn) (net.Conn, error) {
	c := newCarrier(nc)
	c.known.Store(true)
	client, err := grpc.NewClient("passthrough:///peer",
		grpc.WithContextDialer(c.dial), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(),
		grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithIdleTimeout(0), grpc.WithMaxHeaderListSize(maxHeaders),
		grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(window),
		grpc.WithReadBufferSize(buffers), grpc.WithWriteBufferSize(buffers),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}), grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	hangUp := sync.OnceFunc(func() { cancel(); client.Close() })
	stream, err := client.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/"+service+"/"+method)
	if err != nil {
		c.end(broken(err))
		hangUp()
		return nil, c.reason()
	}
	s := newConn(c, stream)
	s.closeWrite = func() { stream.CloseSend() }
	s.hangUp = hangUp
	return s, nil
}

// A carrier is a connection as gRPC has it. It remembers the first reason for which it ended.
type carrier struct {
	net.Conn
	streams chan *conn   // where the server's is handed over
	taken   atomic.Bool  // it was
	dialed  atomic.Bool  // the client has it
	known   atomic.Bool  // the other end is no stranger: it was dialed, or the handshake is over
	early   atomic.Int64 // how many bytes a stranger may still send

	once sync.Once
	why  error         // written before gone is closed
	gone chan struct{} // closed at the end
}

func newCarrier(nc net.Conn) *carrier {
	nc.SetWriteDeadline(time.Time{}) // gRPC writes when it likes
	return &carrier{Conn: nc, streams: make(chan *conn), gone: make(chan struct{})}
}

var (
	errOver  = errors.New("the connection is over")
	errEarly = fmt.Errorf("%w: more than %d bytes came before the end of the handshake", tcp.ErrMalformed, maxEarly)
)

// dial gives the connection to the client, who asks for another if it breaks.
func (c *carrier) dial(context.Context, string) (net.Conn, error) {
	if c.dialed.Swap(true) {
		return nil, errOver
	}
	return c, nil
}

func (c *carrier) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && !c.known.Load() && c.early.Add(-int64(n)) < 0 {
		err = errEarly
	}
	if err != nil {
		c.remember(err)
	}
	return n, err
}

func (c *carrier) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil {
		c.remember(err)
	}
	return n, err
}

// Close is gRPC's way to say that it has had enough. If nothing broke before, it is for what the other end sent.
func (c *carrier) Close() error { return c.end(errNotGRPC) }

func (c *carrier) remember(err error) {
	c.once.Do(func() {
		c.why = err
		close(c.gone)
	})
}

// end closes the connection.
func (c *carrier) end(why error) error {
	c.remember(why)
	return c.Conn.Close()
}

// reason waits for the end and says why it came.
func (c *carrier) reason() error {
	<-c.gone
	return c.why
}

// The deadlines are package tcp's, not those of gRPC.

func (c *carrier) SetDeadline(time.Time) error      { return nil }
func (c *carrier) SetReadDeadline(time.Time) error  { return nil }
func (c *carrier) SetWriteDeadline(time.Time) error { return nil }

// AuthType makes a carrier what a server's stream can find: TLS is not gRPC's here.
func (c *carrier) AuthType() string { return "beneath" }

// carriers are credentials that let each carrier pass.
type carriers struct{}

func (carriers) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("transport/grpc: these credentials are a server's")
}

func (carriers) ServerHandshake(nc net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nc, nc.(*carrier), nil
}

func (carriers) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "beneath"}
}
func (carriers) Clone() credentials.TransportCredentials { return carriers{} }
func (carriers) OverrideServerName(string) error         { return nil }
