package invocation

import "time"

// LeaseEnd is until when the server keeps the session, at least: a lease after the sending of the last message that it answered.
// It is counted from the sending, since nobody knows how long the answer took. 0 before the first welcome.
func (c *Client) LeaseEnd() time.Duration {
	if c.server == 0 {
		return 0
	}
	return c.renewed + c.lease
}

// Connected says that there is a connection. A reliable one delivers all once and in order, until it breaks.
func (c *Client) Connected(now time.Duration, reliable bool, out []ClientEffect) []ClientEffect {
	if c.over {
		return out
	}
	c.linked, c.sure, c.session, c.greetWait = true, reliable, 0, 0
	return c.hello(now, out)
}

// Disconnected says that the connection is gone.
func (c *Client) Disconnected() { c.linked, c.session, c.greet, c.quiet = false, 0, never, never }

// hello asks for the session. It is repeated: even a reliable connection ends at a server that may be too full to answer.
func (c *Client) hello(now time.Duration, out []ClientEffect) []ClientEffect {
	c.greetAgain(now)
	return c.tell(Signal{Kind: Hello, Stamp: now}, out)
}

func (c *Client) greetAgain(now time.Duration) {
	c.greetWait = c.longer(c.greetWait)
	c.greet = now + c.greetWait
	c.wake(c.greet)
}

// longer is the next wait after one.
func (c *Client) longer(wait time.Duration) time.Duration {
	return min(max(2*wait, c.opts.Resend), c.opts.Longest)
}

func (c *Client) wake(at time.Duration) { c.next = min(c.next, at) }

func (c *Client) tell(g Signal, out []ClientEffect) []ClientEffect {
	g.RID.Client, g.RID.Incarnation, g.Session = c.id, c.life, c.session
	return append(out, ClientEffect{Kind: Tell, Signal: g})
}

// answered notes that the server had what was sent at that time.
func (c *Client) answered(now, sent time.Duration) {
	if c.opts.Mistake == LeaseFromAnswer {
		sent = now
	}
	c.renewed = max(c.renewed, min(sent, now)) // it is the server that brings the stamp back
}

// Signal takes a signal of the server that arrived.
func (c *Client) Signal(now time.Duration, g Signal, out []ClientEffect) []ClientEffect {
	if c.over || g.RID.Client != c.id || g.RID.Incarnation != c.life {
		return out
	}
	switch g.Kind {
	case Welcome:
		return c.welcome(now, g, out)
	case Pong:
		if c.session != 0 && g.ServerIncarnation == c.server {
			c.answered(now, g.Stamp)
			c.rest(now)
		}
	case Working:
		if p := c.find(g.RID); p != nil && p.again != never {
			p.again = now + c.opts.Longest
		}
	case Stale:
		return c.stale(now, g, out)
	case Expired:
		if c.session != 0 && g.ServerIncarnation > c.server { // an idle client's ping met a new life
			return c.stale(now, g, out)
		}
		if g.ServerIncarnation >= c.server {
			return c.finish(now, out)
		}
	}
	return out
}

// stale asks a new life of the server for a session.
func (c *Client) stale(now time.Duration, g Signal, out []ClientEffect) []ClientEffect {
	if c.session == 0 || g.ServerIncarnation <= c.server {
		return out
	}
	c.session, c.greetWait = 0, 0
	return c.hello(now, out)
}

// welcome begins a session, or goes on with it on another connection.
func (c *Client) welcome(now time.Duration, g Signal, out []ClientEffect) []ClientEffect {
	if !c.linked || g.ServerIncarnation < c.server || c.session == g.Session && g.ServerIncarnation == c.server {
		return out
	}
	anew := g.ServerIncarnation != c.server
	c.session, c.server, c.lease = g.Session, g.ServerIncarnation, min(max(g.Lease, 0), longestLease)
	if anew {
		c.renewed = 0
	}
	c.answered(now, g.Stamp)
	c.rest(now)
	for i := c.calls.head; i < len(c.calls.items); i++ {
		p := c.calls.items[i]
		switch lost := anew && p.copies > 0; {
		case p.over:
		case p.copies > 0 && p.request.Semantics == Maybe: // it is never sent twice
			if lost {
				out = c.end(now, p, Outcome{Status: Restarted, Knowledge: Unknown}, out)
			}
		case lost && p.request.Semantics == AtMostOnce:
			out = c.end(now, p, Outcome{Status: Restarted, Knowledge: Unknown}, out)
		default:
			p.wait = 0
			out = c.transmit(now, p, out)
		}
		i = max(i, c.calls.head-1) // ended calls are taken from the front
	}
	return out
}

// longestLease is the longest that a client counts on, whatever a server says.
const longestLease = 24 * time.Hour

// rest lets half a lease pass until the next renewal.
func (c *Client) rest(now time.Duration) {
	c.greetWait = 0
	c.greet = max(c.renewed+c.lease/2, now+c.opts.Resend)
	c.wake(c.greet)
}

// finish ends all calls, for the server has ended the session.
func (c *Client) finish(now time.Duration, out []ClientEffect) []ClientEffect {
	c.session = 0
	for c.calls.len() > 0 {
		p := c.calls.all()[0]
		o := Outcome{Status: SessionEnd, Knowledge: NotExecuted}
		if p.copies > 0 {
			o.Knowledge = Unknown
		}
		out = c.end(now, p, o, out)
	}
	c.over, c.next, c.greet, c.quiet = true, never, never, never
	return append(out, ClientEffect{Kind: Lost})
}

// Bye ends the session from this side.
func (c *Client) Bye(now time.Duration, out []ClientEffect) []ClientEffect {
	if c.over {
		return out
	}
	if c.session != 0 {
		out = c.tell(Signal{Kind: Bye}, out)
	}
	return c.finish(now, out)
}

// renew says hello again, or pings.
func (c *Client) renew(now time.Duration, out []ClientEffect) []ClientEffect {
	switch {
	case c.greet > now:
		return out
	case c.session == 0:
		return c.hello(now, out)
	case c.renewed+c.lease/2 > now: // replies did it
		c.rest(now)
		return out
	}
	c.greetAgain(now)
	c.told, c.quiet = c.below(), never
	return c.tell(Signal{Kind: Ping, ServerIncarnation: c.server, Stamp: now, AckBelow: c.told}, out)
}
