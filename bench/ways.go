package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/rpc"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/api/socket"
	"ciranda.dev/node"
	"ciranda.dev/rmi"
)

// A way is one way of calling a server that gives back what it is sent.
type way struct {
	name string
	// serve answers on a listener until the process ends.
	serve func(net.Listener, api.Access)
	// dial makes so many callers of a server. They end with ctx.
	dial func(ctx context.Context, address string, a api.Access, callers int) ([]caller, error)
}

// A caller sends a payload and gives what came back. It makes one call at a time; callers of one server may share a
// connection.
type caller func(ctx context.Context, payload []byte) ([]byte, error)

// ways are all ways that are compared. The first one is the floor.
var ways = []way{
	{"raw", serveRaw, dialRaw},
	{"socket", serveSocket, dialSocket},
	{"grpc", serveGRPC, dialGRPC},
	{"rmi", serveRMI, dialRMI},
	{"net/rpc", serveNetRPC, dialNetRPC},
}

// secured puts TLS on a listener where there are credentials.
func secured(l net.Listener, a api.Access) net.Listener {
	if a.Insecure() {
		return l
	}
	return tls.NewListener(l, a.Credentials.Server())
}

// dialAs makes a connection, by TLS where there are credentials. It is closed when ctx ends.
func dialAs(ctx context.Context, address string, a api.Access) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if !a.Insecure() {
		secure := tls.Client(c, a.Credentials.Client())
		if err := secure.HandshakeContext(ctx); err != nil {
			c.Close()
			return nil, err
		}
		c = secure
	}
	context.AfterFunc(ctx, func() { c.Close() })
	return c, nil
}

// accept handles each connection of a listener on its own, until the listener fails.
func accept(l net.Listener, handle func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go handle(c)
	}
}

// The raw protocol is the least that a protocol of messages can do: a header with the length and the number of the
// message, 4 bytes each, and the payload. Each caller has a connection of its own.

const (
	rawHeader = 8
	maxRaw    = 64 << 10
)

func serveRaw(l net.Listener, a api.Access) {
	accept(secured(l, a), func(c net.Conn) {
		defer c.Close()
		r := bufio.NewReader(c)
		var message []byte
		for {
			var err error
			if message, err = readRaw(r, message); err != nil {
				return
			}
			if _, err := c.Write(message); err != nil {
				return
			}
		}
	})
}

// readRaw reads a message with its header into a buffer, or a larger one.
func readRaw(r *bufio.Reader, buffer []byte) ([]byte, error) {
	header, err := r.Peek(rawHeader)
	if err != nil {
		return buffer, err
	}
	n := binary.BigEndian.Uint32(header)
	if n > maxRaw {
		return buffer, fmt.Errorf("bench: a message of %d bytes; expected at most %d", n, maxRaw)
	}
	if size := rawHeader + int(n); cap(buffer) < size {
		buffer = make([]byte, size)
	} else {
		buffer = buffer[:size]
	}
	_, err = io.ReadFull(r, buffer)
	return buffer, err
}

func dialRaw(ctx context.Context, address string, a api.Access, callers int) ([]caller, error) {
	all := make([]caller, callers)
	for i := range all {
		c, err := dialAs(ctx, address, a)
		if err != nil {
			return nil, err
		}
		all[i] = rawCaller(c)
	}
	return all, nil
}

func rawCaller(c net.Conn) caller {
	r := bufio.NewReader(c)
	var out, in []byte
	number := uint32(0)
	return func(_ context.Context, payload []byte) ([]byte, error) {
		number++
		out = binary.BigEndian.AppendUint32(out[:0], uint32(len(payload)))
		out = binary.BigEndian.AppendUint32(out, number)
		out = append(out, payload...)
		if _, err := c.Write(out); err != nil {
			return nil, err
		}
		var err error
		if in, err = readRaw(r, in); err != nil {
			return nil, err
		}
		if got := binary.BigEndian.Uint32(in[4:]); got != number {
			return nil, fmt.Errorf("bench: message %d was answered by %d", number, got)
		}
		return in[rawHeader:], nil
	}
}

