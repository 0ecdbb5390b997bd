package rmi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ciranda.dev/pki"
	"ciranda.dev/protocol/invocation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A greeter is served in the tests.
type greeter interface {
	Greet(ctx context.Context, name string) (greeting string, err error)
	Call(ctx context.Context, back listener, times int) error
	Fail(ctx context.Context, how string) error
	Self(ctx context.Context) (greeter, error)
	Wait(ctx context.Context) error
}

type listener interface {
	Hear(ctx context.Context, what string) error
}

type (
	greetIn struct {
		Name string `cbor:"name"`
	}
	greetOut struct {
		Greeting string `cbor:"greeting"`
	}
	callIn struct {
		Back  Ref `cbor:"back"`
		Times int `cbor:"times"`
	}
	failIn struct {
		How string `cbor:"how"`
	}
	selfOut struct {
		Self Ref `cbor:"self"`
	}
	hearIn struct {
		What string `cbor:"what"`
	}
)

var (
	greeterRemote  = NewInterface("test.Greeter", func(r *Remote) greeter { return greeterStub{r} })
	listenerRemote = NewInterface("test.Listener", func(r *Remote) listener { return listenerStub{r} })
	greet          = NewMethod(greeterRemote, "Greet", AtMostOnce, func(ctx context.Context, g greeter, in *greetIn, out *greetOut) (err error) {
		out.Greeting, err = g.Greet(ctx, in.Name)
		return err
	})
	callBack = NewMethod(greeterRemote, "Call", AtMostOnce, func(ctx context.Context, g greeter, in *callIn, _ *struct{}) error {
		back, err := listenerRemote.Take(ctx, Caller(ctx), in.Back)
		if err != nil {
			return Wrong("back", err)
		}
		return g.Call(ctx, back, in.Times)
	})
	fail = NewMethod(greeterRemote, "Fail", AtMostOnce, func(ctx context.Context, g greeter, in *failIn, _ *struct{}) error {
		return g.Fail(ctx, in.How)
	})
	self = NewMethod(greeterRemote, "Self", AtMostOnce, func(ctx context.Context, g greeter, _ *struct{}, out *selfOut) error {
		s, err := g.Self(ctx)
		if err == nil {
			out.Self, err = greeterRemote.Pass(Caller(ctx), s)
		}
		return err
	})
	waits = NewMethod(greeterRemote, "Wait", AtLeastOnce, func(ctx context.Context, g greeter, _, _ *struct{}) error { return g.Wait(ctx) })
	hear  = NewMethod(listenerRemote, "Hear", AtMostOnce, func(ctx context.Context, l listener, in *hearIn, _ *struct{}) error {
		return l.Hear(ctx, in.What)
	})
)

type greeterStub struct{ *Remote }

func (s greeterStub) Greet(ctx context.Context, name string) (string, error) {
	out, err := greet.Invoke(ctx, s.Remote, &greetIn{name})
	return out.Greeting, err
}

func (s greeterStub) Call(ctx context.Context, back listener, times int) error {
	ref, err := listenerRemote.Pass(s.Peer(), back)
	if err != nil {
		return err
	}
	_, err = callBack.Invoke(ctx, s.Remote, &callIn{ref, times})
	return err
}

func (s greeterStub) Fail(ctx context.Context, how string) error {
	_, err := fail.Invoke(ctx, s.Remote, &failIn{how})
	return err
}

func (s greeterStub) Self(ctx context.Context) (greeter, error) {
	out, err := self.Invoke(ctx, s.Remote, &struct{}{})
	if err != nil {
		return nil, err
	}
	return greeterRemote.Take(ctx, s.Peer(), out.Self)
}

func (s greeterStub) Wait(ctx context.Context) error {
	_, err := waits.Invoke(ctx, s.Remote, &struct{}{})
	return err
}

type listenerStub struct{ *Remote }

func (s listenerStub) Hear(ctx context.Context, what string) error {
	_, err := hear.Invoke(ctx, s.Remote, &hearIn{what})
	return err
}

var errRegistered = errors.New("a registered error")

type typedError struct {
	Cents int `cbor:"cents"`
}

func (e *typedError) Error() string { return fmt.Sprintf("%d cents are missing", e.Cents) }

func init() {
	RegisterError("test.registered", errRegistered)
	RegisterErrorType[*typedError]("test.typed")
}

// host is a greeter.
type host struct {
	calls   atomic.Int64
	waiting chan struct{}
	over    chan error
}

func newHost() *host { return &host{waiting: make(chan struct{}, 10), over: make(chan error, 10)} }

