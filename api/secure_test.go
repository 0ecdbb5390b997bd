package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/pki"
)

// An office makes the credentials of a cluster in a test.
type office struct {
	*pki.Authority
	dir string
}

func newOffice(t *testing.T, cluster string) office {
	t.Helper()
	dir := t.TempDir()
	a, err := pki.Init(filepath.Join(dir, "authority"), cluster)
	if err != nil {
		t.Fatal(err)
	}
	return office{a, dir}
}

// issue makes credentials that last for a while, and gives their directory.
func (o office) issue(t *testing.T, role pki.Role, name string, life time.Duration) string {
	t.Helper()
	dir := filepath.Join(o.dir, role.String()+"-"+name)
	if err := o.Issue(dir, pki.Request{Role: role, Name: name, For: life}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (o office) access(t *testing.T, role pki.Role, name string) Access {
	t.Helper()
	c, err := pki.Load(o.issue(t, role, name, 0))
	if err != nil {
		t.Fatal(err)
	}
	return Access{Credentials: c}
}

// serveSecurely starts a server that is node 3, and keeps what it logs.
func (o office) serve(t *testing.T) (served, *record) {
	t.Helper()
	g, h, log := listen(t), listen(t), &record{}
	s := served{grpc: g.Addr().String(), http: h.Addr().String(), feed: NewFeed[*cirandav1.Event](4)}
	s.Server = New(Config{Services: Services{Cluster: village{s.feed}}, Access: o.access(t, pki.Node, "3"), GRPC: g, HTTP: h,
		Log: slog.New(slog.NewTextHandler(log, nil))})
	s.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Close(ctx)
	})
	return s, log
}

// await waits until something is logged.
func (r *record) await(t *testing.T, what string) { r.awaitAfter(t, 0, what) }

// awaitAfter waits until something is logged behind so many bytes.
func (r *record) awaitAfter(t *testing.T, n int, what string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for more := r.more(); !strings.Contains(string(r.all()[n:]), what); more = r.more() {
		select {
		case <-more:
		case <-ctx.Done():
			t.Errorf("logged was %q; want %q", r.all()[n:], what)
			return
		}
	}
}

func (s served) dial(t *testing.T, a Access) *Client {
	t.Helper()
	c, err := Dial(s.grpc, a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// browse makes a client of the HTTP port.
func browse(t *testing.T, c *tls.Config) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// ask calls a method over HTTP with credentials.
func (s served) ask(t *testing.T, c *http.Client, method, body string) (code int, proto, text string, err error) {
	t.Helper()
	answer, err := c.Post("https://"+s.http+"/ciranda.v1."+method, "application/json", strings.NewReader(body))
	if err != nil {
		return 0, "", "", err
	}
	defer answer.Body.Close()
	raw, _ := io.ReadAll(answer.Body)
	var object struct{ Message string }
	json.Unmarshal(raw, &object)
	return answer.StatusCode, answer.Proto, object.Message, nil
}

func TestCredentialsOpenBothPorts(t *testing.T) {
	o := newOffice(t, "default")
	s, _ := o.serve(t)
	ana := o.access(t, pki.Observer, "ana")
	if r, err := s.dial(t, ana).Cluster.Status(t.Context(), &cirandav1.StatusRequest{}); err != nil || r.Leader != 5 {
		t.Errorf("over gRPC: got %v, %v", r, err)
	}
	one := ana.Credentials.Client()
	one.NextProtos = []string{"http/1.1"}
	for want, c := range map[string]*http.Client{"HTTP/2.0": browse(t, ana.Credentials.Client()), "HTTP/1.1": {Transport: &http.Transport{TLSClientConfig: one}}} {
		if code, proto, _, err := s.ask(t, c, "ClusterService/Status", "{}"); err != nil || code != 200 || proto != want {
			t.Errorf("over %s: got %d over %s, %v", want, code, proto, err)
		}
		c.CloseIdleConnections()
	}
}

// Whoever is no party of the cluster is refused by both ports, which log who and why, and is told what is wrong.
func TestStrangersAreRefusedByBothPorts(t *testing.T) {
	o, other := newOffice(t, "default"), newOffice(t, "other")
	twin := newOffice(t, "default") // of the same name, by another authority
	for name, try := range map[string]struct {
		show         Access
		told, logged string
	}{
		"another cluster": {other.access(t, pki.Operator, "eve"),
			"refused node 3 of default: the certificate is of another cluster; expected other", "refuses this server's certificate"},
		"another authority": {twin.access(t, pki.Operator, "eve"),
			"refused node 3 of default: the certificate was signed by another authority", "refuses this server's certificate"},
		"plain text": {Access{Token: "0123456789abcdefghij"}, "this cluster needs a certificate", "speaks plain text"},
	} {
		s, log := o.serve(t)
		_, err := s.dial(t, try.show).Cluster.Status(t.Context(), &cirandav1.StatusRequest{})
		if e := AsError(err); e == nil || e.Code != codes.Unauthenticated || !strings.Contains(e.Text, try.told) {
			t.Errorf("%s: got %v; want %q", name, err, try.told)
		}
		log.await(t, try.logged)
		if s.Refused() == 0 {
			t.Errorf("%s: nothing was counted as refused", name)
		}
	}
}

// Those who do not care who the server is show it what they have.
func TestServersRefuseForeignCertificates(t *testing.T) {
	o, other, twin := newOffice(t, "default"), newOffice(t, "other"), newOffice(t, "default")
	s, log := o.serve(t)
	for name, try := range map[string]struct {
		show []tls.Certificate
		why  string
	}{
		"none":              {nil, "it shows no certificate"},
		"another cluster":   {foreign(t, other.issue(t, pki.Node, "3", 0)), "refused node 3 of other: the certificate is of another cluster"},
		"another authority": {foreign(t, twin.issue(t, pki.Node, "3", 0)), "signed by another authority"},
	} {
		for _, address := range []string{s.grpc, s.http} {
			before := len(log.all())
			c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, Certificates: try.show, NextProtos: []string{"h2"}})
			if err == nil { // the server's answer to the certificate comes with the first byte
				io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
				_, err = c.Read(make([]byte, 1))
				c.Close()
			}
			if err == nil || !strings.Contains(err.Error(), "remote error: tls: ") {
				t.Errorf("%s at %s: got %v", name, address, err)
			}
			log.awaitAfter(t, before, try.why)
		}
	}
	livez, err := browse(t, &tls.Config{InsecureSkipVerify: true}).Get("https://" + s.http + "/livez")
	if err == nil {
		livez.Body.Close()
		t.Errorf("a probe without a certificate: got %s", livez.Status)
	}
}

