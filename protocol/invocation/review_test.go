package invocation

import (
	"testing"
	"time"
)

// An idle client whose ping meets a new life of the server asks that for a session, and calls there.
func TestIdleMeetsNewLife(t *testing.T) {
	p := newPair(t, Options{})
	p.server = NewServer(2, Options{})
	p.pass(20 * time.Second)
	if p.client.Server() != 2 || !p.client.Open() || p.client.LeaseEnd() < p.now {
		t.Fatalf("life %d, open %v, lease until %v at %v", p.client.Server(), p.client.Open(), p.client.LeaseEnd(), p.now)
	}
	p.call(1, AtMostOnce, time.Second)
	if o := p.last(); o.Status != OK {
		t.Errorf("got %+v", o)
	}
}

// A client that is unwelcome for good at a new life of the server learns it, and does not ask for ever.
func TestUnwelcomeAtNewLife(t *testing.T) {
	p := newPair(t, Options{})
	p.client.Disconnected()
	p.server = NewServer(2, Options{})
	p.server.Signal(p.now, Signal{Kind: Hello, RID: p.client.RID(0)}, nil)
	p.pass(11 * time.Second) // that session ends, and the client's life with it
	p.fromClient(p.client.Connected(p.now, true, nil))
	if p.lost != 1 {
		t.Errorf("lost %d times", p.lost)
	}
}

// hello opens a session of a client at a server, and gives a request of it.
func hello(s *Server, id ClientID, life uint64) Request {
	out := s.Signal(0, Signal{Kind: Hello, RID: RID{id, life, 0}}, nil)
	return Request{RID: RID{id, life, 1}, Root: RID{id, life, 1}, Session: out[len(out)-1].Signal.Session, ServerIncarnation: s.life, Budget: time.Hour}
}

// What is executed for a chain that began in a former life of a client is killed, and the caller is told that nobody knows what
// was done. What was over before is told as it was.
func TestOrphanedChain(t *testing.T) {
	s := NewServer(1, Options{})
	root, middle := ClientID{1}, ClientID{2}
	nested := hello(s, middle, Life(1, 0))
	nested.Root = RID{root, Life(1, 0), 7}
	over := nested
	over.RID.Seq = 2
	s.Request(0, &nested, nil)
	s.Request(0, &over, nil)
	s.Done(over.RID, OK, nil, nil)
	out := s.Signal(0, Signal{Kind: Hello, RID: RID{root, Life(2, 0), 0}}, nil)
	if out[0].Kind != Kill || out[0].RID != nested.RID {
		t.Fatalf("got %+v", out)
	}
	for rid, want := range map[RID]Status{nested.RID: Orphaned, over.RID: OK} {
		again := nested
		again.RID = rid
		if out := s.Request(0, &again, nil); out[0].Reply.Status != want {
			t.Errorf("%s: got %s, want %s", rid, out[0].Reply.Status, want)
		}
	}
	late := nested
	late.RID.Seq = 3
	if out := s.Request(0, &late, nil); out[0].Kind != SendReply || out[0].Reply.Status != Orphaned {
		t.Errorf("got %+v", out)
	}
}

// What others say of a client does not end its session, and its next life towards another server is no news.
func TestHearsay(t *testing.T) {
	s := NewServer(1, Options{})
	victim, other := ClientID{1}, ClientID{2}
	direct, nested := hello(s, victim, Life(1, 0)), hello(s, other, Life(1, 0))
	s.Request(0, &direct, nil)
	for i, life := range []uint64{Life(1, 1), Life(9, 0)} {
		nested.RID.Seq, nested.Root = uint64(i+1), RID{victim, life, 1}
		s.Request(0, &nested, nil)
	}
	if counts, _ := s.Done(direct.RID, OK, nil, nil); !counts {
		t.Error("the session of a client is over since others say that it has a new life")
	}
}

// What a server sends does not make a client wrong about itself: a stamp of the future, or a lease without end or below nothing.
func TestHostileServer(t *testing.T) {
	for _, g := range []Signal{{Stamp: never, Lease: time.Second}, {Lease: never}, {Lease: -never}, {Stamp: -never, Lease: time.Second}} {
		c := NewClient(ClientID{1}, 1, Options{})
		c.Connected(time.Second, true, nil)
		g.Kind, g.RID, g.Session, g.ServerIncarnation = Welcome, c.RID(0), 1, 1
		c.Signal(2*time.Second, g, nil)
		if c.LeaseEnd() < 0 || g.Lease == time.Second && c.LeaseEnd() > 3*time.Second {
			t.Errorf("%+v: the lease ends at %v", g, c.LeaseEnd())
		}
		for now := 2 * time.Second; now < 30*time.Second; now += 100 * time.Millisecond {
			if effects := c.Expire(now, nil); len(effects) > 1 {
				t.Fatalf("%+v: %d effects at %v", g, len(effects), now)
			}
		}
	}
}

// Semantics that nobody knows are the safest.
func TestUnknownSemantics(t *testing.T) {
	s := NewServer(1, Options{})
	r := hello(s, ClientID{1}, Life(1, 0))
	r.Semantics = 77
	for i, want := range []ServerEffectKind{Execute, SendSignal} {
		if out := s.Request(0, &r, nil); out[len(out)-1].Kind != want {
			t.Errorf("copy %d: got %+v", i, out)
		}
	}
}
