package tcp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/transport"
)

// A Config says who a node is and whom it talks to. Hello and Handler must be given.
type Config struct {
	// Hello is what the node says of itself, at most about 8,000 bytes. It is asked before each handshake, by any
	// goroutine; only the clock and the address in it may change.
	Hello func() transport.Hello
	// Handler is told what happens. It may call all methods of the transport but Close.
	Handler transport.Handler
	// Listener accepts connections; the transport closes it. Nil means to listen on Address.
	Listener net.Listener
	// Address is where to listen if there is no Listener. Empty means a free port of the loopback interface.
	Address string
	// Peers are the addresses of other nodes. A node without one is not dialed, but may dial. SetPeer changes them.
	Peers map[protocol.ID]string
	// Secret is what all nodes of the cluster have and nobody else. Empty means that anybody may join whom TLS and
	// Identify let in.
	Secret []byte
	// TLS encrypts connections, if it is not nil. It is used for both ends, so it should have certificates and pools
	// for both. An empty ServerName stands for the dialed host.
	TLS *tls.Config
	// Identify says whose certificate the other end has shown, once TLS has found it valid. The node must be the one that
	// its Hello names, else it is turned away. Nil means not to ask. It needs a TLS that demands certificates.
	Identify func(tls.ConnectionState) (protocol.ID, error)
	// Tunnel carries the frames within each connection. Nil means that they are written as they are. The transport
	// closes it.
	Tunnel Tunnel
	// Dial makes connections. Nil means TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Options are the limits. The zero value is good.
	Options Options
}

// A Tunnel puts another protocol between a connection, encrypted or not, and the frames on it. Package transport/grpc
// has one.
type Tunnel interface {
	// Client begins at the end that dialed, Server at the other. Both give what is read, written and closed in the
	// place of nc; it should have a CloseWrite, and a NetConn that gives nc. They wait as long as the deadline of nc
	// allows, and give up when nc is closed. What they began on nc ends with nc. An error is ErrMalformed if the other
	// end sent something else, or that of nc.
	Client(nc net.Conn) (net.Conn, error)
	Server(nc net.Conn) (net.Conn, error)
	// Close is called once all connections are closed. It waits for the tunnel's goroutines.
	Close()
}

// Options are a transport's limits.
type Options struct {
	// Queue is how many bytes may wait for one peer, each message counted with 32 bytes more; 1 to 1024 MiB. One
	// message is taken in any case. Zero means 4 MiB.
	Queue int
	// HandshakeTimeout is how long dialing and a handshake may take; 10 ms to 1 min. Zero means 5 s.
	HandshakeTimeout time.Duration
	// WriteTimeout is how long a peer may take nothing before its connection is closed; 10 ms to 1 h. Zero means 30 s.
	WriteTimeout time.Duration
	// RetryMin is the pause after the first dial that fails; it doubles up to RetryMax, and a random half of it is
	// left out. 1 ms to RetryMax. Zero means 50 ms.
	RetryMin time.Duration
	// RetryMax is the longest pause between dials; up to 10 min. Zero means 2 s.
	RetryMax time.Duration
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	if o.Queue == 0 {
		o.Queue = 4 << 20
	}
	set(&o.HandshakeTimeout, 5*time.Second)
	set(&o.WriteTimeout, 30*time.Second)
	set(&o.RetryMin, 50*time.Millisecond)
	set(&o.RetryMax, 2*time.Second)
	return o
}

func (o Options) validate() error {
	between := func(name string, d, least, most time.Duration) error {
		if d < least || d > most {
			return fmt.Errorf("transport/tcp: %s is %s; expected %s to %s", name, d, least, most)
		}
		return nil
	}
	if o.Queue < 1<<20 || o.Queue > 1<<30 {
		return fmt.Errorf("transport/tcp: Queue is %d bytes; expected 1 to 1024 MiB", o.Queue)
	}
	return errors.Join(
		between("HandshakeTimeout", o.HandshakeTimeout, 10*time.Millisecond, time.Minute),
		between("WriteTimeout", o.WriteTimeout, 10*time.Millisecond, time.Hour),
		between("RetryMax", o.RetryMax, time.Millisecond, 10*time.Minute),
		between("RetryMin", o.RetryMin, time.Millisecond, o.RetryMax),
	)
}

func validate(hello transport.Hello, peers map[protocol.ID]string) error {
	const growth = 16 // of the clock
	whole := greeting{Hello: hello}
	switch {
	case hello.Incarnation == 0 || hello.ID == protocol.None:
		return errors.New("transport/tcp: nodes and incarnations count from 1")
	case !slices.Contains(hello.Group, hello.ID):
		return fmt.Errorf("transport/tcp: node %d is not in its group %v", hello.ID, hello.Group)
	case len(whole.append(nil)) > maxHello-growth:
		return fmt.Errorf("transport/tcp: the Hello is larger than %d bytes", maxHello-growth)
	}
	for id := range peers {
		if !slices.Contains(hello.Group, id) {
			return fmt.Errorf("transport/tcp: there is an address of node %d, which is not in the group %v", id, hello.Group)
		}
	}
	return nil
}
