package socket

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo gives back what it is sent.
type echo struct {
	cirandav1.UnimplementedEchoServiceServer
}

func (echo) Echo(_ context.Context, r *cirandav1.EchoRequest) (*cirandav1.EchoResponse, error) {
	return &cirandav1.EchoResponse{Payload: r.GetPayload()}, nil
}

// bank is a bank whose transfers take as long as the test wants.
type bank struct {
	cirandav1.UnimplementedBankServiceServer
	transfer func(context.Context, *cirandav1.TransferRequest) (*cirandav1.TransferResponse, error)
}

func (b bank) Transfer(ctx context.Context, r *cirandav1.TransferRequest) (*cirandav1.TransferResponse, error) {
	return b.transfer(ctx, r)
}

func (b bank) Balances(context.Context, *cirandav1.BalancesRequest) (*cirandav1.BalancesResponse, error) {
	total := int64(1 << 60)
	return &cirandav1.BalancesResponse{Total: &total, Accounts: []*cirandav1.BalancesResponse_Balance{{Id: 1, Node: 1, Balance: 1 << 60}}}, nil
}

// refuses is a transfer that is refused with all that an error can say.
func refuses(context.Context, *cirandav1.TransferRequest) (*cirandav1.TransferResponse, error) {
	return nil, &problem{code: codes.NotFound, message: "there is no account 9", field: "to", hint: "accounts are 1-5"}
}

// blocks is a transfer that takes until its deadline.
func blocks(ctx context.Context, _ *cirandav1.TransferRequest) (*cirandav1.TransferResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// newServer makes a server with an echo and a bank.
func newServer(o Options, transfer func(context.Context, *cirandav1.TransferRequest) (*cirandav1.TransferResponse, error)) *Server {
	s := NewServer(o)
	cirandav1.RegisterEchoServiceServer(s, echo{})
	cirandav1.RegisterBankServiceServer(s, bank{transfer: transfer})
	return s
}

// start serves on the loopback interface, and gives the address.
func start(t testing.TB, s *Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Close(ctx)
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve ends with %v", err)
		}
	})
	return l.Addr().String()
}

// A talk is a connection to a server, line by line.
type talk struct {
	net.Conn
	r *bufio.Reader
}

func dialTo(t testing.TB, address string) *talk {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return &talk{c, bufio.NewReader(c)}
}

// line reads a line; "" is the end.
func (k *talk) line() string {
	line, err := k.r.ReadString('\n')
	if err != nil && err != io.EOF {
		return err.Error()
	}
	return strings.TrimSuffix(line, "\n")
}

// ask sends a line and reads one.
func (k *talk) ask(line string) string {
	io.WriteString(k, line+"\n")
	return k.line()
}

func TestCalls(t *testing.T) {
	k := dialTo(t, start(t, newServer(Options{}, refuses)))
	for _, c := range []struct{ in, out string }{
		{`{"id":1,"call":"echo.echo","args":{"payload":"aGVsbG8="}}`, `{"id":1,"result":{"payload":"aGVsbG8="}}`},
		{` { "call" : "echo.echo" } ` + "\r", `{"result":{"payload":""}}`},
		{`{"args":{},"id":"a\u0062\n","call":"echo.echo"}`, `{"id":"a\u0062\n","result":{"payload":""}}`},
		{`{"id":-1.5e3,"call":"echo.echo","args":{"payload":null},"deadline_ms":1000}`, `{"id":-1.5e3,"result":{"payload":""}}`},
		{"\n\r\n" + `{"call":"bank.balances"}`, `{"result":{"accounts":[{"id":1,"node":1,"balance":1152921504606846976}],` +
			`"total":1152921504606846976,"in_flight":0,"why_no_total":"","issued":0}}`},
		{`{"id":2,"call":"bank.transfer","args":{"from":1,"to":9,"amount":"5"}}`, `{"id":2,"error":{"code":"not_found",` +
			`"message":"there is no account 9","field":"to","hint":"accounts are 1-5"}}`},
		{`{"id":3,"call":"bank.account"}`, `{"id":3,"error":{"code":"unimplemented","message":"method Account not implemented"}}`},
	} {
		if got := k.ask(c.in); got != c.out {
			t.Errorf("%s\n got %s\nwant %s", c.in, got, c.out)
		}
	}
}

