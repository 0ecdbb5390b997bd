package invocation

import "time"

// A Client is one life of a caller, towards one server: its session there, and its calls that are not over. Its methods append to
// the effects they are given and return them.
//
// The driver says when there is a connection, and whether it is reliable: whether all that is sent over it arrives once and in
// order as long as it lasts. On such a one nothing is sent twice. On others, requests are sent again until they are over. After
// the loss of either, calls wait for the next connection, and for the server's word that the session is still there.
type Client struct {
	opts   Options
	id     ClientID
	life   uint64
	calls  window[*pending]
	last   uint64 // the highest number called
	best   uint64 // the highest number that returned
	told   uint64 // the last AckBelow sent
	next   time.Duration
	free   []*pending
	linked bool // there is a connection
	sure   bool // and it is reliable
	over   bool

	session   uint64        // 0: not welcomed on this connection yet
	server    uint64        // the server's life, 0 before the first welcome
	lease     time.Duration // as the server said
	renewed   time.Duration // the sending of the last renewal that was answered
	greet     time.Duration // when to say hello or ping (again)
	greetWait time.Duration
	quiet     time.Duration // when to acknowledge without a call; never if there is nothing to acknowledge
}

// A Call is what is asked of a server.
type Call struct {
	Seq          uint64 // above those of all calls before, to this server; by custom one row of numbers for all servers
	Root, Parent RID    // of a nested call; zero makes the call its own root
	Semantics    Semantics
	Op           uint32
	Args         []byte        // must not change until the call is over
	Deadline     time.Duration // when the caller waits no more; 0: never
}

// A pending call is one that is not over, or that ended while one before it did not.
type pending struct {
	request  Request
	deadline time.Duration
	first    time.Duration // when it was sent first
	again    time.Duration // when it is sent again
	wait     time.Duration // before that
	copies   int           // sent so far
	over     bool
}

// A ClientEffectKind says what a [ClientEffect] is.
type ClientEffectKind uint8

// What a client wants done.
const (
	SendRequest ClientEffectKind = iota + 1 // send Request to the server
	Tell                                    // send Signal to the server
	Return                                  // the call of Outcome is over
	Lost                                    // the session is over, and with it this client: later calls need another life
)

// A ClientEffect is something to do. Request is valid until the client's next method is called.
type ClientEffect struct {
	Kind    ClientEffectKind
	Request *Request
	Signal  Signal
	Outcome Outcome
}

// NewClient makes a client that has no connection yet. The life must be one that the client did not have before.
func NewClient(id ClientID, life uint64, opts Options) *Client {
	return &Client{opts: opts.WithDefaults(), id: id, life: life, next: never, greet: never, quiet: never}
}

// RID is the id of the call of that number.
func (c *Client) RID(seq uint64) RID { return RID{c.id, c.life, seq} }

// Server is the server's life, as its last welcome said; 0 before the first.
func (c *Client) Server() uint64 { return c.server }

// Open says whether the server has welcomed the client on the connection that there is.
func (c *Client) Open() bool { return c.linked && c.session != 0 && !c.over }

// Over says whether the session is over.
func (c *Client) Over() bool { return c.over }

// Room says whether another call may be made: the server keeps something of each call until it knows it is over, and not more than
// [Options.Entries].
func (c *Client) Room() bool { return c.calls.len() < c.opts.Entries }

// Call makes a call. There must be room for it. If the client is over, the call returns at once.
func (c *Client) Call(now time.Duration, call *Call, out []ClientEffect) []ClientEffect {
	rid := c.RID(call.Seq)
	c.last = call.Seq
	if c.over {
		return append(out, ClientEffect{Kind: Return, Outcome: Outcome{RID: rid, Status: SessionEnd, Knowledge: NotExecuted}})
	}
	p := c.pending()
	p.request = Request{RID: rid, Root: call.Root, Parent: call.Parent, Semantics: call.Semantics, Op: call.Op, Args: call.Args}
	if p.request.Root.Incarnation == 0 {
		p.request.Root = rid
	}
	p.deadline, p.again = never, never
	if call.Deadline != 0 {
		p.deadline = call.Deadline
		c.wake(p.deadline)
	}
	i, _ := c.calls.find(call.Seq)
	c.calls.put(i, call.Seq, p)
	if c.session != 0 {
		out = c.transmit(now, p, out)
	}
	return out
}

// transmit sends a request, once more perhaps. Its deadline has not passed.
func (c *Client) transmit(now time.Duration, p *pending, out []ClientEffect) []ClientEffect {
	if p.deadline <= now {
		return out // Expire ends it
	}
	r := &p.request
	if p.copies == 0 {
		p.first = now
	} else if c.opts.Mistake == Renumbers {
		r.RID.Seq += 1 << 32
	}
	p.copies++
	r.Session, r.ServerIncarnation, r.AckBelow, r.Budget = c.session, c.server, c.below(), never
	if p.deadline != never {
		r.Budget = p.deadline - now
	}
	c.told, c.quiet = r.AckBelow, never
	if c.opts.Mistake == AbsoluteBudget && p.deadline != never {
		r.Budget = p.deadline
	}
	if p.again = never; !c.sure && (r.Semantics != Maybe || c.opts.Mistake == RepeatsMaybe) {
		p.wait = c.longer(p.wait)
		p.again = now + p.wait
		c.wake(p.again)
	}
	return append(out, ClientEffect{Kind: SendRequest, Request: r})
}

