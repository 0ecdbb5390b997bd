package tcp

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ciranda.dev/transport"
)

const (
	// overhead is what a queued message takes in memory beside its bytes.
	overhead = 32
	// grace is how long the other end has to close a connection on which this end has written all that it had.
	grace = time.Second
	// overlap is how long a connection that was replaced by another is still read from: the other end has closed it, or
	// is gone.
	overlap = 250 * time.Millisecond
)

// A conn is a connection that both ends have agreed on. One goroutine writes to it and one reads from it.
type conn struct {
	t        *Transport
	p        *peer
	net      net.Conn
	theirs   greeting
	began    time.Time
	epoch    uint64        // of the pair: how many connections there have been
	previous *conn         // the handler hears all of it first
	done     chan struct{} // closed once the handler has heard all of this one

	own   atomic.Bool // this end broke it
	reset atomic.Bool // Reset did
	wake  chan struct{}

	mu      sync.Mutex
	queue   []message
	queued  int  // bytes, also those being written
	full    bool // a message was refused, and the handler was not told of room since
	leaving bool // close it once the queue is empty
	broken  bool
}

func newConn(h *handshake, p *peer) *conn {
	return &conn{t: h.t, p: p, net: h.net, theirs: h.theirs, began: time.Now(), done: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// start begins reading and writing.
func (c *conn) start() {
	c.t.work.Go(c.write)
	c.t.work.Go(c.read)
}

// send queues a message.
func (c *conn) send(m message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := m.size() + overhead
	switch {
	case c.broken || c.leaving:
		return c.t.down()
	case c.queued > 0 && c.queued+size > c.t.options.Queue:
		c.full = true
		c.t.stats.full.Add(1)
		return transport.ErrFull
	}
	c.queue = append(c.queue, m)
	c.queued += size
	if len(c.queue) == 1 {
		c.rouse()
	}
	return nil
}

func (c *conn) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// take waits for messages and gives all that are queued; none if there will be no more.
func (c *conn) take(spare []message) []message {
	for {
		c.mu.Lock()
		if len(c.queue) > 0 && !c.broken {
			batch := c.queue
			c.queue = spare[:0]
			c.mu.Unlock()
			return batch
		}
		over := c.leaving || c.broken
		c.mu.Unlock()
		if over {
			return nil
		}
		<-c.wake
	}
}

// write is the goroutine that writes: all that is queued, as much at a time as makes for few system calls.
func (c *conn) write() {
	var spare []message
	_, vectored := c.net.(*net.TCPConn)
	f := frames{whole: !vectored, buffer: make([]byte, 0, maxBundle)}
	for {
		batch := c.take(spare)
		if batch == nil {
			c.finishWriting()
			return
		}
		for rest := batch; len(rest) > 0; {
			n := f.fill(rest)
			if err := c.writeFrames(&f); err != nil {
				c.writeFailed(err)
				return
			}
			c.written(rest[:n], f.size)
			rest = rest[n:]
		}
		spare = batch
	}
}

// maxWrite is about how many bytes are written at once, where it costs no copy.
const maxWrite = 4 * maxBundle

// fill makes frames of the first n messages: one if they are one piece, else as many as should be written at once.
func (f *frames) fill(messages []message) (n int) {
	f.reset()
	for n < len(messages) && (n == 0 || !f.whole && f.size < maxWrite) {
		n += f.bundle(messages[n:])
	}
	return n
}

func (c *conn) writeFrames(f *frames) error {
	if len(f.pieces) == 1 {
		return c.writeOne(f.pieces[0])
	}
	c.limit()
	pieces := net.Buffers(f.pieces) // WriteTo eats it
	_, err := pieces.WriteTo(c.net)
	return err
}

func (c *conn) writeOne(frame []byte) error {
	c.limit()
	_, err := c.net.Write(frame)
	return err
}

// limit gives the next write as long as a peer may take nothing.
func (c *conn) limit() { c.net.SetWriteDeadline(time.Now().Add(c.t.options.WriteTimeout)) }

// written lets go of messages that have left, and tells of the room that they leave.
func (c *conn) written(messages []message, size int) {
	stats := &c.t.stats
	stats.writes.Add(1)
	stats.bytesSent.Add(uint64(size))
	stats.messagesSent.Add(uint64(len(messages)))
	freed := 0
	for i, m := range messages {
		freed += m.size() + overhead
		messages[i] = message{}
	}
	c.mu.Lock()
	c.queued -= freed
	room := c.full && c.queued <= c.t.options.Queue/2
	if room {
		c.full = false
	}
	c.mu.Unlock()
	if room {
		c.p.room()
	}
}

// writeFailed ends writing. What the other end did, reading finds out after its last messages; else the connection
// is broken off.
func (c *conn) writeFailed(err error) {
	c.breakOff()
	if !closedByPeer(err) {
		c.own.Store(true)
		c.net.Close()
	}
}

// finishWriting tells the other end that there is no more, and gives it a while to do the same.
func (c *conn) finishWriting() {
	c.mu.Lock()
	broken := c.broken
	c.mu.Unlock()
	if broken {
		return
	}
	half, ok := c.net.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		c.own.Store(true)
		c.net.Close()
		return
	}
	c.net.SetReadDeadline(time.Now().Add(grace))
}

// leave closes the connection once what is queued has been written.
func (c *conn) leave() {
	c.mu.Lock()
	c.leaving = true
	c.mu.Unlock()
	c.rouse()
}

// unwritten says whether anything was queued and not written.
func (c *conn) unwritten() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queued > 0
}