func TestBadRequests(t *testing.T) {
	k := dialTo(t, start(t, newServer(Options{}, refuses)))
	for in, want := range map[string]string{
		`{"id":1,"call":"bank.trnasfer"}`:                                       `"code":"unimplemented"|"field":"call"|no call \"bank.trnasfer\"`,
		`{"id":1,"call":"event.watch"}`:                                         `"field":"call"|streams`,
		`{"id":1}`:                                                              `"field":"call"`,
		`{"id":1,"call":"echo.echo","arsg":{}}`:                                 `{"id":1,|"field":"arsg"`,
		`{"id":1,"call":"echo.echo","call":"echo.echo"}`:                        `"field":"call"|twice`,
		`{"id":true,"call":"echo.echo"}`:                                        `"field":"id"`,
		`{"id":"` + strings.Repeat("x", maxID) + `","call":"echo.echo"}`:        `"field":"id"|at most 128`,
		`{"id":1,"call":"echo.echo","deadline_ms":0}`:                           `"field":"deadline_ms"`,
		`{"id":1,"call":"echo.echo","deadline_ms":1.5}`:                         `"field":"deadline_ms"`,
		`{"id":1,"call":"echo.echo","token":"x"}`:                               `"field":"token"|certificates`,
		`{"id":1,"call":"bank.transfer","args":{"form":1}}`:                     `"field":"form"|id, from, to, amount, wait`,
		`{"id":1,"call":"bank.transfer","args":{"from":1,"from":2}}`:            `"field":"from"|twice`,
		`{"id":1,"call":"bank.transfer","args":{"from":-1}}`:                    `"field":"from"|0 to 4294967295`,
		`{"id":1,"call":"bank.transfer","args":{"from":{}}}`:                    `"field":"from"`,
		`{"id":1,"call":"bank.transfer","args":{"amount":9223372036854775808}}`: `"field":"amount"`,
		`{"id":1,"call":"bank.transfer","args":{"amount":1.0}}`:                 `"field":"amount"`,
		`{"id":1,"call":"bank.transfer","args":{"wait":1}}`:                     `"field":"wait"|true or false`,
		`{"id":1,"call":"bank.transfer","args":{"id":{"client":7}}}`:            `"field":"id.client"`,
		`{"id":1,"call":"bank.transfer","args":{"id":{"nubmer":7}}}`:            `"field":"id.nubmer"`,
		`{"id":1,"call":"bank.transfer","args":[]}`:                             `expected an object`,
		`{"id":1,"call":"echo.echo","args":{"payload":"*"}}`:                    `"field":"payload"|base64`,
		`{"id":1,"call":"echo.echo","args":{"payload":"\ud800"}}`:               `expected an escape`,
		`{"id":1,"call":"echo.echo"} x`:                                         `end of the line`,
		`{"id":1,"call":"echo.echo"`:                                            `expected a comma or a brace`,
		`{"id":1,"call":"echo.echo","args":` + strings.Repeat("[", maxDepth):    `"field":"args"|values inside values`,
		"{\"id\":1,\"call\":\"\xff\"}":                                          `UTF-8`,
		`{"call":"help","args":{"call":"nothing"}}`:                             `"field":"call"`,
		`{"call":"help","args":7}`:                                              `"field":"args"`,
	} {
		got := k.ask(in)
		for part := range strings.SplitSeq(want, "|") {
			if !strings.Contains(got, part) || !strings.Contains(got, `"error":{"code":"`) {
				t.Errorf("%s\n got %s\nwant %s", in, got, part)
			}
		}
	}
	if got := k.ask(`{"call":"echo.echo"}`); got != `{"result":{"payload":""}}` {
		t.Errorf("afterwards: got %s", got)
	}
}

// Lines of another protocol end the connection: what stands further down in them must not be taken for requests.
func TestAnotherProtocol(t *testing.T) {
	k := dialTo(t, start(t, newServer(Options{}, refuses)))
	got := k.ask("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n" + `{"id":1,"call":"echo.echo"}`)
	if !strings.Contains(got, "expected an object") {
		t.Errorf("got %s", got)
	}
	if got := k.line(); got != "" {
		t.Errorf("then got %s; expected the end", got)
	}
}

func TestLongLines(t *testing.T) {
	address := start(t, newServer(Options{}, refuses))
	k := dialTo(t, address)
	whole := `{"call":"echo.echo"` + strings.Repeat(" ", MaxLine-20) + `}`
	for _, end := range []string{"", "\r"} {
		if got := k.ask(whole + end); got != `{"result":{"payload":""}}` {
			t.Errorf("a line of %d bytes: got %s", len(whole+end), got)
		}
	}
	for _, long := range []string{whole + " ", strings.Repeat("x", 10*MaxLine)} {
		k := dialTo(t, address)
		if got := k.ask(long); !strings.Contains(got, "resource_exhausted") || !strings.Contains(got, "65536") {
			t.Errorf("a line of %d bytes: got %s", len(long), got)
		}
		if got := k.line(); got != "" {
			t.Errorf("then got %s; expected the end", got)
		}
	}
}

