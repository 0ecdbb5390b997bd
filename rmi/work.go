package rmi

import (
	"context"
	"errors"
	"io"
	"net"

	"ciranda.dev/protocol/invocation"
)

// A job is what a goroutine of a node has to do: to read a connection, or to execute a call.
type job struct {
	conn *conn // is read

	call *call // is executed
	op   uint32
	args []byte
	body *buffer // of which they are part
}

// mostIdle is how many goroutines are kept for jobs to come. Their stacks have grown already.
const mostIdle = 64

// hand gives a job to a goroutine that is idle, or to a new one. It says false if the node is closed.
func (n *Node) hand(j job) bool {
	select {
	case n.jobs <- j:
		return true
	default:
		return n.goes(func() { n.do(j) })
	}
}

// do does jobs, as long as few goroutines wait for them.
func (n *Node) do(j job) {
	for ok := true; ok; j, ok = n.await() {
		if j.conn != nil {
			if j = n.read(j.conn); j.call == nil {
				continue
			}
		}
		n.execute(j)
	}
}

// await waits for a job, unless enough goroutines do.
func (n *Node) await() (j job, ok bool) {
	defer n.idle.Add(-1)
	if n.idle.Add(1) > mostIdle {
		return j, false
	}
	select {
	case j = <-n.jobs:
		return j, true
	case <-n.ctx.Done():
		return j, false
	}
}

// read reads a connection and has calls executed, each by a goroutine. When nothing more has come it gives the last one to be executed
// right here, and another goroutine reads on: so a lone call waits for no other goroutine. It gives none when the connection has ended.
func (n *Node) read(c *conn) job {
	for {
		j, err := c.next()
		switch {
		case err != nil:
			n.lost(c, err)
			return job{}
		case c.in.Buffered() == 0 && n.hand(job{conn: c}):
			return j
		case !n.hand(j):
			n.reject(j)
		}
	}
}

// lost cleans up after a connection that has ended.
func (n *Node) lost(c *conn, err error) {
	c.close(err)
	n.drop(c.Conn)
	c.peer.detach(c, c.ended())
	if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		n.log.Warn("connection lost", "to", c.peer.id.String(), "why", err)
	}
}

// runs notes a call that is executed. Copies of one that may be repeated run side by side. The caller holds the server's lock.
func (n *Node) runs(c *call) {
	c.copy = n.running[c.rid]
	n.running[c.rid] = c
}

// ran takes a call out again.
func (n *Node) ran(c *call) {
	first := n.running[c.rid]
	switch {
	case first == c && c.copy == nil:
		delete(n.running, c.rid)
	case first == c:
		n.running[c.rid] = c.copy
	}
	for ; first != nil; first = first.copy {
		if first.copy == c {
			first.copy = c.copy
		}
	}
}

// execute executes a call and has its reply sent.
func (n *Node) execute(j job) {
	returned := false
	defer func() {
		if !returned {
			n.finish(j, nil, &Error{Kind: Panicked, Happened: Yes, Text: "the method ended its goroutine"})
		}
	}()
	result, err := n.perform(j.call, j.op, j.args)
	returned = true
	n.finish(j, result, err)
}

// finish ends a call.
func (n *Node) finish(j job, result []byte, err error) {
	defer j.call.peer.over(j.body)
	status := invocation.OK
	if err != nil {
		status, result = encodeError(err)
	}
	n.done(j.call, status, result)
	j.call.finish(context.Canceled)
}

// What is executed of one peer at a time, copies of calls that may be repeated too.
const (
	mostWorking = 2048     // calls
	mostCarried = 64 << 20 // bytes of their requests
)

// takes counts a call that is to be executed, and says whether it may be.
func (p *Peer) takes(body *buffer) bool {
	working, carried := p.working.Add(1), p.carried.Add(int64(len(body.b)))
	return working <= mostWorking && carried <= mostCarried
}

// over takes a call out again that was counted, and gives up its request.
func (p *Peer) over(body *buffer) {
	p.working.Add(-1)
	p.carried.Add(-int64(len(body.b)))
	body.free()
}

// reject answers that a call is not executed.
func (n *Node) reject(j job) {
	j.call.peer.over(j.body)
	n.done(j.call, invocation.Rejected, []byte("too many calls are executed"))
}
