package node

import (
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/pki"
	"ciranda.dev/protocol"
	"ciranda.dev/transport"
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

func (o office) access(t *testing.T, role pki.Role, name string) api.Access {
	t.Helper()
	dir := filepath.Join(o.dir, role.String()+name)
	if err := o.Issue(dir, pki.Request{Role: role, Name: name}); err != nil {
		t.Fatal(err)
	}
	c, err := pki.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return api.Access{Credentials: c}
}

// secure are three configurations with credentials.
func secure(t *testing.T) (office, []Config) {
	t.Helper()
	o, configs := newOffice(t, "test"), three(t)
	for i := range configs {
		configs[i].Access = o.access(t, pki.Node, configs[i].ID.String())
	}
	return o, configs
}

func dialAs(t *testing.T, address string, a api.Access) *api.Client {
	t.Helper()
	c, err := api.Dial(address, a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Nodes with credentials form a cluster. An observer sees it and cannot touch it; with their token one gets nowhere.
func TestCredentialsMakeASecureCluster(t *testing.T) {
	for _, transport := range Transports {
		t.Run(transport, func(t *testing.T) { secureCluster(t, transport) })
	}
}

func secureCluster(t *testing.T, transport string) {
	o, configs := secure(t)
	for _, c := range configs {
		c.Transport = transport
		defer stop(t, start(t, c))
	}
	observer := dialAs(t, configs[0].GRPC, o.access(t, pki.Observer, "ana"))
	s := await(t, observer, "a leader", leader(3))
	if s.GetInsecure() {
		t.Error("the status says that the cluster is insecure")
	}
	_, err := observer.Node.Freeze(t.Context(), &cirandav1.FreezeRequest{Frozen: true})
	if e := api.AsError(err); e == nil || e.Code != codes.PermissionDenied {
		t.Errorf("an observer that freezes a node: got %v", err)
	}
	cut := &cirandav1.Fault{Kind: &cirandav1.Fault_Isolate_{Isolate: &cirandav1.Fault_Isolate{Nodes: "3"}}}
	operator := dialAs(t, configs[0].GRPC, o.access(t, pki.Operator, "eva"))
	if _, err := operator.Cluster.SetFault(t.Context(), &cirandav1.SetFaultRequest{Fault: cut}); err != nil {
		t.Errorf("an operator: got %v", err) // which node 1 has to tell the others
	}
	await(t, dialAs(t, configs[1].GRPC, o.access(t, pki.Observer, "ana")), "the next leader", func(s *cirandav1.StatusResponse) bool {
		return strings.Contains(s.GetWhyNoLeader(), "nodes 1, 2 for node 2; node 3 for node 3")
	})
	_, err = dial(t, configs[0].GRPC).Node.Describe(t.Context(), &cirandav1.DescribeRequest{})
	if e := api.AsError(err); e == nil || e.Code != codes.Unauthenticated {
		t.Errorf("with a token: got %v", err)
	}
}

// The peer port takes only nodes of the cluster, each as itself.
func TestPeersMustBeWhoTheySay(t *testing.T) {
	o, configs := secure(t)
	twin, other := newOffice(t, "test"), newOffice(t, "other")
	log := &notes{news: make(chan struct{})}
	configs[0].Log = slog.New(slog.NewTextHandler(log, nil))
	defer stop(t, start(t, configs[0]))
	for want, access := range map[string]api.Access{
		"the certificate is node 2's":                        o.access(t, pki.Node, "2"),
		"refused gateway a of test: only nodes may join":     o.access(t, pki.Gateway, "a"),
		"refused operator 3 of test: only nodes may join":    o.access(t, pki.Operator, "3"),
		"refused node 3 of other: the certificate is of ano": other.access(t, pki.Node, "3"),
		"was signed by another authority":                    twin.access(t, pki.Node, "3"),
		"does not look like a TLS handshake":                 {Token: token},
	} {
		c := configs[2]
		c.Access = access
		l := blind(t, c)
		log.await(t, want)
		l.close()
	}
}

// blind opens a transport in the place of node 3 that knows node 1 only.
func blind(t *testing.T, c Config) *liar {
	t.Helper()
	c.Peers = map[protocol.ID]string{1: c.Peers[1], 2: c.Peers[1], 3: c.Peers[3]}
	return lie(t, c, func(*transport.Hello) {})
}

// notes is a log that can be waited for.
type notes struct {
	mu   sync.Mutex
	text strings.Builder
	news chan struct{}
}

func (n *notes) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.news)
	n.news = make(chan struct{})
	return n.text.Write(b)
}

func (n *notes) read() (string, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String(), n.news
}

func (n *notes) await(t *testing.T, what string) {
	t.Helper()
	late := time.After(deadline)
	for text, news := n.read(); !strings.Contains(text, what); text, news = n.read() {
		select {
		case <-news:
		case <-late:
			t.Errorf("%q is not in the log:\n%s", what, text)
			return
		}
	}
}

func TestCredentialsOfAnotherAreRefused(t *testing.T) {
	o, configs := secure(t)
	for want, access := range map[string]api.Access{
		"are those of node 2 of test; expected those of node 1 of test":  o.access(t, pki.Node, "2"),
		"are those of operator ana of test; expected those of node 1 of": o.access(t, pki.Operator, "ana"),
		"are those of node 1 of other; expected those of node 1 of test": newOffice(t, "other").access(t, pki.Node, "1"),
		"there are neither credentials nor a token":                      {},
		"there are credentials and a token":                              {Credentials: configs[0].Access.Credentials, Token: token},
	} {
		c := configs[0]
		c.Access = access
		n, err := Open(c)
		if err == nil {
			stop(t, n)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// Half-open handshakes at the peer port keep no node out.
func TestHalfOpenHandshakesAtThePeerPort(t *testing.T) {
	o, configs := secure(t)
	defer stop(t, start(t, configs[0]))
	for range 300 {
		c, err := net.Dial("tcp", configs[0].Peers[1])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "\x16\x03\x01\x02\x00\x01")
	}
	defer stop(t, start(t, configs[1]))
	await(t, dialAs(t, configs[0].GRPC, o.access(t, pki.Observer, "ana")), "a leader", leader(2))
}
