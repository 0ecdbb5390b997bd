// Package grpc carries messages in streams of gRPC: package tcp, with HTTP/2 and gRPC between its connections and its
// frames.
//
// [Open] takes what tcp.Open takes and gives what it gives. All that package tcp promises holds here, for it is the
// same code: one connection for each pair of nodes, its handshake, limits and news. On each connection the end that
// dialed calls the method Connect of the service ciranda.transport.Peer, whose two streams carry the frames both ways:
// so HTTP/2 proxies and tools for gRPC can be used between nodes. Messages of gRPC are not those of the nodes. Each is
// one write of package tcp, up to 64 KiB of bundled messages, behind a number that tells of a lost one.
//
// It does not give: the speed of package tcp; more than one stream on a connection, or one that outlasts it; a
// contract in protobuf, for a frame is bytes already. Without TLS, damage that TCP does not find is found at the next
// frame at the latest, but HTTP/2 has no checksum of its own, so if no next frame follows it may not be found at all.
//
// The stream is of gRPC (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), with bytes as content-subtype.
package grpc

import (
	"fmt"
	"net"

	"ciranda.dev/transport/tcp"
)

// A Config says who a node is and whom it talks to. Its Tunnel is ignored: Open puts its own in its place. A TLS without
// NextProtos gets "h2", as gRPC demands.
type Config = tcp.Config

// Options are a transport's limits.
type Options = tcp.Options

// A Transport carries messages.
type Transport = tcp.Transport

// Open begins to listen and to dial. Its errors are those of tcp.Open.
func Open(config Config) (*Transport, error) {
	if config.TLS != nil && len(config.TLS.NextProtos) == 0 {
		config.TLS = config.TLS.Clone()
		config.TLS.NextProtos = []string{"h2"}
	}
	own := newTunnel()
	config.Tunnel = own
	t, err := tcp.Open(config)
	if err != nil {
		own.Close()
		return nil, fmt.Errorf("transport/grpc: %w", err)
	}
	return t, nil
}

var _ tcp.Tunnel = (*tunnel)(nil)

// An address is where a listener is that has no place of its own.
type address struct{}

func (address) Network() string { return "tunnel" }
func (address) String() string  { return "tunnel" }

// A handover is a listener that accepts the connections it is given.
type handover struct {
	carriers chan *carrier
	closed   chan struct{}
}

func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.carriers:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handover) Close() error   { return nil } // the tunnel closes it
func (h *handover) Addr() net.Addr { return address{} }
