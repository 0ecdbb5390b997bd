package tcp

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ciranda.dev/protocol"
	"ciranda.dev/transport"
	"ciranda.dev/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick are options for tests: what depends on time comes soon.
var quick = Options{HandshakeTimeout: time.Second, RetryMin: time.Millisecond, RetryMax: 20 * time.Millisecond, Queue: 1 << 20}

func kit(config Config) transporttest.Kit {
	return transporttest.Kit{
		Open: func(t testing.TB, s transporttest.Setup) transporttest.Transport {
			config := config
			config.Hello = func() transport.Hello { return s.Hello }
			config.Handler, config.Secret = s.Handler, s.Secret
			if s.TLS != nil {
				config.TLS, config.Identify = s.TLS, s.Identify
			}
			tr, err := Open(config)
			if err != nil {
				t.Fatal(err)
			}
			return tr
		},
		Dial: func(address string) (net.Conn, error) { return net.Dial("tcp", address) },
	}
}

func TestTransport(t *testing.T) { transporttest.Run(t, kit(Config{Options: quick})) }

func TestTransportTLS(t *testing.T) {
	transporttest.Run(t, kit(Config{Options: quick, TLS: transporttest.NewAuthority(t).TLS(t, 1)}))
}

// A listener hears what a transport tells, and lets tests wait for it.
type listener struct {
	ups, downs chan transport.Hello
	refusals   chan string
	receive    func([][]byte)
}

func newListener() *listener {
	return &listener{ups: make(chan transport.Hello, 100), downs: make(chan transport.Hello, 100), refusals: make(chan string, 1000)}
}

func (l *listener) Up(h transport.Hello) { l.ups <- h }
func (l *listener) Receive(_ protocol.ID, _ protocol.Incarnation, messages [][]byte) {
	if l.receive != nil {
		l.receive(messages)
	}
}
func (l *listener) Down(id protocol.ID, inc protocol.Incarnation) {
	l.downs <- transport.Hello{ID: id, Incarnation: inc}
}
func (l *listener) Room(protocol.ID)            {}
func (l *listener) Refused(_ string, why error) { l.refusals <- why.Error() }

// start opens a transport of node id and closes it at the test's end.
func start(t testing.TB, id protocol.ID, h transport.Handler, config Config) *Transport {
	t.Helper()
	config.Handler = h
	config.Hello = func() transport.Hello {
		return transport.Hello{Cluster: "c", Stack: "s", Group: []protocol.ID{1, 2}, ID: id, Incarnation: 1}
	}
	tr, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hangUp(tr) })
	return tr
}

// hangUp closes at once.
func hangUp(tr *Transport) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	tr.Close(ctx)
}

func contains(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("got %q; expected it to say %q", text, w)
		}
	}
}

// Both ends name the versions when they differ.
func TestVersions(t *testing.T) {
	l := newListener()
	tr := start(t, 1, l, Config{Options: quick})
	c, err := net.Dial("tcp", tr.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte(magic + "\x02 and a later version may go on as it likes"))
	contains(t, <-l.refusals, "versions", "1 here, 2 there")
	if answer, _ := io.ReadAll(c); !bytes.Equal(answer, preface()) {
		t.Errorf("answered %q", answer)
	}

	later, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer later.Close()
	tr.SetPeer(2, later.Addr().String())
	d, err := later.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.Write([]byte(magic + "\x03"))
	contains(t, <-l.refusals, "versions", "1 here, 3 there")
}

// A stranger's frame may claim what it likes: it is refused by its header.
func TestFramesOfStrangers(t *testing.T) {
	l := newListener()
	tr := start(t, 1, l, Config{Options: quick})
	lying := appendFrame(nil, helloFrame, nil)
	large := appendFrame(nil, messagesFrame, make([]byte, 1<<20))
	for want, frame := range map[string][]byte{
		"expected at most 8192":    appendFrame(nil, helloFrame, make([]byte, maxHello+1)),
		"the greeting is damaged":  lying,
		"found kind 5; expected 1": large,
		"found kind 77":            appendFrame(nil, 77, nil),
	} {
		c, err := net.Dial("tcp", tr.Addr())
		if err != nil {
			t.Fatal(err)
		}
		c.Write(append(preface(), frame...))
		contains(t, <-l.refusals, want)
		c.Close()
	}
	if got := tr.Stats().Refused; got != 4 {
		t.Errorf("counted %d refusals", got)
	}
}

