package api

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

func connectTo(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// ends says whether the server closes a connection, and gives what it sent before.
func ends(c net.Conn) (said string, ok bool) {
	b, err := io.ReadAll(c)
	timeout, _ := err.(net.Error)
	return string(b), timeout == nil || !timeout.Timeout()
}

// lives says whether the owner can still use both ports.
func (s served) lives(t *testing.T) {
	t.Helper()
	if _, err := s.client(t, s.token).Cluster.Status(t.Context(), &cirandav1.StatusRequest{}); err != nil {
		t.Errorf("gRPC afterwards: %v", err)
	}
	if code, _ := s.post(t, "Status", "{}", nil); code != 200 {
		t.Errorf("HTTP afterwards: %d", code)
	}
}

// In an insecure cluster lists of services and reflection need the token too.
func TestOnlyHealthNeedsNoToken(t *testing.T) {
	s := serve(t)
	plain, err := grpc.NewClient(s.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+string(s.token))
	if _, err := cirandav1.NewClusterServiceClient(plain).Status(ctx, &cirandav1.StatusRequest{}); err != nil {
		t.Errorf("in plain text: %v", err)
	}
	_, err = healthv1.NewHealthClient(plain).List(t.Context(), &healthv1.HealthListRequest{})
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("a list without the token: got %v", err)
	}
}

// Idle strangers on every place do not keep the owner out: the oldest make room.
func TestIdleStrangersMakeRoom(t *testing.T) {
	s := serve(t)
	for _, port := range []struct{ address, begin string }{{s.grpc, http2.ClientPreface}, {s.http, "POST / HTTP/1.1\r\n"}} {
		var first net.Conn
		for i := range grpcPort.strangers + 1 {
			c := connectTo(t, port.address)
			io.WriteString(c, port.begin)
			if i == 0 {
				first = c
			}
		}
		if _, ok := ends(first); !ok {
			t.Errorf("the oldest connection to %s stays", port.address)
		}
	}
	s.lives(t)
}

// What has shown the token stays, however many strangers come.
func TestStrangersDoNotPushOutTheOwner(t *testing.T) {
	s := serve(t)
	stream, err := s.client(t, s.token).Events.Watch(t.Context(), &cirandav1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	stream.Recv()
	for range 2 * grpcPort.strangers {
		io.WriteString(connectTo(t, s.grpc), http2.ClientPreface)
	}
	appendEvents(s.feed, 1)
	if r, err := stream.Recv(); err != nil || len(r.Events) != 1 {
		t.Errorf("got %v, %v", r, err)
	}
}

// Many large requests without the token pin little memory: their connection ends.
func TestStrangersMayNotSendMuch(t *testing.T) {
	s := serve(t)
	c := connectTo(t, s.grpc)
	io.WriteString(c, http2.ClientPreface)
	f := http2.NewFramer(c, c)
	f.WriteSettings()
	junk := make([]byte, 16<<10)
	var err error
	for i := 0; err == nil && i < 1000; i++ { // of data that nobody asked for
		err = f.WriteData(uint32(2*i+1), false, junk)
	}
	if _, ok := ends(c); !ok {
		t.Error("the connection stays")
	}
	h := connectTo(t, s.http)
	for range 1000 {
		if _, err = fmt.Fprintf(h, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n%01000d", 0); err != nil {
			break
		}
	}
	if _, ok := ends(h); !ok {
		t.Error("the HTTP connection stays")
	}
	s.lives(t)
}

// A body that does not come is not waited for, with the token or without; an answer may take its time.
func TestSlowBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := pipes{make(chan net.Conn), make(chan struct{})}
		s := New(Config{Services: Services{Cluster: village{NewFeed[*cirandav1.Event](4)}}, Access: Access{Token: "0123456789abcdefghij"}, HTTP: l})
		s.Start()
		begin := "POST /ciranda.v1.ClusterService/%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/%s\r\n%sContent-Length: %d\r\n\r\n"
		token := "Authorization: Bearer 0123456789abcdefghij\r\n"
		for name, header := range map[string]string{"without": "", "with": token} {
			c := l.dial(t)
			fmt.Fprintf(c, begin+"{", "Status", "json", header, 10)
			if said, ok := ends(c); !ok || !strings.Contains(said, "HTTP/1.1 ") {
				t.Errorf("%s the token: got %q, ended %t", name, said, ok)
			}
		}
		c := l.dial(t)
		fmt.Fprintf(c, begin+"\x00\x00\x00\x00\x02{}", "Watch", "connect+json", token, 7)
		first := make([]byte, 1000)
		n, _ := c.Read(first)
		c.SetReadDeadline(time.Now().Add(10 * firstBytes))
		if said, ok := ends(c); ok {
			t.Errorf("the stream ended after %q with %q", first[:n], said)
		}
		c.Close()
		s.Close(t.Context())
	})
}

// pipes is a listener without a network.
type pipes struct {
	made chan net.Conn
	over chan struct{}
}

func (p pipes) dial(t *testing.T) net.Conn {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close() })
	p.made <- theirs
	return ours
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.made:
		return c, nil
	case <-p.over:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.over); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func TestBombs(t *testing.T) {
	s := serve(t)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write([]byte(`{"node":"`))
	for range 8 {
		z.Write(make([]byte, 1<<20))
	}
	z.Close()
	gzipped := func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }
	for name, try := range map[string]struct {
		body   string
		change func(*http.Request)
	}{
		"8 MiB in little":    {zipped.String(), gzipped},
		"not compressed":     {"{}", gzipped},
		"deep":               {strings.Repeat(`{"x":`, 50000), nil},
		"deep lists":         {`{"x":` + strings.Repeat("[", 200000) + strings.Repeat("]", 50000) + "}", nil},
		"twice the same key": {`{"node":"1","node":"2"}`, nil},
		"a huge number":      {`{"node":1e` + strings.Repeat("9", 100000) + `}`, nil},
		"not UTF-8":          {"{\"node\":\"\xff\xfe\"}", nil},
		"a form":             {"{}", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }},
		"no type":            {"{}", func(r *http.Request) { r.Header.Del("Content-Type") }},
		"another method":     {"", func(r *http.Request) { r.Method = "GET" }},
	} {
		if code, object := s.post(t, "Elect", try.body, try.change); code < 400 || code >= 500 {
			t.Errorf("%s: got %d, %.200v", name, code, object)
		}
	}
	s.lives(t)
}

func TestGiantHeaders(t *testing.T) {
	s := serve(t)
	giant := strings.Repeat("x", 4*maxHeader)
	if code, _ := s.post(t, "Status", "{}", func(r *http.Request) { r.Header.Set("X-Giant", giant) }); code != 431 {
		t.Errorf("HTTP: got %d", code)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-giant", giant)
	if _, err := s.client(t, s.token).Cluster.Status(ctx, &cirandav1.StatusRequest{}); err == nil {
		t.Error("gRPC: the call went through")
	}
	s.lives(t)
}

// A record keeps what is written to it.
type record struct {
	mu   sync.Mutex
	b    []byte
	news chan struct{} // closed when there is more; nil: nobody waits
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.b = append(r.b, b...)
	if r.news != nil {
		close(r.news)
		r.news = nil
	}
	return len(b), nil
}

// more is closed when more is written. Who waits asks for it first, and then looks at what is there.
func (r *record) more() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.news == nil {
		r.news = make(chan struct{})
	}
	return r.news
}

func (r *record) all() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.b)
}
