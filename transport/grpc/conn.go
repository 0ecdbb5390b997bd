package grpc

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/status"

	"ciranda.dev/transport/tcp"
)

var errNotGRPC = fmt.Errorf("%w: nor is it gRPC", tcp.ErrMalformed)

// broken is the reason for which a stream ended, if its connection did not.
func broken(err error) error {
	return fmt.Errorf("%w: the stream broke: %.200q", tcp.ErrMalformed, status.Convert(err).Message())
}

// A stream is either end's, as gRPC has it.
type stream interface {
	SendMsg(any) error
	RecvMsg(any) error
}

// A conn is a stream that is read and written as a connection. One goroutine may read and one may write.
type conn struct {
	*carrier
	stream     stream
	closeWrite func()
	hangUp     func()

	reading incoming
	writing outgoing
	until   time.Time   // a write may last so long; none if zero
	timer   *time.Timer // of a write; nil before the first
	half    atomic.Bool // nothing is written any more
}

func newConn(c *carrier, s stream) *conn {
	return &conn{carrier: c, stream: s, closeWrite: func() {}, hangUp: func() {}}
}

// Read gives what has arrived, at most the rest of one write of the other end.
func (c *conn) Read(b []byte) (int, error) {
	for c.reading.rest.Remaining() == 0 {
		if err := c.receive(); err != nil {
			return 0, err
		}
	}
	return c.reading.rest.Read(b)
}

func (c *conn) receive() error {
	err := c.stream.RecvMsg(&c.reading)
	if err == nil || err == io.EOF {
		return err
	}
	if c.server() && c.half.Load() {
		return c.reason() // the stream is over; how does the other end take it?
	}
	c.remember(broken(err))
	return c.reason()
}

func (c *conn) server() bool { return c.taken.Load() }

// Write hands b to gRPC, which copies it. It waits while the other end takes nothing.
func (c *conn) Write(b []byte) (int, error) {
	if !c.until.IsZero() {
		c.limit()
		defer c.timer.Stop()
	}
	c.writing.bytes = b
	if err := c.stream.SendMsg(&c.writing); err != nil {
		if err == io.EOF { // reading finds out why
			return 0, io.ErrClosedPipe
		}
		c.remember(broken(err))
		return 0, c.reason()
	}
	return len(b), nil
}

// limit ends the connection when the deadline of a write has passed.
func (c *conn) limit() {
	left := time.Until(c.until)
	if c.timer == nil {
		c.timer = time.AfterFunc(left, func() { c.end(os.ErrDeadlineExceeded) })
		return
	}
	c.timer.Reset(left)
}

// CloseWrite says that there is no more. What was written still arrives.
func (c *conn) CloseWrite() error {
	c.half.Store(true)
	c.closeWrite()
	return nil
}

// Close ends the connection now.
func (c *conn) Close() error {
	err := c.end(net.ErrClosed)
	c.hangUp()
	return err
}

// NetConn is the connection beneath.
func (c *conn) NetConn() net.Conn { return c.carrier.Conn }

// SetDeadline sets both deadlines. One that passes ends the connection.
func (c *conn) SetDeadline(t time.Time) error {
	c.SetWriteDeadline(t)
	return c.SetReadDeadline(t)
}

// SetReadDeadline is when the connection ends, whatever has arrived by then. If there is none, the handshake is over.
func (c *conn) SetReadDeadline(t time.Time) error {
	if t.IsZero() {
		c.known.Store(true)
	}
	return c.carrier.Conn.SetReadDeadline(t)
}

// SetWriteDeadline is until when the writes that follow may last. The goroutine that writes sets it.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.until = t
	return nil
}
