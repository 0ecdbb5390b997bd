package pki

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// newCluster makes an authority in a directory of the test.
func newCluster(t *testing.T, cluster string) *Authority {
	t.Helper()
	a, err := Init(filepath.Join(t.TempDir(), "authority"), cluster)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// issue makes credentials and gives their directory.
func issue(t *testing.T, a *Authority, role Role, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := a.Issue(dir, Request{Role: role, Name: name}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mustLoad(t *testing.T, dir string) *Credentials {
	t.Helper()
	c, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func party(t *testing.T, a *Authority, role Role, name string) *Credentials {
	t.Helper()
	return mustLoad(t, issue(t, a, role, name))
}

// shake makes a connection over a pipe and says what each end has found.
func shake(server, client *tls.Config) (s, c *tls.Conn, atServer, atClient error) {
	left, right := net.Pipe()
	s, c = tls.Server(left, server), tls.Client(right, client)
	done := make(chan error, 1)
	go func() {
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte{1})
		}
		if err != nil {
			left.Close()
		}
		done <- err
	}()
	atClient = c.Handshake()
	if atClient == nil {
		_, atClient = io.ReadFull(c, make([]byte, 1)) // a client learns only so that it is refused
	}
	if atClient != nil {
		right.Close()
	}
	return s, c, <-done, atClient
}

func TestHandshake(t *testing.T) {
	a := newCluster(t, "default")
	for role := Observer; role <= Node; role++ {
		server, client := party(t, a, Node, "3"), party(t, a, role, "7")
		s, c, atServer, atClient := shake(server.Server(), client.Client())
		if atServer != nil || atClient != nil {
			t.Fatalf("%s: server %v, client %v", role, atServer, atClient)
		}
		if id, err := IdentityOf(s.ConnectionState()); err != nil || id != client.Identity() || id.Role != role {
			t.Errorf("the server takes %s for %s (%v)", client.Identity(), id, err)
		}
		if id, err := IdentityOf(c.ConnectionState()); err != nil || id.Node() != 3 {
			t.Errorf("the client takes %s for %s (%v)", server.Identity(), id, err)
		}
		if v := s.ConnectionState().Version; v != tls.VersionTLS13 {
			t.Errorf("the version is %x", v)
		}
	}
}

func TestRefused(t *testing.T) {
	a, other, twin := newCluster(t, "default"), newCluster(t, "lesson"), newCluster(t, "default")
	node, ana := party(t, a, Node, "3"), party(t, a, Operator, "ana")
	anonymous := ana.Client()
	anonymous.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return new(tls.Certificate), nil
	}
	trusting := func(c *Credentials) *tls.Config { // it lets every server through
		config := c.Client()
		config.VerifyConnection = nil
		return config
	}
	old := ana.Client()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	for _, test := range []struct {
		name               string
		server, client     *tls.Config
		atServer, atClient string
	}{
		{"no certificate", node.Server(), anonymous, "didn't provide a certificate", "certificate required"},
		{"TLS 1.2", node.Server(), old, "unsupported version", "protocol version"},
		{"client of another cluster", node.Server(), trusting(party(t, other, Operator, "eve")),
			"refused operator eve of lesson: the certificate is of another cluster; expected default", "bad certificate"},
		{"client of another authority", node.Server(), trusting(party(t, twin, Operator, "eve")),
			"refused operator eve of default: the certificate was signed by another authority", "bad certificate"},
		{"server of another cluster", party(t, other, Node, "3").Server(), ana.Client(), "bad certificate",
			"refused node 3 of lesson: the certificate is of another cluster; expected default"},
		{"server of another authority", party(t, twin, Node, "3").Server(), ana.Client(), "bad certificate",
			"refused node 3 of default: the certificate was signed by another authority"},
		{"an operator as server", ana.Server(), ana.Client(), "bad certificate",
			"refused operator ana of default: the certificate is not for this end"},
		{"a gateway where a node is needed", party(t, a, Gateway, "g1").Server(), ana.Client(Node), "bad certificate",
			"refused gateway g1 of default: the certificate is no server's here; expected the role node"},
	} {
		_, _, atServer, atClient := shake(test.server, test.client)
		if atServer == nil || !strings.Contains(atServer.Error(), test.atServer) {
			t.Errorf("%s: the server says %v; want %q", test.name, atServer, test.atServer)
		}
		if atClient == nil || !strings.Contains(atClient.Error(), test.atClient) {
			t.Errorf("%s: the client says %v; want %q", test.name, atClient, test.atClient)
		}
	}
}

// A certificate counts until its last second, at both ends, and from an hour before it was made.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newCluster(t, "default")
		node, ana := party(t, a, Node, "3"), party(t, a, Operator, "ana")
		expect := func(atServer, atClient string) {
			t.Helper()
			_, _, s, c := shake(node.Server(), ana.Client())
			for _, e := range []struct {
				got  error
				want string
			}{{s, atServer}, {c, atClient}} {
				if (e.got == nil) != (e.want == "") || e.got != nil && !strings.Contains(e.got.Error(), e.want) {
					t.Errorf("%s: got %v, want %q", time.Now(), e.got, e.want)
				}
			}
		}
		time.Sleep(defaultLife)
		expect("", "")
		if want := time.Now(); !node.Expires().Equal(want) {
			t.Errorf("expires %s, want %s", node.Expires(), want)
		}
		time.Sleep(time.Second)
		expect("bad certificate", "refused node 3 of default: the certificate expired on 2000-03-31 00:00:00Z")
		if err := Renew(a, node.dir, 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(recheck)
		expect("EOF", "the certificate of operator ana of default in "+ana.dir+" expired on 2000-03-31")
		if err := Renew(a, ana.dir, time.Minute); err != nil {
			t.Fatal(err)
		}
		time.Sleep(recheck)
		expect("", "")
		if _, err := Load(ana.dir); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if _, err := Load(ana.dir); err == nil || !strings.Contains(err.Error(), "expired on") {
			t.Errorf("loaded what has expired: %v", err)
		}
		if c, err := Load(node.dir); err != nil || c.Expires().Before(time.Now()) {
			t.Errorf("the renewed certificate: %v", err)
		}
	})
}

