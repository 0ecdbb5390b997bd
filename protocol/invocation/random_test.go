package invocation

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A storm is a client and a server with a network between them that loses, doubles and delays, while both restart.
type storm struct {
	r       *rand.Rand
	now     time.Duration
	opts    Options
	client  *Client
	server  *Server
	lives   uint64 // of the client
	epochs  uint64 // of the server
	lossy   bool
	cut     time.Duration // until when nothing arrives
	flying  []letter
	working []job
	runs    map[RID]int
	results map[RID]Outcome
	calls   map[RID]Semantics
	seq     uint64
	wrong   []string
}

// A letter is on its way, to the server or back.
type letter struct {
	at   time.Duration
	body any
	life uint64 // of the client to which it goes
}

// A job is executed until a moment.
type job struct {
	rid RID
	at  time.Duration
}

func newStorm(seed uint64, opts Options) *storm {
	s := &storm{r: rand.New(rand.NewPCG(seed, 1)), opts: opts, lossy: true, runs: map[RID]int{}, results: map[RID]Outcome{}, calls: map[RID]Semantics{}}
	s.restartServer()
	s.restartClient()
	return s
}

func (s *storm) restartServer() {
	s.epochs++
	opts := s.opts
	opts.Entries /= 2 // less than the client counts on
	s.server, s.working = NewServer(s.epochs, opts), nil
}

func (s *storm) restartClient() {
	s.lives++
	s.client, s.seq = NewClient(ClientID{9}, Life(s.lives, 0), s.opts), 0
	s.fromClient(s.client.Connected(s.now, false, nil))
}

// send lets a letter fly: not at all, once or twice.
func (s *storm) send(body any) {
	copies := 1
	if s.lossy {
		copies = [...]int{0, 0, 1, 1, 1, 1, 1, 1, 2, 2}[s.r.IntN(10)]
	}
	if s.now < s.cut {
		copies = 0
	}
	for range copies {
		delay := time.Duration(1+s.r.IntN(10)) * time.Millisecond
		if s.lossy && s.r.IntN(20) == 0 {
			delay *= 50
		}
		s.flying = append(s.flying, letter{s.now + delay, body, s.lives})
	}
}

func (s *storm) fromClient(effects []ClientEffect) {
	for _, e := range effects {
		switch e.Kind {
		case SendRequest:
			s.send(*e.Request)
		case Tell:
			s.send(e.Signal)
		case Return:
			if _, twice := s.results[e.Outcome.RID]; twice {
				s.wrong = append(s.wrong, "a call returned twice")
			}
			s.results[e.Outcome.RID] = e.Outcome
		case Lost:
			s.lives++
			s.client, s.seq = NewClient(ClientID{9}, Life(s.lives, 0), s.opts), 0
			defer func() { s.fromClient(s.client.Connected(s.now, false, nil)) }()
		}
	}
}

func (s *storm) fromServer(effects []ServerEffect) {
	for _, e := range effects {
		switch e.Kind {
		case Execute:
			if s.runs[e.RID]++; s.runs[e.RID] > 1 && e.Request.Semantics == AtMostOnce {
				s.wrong = append(s.wrong, "a call was executed twice")
			}
			s.working = append(s.working, job{e.RID, s.now + time.Duration(s.r.IntN(60))*time.Millisecond})
		case SendReply:
			s.send(e.Reply)
		case SendSignal:
			s.send(e.Signal)
		}
	}
}

// step does what is next.
func (s *storm) step() {
	next := min(s.client.Next(), s.server.Next())
	for _, l := range s.flying {
		next = min(next, l.at)
	}
	for _, j := range s.working {
		next = min(next, j.at)
	}
	s.now = max(s.now, next)
	for i := 0; i < len(s.flying); i++ {
		if l := s.flying[i]; l.at <= s.now {
			s.flying = slices.Delete(s.flying, i, i+1)
			i--
			s.arrive(l)
		}
	}
	for i := 0; i < len(s.working); i++ {
		if j := s.working[i]; j.at <= s.now {
			s.working = slices.Delete(s.working, i, i+1)
			i--
			_, effects := s.server.Done(j.rid, OK, nil, nil)
			s.fromServer(effects)
		}
	}
	s.fromClient(s.client.Expire(s.now, nil))
	s.fromServer(s.server.Expire(s.now, nil))
}

