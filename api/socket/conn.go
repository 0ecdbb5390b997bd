package socket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"google.golang.org/grpc/codes"
)

// A conn is a connection that a server serves.
type conn struct {
	net.Conn
	server *Server
	ctx    context.Context // of its calls, once who is at the other end has been let in
	lines  lines
	inside bool   // it has been let in
	begun  bool   // the line has a deadline
	armed  bool   // reading has one, it may be that of the line before
	why    string // it ends, for what was sent; empty if not for that
}

// errClosing says that the server is about to close.
var errClosing = errors.New("the server is about to close")

// serve answers the requests of a connection until it ends.
func (c *conn) serve() {
	defer c.close()
	if !c.server.opts.NeedsToken {
		if err := c.enter(""); err != nil {
			c.refuse(nil, err)
			return
		}
	}
	for c.why == "" && !c.server.closing.Load() { // what has come meanwhile is not begun
		c.begun = c.begun && !c.inside
		line, err := c.lines.next(c.longest())
		if err != nil {
			c.lost(err)
			return
		}
		if len(line) > 0 && !c.handle(line) {
			return
		}
	}
}

func (c *conn) longest() int {
	if c.inside {
		return MaxLine
	}
	return firstLine
}

// arriving gives a line time once its first byte is here, and all the time in the world before. The first line with the
// token is due from the beginning.
func (c *conn) arriving(part bool) error {
	switch {
	case !c.begun && (part || !c.inside):
		c.begun, c.armed = true, true
		c.SetReadDeadline(time.Now().Add(lineTime))
	case !c.begun && c.armed:
		c.armed = false
		c.SetReadDeadline(time.Time{})
	}
	if c.server.closing.Load() { // after the deadline was set: Close sets one too
		return errClosing
	}
	return nil
}

// enter asks whether who is at the other end may come in.
func (c *conn) enter(token string) error {
	c.inside = true
	if c.server.opts.Enter == nil {
		return nil
	}
	ctx, err := c.server.opts.Enter(c.ctx, c.Conn, token)
	if err != nil {
		return err
	}
	c.ctx = ctx
	return nil
}

// handle answers a line. It gives whether the connection goes on.
func (c *conn) handle(line []byte) bool {
	r, err := parseRequest(line)
	if !c.inside {
		return c.first(r, err)
	}
	switch {
	case err != nil && line[0] != '{' && line[0] != ' ' && line[0] != '\t':
		// Some other protocol, it may be HTTP: none of its lines must be taken for requests.
		c.refuse(r.id, err)
		return false
	case err == nil && r.token != "":
		err = c.superfluous()
	}
	if err != nil {
		return c.write(finish(r.id, nil, err))
	}
	return c.write(c.server.do(c.ctx, r))
}

// superfluous says why no token is wanted.
func (c *conn) superfluous() error {
	if c.server.opts.NeedsToken {
		return wrong("token", "the token was shown before; expected it in the first line alone")
	}
	return wrong("token", "found a token; this server knows its clients by their certificates")
}

// first looks at the line that must show the token. It tells those without it nothing of what it could not read.
func (c *conn) first(r request, err error) bool {
	if err != nil || r.token == "" {
		c.refuse(r.id, &problem{code: codes.Unauthenticated, message: "the first line does not show the cluster's token",
			hint: `it is in the file token of the cluster's directory; send it as {"token": "…"} in the first line`})
		return false
	}
	if err := c.enter(r.token); err != nil {
		c.refuse(r.id, err)
		return false
	}
	if r.call == "" {
		return c.write(finish(r.id, func(b []byte) []byte { return append(b, "{}"...) }, nil))
	}
	return c.write(c.server.do(c.ctx, r))
}

// write sends an answer, if the client takes it in time.
func (c *conn) write(answer []byte) bool {
	charge := max(0, len(answer)-keptBuffer)
	if !c.server.leaving.take(charge) {
		c.why = "too much is waiting for clients that do not read"
		return false
	}
	defer c.server.leaving.take(-charge)
	c.SetWriteDeadline(time.Now().Add(answerTime))
	_, err := c.Conn.Write(answer)
	if errors.Is(err, os.ErrDeadlineExceeded) && !c.server.closing.Load() {
		c.why = "it does not read its answers"
	}
	return err == nil
}

// lost says why the next line did not come, to the client if that can help it.
func (c *conn) lost(err error) {
	switch {
	case c.server.closing.Load(), errors.Is(err, io.EOF): // what it has said of a line is no request
	case errors.Is(err, errLong):
		c.refuse(nil, &problem{code: codes.ResourceExhausted,
			message: fmt.Sprintf("the line is longer than %d bytes; the connection ends", c.longest())})
	case errors.Is(err, errFull):
		c.refuse(nil, &problem{code: codes.ResourceExhausted, hint: "try again later",
			message: "too many long requests arrive at once; the connection ends"})
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.refuse(nil, &problem{code: codes.DeadlineExceeded,
			message: fmt.Sprintf("the request did not arrive within %v; the connection ends", lineTime)})
	}
}

// refuse says why the connection ends, and gives the client time to read that: closing at once, with bytes unread, would
// take the answer back.
func (c *conn) refuse(id []byte, err error) {
	p := problemOf(err)
	c.why = p.message
	told := c.write(appendAnswer(nil, id, nil, p))
	c.lines.close()
	if !told {
		return
	}
	c.SetReadDeadline(time.Now().Add(linger))
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	io.CopyBuffer(io.Discard, io.LimitReader(c.Conn, maxDrained), make([]byte, keptBuffer))
}

// maxDrained is how many bytes are read and forgotten while a connection ends.
const maxDrained = 1 << 20

func (c *conn) close() {
	c.Conn.Close()
	c.lines.close()
	c.server.left(c)
	if c.why != "" && c.server.opts.Refused != nil {
		c.server.opts.Refused(c.RemoteAddr(), c.why)
	}
}