// foreign are credentials for a client that checks nothing.
func foreign(t *testing.T, dir string) []tls.Certificate {
	t.Helper()
	c, err := tls.LoadX509KeyPair(filepath.Join(dir, pki.CertificateFile), filepath.Join(dir, pki.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	return []tls.Certificate{c}
}

// Who is on the wrong side of the border of TLS is told so by both ports, in plain text.
func TestTheBorderOfTLSIsShown(t *testing.T) {
	secure, _ := newOffice(t, "default").serve(t)
	plain := serve(t)
	for name, try := range map[string]struct {
		at          served
		bytes, want string
	}{
		"plain text where TLS is spoken": {secure, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "this port needs TLS and a client certificate"},
		"TLS where plain text is spoken": {plain, string(clientHello(t)), "this port speaks plain text"},
	} {
		for _, address := range []string{try.at.grpc, try.at.http} {
			c := connectTo(t, address)
			io.WriteString(c, try.bytes)
			if said, ok := ends(c); !ok || !strings.HasPrefix(said, "HTTP/1.0 400 ") || !strings.Contains(said, try.want) {
				t.Errorf("%s: got %q, ended %t", name, said, ok)
			}
		}
	}
}

// A client of a secure cluster tells a server in plain text nothing, and says what is wrong.
func TestPlainServersAreNotTrusted(t *testing.T) {
	insecure := serve(t)
	_, err := insecure.dial(t, newOffice(t, "default").access(t, pki.Operator, "ana")).Cluster.Status(t.Context(), &cirandav1.StatusRequest{})
	if e := AsError(err); e == nil || e.Text != "the server speaks plain text: is it --insecure?" {
		t.Errorf("got %v", err)
	}
}

func TestRolesLimitWhatCallersMay(t *testing.T) {
	o := newOffice(t, "default")
	s, _ := o.serve(t)
	denied := "ClusterService.Elect needs the role operator; you are "
	for role, may := range map[pki.Role]bool{pki.Observer: false, pki.Client: false, pki.Operator: true, pki.Gateway: true, pki.Node: true} {
		name := "7"
		a := o.access(t, role, name)
		_, err := s.dial(t, a).Cluster.Elect(t.Context(), &cirandav1.ElectRequest{Node: "9"})
		code, _, text, _ := s.ask(t, browse(t, a.Credentials.Client()), "ClusterService/Elect", `{"node":"9"}`)
		e := AsError(err)
		switch {
		case may && (e.Code != codes.InvalidArgument || code != 400):
			t.Errorf("%s: got %v and %d; expected to be let through", role, err, code)
		case !may && (e.Code != codes.PermissionDenied || code != 403 || e.Text != text || e.Text != denied+role.String()+" 7" || e.Hint == ""):
			t.Errorf("%s: got %+v and %d %q; want %q", role, e, code, text, denied+role.String()+" 7")
		}
		if _, err := s.dial(t, a).Cluster.Status(t.Context(), &cirandav1.StatusRequest{}); err != nil {
			t.Errorf("%s: it may not even read: %v", role, err)
		}
	}
}

// Somebody forgets the role of a new method now and then.
func TestEveryMethodStatesItsRole(t *testing.T) {
	methods := 0
	protoregistry.GlobalFiles.RangeFilesByPackage("ciranda.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			service := f.Services().Get(i)
			for j := range service.Methods().Len() {
				methods++
				name := "/" + string(service.FullName()) + "/" + string(service.Methods().Get(j).Name())
				if needs()[name] == 0 {
					t.Errorf("%s states no role", name)
				}
			}
		}
		return true
	})
	if methods < 20 {
		t.Errorf("found %d methods only", methods)
	}
	s, _ := newOffice(t, "default").serve(t)
	for service, info := range s.Server.grpc.GetServiceInfo() {
		for _, m := range info.Methods {
			if name := "/" + service + "/" + m.Name; needs()[name] == 0 && name != free {
				t.Errorf("%s is served, and nobody may call it", name)
			}
		}
	}
	node := WithCaller(t.Context(), pki.Identity{Cluster: "default", Role: pki.Node, Name: "1"})
	if err := RequireRole(node, "/ciranda.v1.BankService/Rob"); status.Code(toStatus(err)) != codes.PermissionDenied {
		t.Errorf("a method without a role: got %v", err)
	}
}

