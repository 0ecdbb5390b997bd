package rmi

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ciranda.dev/pki"
	"ciranda.dev/protocol/dgc"
	"ciranda.dev/protocol/invocation"
)

// A rogue has the secret, and says what it likes.
type rogue struct {
	net.Conn
	t       *testing.T
	in      *bufio.Reader
	id      ID
	server  uint64 // the life of the node
	session uint64
	seq     uint64
}

// rogues counts them: each is another client.
var rogues atomic.Int64

// intrude connects to a node as somebody with the secret.
func intrude(t *testing.T, n *Node) *rogue {
	t.Helper()
	c, err := net.Dial("tcp", n.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	r := &rogue{Conn: c, t: t, in: bufio.NewReader(c), id: ID{6, 6, byte(rogues.Add(1))}}
	mine := intro{id: r.id, life: 1}
	r.say([]byte(Preface), mine.frame())
	theirs, err := newConn(c, r.in).readIntro()
	if err != nil {
		t.Fatal(err)
	}
	b, at := beginFrame(nil, proofFrame)
	r.say(endFrame(append(b, n.proof(mine, theirs, true)...), at))
	if kind, _ := r.hears(); kind != proofFrame {
		t.Fatal("the node shows no proof")
	}
	r.server = theirs.life
	return r
}

func (r *rogue) say(all ...[]byte) {
	for _, b := range all {
		r.SetWriteDeadline(time.Now().Add(10 * time.Second))
		r.Write(b) // an error shows in what is heard
	}
}

// hears gives the next frame; 0 if the connection is over.
func (r *rogue) hears() (kind byte, body []byte) {
	r.SetReadDeadline(time.Now().Add(10 * time.Second))
	kind, b, err := (&conn{Conn: r.Conn, in: r.in}).read(maxFrame)
	if err != nil {
		return 0, nil
	}
	return kind, b.b
}

// opens begins a session.
func (r *rogue) opens() {
	r.t.Helper()
	r.say(r.signal(invocation.Hello, 0))
	kind, body := r.hears()
	g, err := readSignal(body, ID{}, r.id, r.server)
	if kind != signalFrame || err != nil || g.Kind != invocation.Welcome {
		r.t.Fatalf("got %v, %v", g, err)
	}
	r.session = g.Session
}

func (r *rogue) signal(kind invocation.SignalKind, seq uint64) []byte {
	return appendSignal(nil, &invocation.Signal{Kind: kind, RID: invocation.RID{Client: r.id, Incarnation: 1 << 20, Seq: seq}, Session: r.session})
}

// asks is a request that is new.
func (r *rogue) asks(op uint32, semantics invocation.Semantics, args []byte) []byte {
	r.seq++
	return r.repeats(op, semantics, args)
}

func (r *rogue) repeats(op uint32, semantics invocation.Semantics, args []byte) []byte {
	rid := invocation.RID{Client: r.id, Incarnation: 1 << 20, Seq: r.seq}
	return appendRequest(nil, &invocation.Request{RID: rid, Root: rid, Session: r.session, ServerIncarnation: r.server, Semantics: semantics,
		Op: op, Args: args, Budget: time.Minute})
}

// gets demands a reply.
func (r *rogue) gets() (status invocation.Status, text string) {
	r.t.Helper()
	kind, body := r.hears()
	var reply invocation.Reply
	if err := readReply(body, r.id, r.server, &reply); kind != replyFrame || err != nil {
		r.t.Fatalf("got a frame of kind %d, %v; expected a reply", kind, err)
	}
	return reply.Status, string(reply.Result)
}

// ends demands that the node closes the connection. What it has said before is read.
func (r *rogue) ends() {
	r.t.Helper()
	r.SetReadDeadline(time.Now().Add(15 * time.Second))
	if _, err := io.Copy(io.Discard, r.in); err != nil && !errors.Is(err, io.EOF) && errors.Is(err, errTimeout(err)) {
		r.t.Errorf("the connection is not closed: %v", err)
	}
}

// errTimeout is the error itself if it says that time has run out.
func errTimeout(err error) error {
	var is net.Error
	if errors.As(err, &is) && is.Timeout() {
		return err
	}
	return nil
}

// stays demands that the connection works yet.
func (r *rogue) stays() {
	r.t.Helper()
	r.say(r.asks(999, invocation.AtLeastOnce, appendTarget(nil, Ref{}, nil)))
	for {
		kind, body := r.hears()
		var reply invocation.Reply
		if kind == 0 {
			r.t.Fatal("the connection is closed")
		}
		if kind == replyFrame && readReply(body, r.id, r.server, &reply) == nil && reply.RID.Seq == r.seq {
			return
		}
	}
}

// to is what a request for an object begins with.
func to(object invocation.ObjectID, life uint64, args []byte) []byte {
	return append(appendTarget(nil, Ref{Ref: invocation.Ref{Object: object, Incarnation: life}}, nil), args...)
}

func written(t *testing.T, v any) []byte {
	b, err := encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// opOf is the number of a method.
func opOf(t *testing.T, c *interfaceCore, name string) uint32 {
	c.description()
	for i, m := range c.inOrder {
		if m.name == name {
			return uint32(i + 1)
		}
	}
	t.Fatalf("there is no method %s", name)
	return 0
}

// Whatever somebody with the secret sends, others' calls go on, and little is kept of it.
func TestHostilePeers(t *testing.T) {
	server, _, _, g := near(t)
	id := g.(greeterStub).ref.Object
	life := server.Life()
	greets := opOf(t, &greeterRemote.core, "Greet")
	for name, attack := range map[string]func(t *testing.T, r *rogue){
		"a frame of two gigabytes": func(_ *testing.T, r *rogue) { r.say([]byte{0x80, 0, 0, 0, requestFrame}); r.ends() },
		"a frame that is too long": func(_ *testing.T, r *rogue) {
			r.say(binary.BigEndian.AppendUint32(nil, maxFrame+2), []byte{requestFrame})
			r.ends()
		},
		"a frame of nothing":         func(_ *testing.T, r *rogue) { r.say([]byte{0, 0, 0, 0, 0}); r.ends() },
		"half a frame":               func(_ *testing.T, r *rogue) { r.say([]byte{0, 0, 1, 0, requestFrame, 1, 2, 3}); r.Close() },
		"a kind that nobody knows":   func(_ *testing.T, r *rogue) { r.say([]byte{0, 0, 0, 1, 77}); r.ends() },
		"a second intro":             func(_ *testing.T, r *rogue) { r.say((&intro{id: r.id, life: 1}).frame()); r.ends() },
		"a request that is cut off":  func(_ *testing.T, r *rogue) { r.say([]byte{0, 0, 0, 2, requestFrame, 0}); r.ends() },
		"a signal that nobody knows": func(_ *testing.T, r *rogue) { r.say(r.signal(99, 0)); r.ends() },
		"a reply that cannot be":     func(_ *testing.T, r *rogue) { r.say([]byte{0, 0, 0, 4, replyFrame, 99, 1, 1}); r.ends() },
		"calls without a session": func(t *testing.T, r *rogue) {
			r.say(r.asks(greets, invocation.AtMostOnce, to(id, life, written(t, greetIn{"x"}))))
			if kind, body := r.hears(); kind != signalFrame || invocation.SignalKind(body[0]) != invocation.Expired {
				t.Errorf("got a frame of kind %d", kind)
			}
			r.opens()
			r.stays()
		},
		"replies that nobody waits for": func(_ *testing.T, r *rogue) {
			r.opens()
			all := []byte{}
			for seq := range uint64(100_000) {
				all = appendReply(all, &invocation.Reply{RID: invocation.RID{Incarnation: 1, Seq: seq}, Status: invocation.OK, Result: []byte("so there")})
			}
			r.say(all)
			r.stays()
		},
		"cancels of calls that nobody made": func(_ *testing.T, r *rogue) {
			r.opens()
			all := []byte{}
			for seq := range uint64(100_000) {
				all = append(all, r.signal(invocation.Cancel, seq)...)
			}
			r.say(all)
			r.stays()
		},
		"hellos and pings": func(_ *testing.T, r *rogue) {
			r.opens()
			for range 10_000 {
				r.say(r.signal(invocation.Hello, 0), r.signal(invocation.Ping, 0))
				r.hears()
				r.hears()
			}
			r.stays()
		},
		"an object that is not there": func(t *testing.T, r *rogue) {
			r.opens()
			other := invocation.ObjectID{1, 2, 3}
			r.say(r.asks(greets, invocation.AtMostOnce, to(other, life, nil)))
			_, missing := r.gets()
			r.say(r.asks(greets, invocation.AtMostOnce, to(id, life+1, nil)))
			if _, former := r.gets(); former != missing || strings.Contains(missing, string(other[:])) {
				t.Errorf("%q tells more than %q", former, missing)
			}
		},
		"arguments of wrong types": func(t *testing.T, r *rogue) {
			r.opens()
			for args, want := range map[string]string{
				"\xa1\x64name\x05":                   "name: found",
				"\xa1\x65names\x61x":                 "names",
				"\xa2\x64name\x61x\x64name\x61y":     "name",
				"\x80":                               "found",
				"\xa1\x64name":                       "",
				strings.Repeat("\xa1\x64name", 1000): "",
			} {
				r.say(r.asks(greets, invocation.AtMostOnce, to(id, life, []byte(args))))
				if status, text := r.gets(); status == invocation.OK || !strings.Contains(text, want) {
					t.Errorf("%q: got %v, %q; expected %q", args, status, text, want)
				}
			}
			r.stays()
		},
		"updates of references that are not": func(t *testing.T, r *rogue) {
			r.opens()
			refs := opOf(t, &rootInterface.core, "Refs")
			many := make([]invocation.ObjectID, 30_000)
			for i := range many {
				binary.BigEndian.PutUint64(many[i][:], uint64(i))
			}
			for _, seq := range []uint64{1, 1 << 63, 3, 0} {
				u := refsIn{dgc.Update{Seq: seq, Dirty: many, Clean: many[:3]}, []uint64{0, 1, 1 << 60}}
				r.say(r.asks(refs, invocation.AtLeastOnce, to(invocation.ObjectID{}, 0, written(t, u))))
				r.gets()
			}
			r.stays()
		},
		"more calls than may run": func(t *testing.T, r *rogue) {
			r.opens()
			echo := to(invocation.ObjectID{}, 0, written(t, struct {
				Payload []byte `cbor:"payload"`
			}{make([]byte, 100)}))
			for range 5000 {
				r.say(r.asks(opOf(t, &rootInterface.core, "Echo"), invocation.AtLeastOnce, echo))
			}
			r.stays()
		},
		"replies that are kept": func(t *testing.T, r *rogue) {
			r.opens()
			args := to(id, life, written(t, greetIn{strings.Repeat("x", 900_000)}))
			rejected := false
			for range 100 {
				r.say(r.asks(greets, invocation.AtMostOnce, args))
				status, text := r.gets()
				rejected = rejected || status == invocation.Rejected && strings.Contains(text, "not acknowledged")
			}
			if !rejected {
				t.Error("more and more replies are kept")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := intrude(t, server)
			attack(t, r)
			if got, err := g.Greet(t.Context(), "friend"); got != "hello friend" || err != nil {
				t.Errorf("another's call gives %q, %v", got, err)
			}
		})
	}
}

// What a peer has executed is bounded, in calls and in bytes.
func TestBoundedWork(t *testing.T) {
	server, client, _, _ := near(t)
	p := server.peer(client.id)
	large := &buffer{make([]byte, mostCarried/2+1)}
	if !p.takes(large) || p.takes(large) {
		t.Error("more bytes are taken than may be carried")
	}
	p.carried.Store(0)
	p.working.Store(mostWorking)
	if p.takes(new(buffer)) {
		t.Error("more calls are taken than may be executed")
	}
	p.working.Store(0)
}

// Who asks and does not read is given up: what waits for it is bounded.
func TestUnread(t *testing.T) {
	one, two := net.Pipe()
	defer two.Close()
	c := newConn(one, bufio.NewReader(one))
	c.peer = &Peer{}
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.send(make([]byte, 100), true) // nobody reads it
	}()
	two.Read(make([]byte, 1)) // it is being written
	frames := make([]byte, 16<<20)
	for range 2 * mostUnread / len(frames) {
		c.send(frames, false)
	}
	<-written
	if !errors.Is(c.ended(), errUnread) || len(c.pending) > mostUnread+len(frames) {
		t.Errorf("%d bytes wait, and the connection ended for %v", len(c.pending), c.ended())
	}
}

// Strangers cost little: they may say few bytes, for a short time.
func TestStrangers(t *testing.T) {
	server, _, _, g := near(t)
	address := server.Addr().String()
	var silent []net.Conn
	for range 300 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		silent = append(silent, c)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, c := range silent {
		io.WriteString(c, Preface)
		c.Write([]byte{0, 16, 0, 0, introFrame}) // a megabyte is to come
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.Copy(io.Discard, c); errTimeout(err) != nil {
			t.Fatalf("a stranger is not turned away: %v", err)
		}
		c.Close()
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 32<<20 {
		t.Errorf("%d bytes were taken for strangers", grown)
	}
	if _, err := g.Greet(t.Context(), "friend"); err != nil {
		t.Error(err)
	}
}

// Nobody takes the name of another.
func TestImpostors(t *testing.T) {
	n, err := New(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	n.opts.Credentials = new(pki.Credentials) // connections are as if they were secured
	alice, bob := pki.Identity{Role: pki.Client, Name: "alice"}, pki.Identity{Role: pki.Client, Name: "bob"}
	for _, c := range []struct {
		id   ID
		life uint64
		who  pki.Identity
		want string
	}{
		{id: ID{7}, life: 5, who: alice},
		{id: ID{7}, life: 6, who: alice},
		{id: ID{7}, life: 6, who: bob, want: "it is "},
		{id: invocation.NodeClient(3), life: 1, who: alice, want: "says that it is node 3"},
		{id: n.id, life: 1, who: alice, want: "this node itself"},
	} {
		_, err := n.admit(intro{id: c.id, life: c.life}, c.who)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s as %s: got %v, expected %q", c.who, c.id, err, c.want)
		}
	}
}

// A client goes while its calls are executed: they are cancelled when its session ends, and nothing of them is left.
func TestClientGoes(t *testing.T) {
	_, client, h, g := near(t)
	done := make(chan error, 5)
	for range 5 {
		go func() { done <- g.Wait(context.Background()) }()
	}
	for range 5 {
		<-h.waiting
	}
	client.Close()
	for range 5 {
		if err := <-h.over; !errors.Is(err, context.Canceled) {
			t.Errorf("the method sees %v", err)
		}
		var is *Error
		if err := <-done; !errors.As(err, &is) || is.Happened == No {
			t.Errorf("the caller sees %v", err)
		}
	}
}
