package invocation

import (
	"bytes"
	"maps"
	"slices"
	"time"
)

// A Server is one life of a callee. Its methods append to the effects they are given and return them.
type Server struct {
	opts     Options
	life     uint64
	sessions map[ClientID]*session
	lives    map[ClientID]life // the newest of each client that said hello
	roots    map[ClientID]life // the newest of each client that others named as the first of a chain
	opened   uint64            // sessions so far
	nested   int               // entries of calls that others began
	next     time.Duration     // no session or memory ends before
	free     []*entry
}

// A life is the newest incarnation of a client of which the server heard.
type life struct {
	incarnation uint64
	closed      bool          // its session expired or ended
	heard       time.Duration // when it was noted last
}

// A session is what a server knows of one life of a client.
type session struct {
	number      uint64
	client      ClientID
	incarnation uint64
	renewed     time.Duration
	ackBelow    uint64
	entries     window[*entry]
}

// An entry is a call that is executed, or whose reply is kept.
type entry struct {
	rid     RID
	root    RID
	running int // executions: more than one only if the semantics are not at-most-once
	keeps   bool
	done    bool
	reply   Reply
}

// nested says whether another client began what the call is part of.
func (e *entry) nested() bool { return e.root.Client != e.rid.Client }

// A ServerEffectKind says what a [ServerEffect] is.
type ServerEffectKind uint8

// What a server wants done.
const (
	Execute    ServerEffectKind = iota + 1 // execute Request, then call [Server.Done]
	SendReply                              // send Reply to the client of its RID
	SendSignal                             // send Signal to the client of its RID
	Kill                                   // the execution of RID is an orphan: it must not commit, call on or reply
	Abandon                                // the caller of RID waits no more: it may end early
	Forget                                 // the reply of RID is dropped; for the trace
	Open                                   // the session of RID's client began; for the trace, and for leases
	Close                                  // that session is over; the same
)

// A ServerEffect is something to do. Request is valid until the step's input is given up.
type ServerEffect struct {
	Kind    ServerEffectKind
	RID     RID
	Request *Request
	Reply   Reply
	Signal  Signal
}

// NewServer makes the life of a server of that number. It must be new: it keeps calls for a former life, whose
// tables are gone, from being executed again.
func NewServer(number uint64, opts Options) *Server {
	return &Server{opts: opts.WithDefaults(), life: number, sessions: map[ClientID]*session{},
		lives: map[ClientID]life{}, roots: map[ClientID]life{}, next: never}
}

// Incarnation is the number of the server's life.
func (s *Server) Incarnation() uint64 { return s.life }

// Request takes a request that arrived.
func (s *Server) Request(now time.Duration, r *Request, out []ServerEffect) []ServerEffect {
	if r.ServerIncarnation != s.life && s.opts.Mistake != IgnoresRestart {
		return s.signal(Stale, r.RID, 0, out)
	}
	ses, out := s.present(now, r, out)
	if ses == nil {
		return out
	}
	ses.renewed = now
	out = s.acknowledge(ses, r.AckBelow, out)
	if r.RID.Seq < ses.ackBelow {
		return out
	}
	i, known := ses.entries.find(r.RID.Seq)
	if known {
		if e := ses.entries.items[i]; e.keeps {
			return s.repeat(r.RID, e, out)
		}
	}
	gone, out := s.rootGone(now, r, out)
	if gone {
		return s.refuse(r, Orphaned, firstGone, out)
	}
	return s.admit(ses, r, i, known, out)
}

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

// firstGone is why a call is refused whose chain has no end to return to.
const firstGone = "the first caller is gone"

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

// repeat answers a copy of a call that is known.
func (s *Server) repeat(rid RID, e *entry, out []ServerEffect) []ServerEffect {
	if e.done {
		reply := e.reply
		reply.RID = rid // another one with KeyedBySeq only
		return append(out, ServerEffect{Kind: SendReply, RID: rid, Reply: reply})
	}
	return s.signal(Working, rid, 0, out)
}

// admit lets a call be executed, if there is budget and room.
func (s *Server) admit(ses *session, r *Request, i int, known bool, out []ServerEffect) []ServerEffect {
	if r.Budget <= 0 {
		return s.refuse(r, Overrun, "", out)
	}
	if known {
		ses.entries.items[i].running++
		return append(out, ServerEffect{Kind: Execute, RID: r.RID, Request: r})
	}
	if s.opts.Mistake == Evicts && ses.entries.len() >= s.opts.Entries/4 && ses.entries.len() > 0 {
		out = s.forget(ses.entries.pop(), out)
		i, _ = ses.entries.find(r.RID.Seq)
	}
	if ses.entries.len() >= s.opts.Entries {
		return s.refuse(r, Rejected, "too many calls of this client are not acknowledged", out)
	}
	e := s.entry()
	e.rid, e.root, e.running = r.RID, r.Root, 1
	if e.nested() {
		s.nested++
	}
	e.keeps = r.Semantics == AtMostOnce && s.opts.Mistake != ForgetsRunning
	ses.entries.put(i, r.RID.Seq, e)
	return append(out, ServerEffect{Kind: Execute, RID: r.RID, Request: r})
}