func (s *storm) arrive(l letter) {
	switch m := l.body.(type) {
	case Request:
		s.fromServer(s.server.Request(s.now, &m, nil))
	case Reply:
		s.fromClient(s.client.Reply(s.now, &m, nil))
	case Signal:
		if m.Kind <= Bye {
			s.fromServer(s.server.Signal(s.now, m, nil))
		} else {
			s.fromClient(s.client.Signal(s.now, m, nil))
		}
	}
}

func (s *storm) call() {
	if !s.client.Room() {
		return
	}
	s.seq++
	c := Call{Seq: s.seq, Semantics: Semantics(s.r.IntN(3))}
	if s.r.IntN(2) == 0 || c.Semantics == Maybe {
		c.Deadline = s.now + time.Duration(50+s.r.IntN(2000))*time.Millisecond
	}
	s.calls[s.client.RID(c.Seq)] = c.Semantics
	s.fromClient(s.client.Call(s.now, &c, nil))
}

// judge compares what callers were told with what was executed.
func (s *storm) judge() {
	for rid, o := range s.results {
		switch n := s.runs[rid]; {
		case o.Knowledge == Executed && n == 0:
			s.wrong = append(s.wrong, "a call is said to be executed, and was not")
		case o.Knowledge == NotExecuted && n > 0:
			s.wrong = append(s.wrong, "a call is said not to be executed, and was")
		}
	}
	for rid := range s.calls {
		if _, over := s.results[rid]; !over && rid.Incarnation == s.client.life {
			s.wrong = append(s.wrong, "a call never ends")
		}
	}
}

// run lets much go wrong, then nothing, and waits until all calls should be over.
func (s *storm) run() {
	for range 1500 {
		switch s.r.IntN(300) {
		case 0:
			s.restartServer()
		case 1:
			s.restartClient()
		case 2:
			s.cut = s.now + time.Duration(s.r.IntN(1500))*time.Millisecond
		}
		if s.r.IntN(3) == 0 {
			s.call()
		}
		s.step()
	}
	s.lossy, s.cut = false, 0
	for end := s.now + 30*time.Second; s.now < end; {
		s.step()
	}
	s.judge()
}

// quick has leases that storms outlast now and then, and tables that get full.
var quick = Options{Lease: 500 * time.Millisecond, Resend: 20 * time.Millisecond, Longest: 100 * time.Millisecond, Entries: 8}

// Whatever the network does and whoever restarts, no at-most-once call is executed twice, what callers are told is true, and all
// calls end.
func TestStorm(t *testing.T) {
	runs, returned, restarted, over := 0, 0, 0, 0
	for seed := range uint64(300) {
		s := newStorm(seed, quick)
		if s.run(); len(s.wrong) > 0 {
			t.Fatalf("seed %d: %s", seed, s.wrong[0])
		}
		for _, o := range s.results {
			switch o.Status {
			case OK:
				returned++
			case Restarted:
				restarted++
			case SessionEnd:
				over++
			}
		}
		runs += len(s.runs)
	}
	t.Logf("%d calls executed, %d returned, %d lost to a restart, %d to the end of a session", runs, returned, restarted, over)
	if returned < 10000 || restarted < 100 || over < 10 {
		t.Error("too little happened")
	}
}

// The storm notices mistakes.
func TestStormNotices(t *testing.T) {
	for _, m := range []Mistake{ForgetsRunning, Evicts, Renumbers, AcksHighest, IgnoresRestart, KeyedBySeq, SessionPerSocket, MatchesLate, DeniesAll} {
		opts := quick
		opts.Mistake = m
		found := false
		for seed := uint64(0); seed < 100 && !found; seed++ {
			s := newStorm(seed, opts)
			s.run()
			found = len(s.wrong) > 0
		}
		if !found {
			t.Errorf("mistake %d: nothing is noticed", m)
		}
	}
}