// below is the number below which all calls are over.
func (c *Client) below() uint64 {
	switch {
	case c.opts.Mistake == AcksHighest:
		return c.best + 1
	case c.calls.len() == 0:
		return c.last + 1
	}
	return c.calls.seqs[c.calls.head]
}

// find gives a call that is not over.
func (c *Client) find(rid RID) *pending {
	if rid.Incarnation != c.life || rid.Client != c.id {
		return nil
	}
	if c.opts.Mistake == Renumbers {
		rid.Seq &= 1<<32 - 1
	}
	i, ok := c.calls.find(rid.Seq)
	if !ok || c.calls.items[i].over {
		return nil
	}
	return c.calls.items[i]
}

// end returns a call.
func (c *Client) end(now time.Duration, p *pending, o Outcome, out []ClientEffect) []ClientEffect {
	o.RID = p.request.RID
	if c.opts.Mistake == Renumbers {
		o.RID.Seq &= 1<<32 - 1
	}
	p.over, p.request.Args, p.again, p.deadline = true, nil, never, never
	c.best = max(c.best, o.RID.Seq)
	for c.calls.len() > 0 && c.calls.all()[0].over {
		c.release(c.calls.pop())
	}
	if c.session != 0 && c.below() > c.told {
		c.quiet = now + c.opts.Idle
		c.wake(c.quiet)
	}
	return append(out, ClientEffect{Kind: Return, Outcome: o})
}

// Reply takes a reply that arrived.
func (c *Client) Reply(now time.Duration, r *Reply, out []ClientEffect) []ClientEffect {
	p := c.find(r.RID)
	if p == nil && c.opts.Mistake == MatchesLate && c.calls.len() > 0 {
		p = c.calls.all()[0]
	}
	if p == nil || p.copies == 0 {
		return out
	}
	c.answered(now, p.first)
	o := Outcome{Status: r.Status, Knowledge: c.knowledge(p, r.Status), Result: r.Result}
	if p.deadline <= now { // it is late, but it tells what happened
		o.Status, o.Result = Deadline, nil
	}
	return c.end(now, p, o, out)
}

// knowledge says what a reply proves. That a call was refused says something of other copies only if the server keeps that, or there
// are none.
func (c *Client) knowledge(p *pending, s Status) Knowledge {
	switch {
	case s == OK || s == Failed:
		return Executed
	case s == Refused && p.request.Semantics == AtMostOnce, c.sure && p.copies == 1:
		return NotExecuted
	}
	return Unknown
}

// Cancel gives a call up: the caller waits no more.
func (c *Client) Cancel(now time.Duration, seq uint64, out []ClientEffect) []ClientEffect {
	p := c.find(c.RID(seq))
	if p == nil {
		return out
	}
	return c.giveUp(now, p, out)
}

// giveUp ends a call that nobody waits for.
func (c *Client) giveUp(now time.Duration, p *pending, out []ClientEffect) []ClientEffect {
	o := Outcome{Status: Deadline, Knowledge: NotExecuted}
	if p.copies > 0 {
		if o.Knowledge = Unknown; c.opts.Mistake == DeniesAll {
			o.Knowledge = NotExecuted
		}
		if c.session != 0 {
			out = c.tell(Signal{Kind: Cancel, RID: RID{Seq: p.request.RID.Seq}}, out)
		}
	}
	return c.end(now, p, o, out)
}

// Next is when Expire wants to be called, on the clock of the other methods; the largest duration if nothing is waited for.
func (c *Client) Next() time.Duration { return c.next }

// Expire does what the time has come for.
func (c *Client) Expire(now time.Duration, out []ClientEffect) []ClientEffect {
	if now < c.next || c.over {
		return out
	}
	out = c.renew(now, out)
	next := c.greet
	for i := c.calls.head; i < len(c.calls.items); i++ {
		switch p := c.calls.items[i]; {
		case p.deadline <= now:
			out = c.giveUp(now, p, out)
			i = max(i, c.calls.head-1)
			continue
		case p.again <= now && c.session != 0:
			out = c.transmit(now, p, out)
			fallthrough
		default:
			next = min(next, p.deadline)
			if c.session != 0 {
				next = min(next, p.again)
			}
		}
	}
	if c.quiet <= now {
		c.told, c.quiet = c.below(), never
		out = c.tell(Signal{Kind: Ack, AckBelow: c.told}, out)
	}
	c.next = min(next, c.quiet)
	return out
}

func (c *Client) pending() *pending {
	if n := len(c.free); n > 0 {
		p := c.free[n-1]
		c.free = c.free[:n-1]
		return p
	}
	return new(pending)
}

func (c *Client) release(p *pending) {
	*p = pending{}
	c.free = append(c.free, p)
}
