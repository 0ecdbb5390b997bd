package invocation

import (
	"slices"
	"time"

	"ciranda.dev/protocol"
)

// invoke makes a call.
func (l *Layer) invoke(v Invoke, o *protocol.Out) {
	l.seq++
	call := Call{Seq: l.seq, Semantics: v.Semantics, Op: v.Op, Args: v.Args, Parent: v.Parent}
	timeout := v.Timeout
	nested := v.Parent != RID{}
	parent, runs := l.runs[v.Parent]
	if nested {
		call.Root = parent.root
		if left := parent.until - o.Now(); parent.until != never && (timeout == 0 || left < timeout) && l.opts.Mistake != OwnDeadline {
			timeout = max(left, 1)
		}
	}
	if v.Server == l.self || !slices.Contains(o.Self().Group, v.Server) || nested && !runs {
		rid := RID{NodeClient(uint16(l.self)), Life(l.life, 0), l.seq}
		l.give(v, Outcome{rid, Refused, NotExecuted, []byte("there is no such node to call, or nobody who calls")}, o)
		return
	}
	p := l.client(v.Server, o)
	if timeout > 0 {
		call.Deadline = o.Now() + timeout
	}
	rid := p.client.RID(call.Seq)
	root := call.Root
	if !nested {
		root = rid
	}
	o.Note(Called{rid, root, v.Parent, v.Server, v.Op, v.Semantics.String(), timeout})
	if !p.client.Room() {
		l.ended(v, Outcome{rid, Rejected, NotExecuted, []byte("too many calls are open")}, o)
		return
	}
	l.open[call.Seq] = v
	l.caller(v.Server, p.client.Call(o.Now(), &call, nil), o)
}

// client is that of this node towards another, which is made if there is none.
func (l *Layer) client(id protocol.ID, o *protocol.Out) *peer {
	i, found := l.place(id)
	if !found {
		l.peers = slices.Insert(l.peers, i, peer{id: id})
	}
	if l.peers[i].client == nil {
		c := NewClient(NodeClient(uint16(l.self)), Life(l.life, l.peers[i].lives), l.opts.Options)
		l.peers[i].client = c
		l.caller(id, c.Connected(o.Now(), false, nil), o)
	}
	return &l.peers[i]
}

// caller does what the client towards a node wants.
func (l *Layer) caller(id protocol.ID, effects []ClientEffect, o *protocol.Out) {
	for i := range effects {
		switch e := &effects[i]; e.Kind {
		case SendRequest:
			l.transmit(id, *e.Request, o)
		case Tell:
			o.Send(id, e.Signal)
		case Return:
			v := l.open[e.Outcome.RID.Seq]
			delete(l.open, e.Outcome.RID.Seq)
			l.ended(v, e.Outcome, o)
		case Lost:
			p := l.peer(id)
			o.Note(LostSession{id, LifeNumber(p.client.life)})
			*p = peer{id: id, lives: p.lives + 1}
		}
	}
}

// transmit sends a request.
func (l *Layer) transmit(id protocol.ID, r Request, o *protocol.Out) {
	c := l.peer(id).client
	if p := c.find(r.RID); p != nil && p.copies > 1 {
		o.Note(Again{r.RID, p.copies})
		if l.opts.Mistake == OtherServer {
			id, r = l.another(id, r)
		}
	}
	o.Send(id, r)
}

// another is what the mistake OtherServer does with a copy: it has another server execute it.
func (l *Layer) another(id protocol.ID, r Request) (protocol.ID, Request) {
	for i := range l.peers {
		if p := &l.peers[i]; p.id != id && p.client != nil && p.client.Open() && p.client.life == r.RID.Incarnation {
			r.Session, r.ServerIncarnation, r.AckBelow = p.client.session, p.client.server, 0
			return p.id, r
		}
	}
	return id, r
}

// ended notes the end of a call and tells the layer above.
func (l *Layer) ended(v Invoke, out Outcome, o *protocol.Out) {
	o.Note(Returned{out.RID, out.Status.String(), out.Knowledge.String(), string(out.Result)})
	l.give(v, out, o)
}

func (l *Layer) give(v Invoke, out Outcome, o *protocol.Out) { o.Tell(Result{v.Token, out}) }

// until is when a budget is used up.
func until(now, budget time.Duration) time.Duration {
	if budget > never-now {
		return never
	}
	return now + budget
}
