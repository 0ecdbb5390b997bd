package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// net/http lingers for half a second over a connection whose request it refused.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// village is a service that knows little.
type village struct{ feed *Feed[*cirandav1.Event] }

func (village) Status(context.Context, *cirandav1.StatusRequest) (*cirandav1.StatusResponse, error) {
	return &cirandav1.StatusResponse{Cluster: "village", Leader: 5}, nil
}

func (village) Elect(_ context.Context, r *cirandav1.ElectRequest) (*cirandav1.ElectResponse, error) {
	return nil, Wrong("node", "node: found %q; expected one of 1, 2", r.Node)
}

func (village) SetFault(context.Context, *cirandav1.SetFaultRequest) (*cirandav1.SetFaultResponse, error) {
	return nil, Failed("wait a while", "not now")
}

func (village) Heal(context.Context, *cirandav1.HealRequest) (*cirandav1.HealResponse, error) {
	return &cirandav1.HealResponse{}, nil
}

func (v village) Watch(ctx context.Context, r *cirandav1.WatchRequest, send func(*cirandav1.WatchResponse) error) error {
	return v.feed.Read(ctx, r.Cursor, r.AtHand, func(_ uint64, events []*cirandav1.Event, cursor string, lost uint64) error {
		kept := slices.DeleteFunc(events, func(e *cirandav1.Event) bool { return slices.Contains(r.Without, e.Kind) })
		return send(&cirandav1.WatchResponse{Events: kept, Cursor: cursor, Lost: lost})
	})
}

// served is a server under test, on both ports.
type served struct {
	*Server
	token      Token
	grpc, http string
	feed       *Feed[*cirandav1.Event]
}