func (h *host) Greet(_ context.Context, name string) (string, error) {
	h.calls.Add(1)
	return "hello " + name, nil
}

func (h *host) Call(ctx context.Context, back listener, times int) error {
	for i := range times {
		if err := back.Hear(ctx, fmt.Sprint(i)); err != nil {
			return err
		}
	}
	return nil
}

func (h *host) Fail(_ context.Context, how string) error {
	h.calls.Add(1)
	switch how {
	case "registered":
		return fmt.Errorf("wrapped: %w", errRegistered)
	case "typed":
		return fmt.Errorf("wrapped: %w", &typedError{7})
	case "eof":
		return io.EOF
	case "panic":
		panic("oh")
	case "nil panic":
		panic(nil)
	case "exit":
		runtime.Goexit()
	}
	return errors.New("plain")
}

func (h *host) Self(context.Context) (greeter, error) { return h, nil }

func (h *host) Wait(ctx context.Context) error {
	h.waiting <- struct{}{}
	<-ctx.Done()
	h.over <- ctx.Err()
	return ctx.Err()
}

// ear is a listener.
type ear struct {
	mu    sync.Mutex
	heard []string
}

func (e *ear) Hear(_ context.Context, what string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, what)
	return nil
}

var testSecret = Options{Secret: []byte("a secret of the tests")}