// A client that is done talking still gets its answers.
func TestHalfClosed(t *testing.T) {
	k := dialTo(t, start(t, newServer(Options{}, refuses)))
	io.WriteString(k, `{"id":1,"call":"echo.echo"}`+"\n"+`{"id":2,"call":"echo.echo"}`+"\n"+`{"id":3,"call"`)
	k.Conn.(*net.TCPConn).CloseWrite()
	for _, want := range []string{`{"id":1,"result":{"payload":""}}`, `{"id":2,"result":{"payload":""}}`, ""} {
		if got := k.line(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// entered is where the context of a test's call has what was shown.
type entered struct{}

func withToken(ctx context.Context, _ net.Conn, token string) (context.Context, error) {
	if token != "sesame" {
		return nil, &problem{code: codes.Unauthenticated, message: "that is not it"}
	}
	return context.WithValue(ctx, entered{}, token), nil
}

func TestToken(t *testing.T) {
	refused := make(chan string, 10)
	address := start(t, newServer(Options{Enter: withToken, NeedsToken: true,
		Refused: func(_ net.Addr, why string) { refused <- why },
		Interceptor: func(ctx context.Context, r any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if ctx.Value(entered{}) != "sesame" || info.FullMethod != "/ciranda.v1.EchoService/Echo" {
				return nil, fmt.Errorf("%v, %s", ctx.Value(entered{}), info.FullMethod)
			}
			return next(ctx, r)
		}}, refuses))
	k := dialTo(t, address)
	for _, c := range [][2]string{
		{`{"id":0,"token":"sesame"}`, `{"id":0,"result":{}}`},
		{`{"call":"echo.echo"}`, `{"result":{"payload":""}}`},
		{`{"token":"sesame","call":"echo.echo"}`, `{"error":{"code":"invalid_argument",` +
			`"message":"the token was shown before; expected it in the first line alone","field":"token"}}`},
	} {
		if got := k.ask(c[0]); got != c[1] {
			t.Errorf("%s: got %s, want %s", c[0], got, c[1])
		}
	}
	if got := dialTo(t, address).ask(`{"token":"sesame","call":"echo.echo"}`); got != `{"result":{"payload":""}}` {
		t.Errorf("the token with the first call: got %s", got)
	}
	for _, first := range []string{`{"call":"help"}`, `{"token":"x","call":"help"}`, `{`, `{"token":"` + strings.Repeat("x", firstLine)} {
		k := dialTo(t, address)
		if got := k.ask(first); !strings.Contains(got, `"error"`) || strings.Contains(got, "echo.echo") {
			t.Errorf("%.40s: got %s", first, got)
		}
		if got := k.line(); got != "" {
			t.Errorf("%.40s: then got %s; expected the end", first, got)
		}
		k.Close()
		if why := <-refused; why == "" {
			t.Errorf("%.40s: no reason", first)
		}
	}
}

// Without certificates or a token nobody is let in.
func TestNotLetIn(t *testing.T) {
	k := dialTo(t, start(t, newServer(Options{Enter: withToken}, refuses)))
	if got := k.line(); !strings.Contains(got, "unauthenticated") || k.line() != "" {
		t.Errorf("got %s", got)
	}
}

func TestHelp(t *testing.T) {
	k := dialTo(t, start(t, newServer(Options{}, refuses)))
	all := k.ask(`{"call":"help"}`)
	for _, part := range []string{
		`{"call":"echo.echo","needs":"observer","args":{"payload":"bytes in base64"},"result":{"payload":"bytes in base64"}}`,
		`{"call":"bank.transfer","needs":"client","args":{"id":{"client":"string","number":"uint64","below":"uint64"},"from":"uint32"`,
		`"outgoing":[{"number":"uint64","to":"uint32","amount":"int64"}]`,
	} {
		if !strings.Contains(all, part) {
			t.Errorf("help does not say %s:\n%s", part, all)
		}
	}
	if err := (&decoder{scanner: scanner{b: []byte(all)}}).end(); err == nil {
		t.Error("help is empty")
	}
	s := scanner{b: []byte(all)}
	if _, err := s.skip(); err != nil || s.end() != nil {
		t.Errorf("help is no JSON: %v", err)
	}
	one := k.ask(`{"id":1,"call":"help","args":{"call":"echo.echo"}}`)
	if want := `{"id":1,"result":{"call":"echo.echo","needs":"observer"`; !strings.HasPrefix(one, want) {
		t.Errorf("got %s", one)
	}
}

// An error keeps all it says over a status and back.
func TestStatusOfErrors(t *testing.T) {
	for _, err := range []error{
		&problem{code: codes.NotFound, message: "m", field: "f", hint: "h"},
		status.Error(codes.Aborted, "m"), context.Canceled, context.DeadlineExceeded, io.EOF,
	} {
		p := problemOf(err)
		again := problemOf(p.GRPCStatus().Err())
		if *p != *again || codeNamed(codeName(p.code)) != p.code {
			t.Errorf("%v: got %+v, then %+v", err, p, again)
		}
	}
}
