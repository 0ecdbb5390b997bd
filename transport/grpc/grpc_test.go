package grpc

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/mem"

	"ciranda.dev/protocol"
	"ciranda.dev/transport"
	"ciranda.dev/transport/tcp"
	"ciranda.dev/transport/transporttest"
)

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
	ups, downs chan protocol.ID
	refusals   chan string
	receive    func([][]byte)
}

func newListener() *listener {
	return &listener{ups: make(chan protocol.ID, 100), downs: make(chan protocol.ID, 100), refusals: make(chan string, 1000)}
}

func (l *listener) Up(h transport.Hello) { l.ups <- h.ID }
func (l *listener) Receive(_ protocol.ID, _ protocol.Incarnation, messages [][]byte) {
	if l.receive != nil {
		l.receive(messages)
	}
}
func (l *listener) Down(id protocol.ID, _ protocol.Incarnation) { l.downs <- id }
func (l *listener) Room(protocol.ID)                            {}
func (l *listener) Refused(_ string, why error)                 { l.refusals <- why.Error() }

// start opens a transport of node id and closes it at the test's end.
func start(t testing.TB, open func(Config) (*Transport, error), id protocol.ID, h transport.Handler, config Config) *Transport {
	t.Helper()
	config.Handler = h
	config.Hello = func() transport.Hello {
		return transport.Hello{Cluster: "c", Stack: "s", Group: []protocol.ID{1, 2}, ID: id, Incarnation: 1}
	}
	tr, err := open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		tr.Close(ctx)
	})
	return tr
}

func contains(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("got %q; expected it to say %q", text, w)
		}
	}
}

// A node with the other transport is turned away at both ends.
func TestOtherTransport(t *testing.T) {
	for name, opens := range map[string][2]func(Config) (*Transport, error){"tcp dials": {Open, tcp.Open}, "grpc dials": {tcp.Open, Open}} {
		t.Run(name, func(t *testing.T) {
			l, m := newListener(), newListener()
			tr := start(t, opens[0], 1, l, Config{Options: quick})
			start(t, opens[1], 2, m, Config{Options: quick, Peers: map[protocol.ID]string{1: tr.Addr()}})
			contains(t, <-l.refusals, "protocol")
			contains(t, <-m.refusals, "protocol")
		})
	}
}

// A stranger speaks HTTP/2, and badly.
type stranger struct {
	net.Conn
	*http2.Framer
	headers bytes.Buffer
	encoder *hpack.Encoder
}

func dial(t *testing.T, address string) *stranger {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	s := &stranger{Conn: nc, Framer: http2.NewFramer(nc, nc)}
	s.encoder = hpack.NewEncoder(&s.headers)
	io.WriteString(nc, http2.ClientPreface)
	s.WriteSettings()
	return s
}

// call begins a stream with headers of its own.
func (s *stranger) call(id uint32, path string, more ...hpack.HeaderField) {
	s.headers.Reset()
	for _, f := range append([]hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: path},
		{Name: ":authority", Value: "peer"}, {Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"},
	}, more...) {
		s.encoder.WriteField(f)
	}
	block := s.headers.Bytes()
	const most = 16 << 10
	first := block[:min(len(block), most)]
	block = block[len(first):]
	s.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndHeaders: len(block) == 0})
	for len(block) > 0 {
		next := block[:min(len(block), most)]
		block = block[len(next):]
		s.WriteContinuation(id, len(block) == 0, next)
	}
}

const path = "/" + service + "/" + method

// Whatever HTTP/2 allows a stranger to say, he is cut off, and told of.
func TestStrangers(t *testing.T) {
	for name, test := range map[string]struct {
		say  func(*stranger)
		want string
	}{
		"nothing after the preface": {func(*stranger) {}, "no handshake within"},
		"a stream without a hello":  {func(s *stranger) { s.call(1, path) }, "no handshake within"},
		"another method":            {func(s *stranger) { s.call(1, "/ciranda.v1.NodeService/Kill") }, "no handshake within"},
		"many streams": {func(s *stranger) {
			for i := range uint32(1000) {
				s.call(2*i+1, path)
			}
		}, "no handshake within"},
		"a header bomb": {func(s *stranger) {
			for i := range 200 {
				s.encoder.SetMaxDynamicTableSize(4096)
				s.call(uint32(2*i+1), path, hpack.HeaderField{Name: "x", Value: strings.Repeat("x", 60<<10)})
			}
		}, ""},
		"a giant frame": {func(s *stranger) {
			s.call(1, path)
			s.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, 1<<24-1))
		}, "protocol"},
		"a giant message": {func(s *stranger) {
			s.call(1, path)
			s.WriteData(1, false, []byte{0, 0x7f, 0xff, 0xff, 0xff})
		}, "larger than max"},
		"crumbs": {func(s *stranger) {
			s.call(1, path)
			s.WriteData(1, false, []byte{0, 0, 0xf, 0xff, 0xff})
			for s.WriteData(1, false, []byte{'x'}) == nil {
			}
		}, "bytes came before the end of the handshake"},
		"an empty message": {func(s *stranger) { s.call(1, path); s.WriteData(1, false, make([]byte, 5)) }, "found message 0"},
		"a wrong number": {func(s *stranger) {
			s.call(1, path)
			s.WriteData(1, false, []byte{0, 0, 0, 0, 5, 0, 0, 0, 9, 'x'})
		}, "found message 9 with 1 bytes; expected message 0"},
		"not a frame": {func(s *stranger) {
			s.call(1, path)
			s.WriteData(1, false, append([]byte{0, 0, 0, 0, 36, 0, 0, 0, 0}, make([]byte, 32)...))
		}, "does not speak this protocol"},
		"a compressed message": {func(s *stranger) {
			s.call(1, path, hpack.HeaderField{Name: "grpc-encoding", Value: "gzip"})
			s.WriteData(1, false, []byte{1, 0, 0, 0, 1, 0})
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newListener()
			tr := start(t, Open, 1, l, Config{Options: quick})
			s := dial(t, tr.Addr())
			go io.Copy(io.Discard, s.Conn) // ends with the connection
			test.say(s)
			contains(t, <-l.refusals, test.want)
			if tr.Stats().Refused == 0 {
				t.Error("the refusal was not counted")
			}
		})
	}
}