// A server whose clock is ahead sees a client expired that does not know of it.
func TestExpiredAtServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newCluster(t, "default")
		node, ana := party(t, a, Node, "3"), party(t, a, Operator, "ana")
		shown := ana.current().shown()
		if err := Renew(a, node.dir, 2*defaultLife); err != nil {
			t.Fatal(err)
		}
		time.Sleep(defaultLife + time.Second)
		client := ana.Client()
		client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return shown, nil }
		_, _, atServer, _ := shake(node.Server(), client)
		if atServer == nil || !strings.Contains(atServer.Error(), "refused operator ana of default: the certificate expired on") {
			t.Error(atServer)
		}
	})
}

// A renewed certificate is used from the next handshake on; what is open goes on.
func TestRenewedWithoutRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newCluster(t, "default")
		node, ana := party(t, a, Node, "3"), party(t, a, Operator, "ana")
		server, client := node.Server(), ana.Client()
		s, before, _, err := shake(server, client)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if err := Renew(a, node.dir, 0); err != nil {
			t.Fatal(err)
		}
		if _, after, _, _ := shake(server, client); shownBy(after) == shownBy(before) {
			t.Error("the server shows the old certificate")
		}
		go s.Write([]byte("on"))
		if _, err := io.ReadFull(before, make([]byte, 2)); err != nil {
			t.Errorf("the connection that was open: %v", err)
		}
	})
}

func shownBy(c *tls.Conn) string {
	if certs := c.ConnectionState().PeerCertificates; len(certs) > 0 {
		return Fingerprint(certs[0])
	}
	return ""
}

// What is broken is not taken up, whatever of it is broken; it is told, and mended without a restart.
func TestBrokenRenewal(t *testing.T) {
	var a *Authority
	garbage := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	copied := func(role Role, name string, files ...string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			from := issue(t, a, role, name)
			for _, file := range files {
				b, err := os.ReadFile(filepath.Join(from, file))
				if err != nil {
					t.Fatal(err)
				}
				garbage(file, string(b))(t, dir)
			}
		}
	}
	for name, test := range map[string]struct {
		break_ func(*testing.T, string)
		want   string
	}{
		"empty certificate": {garbage(CertificateFile, ""), "certificate.pem: found no certificate"},
		"garbled key":       {garbage(KeyFile, "key"), "key.pem: found no key"},
		"another's key":     {copied(Node, "4", KeyFile), "key.pem: the key is not that of the certificate"},
		"no authority":      {func(_ *testing.T, dir string) { os.Remove(filepath.Join(dir, AuthorityFile)) }, "authority.pem: no such file"},
		"another identity":  {copied(Node, "4", KeyFile, CertificateFile), "now holds the credentials of node 4 of default; expected those of node 3"},
		"open key":          {func(_ *testing.T, dir string) { os.Chmod(filepath.Join(dir, KeyFile), 0o644) }, "can be read by others"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a = newCluster(t, "default")
				node, ana := party(t, a, Node, "3"), party(t, a, Operator, "ana")
				server, client := node.Server(), ana.Client()
				test.break_(t, node.dir)
				time.Sleep(recheck)
				if _, _, atServer, atClient := shake(server, client); atServer != nil || atClient != nil {
					t.Errorf("the old certificate is not in use: %v, %v", atServer, atClient)
				}
				if got := node.Problem(); got == nil || !strings.Contains(got.Error(), test.want) {
					t.Errorf("the problem is %v; want %q", got, test.want)
				}
				os.Remove(filepath.Join(node.dir, CertificateFile))
				if err := a.Issue(node.dir, Request{Role: Node, Name: "3"}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(recheck)
				if _, _, _, err := shake(server, client); err != nil || node.Problem() != nil {
					t.Errorf("mended: %v, %v", err, node.Problem())
				}
			})
		})
	}
}

func TestIdentityOfNobody(t *testing.T) {
	if _, err := IdentityOf(tls.ConnectionState{}); err == nil {
		t.Error("who has shown nothing has an identity")
	}
	c := party(t, newCluster(t, "default"), Node, "3")
	if err := c.admit(tls.ConnectionState{}, 0); err == nil || errors.Is(err, io.EOF) {
		t.Error("who has shown nothing is admitted")
	}
}

// Both ends of a handshake, on one machine.
func BenchmarkHandshake(b *testing.B) {
	a, err := Init(filepath.Join(b.TempDir(), "authority"), "default")
	if err != nil {
		b.Fatal(err)
	}
	var parties []*Credentials
	for _, r := range []Request{{Role: Node, Name: "3"}, {Role: Operator, Name: "ana"}} {
		dir := filepath.Join(b.TempDir(), r.Name)
		if err := a.Issue(dir, r); err != nil {
			b.Fatal(err)
		}
		c, err := Load(dir)
		if err != nil {
			b.Fatal(err)
		}
		parties = append(parties, c)
	}
	server, client := parties[0].Server(), parties[1].Client()
	for b.Loop() {
		if _, _, atServer, atClient := shake(server, client); atServer != nil || atClient != nil {
			b.Fatal(atServer, atClient)
		}
	}
}