// Who only connects is put off, and cannot keep others out.
func TestHalfOpen(t *testing.T) {
	l, m := newListener(), newListener()
	slow := quick
	slow.HandshakeTimeout = time.Minute
	tr := start(t, 1, l, Config{Options: slow})
	var idle []net.Conn
	for range maxHalfOpen + 5 {
		c, err := net.Dial("tcp", tr.Addr())
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
		defer c.Close()
	}
	for _, c := range idle[:5] {
		c.Read(make([]byte, 1)) // until it is closed
		contains(t, <-l.refusals, "too many connections")
	}
	start(t, 2, m, Config{Options: quick, Peers: map[protocol.ID]string{1: tr.Addr()}})
	<-m.ups
	<-l.ups
}

func TestHandshakeTimeout(t *testing.T) {
	l := newListener()
	hasty := quick
	hasty.HandshakeTimeout = 10 * time.Millisecond
	tr := start(t, 1, l, Config{Options: hasty})
	c, err := net.Dial("tcp", tr.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	contains(t, <-l.refusals, "no handshake within 10ms")
}

// A client without a certificate is turned away, and both ends are told.
func TestTLSWithoutCertificate(t *testing.T) {
	l, m := newListener(), newListener()
	config := transporttest.NewAuthority(t).TLS(t, 1)
	tr := start(t, 1, l, Config{Options: quick, TLS: config})
	bare := config.Clone()
	bare.Certificates = nil
	start(t, 2, m, Config{Options: quick, TLS: bare, Peers: map[protocol.ID]string{1: tr.Addr()}})
	contains(t, <-l.refusals, "certificate")
	contains(t, <-m.refusals, "certificate")
}

func TestAddressOfOneself(t *testing.T) {
	l := newListener()
	tr := start(t, 1, l, Config{Options: quick})
	tr.SetPeer(2, tr.Addr())
	contains(t, <-l.refusals, "node 1 called itself")
}

// A peer that takes nothing for too long loses its connection, and its queue with it; that is no news of the peer.
func TestHungPeer(t *testing.T) {
	l, m := newListener(), newListener()
	gate := make(chan struct{})
	m.receive = func([][]byte) { <-gate }
	hasty := quick
	hasty.WriteTimeout = 50 * time.Millisecond
	tr := start(t, 1, l, Config{Options: hasty})
	start(t, 2, m, Config{Options: quick, Peers: map[protocol.ID]string{1: tr.Addr()}})
	<-l.ups
	<-m.ups
	for tr.Send(2, make([]byte, 1<<16), nil) != transport.ErrDown {
	}
	close(gate)
	<-l.ups
	<-m.ups
	if len(l.downs) > 0 {
		t.Error("an own timeout was told as Down")
	}
}

func TestOpenRefuses(t *testing.T) {
	hello := transport.Hello{Cluster: "c", Group: []protocol.ID{1, 2}, ID: 1, Incarnation: 1}
	for want, change := range map[string]func(*transport.Hello, *Config){
		"no Handler":                         func(_ *transport.Hello, c *Config) { c.Handler = nil },
		"count from 1":                       func(h *transport.Hello, _ *Config) { h.Incarnation = 0 },
		"node 3 is not in its group [1 2]":   func(h *transport.Hello, _ *Config) { h.ID = 3 },
		"larger than 8176 bytes":             func(h *transport.Hello, _ *Config) { h.Stack = strings.Repeat("x", 1<<13) },
		"address of node 7":                  func(_ *transport.Hello, c *Config) { c.Peers = map[protocol.ID]string{7: "x"} },
		"Queue is 5 bytes":                   func(_ *transport.Hello, c *Config) { c.Options.Queue = 5 },
		"RetryMin is 3s; expected 1ms to 2s": func(_ *transport.Hello, c *Config) { c.Options.RetryMin = 3 * time.Second },
		"listen tcp":                         func(_ *transport.Hello, c *Config) { c.Address = "127.0.0.1:no" },
	} {
		h := hello
		c := Config{Handler: newListener(), Hello: func() transport.Hello { return h }}
		change(&h, &c)
		if _, err := Open(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; expected %q", err, want)
		}
	}
}