// Who only connects, or only begins a stream, is put off, and cannot keep others out.
func TestHalfOpen(t *testing.T) {
	const many = 70 // more than may be half open
	l, m := newListener(), newListener()
	slow := quick
	slow.HandshakeTimeout = time.Minute
	tr := start(t, Open, 1, l, Config{Options: slow})
	for i := range many {
		if s := dial(t, tr.Addr()); i%2 == 0 {
			s.call(1, path)
		}
	}
	contains(t, <-l.refusals, "too many connections")
	start(t, Open, 2, m, Config{Options: quick, Peers: map[protocol.ID]string{1: tr.Addr()}})
	<-m.ups
	<-l.ups
}

// A peer that takes nothing for too long loses its connection, and its queue with it; that is no news of the peer.
func TestHungPeer(t *testing.T) {
	l, m := newListener(), newListener()
	gate := make(chan struct{})
	m.receive = func([][]byte) { <-gate }
	hasty := quick
	hasty.WriteTimeout = 50 * time.Millisecond
	tr := start(t, Open, 1, l, Config{Options: hasty})
	start(t, Open, 2, m, Config{Options: quick, Peers: map[protocol.ID]string{1: tr.Addr()}})
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

// Under TLS the ends agree on HTTP/2, as gRPC demands, unless the caller has chosen otherwise.
func TestNextProtos(t *testing.T) {
	config := transporttest.NewAuthority(t).TLS(t, 1)
	tr := start(t, Open, 1, newListener(), Config{Options: quick, TLS: config})
	mine := config.Clone()
	mine.ServerName, mine.NextProtos = "127.0.0.1", []string{"h2"}
	nc, err := tls.Dial("tcp", tr.Addr(), mine)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if got := nc.ConnectionState().NegotiatedProtocol; got != "h2" {
		t.Errorf("agreed on %q", got)
	}
	if config.NextProtos != nil {
		t.Error("the caller's TLS was changed")
	}
}

func TestOpenRefuses(t *testing.T) {
	if _, err := Open(Config{}); err == nil || !strings.Contains(err.Error(), "transport/grpc: ") {
		t.Errorf("got %v", err)
	}
	hello := func() transport.Hello {
		return transport.Hello{Cluster: "c", Group: []protocol.ID{1, 2}, ID: 1, Incarnation: 1}
	}
	_, err := Open(Config{Hello: hello, Handler: newListener(), Identify: transporttest.Identify})
	if err == nil || !strings.Contains(err.Error(), "there is no TLS") {
		t.Errorf("got %v", err)
	}
}

// What a message is, is decided by its number and its bytes alone, however gRPC has cut it.
func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00hello"), 3)
	f.Add([]byte("\x00\x00\x00\x01x"), 0)
	f.Add([]byte{0, 0, 0}, 1)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		cut = min(max(cut, 0), len(b))
		var in incoming
		err := codec{}.Unmarshal(mem.BufferSlice{mem.SliceBuffer(b[:cut]), mem.SliceBuffer(b[cut:])}, &in)
		good := len(b) > numberSize && bytes.Equal(b[:numberSize], make([]byte, numberSize))
		if good != (err == nil) || err != nil && !errors.Is(err, tcp.ErrMalformed) {
			t.Fatalf("got %v for %x", err, b)
		}
		if err != nil {
			return
		}
		rest, _ := io.ReadAll(&in.rest)
		if !bytes.Equal(rest, b[numberSize:]) {
			t.Errorf("%x became %x", b, rest)
		}
		out := outgoing{bytes: rest}
		if data, err := (codec{}).Marshal(&out); err != nil || !bytes.Equal(data.Materialize(), b) || out.number != 1 {
			t.Errorf("%x became %x again, and %v", b, data.Materialize(), err)
		}
	})
}

func TestMain(m *testing.M) {
	if echoes() {
		return
	}
	goleak.VerifyTestMain(m)
}
