package socket

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

const (
	connectTime = 2 * time.Second // for one address to answer
	maxAnswer   = 16 << 20        // bytes of an answer
)

// A Client calls a server of this package. It is a [grpc.ClientConnInterface], so what is generated for gRPC's clients
// works over it, such as cirandav1.NewBankServiceClient. It has one connection, made at the first call and again when it
// was lost, and any number of calls may share it; the server does them one after the other.
//
// A call that was certainly not sent is tried at all addresses. Once it was sent it is not sent again: if its connection
// is lost it fails with Unavailable, as in gRPC, and may have happened. So may one that ends by its context.
type Client struct {
	addresses []string
	tls       *tls.Config
	token     string

	dialing chan struct{} // holds one element while nobody dials
	mu      sync.Mutex
	current *link
	next    int // of the addresses, the one to begin with
	closed  bool
}

var _ grpc.ClientConnInterface = (*Client)(nil)

// Dial makes a client of one or more addresses, HOST:PORT: of the first that answers, and when that is lost, of the next.
// It speaks TLS as secure says; if that is nil it speaks plain text, and shows the token first.
func Dial(addresses []string, secure *tls.Config, token string) (*Client, error) {
	if len(addresses) == 0 {
		return nil, errors.New("socket: found no address; expected HOST:PORT")
	}
	if secure == nil && token == "" {
		return nil, errors.New("socket: there is neither TLS nor a token")
	}
	c := &Client{addresses: addresses, tls: secure, token: token, dialing: make(chan struct{}, 1)}
	c.dialing <- struct{}{}
	return c, nil
}

// Close ends the client. Calls under way fail with Canceled.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.current != nil {
		c.current.fail(&problem{code: codes.Canceled, message: "the client is closed"})
	}
	return nil
}

// NewStream says that there are no streams.
func (c *Client) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, &problem{code: codes.Unimplemented, message: "a plain socket carries no streams", hint: "use gRPC"}
}

// Invoke makes a call. It takes no notice of the options. Without a deadline the server gives it ten seconds.
func (c *Client) Invoke(ctx context.Context, method string, args, reply any, _ ...grpc.CallOption) error {
	request, ok := args.(proto.Message)
	into, ok2 := reply.(proto.Message)
	if !ok || !ok2 {
		return &problem{code: codes.Internal, message: "socket: the request or the reply is no message of protocol buffers"}
	}
	for attempt := 0; ; attempt++ {
		if err := ctx.Err(); err != nil {
			return problemOf(err)
		}
		l, err := c.link(ctx)
		if err != nil {
			return problemOf(err)
		}
		result, err := l.call(ctx, shortName(method), request)
		if again := new(unsent); errors.As(err, again) && again.code == codes.Unavailable && attempt < 2*len(c.addresses) {
			continue
		}
		if err != nil {
			return problemOf(err)
		}
		if err := decode(result, into, false); err != nil {
			return &problem{code: codes.Internal, message: fmt.Sprintf("the answer of %s is none: %v", l.address, err)}
		}
		return nil
	}
}

// link gives the connection, made anew if it must be. Of those who want one only one makes it.
func (c *Client) link(ctx context.Context) (*link, error) {
	if l, err := c.live(); l != nil || err != nil {
		return l, err
	}
	select {
	case <-c.dialing:
		defer func() { c.dialing <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if l, err := c.live(); l != nil || err != nil { // somebody else made it
		return l, err
	}
	return c.dial(ctx)
}

var errClosed = &problem{code: codes.Canceled, message: "the client is closed"}

// live is the connection, if there is one of use.
func (c *Client) live() (*link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	if c.current != nil && !c.current.over() {
		return c.current, nil
	}
	return nil, nil
}

// dial connects to the first address that answers, from the one on that comes after the one that was lost.
func (c *Client) dial(ctx context.Context) (*link, error) {
	var last error
	for i := range c.addresses {
		at := (c.next + i) % len(c.addresses)
		nc, err := c.connect(ctx, c.addresses[at])
		if ctx.Err() != nil {
			if err == nil {
				nc.Close()
			}
			return nil, ctx.Err()
		}
		if err != nil {
			last = err
			continue
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.closed {
			nc.Close()
			return nil, errClosed
		}
		c.next = (at + 1) % len(c.addresses)
		c.current = newLink(nc, c.addresses[at], c.token)
		return c.current, nil
	}
	return nil, &problem{code: codes.Unavailable, message: last.Error()}
}

// connect connects to one address. The token is shown later, with the first call.
func (c *Client) connect(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("no connection to %s: %w", address, err)
	}
	if c.tls == nil {
		return nc, nil
	}
	secure := c.tls.Clone()
	if secure.ServerName == "" {
		secure.ServerName, _, _ = net.SplitHostPort(address)
	}
	t := tls.Client(nc, secure)
	if err := t.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, fmt.Errorf("%s: authentication handshake failed: %w", address, err)
	}
	return t, nil
}