// The plain socket, with a line of JSON a call, is measured as every process of a cluster serves it. It does the calls of
// a connection one after the other, so each caller has a connection of its own.

func serveSocket(l net.Listener, a api.Access) {
	api.New(api.Config{Access: a, Socket: l}).Start()
}

func dialSocket(ctx context.Context, address string, a api.Access, callers int) ([]caller, error) {
	var secure *tls.Config
	if !a.Insecure() {
		secure = a.Credentials.Client()
	}
	all := make([]caller, callers)
	for i := range all {
		c, err := socket.Dial([]string{address}, secure, string(a.Token))
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { c.Close() })
		all[i] = echoCaller(cirandav1.NewEchoServiceClient(c))
	}
	return all, nil
}

func echoCaller(c cirandav1.EchoServiceClient) caller {
	return func(ctx context.Context, payload []byte) ([]byte, error) {
		answer, err := c.Echo(ctx, &cirandav1.EchoRequest{Payload: payload})
		return answer.GetPayload(), err
	}
}

// gRPC is measured the same way, with all that looks at a call before its service does. All callers share a connection.

func serveGRPC(l net.Listener, a api.Access) {
	api.New(api.Config{Access: a, GRPC: l}).Start()
}

func dialGRPC(ctx context.Context, address string, a api.Access, callers int) ([]caller, error) {
	c, err := api.Dial(address, a)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { c.Close() })
	return shared(callers, echoCaller(c.Echo)), nil
}

// shared is a caller that many may use at a time.
func shared(callers int, call caller) []caller {
	all := make([]caller, callers)
	for i := range all {
		all[i] = call
	}
	return all
}

// Remote objects are measured as every process of a cluster serves them. All callers share a connection, and calls are executed at
// most once.

func serveRMI(l net.Listener, a api.Access) {
	n, err := rmi.New(objectOptions(a))
	if err == nil {
		err = bindEchoer(n)
	}
	if err != nil {
		panic("bench: " + err.Error()) // only for options of another form
	}
	api.New(api.Config{Access: a, GRPC: l, Objects: n}).Start()
}

func bindEchoer(n *rmi.Node) error {
	ref, err := EchoerRemote.Export(n, echoer{})
	if err != nil {
		return err
	}
	return n.Names().Bind(context.Background(), "echoer", ref, nil)
}

func objectOptions(a api.Access) (o rmi.Options) {
	node.ObjectAccess(a, &o)
	return o
}

func dialRMI(ctx context.Context, address string, a api.Access, callers int) ([]caller, error) {
	n, err := rmi.Dial(ctx, address, objectOptions(a))
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, n.Close)
	e, err := EchoerRemote.Lookup(ctx, n, "echoer")
	return shared(callers, e.Echo), err
}

// net/rpc is the standard library's, with gob. All callers share a connection.

// Echo is the service of net/rpc.
type Echo struct{}

// Echo gives back what it is sent.
func (Echo) Echo(payload []byte, answer *[]byte) error {
	*answer = payload
	return nil
}

func serveNetRPC(l net.Listener, a api.Access) {
	s := rpc.NewServer()
	if err := s.Register(Echo{}); err != nil {
		panic("bench: " + err.Error()) // only for a service of another form
	}
	accept(secured(l, a), func(c net.Conn) { s.ServeConn(c) })
}

func dialNetRPC(ctx context.Context, address string, a api.Access, callers int) ([]caller, error) {
	conn, err := dialAs(ctx, address, a)
	if err != nil {
		return nil, err
	}
	c := rpc.NewClient(conn)
	return shared(callers, func(_ context.Context, payload []byte) ([]byte, error) {
		var answer []byte
		err := c.Call("Echo.Echo", payload, &answer)
		return answer, err
	}), nil
}
