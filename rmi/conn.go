package rmi

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"ciranda.dev/protocol/invocation"
)

// A conn is a connection to another node. Calls go both ways over it.
//
// Whoever has something to send writes it. What others add meanwhile goes with the next write, so under load a write carries the
// requests or replies of many calls.
type conn struct {
	net.Conn
	in    *bufio.Reader
	peer  *Peer
	life  uint64 // of the peer, as it said
	heard atomic.Int64

	mu      sync.Mutex
	drained sync.Cond
	pending []byte
	spare   []byte
	writing bool
	extend  time.Time // when the deadline of writes is set again; of who is writing
	dead    bool
	why     error
}

const (
	mostPending  = 4 << 20          // bytes that wait to be written before callers wait too
	mostUnread   = 128 << 20        // and before the connection is given up: twice the replies that a table keeps
	writeTimeout = 10 * time.Second // how long the other end may take nothing at all
	keepBuffer   = 256 << 10        // larger buffers are given up after use
)

func newConn(c net.Conn, in *bufio.Reader) *conn {
	nc := &conn{Conn: c, in: in}
	nc.drained.L = &nc.mu
	return nc
}

// send writes frames, or leaves them to who is writing. A patient sender waits while too much is waiting already; the reader of a
// connection must not, or two readers might wait for each other.
func (c *conn) send(frames []byte, patient bool) {
	if len(frames) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for patient && c.writing && len(c.pending) > mostPending && !c.dead {
		c.drained.Wait()
	}
	if c.dead {
		return
	}
	if len(c.pending) > mostUnread {
		c.end(errUnread)
		return
	}
	c.pending = append(c.pending, frames...)
	if c.writing {
		return
	}
	c.writing = true
	if c.peer.busy() {
		c.mu.Unlock()
		runtime.Gosched() // others that are about to send do so first, and it goes with one write
		c.mu.Lock()
	}
	for len(c.pending) > 0 && !c.dead {
		c.flush()
	}
	c.writing = false
}

// flush writes what waits. The caller holds the lock, which is free during the write.
func (c *conn) flush() {
	out := c.pending
	c.pending = c.spare[:0]
	c.mu.Unlock()
	if now := time.Now(); now.After(c.extend) {
		c.extend = now.Add(writeTimeout / 4)
		c.SetWriteDeadline(now.Add(writeTimeout))
	}
	_, err := c.Write(out)
	c.mu.Lock()
	if c.spare = out; cap(out) > keepBuffer {
		c.spare = nil
	}
	c.drained.Broadcast()
	if err != nil {
		c.end(err)
	}
}

// errUnread ends the connection to whoever asks for ever more, and reads nothing of it.
var errUnread = fmt.Errorf("the other end reads too little: more than %d bytes wait for it", mostUnread)

// end closes the connection. The caller holds the lock. The first reason counts.
func (c *conn) end(why error) {
	if c.dead {
		return
	}
	c.dead, c.why = true, why
	c.drained.Broadcast()
	c.Close()
}

// close ends the connection, for a reason.
func (c *conn) close(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(why)
}

// ended says why the connection is over.
func (c *conn) ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why
}

// read gives the next frame, of at most so many bytes. Its body is the caller's.
func (c *conn) read(most int) (kind byte, body *buffer, err error) {
	head, err := c.in.Peek(headSize)
	if err != nil {
		return 0, nil, err
	}
	size := int(binary.BigEndian.Uint32(head)) - 1
	if kind = head[4]; size < 0 || size > most {
		return 0, nil, fmt.Errorf("found a frame of %d bytes; expected at most %d", size, most)
	}
	c.in.Discard(headSize)
	body = newBuffer(size)
	if _, err = io.ReadFull(c.in, body.b); err != nil {
		body.free()
		return 0, nil, errors.Join(errShort, err)
	}
	return kind, body, nil
}

// next reads frames until one asks for a call to be executed.
func (c *conn) next() (job, error) {
	for {
		kind, body, err := c.read(maxFrame)
		if err != nil {
			return job{}, err
		}
		c.heard.Store(int64(c.peer.node.now()))
		if kind == requestFrame {
			j, err := c.request(body)
			if err != nil || j.call != nil {
				return j, err
			}
			continue
		}
		if err := c.take(kind, body); err != nil {
			return job{}, err
		}
	}
}

// take does what a frame says.
func (c *conn) take(kind byte, body *buffer) error {
	switch kind {
	case replyFrame:
		var r invocation.Reply
		if err := readReply(body.b, c.peer.node.id, c.life, &r); err != nil {
			return err
		}
		c.peer.reply(&r, body)
		return nil
	case signalFrame:
		g, err := readSignal(body.b, c.peer.id, c.peer.node.id, c.life)
		body.free()
		if err != nil {
			return err
		}
		if g.Kind <= invocation.Bye {
			c.peer.node.served(c.peer, func(s *invocation.Server, now time.Duration, out []invocation.ServerEffect) []invocation.ServerEffect {
				return s.Signal(now, g, out)
			}, false)
			return nil
		}
		c.peer.signal(g)
		return nil
	}
	return fmt.Errorf("found a frame of the kind %d", kind)
}

// request gives the call that is to be executed for a request; none if the server says so.
func (c *conn) request(body *buffer) (j job, err error) {
	var r invocation.Request
	if err := readRequest(body.b, c.peer.id, &r); err != nil {
		return j, err
	}
	if r.Root.Client != r.RID.Client && !c.peer.vouches() {
		r.Root = r.RID
	}
	n := c.peer.node
	n.served(c.peer, func(s *invocation.Server, now time.Duration, out []invocation.ServerEffect) []invocation.ServerEffect {
		out = s.Request(now, &r, out)
		if len(out) > 0 && out[len(out)-1].Kind == invocation.Execute {
			j = job{call: newCall(c.peer, &r), op: r.Op, args: r.Args, body: body}
			n.runs(j.call)
		}
		return out
	}, false)
	if j.call == nil {
		body.free()
	} else if !c.peer.takes(body) {
		n.reject(j)
		j = job{}
	}
	return j, nil
}

// A buffer is bytes that are used again.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return new(buffer) }}

func newBuffer(size int) *buffer {
	f := buffers.Get().(*buffer)
	if cap(f.b) < size {
		f.b = make([]byte, size, max(size, 256))
	}
	f.b = f.b[:size]
	return f
}

// Write adds bytes.
func (f *buffer) Write(b []byte) (int, error) {
	f.b = append(f.b, b...)
	return len(b), nil
}

func (f *buffer) free() {
	if cap(f.b) <= keepBuffer {
		buffers.Put(f)
	}
}
