package socket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

const (
	maxQueued = 256              // calls that wait to be sent
	maxSend   = 64 << 10         // bytes that are sent at once, unless one call is larger
	writeTime = 10 * time.Second // for the server to take them
	maxSilent = 2                // calls that end without a word of the server, one after the other, until it is given up
)

// unsent says that a connection was lost before a call was sent over it, and why.
type unsent struct{ *problem }

func (u unsent) Unwrap() error { return u.problem }

// A link is one connection of a client. One goroutine writes, one reads.
type link struct {
	conn    net.Conn
	address string
	token   string // to be shown first; empty: none
	queue   chan *call
	dead    chan struct{} // closed when it is over

	mu      sync.Mutex
	err     *problem // why it is over
	last    uint64
	pending map[uint64]*call
	silent  int // calls that ended without an answer since the server said anything
}

// A call is one that is under way.
type call struct {
	id     uint64
	line   []byte
	sent   bool // it is being written, or was; guarded by the link's lock
	result []byte
	err    error
	done   chan struct{} // closed once there is one of the two
}

func newLink(nc net.Conn, address, token string) *link {
	l := &link{conn: nc, address: address, token: token, queue: make(chan *call, maxQueued), dead: make(chan struct{}),
		pending: map[uint64]*call{}}
	go l.write()
	go l.read()
	return l
}

// over says whether the connection is lost.
func (l *link) over() bool {
	select {
	case <-l.dead:
		return true
	default:
		return false
	}
}

// call makes a call and waits for its result, until ctx ends.
func (l *link) call(ctx context.Context, name string, request proto.Message) ([]byte, error) {
	c, err := l.begin(ctx, name, request)
	if err != nil {
		return nil, err
	}
	select {
	case l.queue <- c:
	case <-c.done:
		return nil, c.err
	case <-ctx.Done():
		l.forget(c, false)
		return nil, ctx.Err()
	}
	select {
	case <-c.done:
		return c.result, c.err
	case <-ctx.Done():
		l.forget(c, errors.Is(ctx.Err(), context.DeadlineExceeded))
		return nil, ctx.Err()
	}
}

// begin writes the line of a call, and notes that somebody waits for its answer.
func (l *link) begin(ctx context.Context, name string, request proto.Message) (*call, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, unsent{l.err}
	}
	l.last++
	c := &call{id: l.last, done: make(chan struct{})}
	c.line = appendRequest(nil, c.id, name, remaining(ctx), func(b []byte) []byte { return appendMessage(b, request) })
	if len(c.line) > MaxLine+1 {
		return nil, &problem{code: codes.ResourceExhausted,
			message: fmt.Sprintf("the request is a line of %d bytes; a plain socket takes %d", len(c.line)-1, MaxLine)}
	}
	l.pending[c.id] = c
	return c, nil
}

// remaining is what is left of a context's time, as a request states it; zero if it has no end.
func remaining(ctx context.Context) time.Duration {
	until, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return min(longest, max(time.Millisecond, time.Until(until)))
}

// forget ends a call that nobody waits for any more. A server that lets the oldest call wait to its end, and the next
// one too, and says nothing, is given up: its process may stand still.
func (l *link) forget(c *call, late bool) {
	l.mu.Lock()
	for id := range l.pending {
		late = late && id >= c.id
	}
	delete(l.pending, c.id)
	if late && c.sent {
		l.silent++
	}
	silent := l.silent
	l.mu.Unlock()
	if silent >= maxSilent {
		l.fail(&problem{code: codes.Unavailable, message: l.address + " does not answer"})
	}
}

// write sends what is queued, many calls at once if they are there.
func (l *link) write() {
	var b []byte
	if l.token != "" {
		b = append(appendText([]byte(`{"token":`), l.token), "}\n"...)
	}
	for {
		select {
		case c := <-l.queue:
			b = l.gather(l.add(b, c))
		case <-l.dead:
			return
		}
		l.conn.SetWriteDeadline(time.Now().Add(writeTime))
		if _, err := l.conn.Write(b); err != nil {
			l.broken(err)
			return
		}
		if b = b[:0]; cap(b) > maxSend {
			b = nil
		}
	}
}

// broken ends the link because nothing can be sent any more. The server may have said why: that is read first.
func (l *link) broken(err error) {
	l.conn.SetReadDeadline(time.Now().Add(linger))
	late := time.NewTimer(linger)
	defer late.Stop()
	select {
	case <-l.dead:
	case <-late.C:
		l.lost(err)
	}
}

// gather adds what else is queued, up to some size.
func (l *link) gather(b []byte) []byte {
	for len(b) < maxSend {
		select {
		case c := <-l.queue:
			b = l.add(b, c)
		default:
			return b
		}
	}
	return b
}

// add adds the line of a call, unless nobody waits for it any more.
func (l *link) add(b []byte, c *call) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending[c.id] == nil {
		return b
	}
	c.sent = true
	b = append(b, c.line...)
	c.line = nil
	return b
}

// read gives each answer to who waits for it.
func (l *link) read() {
	from := lines{from: l.conn}
	for {
		line, err := from.next(maxAnswer)
		if err != nil {
			l.lost(err)
			return
		}
		if len(line) == 0 {
			continue
		}
		a, err := parseAnswer(line)
		if err != nil {
			l.lost(fmt.Errorf("it answers what is no answer: %.60q", line))
			return
		}
		if !l.deliver(a) {
			return
		}
	}
}

// deliver gives an answer to who waits for it. It gives whether the connection is of use still.
func (l *link) deliver(a answer) bool {
	if !a.hasID {
		if a.problem != nil { // it is about the connection, which ends
			l.fail(a.problem)
		}
		return a.problem == nil // else it greets who has shown the token
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent = 0
	if c := l.pending[a.id]; c != nil {
		delete(l.pending, a.id)
		if a.problem != nil {
			c.err = a.problem
		}
		c.result = bytes.Clone(a.result)
		close(c.done)
	}
	return true
}

// lost ends the link because its connection is lost.
func (l *link) lost(err error) {
	if errors.Is(err, io.EOF) {
		err = errors.New("the other end closed it")
	}
	l.fail(&problem{code: codes.Unavailable, message: fmt.Sprintf("the connection to %s is lost: %v", l.address, err)})
}

// fail ends the link and all its calls.
func (l *link) fail(why *problem) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	l.err = why
	close(l.dead)
	l.conn.Close()
	for _, c := range l.pending {
		c.err = unsent{why}
		if c.sent {
			c.err = answerless(why)
		}
		close(c.done)
	}
	clear(l.pending)
}

// answerless is what a call gets that was sent and will not be answered.
func answerless(why *problem) *problem {
	p := *why
	if p.code == codes.Unavailable {
		p.message += "; the call may have happened"
	}
	return &p
}
