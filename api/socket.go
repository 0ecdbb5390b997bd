package api

import (
	"context"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ciranda.dev/api/socket"
)

// socketPort takes what begins as a JSON object. Ten thousand who know the cluster may be idle there, and leave room.
var socketPort = port{"socket", []string{"{"}, []string{"ciranda-socket"}, 16<<10 + 64, 64, 16 << 10}

func (s *Server) serveSocket(c Config) {
	s.socket = socket.NewServer(socket.Options{
		Enter:       c.Access.enterSocket,
		NeedsToken:  c.Access.Insecure(),
		Interceptor: socketMetrics{s.metrics}.unary,
		Refused: func(from net.Addr, why string) {
			s.refused.Add(1)
			c.Log.Warn("connection turned away", "port", socketPort.name, "from", from.String(), "why", why)
		},
	})
	c.Services.registerGRPC(s.socket)
	s.run("socket", func() error { return s.socket.Serve(newGuard(c.Socket, socketPort, c.Access, c.Log, &s.refused)) })
}

// enterSocket finds out who is at the other end of a connection: by its certificate, or by the token that it shows.
func (a Access) enterSocket(ctx context.Context, conn net.Conn, token string) (context.Context, error) {
	id, err := a.identify(conn.RemoteAddr(), bearer+token)
	if err != nil {
		e := *AsError(err)
		e.Hint = `the token is in the file token of the cluster's directory; send it as {"token": "…"} in the first line`
		return nil, &e
	}
	return WithCaller(ctx, id), nil
}

// socketMetrics count the calls of the socket port.
type socketMetrics struct{ *metrics }

func (m socketMetrics) unary(ctx context.Context, r any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	began := time.Now()
	m.open.Inc()
	defer m.open.Dec()
	answer, err := UnaryRole(ctx, r, info, next)
	m.done("socket", info.FullMethod, strings.ToLower(status.Code(err).String()), time.Since(began))
	return answer, err
}

// DialSocket makes a client of the socket ports at one or more addresses, HOST:PORT,…, as Dial does of gRPC ports. It has
// no streams, so Events, Node.Follow, Group.Listen and Group.MulticastStream are not served, nor is Health; and its calls
// are done one after the other. See [socket.Client] for what it says of calls whose connection is lost.
func DialSocket(addresses string, a Access) (*Client, error) {
	if err := a.Validate(); err != nil {
		return nil, err
	}
	servers, err := Addresses(addresses)
	if err != nil {
		return nil, err
	}
	var c *socket.Client
	if a.Insecure() {
		c, err = socket.Dial(servers, nil, string(a.Token))
	} else {
		secure := a.Credentials.Client()
		secure.NextProtos = socketPort.protocols
		c, err = socket.Dial(servers, secure, "")
	}
	if err != nil {
		return nil, err
	}
	return newClient(inWords{c, a}, a), nil
}

// inWords is a socket client that says in words why it is not let in.
type inWords struct {
	*socket.Client
	access Access
}

// Invoke makes a call.
func (c inWords) Invoke(ctx context.Context, method string, r, answer any, opts ...grpc.CallOption) error {
	err := c.Client.Invoke(ctx, method, r, answer, opts...)
	if status.Code(err) == codes.Unavailable && c.access.Insecure() && strings.Contains(err.Error(), `"HTTP/1.0 400`) {
		err = status.Error(codes.Unavailable, httpAnswer)
	}
	return c.access.inWords(err)
}