func serve(t *testing.T) served {
	t.Helper()
	g, h := listen(t), listen(t)
	s := served{token: "0123456789abcdefghij", grpc: g.Addr().String(), http: h.Addr().String(), feed: NewFeed[*cirandav1.Event](4)}
	s.Server = New(Config{Services: Services{Cluster: village{s.feed}}, Access: Access{Token: s.token}, GRPC: g, HTTP: h})
	s.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // what is under way is broken off
		s.Close(ctx)
	})
	return s
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (s served) client(t *testing.T, token Token) *Client {
	t.Helper()
	c, err := Dial(s.grpc, Access{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// post calls a method as JSON. change alters the request before it is sent.
func (s served) post(t *testing.T, method, body string, change func(*http.Request)) (int, map[string]any) {
	t.Helper()
	r, err := http.NewRequest("POST", "http://"+s.http+"/ciranda.v1.ClusterService/"+method, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+string(s.token))
	if change != nil {
		change(r)
	}
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, _ := io.ReadAll(answer.Body)
	object := map[string]any{}
	json.Unmarshal(raw, &object)
	return answer.StatusCode, object
}

func TestOneServiceOnBothPorts(t *testing.T) {
	s := serve(t)
	over, err := s.client(t, s.token).Cluster.Status(t.Context(), &cirandav1.StatusRequest{})
	if err != nil || over.Leader != 5 {
		t.Errorf("over gRPC: got %v, %v", over, err)
	}
	code, object := s.post(t, "Status", "{}", nil)
	if code != 200 || object["cluster"] != "village" || object["leader"] != 5.0 {
		t.Errorf("over HTTP: got %d, %v", code, object)
	}
}

func TestErrorsNameTheFieldOnBothPorts(t *testing.T) {
	s := serve(t)
	_, err := s.client(t, s.token).Cluster.Elect(t.Context(), &cirandav1.ElectRequest{Node: "9"})
	want := Error{codes.InvalidArgument, "node", `node: found "9"; expected one of 1, 2`, ""}
	if e := AsError(err); e == nil || *e != want {
		t.Errorf("over gRPC: got %+v, want %+v", e, want)
	}
	_, err = s.client(t, s.token).Cluster.SetFault(t.Context(), &cirandav1.SetFaultRequest{})
	if e := AsError(err); e == nil || e.Hint != "wait a while" || e.Code != codes.FailedPrecondition {
		t.Errorf("over gRPC: got %+v", e)
	}
	code, object := s.post(t, "Elect", `{"node":"9"}`, nil)
	details, _ := json.Marshal(object["details"])
	if code != 400 || object["code"] != "invalid_argument" || !bytes.Contains(details, []byte("google.rpc.BadRequest")) {
		t.Errorf("over HTTP: got %d, %v", code, object)
	}
}

func TestJSONThatIsNotExpectedIsRefused(t *testing.T) {
	s := serve(t)
	for body, want := range map[string]string{
		`{"nod": "3"}`:   `unknown field "nod"`,
		`{"node": 3}`:    "invalid value for string",
		`{"node": "3"`:   "unexpected EOF",
		"":               "found nothing; expected a JSON object",
		`[]`:             "unexpected token [",
		`{"node":"3"} x`: "invalid value x",
	} {
		for _, kind := range []string{"application/json", "application/json; charset=utf-8"} {
			code, object := s.post(t, "Elect", body, func(r *http.Request) { r.Header.Set("Content-Type", kind) })
			if text, _ := object["message"].(string); code != 400 || !strings.Contains(text, want) {
				t.Errorf("%s as %s: got %d, %v; want %q", body, kind, code, object, want)
			}
		}
	}
}

func TestTokenIsAskedFor(t *testing.T) {
	s := serve(t)
	for _, wrong := range []Token{"0", "another token of some length"} {
		_, err := s.client(t, wrong).Cluster.Status(t.Context(), &cirandav1.StatusRequest{})
		if status.Code(err) != codes.Unauthenticated {
			t.Errorf("gRPC with token %q: got %v", wrong, err)
		}
		stream, err := s.client(t, wrong).Events.Watch(t.Context(), &cirandav1.WatchRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != codes.Unauthenticated {
			t.Errorf("gRPC stream with token %q: got %v", wrong, err)
		}
		code, object := s.post(t, "Status", "{}", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+string(wrong)) })
		if code != 401 || object["code"] != "unauthenticated" {
			t.Errorf("HTTP with token %q: got %d, %v", wrong, code, object)
		}
	}
}

func TestWebPagesAreRefused(t *testing.T) {
	s := serve(t)
	for name, change := range map[string]func(*http.Request){
		"a name that was made to resolve here": func(r *http.Request) { r.Host = "evil.example" },
		"the same with a port":                 func(r *http.Request) { r.Host = "evil.example:80" },
		"no name":                              func(r *http.Request) { r.Host = "." },
		"another origin":                       func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		"a file":                               func(r *http.Request) { r.Header.Set("Origin", "null") },
		"another site":                         func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
	} {
		if code, _ := s.post(t, "Heal", "{}", change); code != 403 && code != 421 {
			t.Errorf("a request from %s: got %d", name, code)
		}
	}
	same := func(r *http.Request) { r.Host = "localhost:1"; r.Header.Set("Origin", "http://localhost:1") }
	if code, object := s.post(t, "Heal", "{}", same); code != 200 {
		t.Errorf("a request from our own page: got %d, %v", code, object)
	}
}

func TestLargeRequestsAreRefused(t *testing.T) {
	s := serve(t)
	large := strings.Repeat("x", maxRequest)
	_, err := s.client(t, s.token).Cluster.Elect(t.Context(), &cirandav1.ElectRequest{Node: large})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("over gRPC: got %.100v", err)
	}
	if code, object := s.post(t, "Elect", `{"node":"`+large+`"}`, nil); code != 429 && code != 413 {
		t.Errorf("over HTTP: got %d, %v", code, object["code"])
	}
}

// Whatever bytes come first, the connection is closed and the server goes on.
func TestStrayBytesCloseTheirConnectionOnly(t *testing.T) {
	s := serve(t)
	preface := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	for _, bytes := range []string{"\x00\x01\x02\x03", "GARBAGE / HTTP/1.1\r\n\r\n", preface[:20] + "xx\r\n",
		preface + strings.Repeat("\xff", 64), "GET / HTTP/9.9\r\n\r\n", "POST / HTTP/1.1\r\nHost: \x00\r\n\r\n"} {
		for _, addr := range []string{s.grpc, s.http} {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			c.SetDeadline(time.Now().Add(20 * time.Second))
			io.WriteString(c, bytes)
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%q at %s: the connection stays open", bytes, addr)
			}
			c.Close()
		}
	}
	if s.Refused() < 6 {
		t.Errorf("got %d connections turned away, want at least 6", s.Refused())
	}
	if _, err := s.client(t, s.token).Cluster.Status(t.Context(), &cirandav1.StatusRequest{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if code, _ := s.post(t, "Status", "{}", nil); code != 200 {
		t.Errorf("afterwards over HTTP: %d", code)
	}
}

func TestHealthNeedsNoToken(t *testing.T) {
	s := serve(t)
	c, err := grpc.NewClient(s.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer, err := healthv1.NewHealthClient(c).Check(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil || answer.Status != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("health: got %v, %v", answer, err)
	}
	for _, path := range []string{"/livez", "/readyz"} {
		r, err := http.Get("http://" + s.http + path)
		if err != nil || r.StatusCode != 200 {
			t.Fatalf("%s: got %v, %v", path, r, err)
		}
		r.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestReflectionListsTheServices(t *testing.T) {
	s := serve(t)
	stream, err := grpc_reflection_v1.NewServerReflectionClient(s.client(t, s.token).connection).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stream.Send(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}})
	answer, err := stream.Recv()
	if err != nil || !strings.Contains(answer.String(), "ciranda.v1.ClusterService") {
		t.Errorf("got %v, %v", answer, err)
	}
}

func TestWatchGoesOnBehindItsCursor(t *testing.T) {
	s := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := s.client(t, s.token).Events.Watch(ctx, &cirandav1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil || len(first.Events) != 0 || first.Cursor == "" {
		t.Fatalf("first batch: got %v, %v", first, err)
	}
	appendEvents(s.feed, 1)
	one, err := stream.Recv()
	if err != nil || len(one.Events) != 1 || one.Events[0].Position != 1 {
		t.Fatalf("second batch: got %v, %v", one, err)
	}
	cancel()
	appendEvents(s.feed, 6) // of a feed that keeps 4
	stream, err = s.client(t, s.token).Events.Watch(t.Context(), &cirandav1.WatchRequest{Cursor: one.Cursor})
	if err != nil {
		t.Fatal(err)
	}
	rest, err := stream.Recv()
	if err != nil || rest.Lost != 2 || len(rest.Events) != 4 || rest.Events[0].Position != 4 {
		t.Errorf("taken up again: got %v, %v; want 2 lost and 4 events from position 4", rest, err)
	}
}

func TestTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	made, err := TokenAt(path)
	if err != nil || len(made) < shortest {
		t.Fatalf("got %q, %v", made, err)
	}
	if again, err := TokenAt(path); again != made || err != nil {
		t.Errorf("read again: got %q, %v", again, err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	os.Chmod(path, 0o644)
	if _, err := ReadToken(path); err == nil || !strings.Contains(err.Error(), "can be read by others") {
		t.Errorf("a file that others can read: got %v", err)
	}
}

// A service that asks another one over gRPC passes its errors on as they are.
func TestErrorsOfOthersKeepTheirCodes(t *testing.T) {
	err := toConnect(status.Error(codes.InvalidArgument, `found the order "totl"`))
	if connect.CodeOf(err) != connect.CodeInvalidArgument || strings.Contains(err.Error(), "rpc error") {
		t.Errorf("got %v", err)
	}
	if plain := errors.New("plain"); toConnect(plain) != plain || toConnect(nil) != nil {
		t.Errorf("got %v and %v, want them as they were", toConnect(plain), toConnect(nil))
	}
}
