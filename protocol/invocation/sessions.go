package invocation

import (
	"bytes"
	"maps"
	"slices"
	"time"
)

// present finds the session of a request, or says why there is none.
func (s *Server) present(now time.Duration, r *Request, out []ServerEffect) (*session, []ServerEffect) {
	ses := s.sessions[r.RID.Client]
	switch old := s.opts.Mistake == ServesOldLives || s.opts.Mistake == IgnoresRestart; {
	case ses == nil, r.RID.Incarnation > ses.incarnation:
		return nil, s.signal(Expired, r.RID, 0, out)
	case r.RID.Incarnation < ses.incarnation && !old:
		return nil, out
	case r.Session != ses.number && !old:
		return nil, s.signal(Expired, r.RID, 0, out)
	}
	return ses, out
}

// rootGone says whether the client that began the chain of a call is gone, and notes a life of it that is new here. What others
// say of a client ends calls of its chains, and not its session: that takes its own word.
func (s *Server) rootGone(now time.Duration, r *Request, out []ServerEffect) (bool, []ServerEffect) {
	if r.Root.Incarnation == 0 || r.Root.Client == r.RID.Client || s.opts.Mistake == ServesOldRoots {
		return false, out
	}
	own, told := s.lives[r.Root.Client], s.roots[r.Root.Client]
	newest := max(own.incarnation, told.incarnation)
	if older(r.Root.Incarnation, newest) || own.incarnation == r.Root.Incarnation && own.closed {
		return true, out
	}
	if older(newest, r.Root.Incarnation) && len(s.roots) < s.opts.Clients {
		s.roots[r.Root.Client] = life{incarnation: r.Root.Incarnation, heard: now}
		s.next = min(s.next, now+s.opts.Lease)
		out = s.orphan(r.Root.Client, func(life uint64) bool { return older(life, r.Root.Incarnation) }, out)
	}
	return false, out
}

// older says whether a client's life was over, with its process, when the other began. Lives of one process, of which one server
// may know one and another server the next, are not.
func older(a, b uint64) bool { return Process(a) < Process(b) }

// hello opens a session, or finds the one there is.
func (s *Server) hello(now time.Duration, g Signal, out []ServerEffect) []ServerEffect {
	id, inc := g.RID.Client, g.RID.Incarnation
	known := s.lives[id]
	if inc < known.incarnation || inc == 0 || inc == known.incarnation && known.closed && s.opts.Mistake != Reopens {
		return s.signal(Expired, g.RID, 0, out)
	}
	ses := s.sessions[id]
	if ses == nil && (len(s.sessions) >= s.opts.Clients || len(s.lives) >= 2*s.opts.Clients) {
		return out // it asks again
	}
	if inc > known.incarnation {
		out = s.reborn(now, id, inc, out)
		ses = s.sessions[id]
	}
	if ses == nil || s.opts.Mistake == SessionPerSocket {
		ses = s.open(id, inc)
		out = append(out, ServerEffect{Kind: Open, RID: RID{id, inc, 0}})
	}
	ses.renewed, ses.incarnation = now, inc
	s.next = min(s.next, now+s.opts.Lease)
	return append(out, ServerEffect{Kind: SendSignal, RID: g.RID, Signal: Signal{Kind: Welcome, RID: g.RID, Session: ses.number,
		ServerIncarnation: s.life, Stamp: g.Stamp, Lease: s.opts.Lease}})
}

func (s *Server) open(id ClientID, inc uint64) *session {
	s.opened++
	ses := &session{number: s.opened, client: id, incarnation: inc}
	s.sessions[id] = ses
	return ses
}

// reborn notes a new life of a client: the work of the old one is orphaned, here and what it had done through others.
func (s *Server) reborn(now time.Duration, id ClientID, inc uint64, out []ServerEffect) []ServerEffect {
	if ses := s.sessions[id]; ses != nil && s.opts.Mistake != KeyedBySeq && s.opts.Mistake != ServesOldLives {
		out = s.close(now, ses, out)
	}
	s.lives[id] = life{incarnation: inc, heard: now}
	s.next = min(s.next, now+s.opts.Lease)
	if s.opts.Mistake == ServesOldRoots || s.opts.Mistake == ServesOldLives {
		return out
	}
	return s.orphan(id, func(life uint64) bool { return older(life, inc) }, out)
}

