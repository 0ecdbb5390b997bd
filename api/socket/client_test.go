package socket

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

func newClient(t testing.TB, addresses ...string) *Client {
	t.Helper()
	c, err := Dial(addresses, nil, "sesame")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

var needsToken = Options{Enter: withToken, NeedsToken: true}

// What is generated for gRPC works over a socket, errors with all they say too.
func TestGeneratedClients(t *testing.T) {
	transfer := func(ctx context.Context, r *cirandav1.TransferRequest) (*cirandav1.TransferResponse, error) {
		if until, ok := ctx.Deadline(); !ok || time.Until(until) > time.Minute || time.Until(until) < 30*time.Second {
			return nil, fmt.Errorf("the deadline is %v, %t", until, ok)
		}
		if r.To == 9 {
			return refuses(ctx, r)
		}
		return &cirandav1.TransferResponse{From: r.From, To: r.To, Amount: r.Amount, Number: 1 << 63, Id: r.Id}, nil
	}
	c := newClient(t, start(t, newServer(needsToken, transfer)))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client := cirandav1.NewBankServiceClient(c)
	r := &cirandav1.TransferRequest{Id: &cirandav1.RequestID{Client: "é\n\x00\"\\", Number: 1<<64 - 1}, From: 1, To: 2, Amount: -1 << 63}
	got, err := client.Transfer(ctx, r)
	if want := (&cirandav1.TransferResponse{From: 1, To: 2, Amount: -1 << 63, Number: 1 << 63, Id: r.Id}); err != nil || !proto.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	_, err = client.Transfer(ctx, &cirandav1.TransferRequest{To: 9})
	if p := problemOf(err); p.code != codes.NotFound || p.field != "to" || p.hint == "" || p.message != "there is no account 9" {
		t.Errorf("got %+v", p)
	}
	if _, err := client.Account(ctx, &cirandav1.AccountRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("got %v", err)
	}
	if _, err := cirandav1.NewEventServiceClient(c).Watch(ctx, &cirandav1.WatchRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("a stream: got %v", err)
	}
	_, err = cirandav1.NewEchoServiceClient(c).Echo(ctx, &cirandav1.EchoRequest{Payload: make([]byte, MaxLine)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a long one: got %v", err)
	}
}

// Calls at the same time share the connection, and each gets its own answer.
func TestManyCalls(t *testing.T) {
	c := newClient(t, start(t, newServer(needsToken, refuses)))
	client := cirandav1.NewEchoServiceClient(c)
	var callers sync.WaitGroup
	for i := range 64 {
		callers.Go(func() {
			for j := range 50 {
				want := fmt.Sprintf("%d-%d-%s", i, j, strings.Repeat("x", i*100))
				if got, err := client.Echo(t.Context(), &cirandav1.EchoRequest{Payload: []byte(want)}); err != nil || string(got.GetPayload()) != want {
					t.Errorf("got %.40q, %v", got.GetPayload(), err)
					return
				}
			}
		})
	}
	callers.Wait()
}

func TestWrongToken(t *testing.T) {
	c, err := Dial([]string{start(t, newServer(needsToken, refuses))}, nil, "x")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = cirandav1.NewEchoServiceClient(c).Echo(t.Context(), &cirandav1.EchoRequest{})
	if status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "that is not it") {
		t.Errorf("got %v", err)
	}
}

// When a server is lost the next call goes to another one, and back when that is lost too.
func TestOtherAddress(t *testing.T) {
	serve := func(l net.Listener) (*Server, func()) {
		s, ended := newServer(needsToken, refuses), make(chan struct{})
		go func() { s.Serve(l); close(ended) }()
		return s, func() { s.Close(t.Context()); <-ended }
	}
	listen := func(address string) net.Listener {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	one, two := listen("127.0.0.1:0"), listen("127.0.0.1:0")
	c := newClient(t, one.Addr().String(), two.Addr().String())
	client := cirandav1.NewEchoServiceClient(c)
	call := func(when string) {
		t.Helper()
		for { // a connection that is lost is not always noticed before a call is sent over it
			_, err := client.Echo(t.Context(), &cirandav1.EchoRequest{})
			if err == nil {
				return
			}
			if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "may have happened") {
				t.Fatalf("%s: %v", when, err)
			}
		}
	}
	_, endOne := serve(one)
	_, endTwo := serve(two)
	call("both")
	endOne()
	call("two alone")
	_, endOne = serve(listen(one.Addr().String()))
	endTwo()
	call("one alone")
	endOne()
	for range 3 {
		if _, err := client.Echo(t.Context(), &cirandav1.EchoRequest{}); status.Code(err) != codes.Unavailable {
			t.Errorf("without servers: %v", err)
		}
	}
}

// A fake is a server that does as a test says with each line it gets.
func fake(t *testing.T, serve func(c net.Conn, r *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			done.Go(func() {
				defer c.Close()
				serve(c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() { l.Close(); done.Wait() })
	return l.Addr().String()
}

// Whatever a server answers, a call ends with an error that says what is known.
func TestBadAnswers(t *testing.T) {
	for said, want := range map[string]string{
		"":                                        "closed it; the call may have happened",
		`{"id":1,"result":{"payload":"x`:          "closed it; the call may have happened",
		"HTTP/1.0 400 Bad Request\n":              `it answers what is no answer: "HTTP/1.0 400`,
		`{"id":1}` + "\n":                         "it answers what is no answer",
		`{"id":1,"result":[]}` + "\n":             "the answer of",
		`{"id":1,"error":{"code":"?"}}` + "\n":    "code = Unknown",
		`{"id":2,"result":{}}` + "\n":             "may have happened",
		`{"error":{"code":"unavailable"}}` + "\n": "may have happened",
	} {
		address := fake(t, func(c net.Conn, r *bufio.Reader) {
			r.ReadString('\n')
			r.ReadString('\n')
			io.WriteString(c, said)
		})
		c := newClient(t, address)
		_, err := cirandav1.NewEchoServiceClient(c).Echo(t.Context(), &cirandav1.EchoRequest{})
		if err == nil || !strings.Contains(fmt.Sprint(status.Convert(err).Err()), want) {
			t.Errorf("%q: got %v, want %s", said, err, want)
		}
		c.Close()
	}
}

// A server that takes calls and says nothing is given up after two of them, for another one.
func TestSilentServer(t *testing.T) {
	silent := fake(t, func(c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) })
	c := newClient(t, silent, start(t, newServer(needsToken, refuses)))
	client := cirandav1.NewEchoServiceClient(c)
	for range maxSilent {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := client.Echo(ctx, &cirandav1.EchoRequest{}); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("got %v", err)
		}
		cancel()
	}
	if _, err := client.Echo(t.Context(), &cirandav1.EchoRequest{}); err != nil {
		t.Errorf("then: %v", err)
	}
}

// A call that is cancelled ends, and the next one over the connection gets its own answer.
func TestCancelled(t *testing.T) {
	begun := make(chan struct{})
	transfer := func(ctx context.Context, _ *cirandav1.TransferRequest) (*cirandav1.TransferResponse, error) {
		close(begun)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	c := newClient(t, start(t, newServer(needsToken, transfer)))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	inner, stop := context.WithCancel(ctx)
	go func() { <-begun; stop() }()
	if _, err := cirandav1.NewBankServiceClient(c).Transfer(inner, &cirandav1.TransferRequest{}); status.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
	if _, err := cirandav1.NewEchoServiceClient(c).Echo(t.Context(), &cirandav1.EchoRequest{}); err != nil {
		t.Errorf("then: %v", err)
	}
}

func TestClosedClient(t *testing.T) {
	c := newClient(t, start(t, newServer(needsToken, blocks)))
	ended := make(chan error)
	go func() {
		_, err := cirandav1.NewBankServiceClient(c).Transfer(t.Context(), &cirandav1.TransferRequest{})
		ended <- err
	}()
	if _, err := c.link(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := <-ended; status.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
	if _, err := cirandav1.NewEchoServiceClient(c).Echo(t.Context(), &cirandav1.EchoRequest{}); status.Code(err) != codes.Canceled {
		t.Errorf("then: %v", err)
	}
	if _, err := Dial(nil, nil, "x"); err == nil {
		t.Error("no address is taken")
	}
	if _, err := Dial([]string{"a:1"}, nil, ""); err == nil {
		t.Error("plain text without a token is taken")
	}
}

// The error of a call that was not sent says why.
func TestUnsent(t *testing.T) {
	l := newLink(&net.TCPConn{}, "here", "x")
	l.fail(&problem{code: codes.Unavailable, message: "gone"})
	_, err := l.call(t.Context(), "echo.echo", &cirandav1.EchoRequest{})
	if again := new(unsent); !errors.As(err, again) || problemOf(err).message != "gone" {
		t.Errorf("got %v", err)
	}
}