func toStatus(err error) error {
	if e := AsError(err); e != nil {
		return e.GRPCStatus().Err()
	}
	return err
}

// A service finds in its context who calls.
func TestServicesKnowTheirCaller(t *testing.T) {
	o := newOffice(t, "default")
	seen := make(chan pki.Identity, 1)
	for name, a := range map[string]Access{"with credentials": o.access(t, pki.Node, "1"), "with a token": {Token: "0123456789abcdefghij"}} {
		g := listen(t)
		s := New(Config{Services: Services{Bank: till{seen: seen}}, Access: a, GRPC: g})
		s.Start()
		show, want := a, tokenCaller
		if !a.Insecure() {
			show, want = o.access(t, pki.Client, "ana"), pki.Identity{Cluster: "default", Role: pki.Client, Name: "ana"}
		}
		c, err := Dial(g.Addr().String(), show)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Bank.Transfer(t.Context(), &cirandav1.TransferRequest{}); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := <-seen; got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
		c.Close()
		s.Close(t.Context())
	}
}

// A till tells who pays.
type till struct {
	Bank
	seen chan pki.Identity
}

func (t till) Transfer(ctx context.Context, _ *cirandav1.TransferRequest) (*cirandav1.TransferResponse, error) {
	t.seen <- Caller(ctx)
	return &cirandav1.TransferResponse{}, nil
}

// When the first of several servers dies, the next call goes to the second.
func TestClientsGoOnAtTheNextAddress(t *testing.T) {
	o := newOffice(t, "default")
	first, second := listen(t), listen(t)
	var servers []*Server
	for i, l := range []net.Listener{first, second} {
		s := New(Config{Services: Services{Cluster: village{NewFeed[*cirandav1.Event](4)}}, Access: o.access(t, pki.Gateway, string(rune('a'+i))), GRPC: l})
		s.Start()
		servers = append(servers, s)
	}
	defer servers[1].Close(t.Context())
	c, err := Dial(first.Addr().String()+","+second.Addr().String(), o.access(t, pki.Client, "ana"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		if _, err := c.Cluster.Status(t.Context(), &cirandav1.StatusRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	servers[0].Close(t.Context())
	if _, err := c.Cluster.Status(t.Context(), &cirandav1.StatusRequest{}); err != nil {
		t.Errorf("after the death of the first: %v", err)
	}
	if _, err := Dial("nowhere", Access{Token: "0123456789abcdefghij"}); err == nil {
		t.Error("an address without a port was taken")
	}
}

// entrance is a guard over pipes, in a bubble of virtual time.
type entrance struct {
	pipes
	*guard
	log *record
}

func (o office) entrance(t *testing.T) entrance {
	l := pipes{make(chan net.Conn), make(chan struct{})}
	log := &record{}
	g := newGuard(l, httpPort, o.access(t, pki.Node, "3"), slog.New(slog.NewTextHandler(log, nil)), new(atomic.Uint64))
	go func() {
		for {
			c, err := g.Accept()
			if err != nil {
				return
			}
			go func() { // a greeting, and then silence
				defer c.Close()
				c.Write([]byte("!"))
				io.Copy(io.Discard, c)
			}()
		}
	}()
	return entrance{l, g, log}
}

// shake begins TLS and gives the server's certificate, once the server has taken the client's.
func (e entrance) shake(t *testing.T, show *tls.Config) (*x509.Certificate, error) {
	c := tls.Client(e.dial(t), show)
	c.SetDeadline(time.Now().Add(time.Minute))
	defer c.Close()
	if _, err := c.Read(make([]byte, 1)); err != nil {
		return nil, err
	}
	return c.ConnectionState().PeerCertificates[0], nil
}

// What is renewed counts at the next handshake, at both ends; what has expired is refused by both.
func TestCredentialsAreRenewedWithoutARestart(t *testing.T) {
	o := newOffice(t, "default")
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, o.Cluster()) // of this bubble's time
		e := o.entrance(t)
		defer e.guard.Close()
		dir := o.issue(t, pki.Observer, "ana", time.Hour)
		credentials, err := pki.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		raw := &tls.Config{InsecureSkipVerify: true, Certificates: foreign(t, dir)}
		before, err := e.shake(t, credentials.Client())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		if _, err := e.shake(t, credentials.Client()); err == nil || !strings.Contains(err.Error(), "observer ana of default in "+dir+" expired on") {
			t.Errorf("the client: got %v", err)
		}
		if _, err := e.shake(t, raw); err == nil || !strings.Contains(string(e.log.all()), "refused observer ana of default: the certificate expired on") {
			t.Errorf("a client that shows it all the same: got %v; the server logged %q", err, e.log.all())
		}
		for _, renewed := range []string{dir, filepath.Join(o.dir, "node-3")} {
			if err := pki.Renew(o.Authority, renewed, 0); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second) // files are looked at once a second
		after, err := e.shake(t, credentials.Client())
		if err != nil || after.Equal(before) {
			t.Errorf("renewed: got %v, and the same certificate of the server %t", err, after.Equal(before))
		}
	})
}