// breakOff stops writing. Nothing is queued any more.
func (c *conn) breakOff() {
	c.mu.Lock()
	c.broken = true
	c.queue = nil
	c.mu.Unlock()
	c.rouse()
}

// kill closes the connection now. The handler is not told.
func (c *conn) kill() {
	c.own.Store(true)
	c.net.Close()
}

// supersede ends a connection in whose place there is another. What was sent on it is still read, and how it ended is
// still told, before the handler hears of the other.
func (c *conn) supersede() {
	c.breakOff()
	c.net.SetReadDeadline(time.Now().Add(overlap))
}

// resetNow closes the connection so that the other end meets a reset, and this end takes it for one.
func (c *conn) resetNow() {
	c.reset.Store(true)
	under := innermost(c.net)
	if tcp, ok := under.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	under.Close()
}

// innermost is the connection beneath all that is wrapped around it.
func innermost(nc net.Conn) net.Conn {
	for {
		wrapped, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nc
		}
		nc = wrapped.NetConn()
	}
}

// read is the goroutine that reads. It tells the handler all that there is to tell of the connection, in order.
func (c *conn) read() {
	defer close(c.done)
	if c.previous != nil {
		<-c.previous.done
		c.previous = nil
	}
	c.tell(func(h transport.Handler) { h.Up(c.theirs.Hello) })
	r := reader{from: c.net, buffer: make([]byte, leastBuffer)}
	for {
		messages, size, err := r.next()
		c.t.stats.bytesReceived.Add(uint64(size))
		if len(messages) > 0 {
			c.t.stats.messagesReceived.Add(uint64(len(messages)))
			c.tell(func(h transport.Handler) { h.Receive(c.p.id, c.theirs.Incarnation, messages) })
		}
		if err != nil {
			c.end(err)
			return
		}
	}
}

// tell calls the handler, unless the transport closes.
func (c *conn) tell(what func(transport.Handler)) {
	if !c.t.closing.Load() {
		c.p.call(what)
	}
}

// end is the end of a connection, for the reason that reading failed.
func (c *conn) end(err error) {
	byPeer := c.reset.Load() || !c.own.Load() && closedByPeer(err)
	if errors.Is(err, ErrMalformed) {
		c.t.refused(c.net.RemoteAddr().String(), err)
	}
	c.net.Close()
	c.p.ended(c)
	c.breakOff()
	if byPeer {
		c.tell(func(h transport.Handler) { h.Down(c.p.id, c.theirs.Incarnation) })
	}
	c.mu.Lock()
	full := c.full
	c.mu.Unlock()
	if full {
		c.p.room() // so that nobody waits for it for ever
	}
	c.p.rouse()
}

// closedByPeer says whether an error of a connection means that the other end or its machine closed it.
func closedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) ||
		errno(err, syscall.ECONNRESET, 10054) || errno(err, syscall.EPIPE, 10058) || errno(err, syscall.ECONNABORTED, 10053)
}

// refusedByPeer says whether dialing failed because nobody listens there.
func refusedByPeer(err error) bool { return errno(err, syscall.ECONNREFUSED, 10061) }

// errno says whether the system gave that error. Windows has numbers of its own for those of sockets.
func errno(err error, unix, windows syscall.Errno) bool {
	var found syscall.Errno
	return errors.As(err, &found) && (found == unix || runtime.GOOS == "windows" && found == windows)
}