// near makes a node that serves a greeter, and one that is connected to it.
func near(t testing.TB) (server, client *Node, h *host, g greeter) {
	server, err := Listen("127.0.0.1:0", testSecret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	h = newHost()
	ref, err := greeterRemote.Export(server, h)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Names().Bind(t.Context(), "greeter", ref, nil); err != nil {
		t.Fatal(err)
	}
	client, err = Dial(t.Context(), server.Addr().String(), testSecret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if g, err = greeterRemote.Lookup(t.Context(), client, "greeter"); err != nil {
		t.Fatal(err)
	}
	return server, client, h, g
}

func TestCall(t *testing.T) {
	_, _, h, g := near(t)
	for range 3 {
		if got, err := g.Greet(t.Context(), "you"); got != "hello you" || err != nil {
			t.Fatal(got, err)
		}
	}
	if n := h.calls.Load(); n != 3 {
		t.Errorf("executed %d times", n)
	}
}

func TestCallBack(t *testing.T) {
	_, _, _, g := near(t)
	e := &ear{}
	if err := g.Call(t.Context(), e, 3); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(e.heard, " "); got != "0 1 2" {
		t.Error(got)
	}
}

func TestComesHome(t *testing.T) {
	server, client, h, g := near(t)
	other, err := g.Self(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ref, ok := RefOf(other)
	if !ok {
		t.Fatalf("%T is no stub", other)
	}
	if home, err := greeterRemote.At(t.Context(), server, ref); err != nil || home != greeter(h) {
		t.Errorf("at home it is %v, %v", home, err)
	}
	_ = client
}

func TestErrors(t *testing.T) {
	_, _, _, g := near(t)
	var typed *typedError
	if err := g.Fail(t.Context(), "registered"); !errors.Is(err, errRegistered) || err.Error() != "wrapped: a registered error" {
		t.Errorf("got %v", err)
	}
	if err := g.Fail(t.Context(), "typed"); !errors.As(err, &typed) || typed.Cents != 7 {
		t.Errorf("got %v", err)
	}
	if err := g.Fail(t.Context(), "eof"); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
	var is *Error
	if err := g.Fail(t.Context(), "panic"); !errors.As(err, &is) || is.Kind != Panicked || is.Happened != Yes || !errors.Is(err, ErrPanicked) {
		t.Errorf("got %v", err)
	}
	for range 3 {
		for _, how := range []string{"exit", "nil panic"} {
			if err := g.Fail(t.Context(), how); !errors.As(err, &is) || is.Kind != Panicked || is.Happened != Yes {
				t.Errorf("%s: got %v", how, err)
			}
		}
	}
	if err := g.Fail(t.Context(), "plain"); err.Error() != "plain" || !errors.As(err, &is) || is.Kind != Failed || is.Happened != Yes {
		t.Errorf("got %v", err)
	}
}

func TestDeadlineAndCancel(t *testing.T) {
	_, _, h, g := near(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var is *Error
	if err := g.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &is) || is.Happened != Unknown {
		t.Errorf("got %v", err)
	}
	<-h.waiting
	if err := <-h.over; err == nil {
		t.Error("the execution was not told")
	}
	ctx, cancel = context.WithCancel(t.Context())
	go func() {
		<-h.waiting
		cancel()
	}()
	if err := g.Wait(ctx); !errors.Is(err, context.Canceled) || !errors.As(err, &is) || is.Happened != Unknown {
		t.Errorf("got %v", err)
	}
	if err := <-h.over; !errors.Is(err, context.Canceled) {
		t.Errorf("the execution was told %v", err)
	}
}

// A broken connection is made again, and nothing is executed twice.
func TestReconnects(t *testing.T) {
	server, client, h, g := near(t)
	var done sync.WaitGroup
	for range 8 {
		done.Go(func() {
			for range 100 {
				if _, err := g.Greet(t.Context(), "you"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 10 {
		time.Sleep(time.Millisecond)
		cut(server)
		cut(client)
	}
	done.Wait()
	if n := h.calls.Load(); n != 800 {
		t.Errorf("executed %d times", n)
	}
}

// cut breaks all connections of a node.
func cut(n *Node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.open {
		c.Close()
	}
}

func TestWrongSecret(t *testing.T) {
	server, _, _, _ := near(t)
	_, err := Dial(t.Context(), server.Addr().String(), Options{Secret: []byte("another")})
	if err == nil || !strings.Contains(err.Error(), "another secret") {
		t.Errorf("got %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := Dial(t.Context(), l.Addr().String(), testSecret); err == nil {
		t.Error("somebody is there")
	}
}

func BenchmarkCall(b *testing.B) {
	_, _, _, g := near(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Greet(b.Context(), "you"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCall64(b *testing.B) {
	_, _, _, g := near(b)
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := g.Greet(b.Context(), "you"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// An object can be called by what it says of itself, without its code.
func TestCallJSON(t *testing.T) {
	_, client, _, g := near(t)
	ref, _ := RefOf(g)
	r := client.Remote(ref)
	d, err := r.Describe(t.Context())
	if err != nil || d.Name != "test.Greeter" || d.Fingerprint != ref.Fingerprint || len(d.Methods) != 5 {
		t.Fatalf("got %+v, %v", d, err)
	}
	for _, c := range []struct{ method, args, want string }{
		{"Greet", `{"name": "you"}`, `{"greeting":"hello you"}`},
		{"Greet", `{}`, `name is missing; expected {"name": string}`},
		{"Greet", `{"name": 3}`, `name: found 3; expected string`},
		{"Greet", `{"nam": "x"}`, `found the argument "nam"; expected {"name": string}`},
		{"Greet", `[]`, `found what is no JSON object`},
		{"Gret", `{}`, `no such method: it has Call, Fail, Greet, Self, Wait`},
		{"Call", `{"back": "greeter", "times": 1}`, `bad argument: back: `},
		{"Call", `{"back": "nobody", "times": 1}`, `back: rmi: no such name: nobody`},
		{"Call", `{"back": null, "times": 1.5}`, `times: found 1.5; expected int`},
		{"Self", ``, `"interface":"test.Greeter"`},
		{"Fail", `{"how": ""}`, `plain`},
	} {
		out, err := r.CallJSON(t.Context(), d, c.method, []byte(c.args))
		got := string(out)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s %s: got %s, want %s", c.method, c.args, got, c.want)
		}
	}
}

// Copies of a call that may be repeated run side by side, and are found one by one.
func TestCopies(t *testing.T) {
	n := &Node{running: map[invocation.RID]*call{}}
	rid := invocation.RID{Client: ID{1}, Seq: 3}
	a, b, c := &call{rid: rid}, &call{rid: rid}, &call{rid: rid}
	for _, one := range []*call{a, b, c} {
		n.runs(one)
	}
	for i, gone := range []*call{b, c, a} {
		n.ran(gone)
		left := 0
		for is := n.running[rid]; is != nil; is = is.copy {
			if left++; is == gone {
				t.Error("it is there still")
			}
		}
		if left != 2-i {
			t.Errorf("%d are left, want %d", left, 2-i)
		}
	}
	if len(n.running) != 0 {
		t.Error("an entry is left")
	}
}

// Programs speak for themselves only; members of a cluster for others, too.
func TestVouches(t *testing.T) {
	secured := &Node{opts: Options{Credentials: &pki.Credentials{}}}
	for _, c := range []struct {
		node *Node
		id   ID
		role pki.Role
		want bool
	}{
		{secured, ID{1}, pki.Operator, false}, {secured, ID{1}, pki.Gateway, true}, {secured, invocation.NodeClient(3), pki.Node, true}, {&Node{}, ID{1}, 0, true},
	} {
		p := &Peer{node: c.node, id: c.id, identity: pki.Identity{Role: c.role}}
		if p.vouches() != c.want {
			t.Errorf("%s with the role %s: got %v", c.id, c.role, !c.want)
		}
	}
}