// Handshakes that do not go on, or go on slowly, hold a place for seconds, and never one that others need.
func TestSlowHandshakes(t *testing.T) {
	o := newOffice(t, "default")
	hello := clientHello(t)
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, o.Cluster())
		e := o.entrance(t)
		defer e.guard.Close()
		for name, send := range map[string]func(net.Conn){
			"half of a hello": func(c net.Conn) { c.Write(hello[:len(hello)/2]) },
			"a byte a second": func(c net.Conn) {
				for _, b := range hello {
					if _, err := c.Write([]byte{b}); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			},
			"no answer to the server": func(c net.Conn) { c.Write(hello) },
		} {
			c := e.dial(t)
			begun := time.Now()
			var sending sync.WaitGroup
			sending.Go(func() { send(c) })
			io.Copy(io.Discard, c)
			if took := time.Since(begun); took > firstBytes+time.Second {
				t.Errorf("%s: the connection stayed for %s", name, took)
			}
			c.Close()
			sending.Wait()
		}
		if !strings.Contains(string(e.log.all()), "its handshake took too long") {
			t.Errorf("the server logged %q", e.log.all())
		}
		for range 3 * httpPort.strangers { // without an end
			c := e.dial(t)
			go c.Write(hello[:10])
		}
		synctest.Wait()
		e.mu.Lock()
		open := e.open
		e.mu.Unlock()
		if open > httpPort.strangers+1 {
			t.Errorf("%d connections are open; want at most %d", open, httpPort.strangers)
		}
		if _, err := e.shake(t, o.access(t, pki.Observer, "ana").Credentials.Client()); err != nil {
			t.Errorf("meanwhile: %v", err)
		}
	})
}

// clientHello is how a client begins TLS.
func clientHello(t *testing.T) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	go tls.Client(theirs, &tls.Config{InsecureSkipVerify: true}).Handshake()
	buffer := make([]byte, 16<<10)
	n, err := ours.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(buffer[:n])
}

// One party cannot take all places of a port, and what it gives up it can have again.
func TestPartiesHaveTheirShareOfConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, "default")
		e := o.entrance(t)
		defer e.guard.Close()
		greedy := o.access(t, pki.Observer, "greedy").Credentials.Client()
		var open []net.Conn
		for range e.each {
			c := tls.Client(e.dial(t), greedy)
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			open = append(open, c)
		}
		if _, err := e.shake(t, greedy); err == nil || !strings.Contains(string(e.log.all()), "too many connections of observer greedy of default") {
			t.Errorf("one more: got %v; the server logged %q", err, e.log.all())
		}
		if _, err := e.shake(t, o.access(t, pki.Observer, "ana").Credentials.Client()); err != nil {
			t.Errorf("another party: %v", err)
		}
		for _, c := range open {
			c.Close()
		}
		synctest.Wait()
		if _, err := e.shake(t, greedy); err != nil {
			t.Errorf("after it closed the others: %v", err)
		}
	})
}

var _ grpc.UnaryServerInterceptor = UnaryRole
