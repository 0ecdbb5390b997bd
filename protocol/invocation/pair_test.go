package invocation

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A pair is a client and a server with a wire between them that keeps order and loses nothing, unless it is cut.
type pair struct {
	t      testing.TB
	now    time.Duration
	client *Client
	server *Server
	cut    bool // messages vanish
	ran    map[RID]int
	manual bool // executions wait for a call of done
	ends   []Outcome
	lost   int
	killed []RID
}

func newPair(t testing.TB, opts Options) *pair {
	p := &pair{t: t, client: NewClient(ClientID{1}, 1, opts), server: NewServer(1, opts), ran: map[RID]int{}}
	p.fromClient(p.client.Connected(p.now, true, nil))
	return p
}

func (p *pair) fromClient(effects []ClientEffect) {
	for _, e := range effects {
		switch e.Kind {
		case SendRequest:
			if r := *e.Request; !p.cut {
				p.fromServer(p.server.Request(p.now, &r, nil))
			}
		case Tell:
			if !p.cut {
				p.fromServer(p.server.Signal(p.now, e.Signal, nil))
			}
		case Return:
			p.ends = append(p.ends, e.Outcome)
		case Lost:
			p.lost++
		}
	}
}

func (p *pair) fromServer(effects []ServerEffect) {
	for _, e := range effects {
		switch e.Kind {
		case Execute:
			if p.ran[e.RID]++; !p.manual {
				p.done(e.RID)
			}
		case SendReply:
			if r := e.Reply; !p.cut {
				p.fromClient(p.client.Reply(p.now, &r, nil))
			}
		case SendSignal:
			if !p.cut {
				p.fromClient(p.client.Signal(p.now, e.Signal, nil))
			}
		case Kill:
			p.killed = append(p.killed, e.RID)
		}
	}
}

func (p *pair) done(rid RID) {
	_, effects := p.server.Done(rid, OK, []byte("r"), nil)
	p.fromServer(effects)
}

func (p *pair) call(seq uint64, s Semantics, timeout time.Duration) {
	p.fromClient(p.client.Call(p.now, &Call{Seq: seq, Semantics: s, Deadline: p.now + timeout}, nil))
}

// pass lets time pass, and does what it brings.
func (p *pair) pass(d time.Duration) {
	for end := p.now + d; ; {
		next := min(p.client.Next(), p.server.Next())
		if next > end {
			p.now = end
			return
		}
		p.now = max(p.now, next)
		p.fromClient(p.client.Expire(p.now, nil))
		p.fromServer(p.server.Expire(p.now, nil))
	}
}

func (p *pair) last() Outcome {
	p.t.Helper()
	if len(p.ends) == 0 {
		p.t.Fatal("no call is over")
	}
	return p.ends[len(p.ends)-1]
}

func TestCall(t *testing.T) {
	p := newPair(t, Options{})
	p.call(1, AtMostOnce, time.Second)
	if o := p.last(); o.Status != OK || o.Knowledge != Executed || string(o.Result) != "r" || p.ran[o.RID] != 1 {
		t.Errorf("got %+v, executed %d times", o, p.ran[o.RID])
	}
}

// A connection breaks while a call is executed. The next one brings its reply, and the call is not executed again.
func TestReconnect(t *testing.T) {
	p := newPair(t, Options{})
	p.manual = true
	p.call(1, AtMostOnce, 5*time.Second)
	p.client.Disconnected()
	p.cut = true
	p.done(p.client.RID(1))
	p.pass(time.Second)
	p.cut = false
	p.fromClient(p.client.Connected(p.now, true, nil))
	if o := p.last(); o.Status != OK || p.ran[o.RID] != 1 {
		t.Errorf("got %+v, executed %d times", o, p.ran[o.RID])
	}
}

// A server that lives anew does not execute what was sent to its former life.
func TestServerRestart(t *testing.T) {
	p := newPair(t, Options{})
	p.manual = true
	p.call(1, AtMostOnce, 5*time.Second)
	p.call(2, AtLeastOnce, 5*time.Second)
	p.client.Disconnected()
	p.server = NewServer(2, Options{})
	p.call(3, AtMostOnce, 5*time.Second)
	p.fromClient(p.client.Connected(p.now, true, nil))
	if o := p.last(); o.Status != Restarted || o.Knowledge != Unknown || o.RID.Seq != 1 {
		t.Errorf("got %+v", o)
	}
	if p.ran[p.client.RID(1)] != 1 || p.ran[p.client.RID(2)] != 2 || p.ran[p.client.RID(3)] != 1 {
		t.Errorf("executed %v", p.ran)
	}
}

// A call that was never sent is known not to have happened; one that was sent may have.
func TestDeadline(t *testing.T) {
	p := newPair(t, Options{})
	p.manual = true
	p.call(1, AtMostOnce, time.Second)
	p.client.Disconnected()
	p.call(2, AtMostOnce, time.Second)
	p.pass(2 * time.Second)
	if len(p.ends) != 2 || p.ends[0].Knowledge != Unknown || p.ends[1].Knowledge != NotExecuted {
		t.Errorf("got %+v", p.ends)
	}
}

