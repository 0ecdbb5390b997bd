// Package transport says what carries messages between the nodes of a group, whatever it is made of: package tcp, and
// package grpc, which puts gRPC between. Package transporttest has the tests that every transport passes.
//
// A transport gives: messages of one connection arrive in the order of sending, unharmed, from the node that the
// handshake named; what cannot be queued is refused at once, so nobody blocks and no memory grows without bound.
// It does not give: delivery. What was queued or written before a connection broke may or may not have arrived, and
// is never sent again.
package transport

import (
	"context"
	"errors"

	"ciranda.dev/protocol"
)

const (
	// MaxMessage is the largest message, in bytes.
	MaxMessage = 1 << 20
	// Kept is the size of a message, in bytes, from which on a handler may keep what it receives. It keeps alive at most
	// 32 times as much, or the largest message.
	Kept = 4 << 10
)

// A Hello is what each end says of itself when a connection begins. What agreement depends on must be equal at both
// ends: cluster, stack, group. Timeouts are not among it.
type Hello struct {
	Cluster     string               // the cluster's name
	Stack       string               // the layers and options on which the nodes must agree, in words
	Group       []protocol.ID        // all configured nodes
	ID          protocol.ID          // who speaks
	Incarnation protocol.Incarnation // in which life
	Lamport     uint64               // its clock now; adopted by the other end
	API         string               // address of its gRPC port; empty if it has none
}

// A Handler is told what a transport sees. Its methods are called by the transport's goroutines, for one peer one at
// a time and in order.
type Handler interface {
	// Up says that a connection to a life of a peer was agreed on.
	Up(peer Hello)
	// Receive hands over messages in the order of their sending. Those of Kept bytes and more are the handler's for good,
	// the others until it returns. While it blocks, that peer is not read from: so the sender feels it.
	Receive(from protocol.ID, inc protocol.Incarnation, messages [][]byte)
	// Down says that the last connection to that life of a peer was closed by the other end or its machine, or that a
	// redial was refused. It comes after all messages of that connection. It is never given for the transport's own
	// timeouts, for a connection that it closed itself, or while it closes.
	Down(id protocol.ID, inc protocol.Incarnation)
	// Room says that the queue to a peer that refused a message is half empty again.
	Room(id protocol.ID)
	// Refused says that a connection was turned away or broken off for what it sent, and why.
	Refused(remote string, why error)
}

// A Transport carries messages. Its methods may be called from any goroutine.
type Transport interface {
	// Send queues a message and returns at once. The message is head followed by body, of which either may be empty: so
	// messages to several peers that differ in their first bytes only can share the rest. The transport keeps both until
	// they are written; they are not changed. The error is ErrFull, ErrDown, ErrTooLarge or ErrClosed.
	Send(to protocol.ID, head, body []byte) error
	// Redial asks for a connection to a peer to be tried now, if there is none.
	Redial(to protocol.ID)
	// Reset breaks the connection to a peer as its network might: both ends see it as closed by the other.
	Reset(to protocol.ID)
	// Addr is where the transport listens.
	Addr() string
	// Stats are its counters.
	Stats() Stats
	// Close gives what is queued until ctx ends to leave, then closes all connections and waits for its goroutines.
	Close(ctx context.Context) error
}

// A Broadcaster is a Transport that can reach all nodes of a view with one send too. Its Handler is a Hearer.
type Broadcaster interface {
	Transport
	// Broadcast sends a message to all of them at once: some get it, all, or none. It keeps nothing of the message. The
	// error is ErrDown or ErrTooLarge.
	Broadcast(message []byte) error
	// Carries says whether broadcasts get through, as far as it knows.
	Carries() protocol.Carries
}

// A Hearer is a Handler that is also told what nodes broadcast.
type Hearer interface {
	Handler
	// Hear hands over what a node broadcast, in any order. It lends the messages as Receive does.
	Hear(from protocol.ID, inc protocol.Incarnation, messages [][]byte)
	// Carries says that what Broadcaster.Carries gives has changed. It may come when that is not so.
	Carries()
}

// Reasons for which a message is not queued.
var (
	ErrFull     = errors.New("transport: the queue to that node is full")
	ErrDown     = errors.New("transport: no connection to that node")
	ErrTooLarge = errors.New("transport: the message is larger than 1 MiB")
	ErrClosed   = errors.New("transport: closed")
)

// Stats count what a transport did, since it was opened.
type Stats struct {
	MessagesSent, MessagesReceived uint64
	BytesSent, BytesReceived       uint64
	Writes                         uint64 // system calls that wrote, or messages of gRPC
	Refused                        uint64 // connections turned away or broken off for what they sent
	Full                           uint64 // messages not queued for want of room
}
