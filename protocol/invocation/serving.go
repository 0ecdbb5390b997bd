package invocation

import (
	"slices"
	"time"

	"ciranda.dev/protocol"
)

// serve does what the server wants.
func (l *Layer) serve(effects []ServerEffect, o *protocol.Out) {
	for i := range effects {
		e := &effects[i]
		to := protocol.ID(e.RID.Client.Node())
		switch e.Kind {
		case Execute:
			l.execute(e.Request, o)
		case SendReply:
			if reachable(to, o) {
				o.Send(to, e.Reply)
			}
		case SendSignal:
			if reachable(to, o) {
				o.Send(to, e.Signal)
			}
		case Kill:
			l.kill(e.RID, o)
		case Forget:
			o.Note(Forgotten{e.RID})
		case Open:
			o.Note(Opened{e.RID.Client, LifeNumber(e.RID.Incarnation)})
			l.keep(e.RID.Client, o)
		case Close:
			o.Note(Ended{e.RID.Client, LifeNumber(e.RID.Incarnation)})
			l.keep(e.RID.Client, o)
		}
	}
}

func reachable(to protocol.ID, o *protocol.Out) bool {
	return to != o.Self().ID && slices.Contains(o.Self().Group, to)
}

// execute has the layer above execute a request.
func (l *Layer) execute(r *Request, o *protocol.Out) {
	x := l.runs[r.RID]
	x.root, x.until, x.copies = r.Root, until(o.Now(), r.Budget), x.copies+1
	l.runs[r.RID] = x
	budget := r.Budget
	if budget == never {
		budget = 0
	}
	l.keep(r.RID.Client, o)
	o.Note(Begun{r.RID, r.Root, r.Op, r.Semantics.String(), budget})
	o.Tell(Execution{r.RID, r.Op, r.Args})
}

// kill ends an execution that is an orphan.
func (l *Layer) kill(rid RID, o *protocol.Out) {
	if l.opts.Mistake == CommitsLate {
		return
	}
	delete(l.runs, rid)
	o.Tell(Killed{rid})
}

// finish takes the end of an execution. One that was killed has none.
func (l *Layer) finish(f Finish, o *protocol.Out) {
	x, runs := l.runs[f.RID]
	if !runs {
		return
	}
	if x.copies--; x.copies == 0 {
		delete(l.runs, f.RID)
	} else {
		l.runs[f.RID] = x
	}
	o.Note(Over{f.RID, f.Status.String(), string(f.Result)})
	_, effects := l.server.Done(f.RID, f.Status, f.Result, nil)
	l.keep(f.RID.Client, o)
	l.serve(effects, o)
}

// keep stores the server's table of a client, if it is durable.
func (l *Layer) keep(id ClientID, o *protocol.Out) {
	switch {
	case !l.opts.Durable:
	case l.opts.Mistake == RepliesFirst:
		if len(l.late) == 0 {
			o.Set(protocol.Timer{Kind: lateTimer}, tardiness)
		}
		if !slices.Contains(l.late, id) {
			l.late = append(l.late, id)
		}
	default:
		l.save(id, o)
	}
}

// tardiness is how late the mistake RepliesFirst stores.
const tardiness = 50 * time.Millisecond