// An idle session is renewed; one that is cut off for a lease is over, and what runs for it is an orphan.
func TestSessionEnds(t *testing.T) {
	p := newPair(t, Options{})
	p.pass(time.Minute)
	if p.lost != 0 || !p.client.Open() || p.client.LeaseEnd() < p.now {
		t.Fatalf("lost %d, open %v, lease until %v at %v", p.lost, p.client.Open(), p.client.LeaseEnd(), p.now)
	}
	p.manual = true
	p.call(1, AtMostOnce, time.Hour)
	p.client.Disconnected()
	p.pass(11 * time.Second)
	if len(p.killed) != 1 {
		t.Fatalf("killed %v", p.killed)
	}
	p.fromClient(p.client.Connected(p.now, true, nil))
	if o := p.last(); o.Status != SessionEnd || o.Knowledge != Unknown || p.lost != 1 || !p.client.Over() {
		t.Errorf("got %+v, lost %d", o, p.lost)
	}
}

// Replies are forgotten once the client has said that it has them.
func TestAcknowledges(t *testing.T) {
	p := newPair(t, Options{})
	for seq := range uint64(5000) {
		p.call(seq+1, AtMostOnce, time.Second)
	}
	if n := p.server.sessions[ClientID{1}].entries.len(); n != 1 {
		t.Errorf("%d replies are kept while calls go on", n)
	}
	p.pass(time.Second)
	if n := p.server.sessions[ClientID{1}].entries.len(); n != 0 || len(p.ends) != 5000 {
		t.Errorf("%d replies are kept, %d calls are over", n, len(p.ends))
	}
}

func BenchmarkCall(b *testing.B) {
	client, server := NewClient(ClientID{1}, 1, Options{}), NewServer(1, Options{})
	p := pair{client: client, server: server}
	p.fromClient(client.Connected(0, true, nil))
	var cs []ClientEffect
	var ss []ServerEffect
	args, seq := make([]byte, 64), uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		cs = client.Call(0, &Call{Seq: seq, Args: args, Deadline: time.Second}, cs[:0])
		ss = server.Request(0, cs[0].Request, ss[:0])
		_, ss = server.Done(ss[len(ss)-1].RID, OK, args, ss[:0])
		cs = client.Reply(0, &ss[0].Reply, cs[:0])
	}
	if cs[0].Outcome.Status != OK {
		b.Fatal(cs[0].Outcome)
	}
}

// Ids read as they are written. Those of objects are shown as hashes only.
func TestIDs(t *testing.T) {
	for _, id := range []ClientID{NodeClient(3), NodeClient(65535), {1, 2, 3}, {15: 1, 0: 1}} {
		text, _ := id.MarshalText()
		var back ClientID
		if err := back.UnmarshalText(text); err != nil || back != id {
			t.Errorf("%s reads as %s, %v", text, back, err)
		}
		b, _ := id.MarshalBinary()
		if err := back.UnmarshalBinary(b); err != nil || back != id {
			t.Errorf("%x reads as %s, %v", b, back, err)
		}
	}
	for _, wrong := range []string{"", "node", "node 0", "node 70000", "node x", "abc", "zz"} {
		if err := new(ClientID).UnmarshalText([]byte(wrong)); err == nil {
			t.Errorf("%q reads", wrong)
		}
	}
	object := ObjectID{1, 2, 3}
	b, _ := object.MarshalBinary()
	var back ObjectID
	if err := back.UnmarshalBinary(b); err != nil || back != object || back.UnmarshalBinary(b[1:]) == nil {
		t.Errorf("%x reads as %x, %v", b, back, err)
	}
	text, _ := object.MarshalText()
	if string(text) != fmt.Sprint(object) || len(text) != 16 || strings.Contains(string(text), "010203") {
		t.Errorf("an object shows itself as %s", text)
	}
}

// Ids of calls read as they are written, and nothing else does.
func TestCallIDs(t *testing.T) {
	for _, id := range []RID{{}, {NodeClient(3), Life(2, 0), 17}, {ClientID{1, 2}, Life(1<<40, 5), 1 << 60}, {NodeClient(1), 1, 0}} {
		text, _ := id.MarshalText()
		var back RID
		if err := back.UnmarshalText(text); err != nil || back != id {
			t.Errorf("%s reads as %v, %v", text, back, err)
		}
	}
	for _, wrong := range []string{"", "node 3", "node 3.2", "node 3.2.x", "node 3.2+.1", "node 3.2+1048576.1", "node 0.1.1", "node 3.2.1.1", "node 3.-2.1"} {
		if err := new(RID).UnmarshalText([]byte(wrong)); err == nil {
			t.Errorf("%q reads", wrong)
		}
	}
	if got := (RID{NodeClient(3), Life(2, 1), 17}).String(); got != "node 3.2+1.17" {
		t.Errorf("got %s", got)
	}
}