// orphan kills what is executed for those lives of a root client that are gone.
func (s *Server) orphan(id ClientID, gone func(life uint64) bool, out []ServerEffect) []ServerEffect {
	if s.nested == 0 {
		return out
	}
	for _, ses := range s.sorted() {
		for _, e := range ses.entries.all() {
			if e.running > 0 && e.nested() && e.root.Client == id && gone(e.root.Incarnation) {
				e.running, e.keeps, e.done = 0, true, true
				e.reply = Reply{e.rid, Orphaned, []byte(firstGone), s.life}
				out = append(out, ServerEffect{Kind: Kill, RID: e.rid})
			}
		}
	}
	return out
}

// close ends a session: its executions are orphans, its replies go.
func (s *Server) close(now time.Duration, ses *session, out []ServerEffect) []ServerEffect {
	delete(s.sessions, ses.client)
	s.lives[ses.client] = life{ses.incarnation, true, now}
	s.next = min(s.next, now+s.memory())
	out = append(out, ServerEffect{Kind: Close, RID: RID{ses.client, ses.incarnation, 0}})
	for ses.entries.len() > 0 {
		e := ses.entries.pop()
		if e.running > 0 {
			out = append(out, ServerEffect{Kind: Kill, RID: e.rid})
		}
		out = s.forget(e, out)
	}
	return s.orphan(ses.client, func(life uint64) bool { return life == ses.incarnation }, out)
}

// acknowledge drops what the client does not need any more.
func (s *Server) acknowledge(ses *session, below uint64, out []ServerEffect) []ServerEffect {
	if below <= ses.ackBelow {
		return out
	}
	ses.ackBelow = below
	w := &ses.entries
	for i := w.head; i < len(w.seqs) && w.seqs[i] < below; {
		switch e := w.items[i]; {
		case e.running > 0: // its caller waits no more, but it may have to be killed yet
			i++
		case i == w.head:
			w.pop()
			i = w.head
			ses.kept -= len(e.reply.Result)
			out = s.forget(e, out)
		default:
			w.remove(i)
			ses.kept -= len(e.reply.Result)
			out = s.forget(e, out)
		}
	}
	return out
}

func (s *Server) forget(e *entry, out []ServerEffect) []ServerEffect {
	if e.done {
		out = append(out, ServerEffect{Kind: Forget, RID: e.rid})
	}
	s.release(e)
	return out
}

// Next is when Expire wants to be called, on the clock of the other methods; the largest duration if nothing is waited for.
func (s *Server) Next() time.Duration { return s.next }

// Expire ends the sessions that were silent for a lease.
func (s *Server) Expire(now time.Duration, out []ServerEffect) []ServerEffect {
	if now < s.next {
		return out
	}
	s.next = never
	next := never
	for _, ses := range s.sorted() {
		if end := ses.renewed + s.opts.Lease + s.opts.Grace; end <= now {
			out = s.close(now, ses, out)
		} else {
			next = min(next, end)
		}
	}
	next = min(next, s.prune(now, s.lives), s.prune(now, s.roots))
	if next = min(next, s.next); next != never {
		s.next = max(next, now+s.opts.Lease/16)
	}
	return out
}

// prune forgets lives that are over, and says when it wants to be called again.
func (s *Server) prune(now time.Duration, lives map[ClientID]life) time.Duration {
	next := never
	maps.DeleteFunc(lives, func(id ClientID, l life) bool {
		if s.sessions[id] != nil {
			return false
		}
		end := l.heard + s.memory()
		if end > now {
			next = min(next, end)
		}
		return end <= now
	})
	return next
}

// memory is for how long a closed life is known.
func (s *Server) memory() time.Duration { return 16 * s.opts.Lease }

// sorted gives the sessions in the order of their clients.
func (s *Server) sorted() []*session {
	return slices.SortedFunc(maps.Values(s.sessions), func(a, b *session) int { return bytes.Compare(a.client[:], b.client[:]) })
}