// Done takes the end of an execution, with [OK], [Failed] or [Refused]. It says whether the execution still counts: a
// driver whose effects can be held back commits them only then. The result must not change afterwards.
func (s *Server) Done(rid RID, status Status, result []byte, out []ServerEffect) (counts bool, _ []ServerEffect) {
	ses, i, ok := s.running(rid)
	if !ok {
		return false, out
	}
	e := ses.entries.items[i]
	e.running--
	reply := Reply{rid, status, result, s.life}
	switch {
	case e.running == 0 && rid.Seq < ses.ackBelow: // nobody waits
		ses.entries.remove(i)
		s.release(e)
		return true, out
	case e.keeps:
		e.done, e.reply = true, reply
	case s.opts.Mistake == ForgetsRunning:
		e.keeps, e.done, e.reply = true, true, reply
	case e.running == 0:
		ses.entries.remove(i)
		s.release(e)
	}
	return true, append(out, ServerEffect{Kind: SendReply, RID: rid, Reply: reply})
}

// Counts says whether an execution may go on: call others, commit. It may not once it is an orphan.
func (s *Server) Counts(rid RID) bool {
	_, _, ok := s.running(rid)
	return ok
}

func (s *Server) running(rid RID) (ses *session, i int, ok bool) {
	ses = s.sessions[rid.Client]
	if ses == nil || ses.incarnation != rid.Incarnation && s.opts.Mistake != ServesOldLives {
		return nil, 0, false
	}
	i, ok = ses.entries.find(rid.Seq)
	return ses, i, ok && ses.entries.items[i].running > 0
}

// Signal takes a signal of a client that arrived.
func (s *Server) Signal(now time.Duration, g Signal, out []ServerEffect) []ServerEffect {
	if g.Kind == Hello {
		return s.hello(now, g, out)
	}
	if g.Kind == Ping && g.ServerIncarnation != 0 && g.ServerIncarnation != s.life {
		return s.signal(Stale, g.RID, 0, out)
	}
	ses := s.sessions[g.RID.Client]
	if ses == nil || ses.incarnation != g.RID.Incarnation {
		if g.Kind == Ping {
			return s.signal(Expired, g.RID, 0, out)
		}
		return out
	}
	if g.Session != ses.number {
		return out
	}
	switch g.Kind {
	case Ping:
		ses.renewed = now
		out = s.acknowledge(ses, g.AckBelow, out)
		return s.signal(Pong, g.RID, g.Stamp, out)
	case Ack:
		ses.renewed = now
		return s.acknowledge(ses, g.AckBelow, out)
	case Cancel:
		if i, ok := ses.entries.find(g.RID.Seq); ok && ses.entries.items[i].running > 0 {
			return append(out, ServerEffect{Kind: Abandon, RID: g.RID})
		}
	case Bye:
		return s.close(now, ses, out)
	}
	return out
}

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
			out = s.forget(e, out)
		default:
			w.remove(i)
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

// refuse answers a request that is not executed. Nothing is kept of it.
func (s *Server) refuse(r *Request, status Status, why string, out []ServerEffect) []ServerEffect {
	reply := Reply{RID: r.RID, Status: status, ServerIncarnation: s.life}
	if why != "" {
		reply.Result = []byte(why)
	}
	return append(out, ServerEffect{Kind: SendReply, RID: r.RID, Reply: reply})
}

func (s *Server) signal(kind SignalKind, rid RID, stamp time.Duration, out []ServerEffect) []ServerEffect {
	return append(out, ServerEffect{Kind: SendSignal, RID: rid, Signal: Signal{Kind: kind, RID: rid, ServerIncarnation: s.life, Stamp: stamp}})
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
		if end := ses.renewed + s.opts.Lease; end <= now {
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

func (s *Server) entry() *entry {
	if n := len(s.free); n > 0 {
		e := s.free[n-1]
		s.free = s.free[:n-1]
		return e
	}
	return new(entry)
}

func (s *Server) release(e *entry) {
	if e.nested() {
		s.nested--
	}
	*e = entry{}
	if len(s.free) < s.opts.Entries {
		s.free = append(s.free, e)
	}
}
