package invocation

import "time"

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
	kept        int // bytes of replies
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

// firstGone is why a call is refused whose chain has no end to return to.
const firstGone = "the first caller is gone"

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
	if ses.entries.len() >= s.opts.Entries || ses.kept > s.opts.Bytes {
		return s.refuse(r, Rejected, "too many calls of this client are not acknowledged", out)
	}
	e := s.entry()
	e.rid, e.root, e.running = r.RID, r.Root, 1
	if e.nested() {
		s.nested++
	}
	repeats := r.Semantics == AtLeastOnce || r.Semantics == Maybe
	e.keeps = !repeats && s.opts.Mistake != ForgetsRunning
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
		ses.kept += len(result)
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
