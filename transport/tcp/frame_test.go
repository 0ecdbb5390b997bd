package tcp

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/iotest"

	"ciranda.dev/protocol"
	"ciranda.dev/transport"
)

// readAll gives copies of all messages in a stream, and why it ended.
func readAll(from io.Reader) (messages [][]byte, err error) {
	r := reader{from: from, buffer: make([]byte, leastBuffer)}
	for {
		batch, _, err := r.next()
		for _, m := range batch {
			if len(m) < transport.Kept {
				m = bytes.Clone(m)
			}
			messages = append(messages, m)
		}
		if err != nil {
			return messages, err
		}
	}
}

// bundles writes messages as frames, of which each is one piece.
func bundles(messages [][]byte) []byte { return write(true, messages) }

func write(whole bool, messages [][]byte) (stream []byte) {
	f := frames{whole: whole}
	for rest := halved(messages); len(rest) > 0; {
		rest = rest[f.fill(rest):]
		stream = append(stream, bytes.Join(f.pieces, nil)...)
	}
	return stream
}

// halved has heads and bodies of all kinds of sizes.
func halved(messages [][]byte) (halved []message) {
	for i, m := range messages {
		cut := len(m) * (i % 4) / 3
		h := message{head: m[:cut], body: m[cut:]}
		if i%2 == 0 {
			h.sum = &bodySum{body: h.body}
		}
		halved = append(halved, h)
	}
	return halved
}

// Frames are the same, whether they are put together of pieces or copied into one.
func TestFramesInPieces(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 30 {
		var messages [][]byte
		for range random.IntN(40) {
			size := random.IntN(100)
			if random.IntN(3) == 0 {
				size = random.IntN(90 << 10)
			}
			messages = append(messages, bytes.Repeat([]byte{byte(random.Int())}, size))
		}
		if a, b := write(true, messages), write(false, messages); !bytes.Equal(a, b) {
			t.Fatalf("%d messages make %d bytes, or %d others", len(messages), len(a), len(b))
		}
	}
}

// The checksum of two things in a row follows from their own.
func TestBodySum(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		b := make([]byte, 1+random.IntN(100_000))
		for i := range b {
			b[i] = byte(random.Int())
		}
		cut := random.IntN(len(b) + 1)
		s := bodySum{body: b[cut:]}
		for range 2 {
			if got, want := s.after(crc32.Checksum(b[:cut], castagnoli)), crc32.Checksum(b, castagnoli); got != want {
				t.Fatalf("%d bytes and %d more: got %08x, want %08x", cut, len(b)-cut, got, want)
			}
		}
	}
}

// Messages that share a large body share its checksum, and no others do.
func TestBodySumsAreShared(t *testing.T) {
	tr, body := &Transport{}, make([]byte, transport.Kept)
	one, again, part := tr.sumOf(body), tr.sumOf(body), tr.sumOf(body[:transport.Kept-1])
	if one == nil || one != again || part != nil || tr.sumOf(make([]byte, transport.Kept)) == one {
		t.Error("checksums are not shared as bodies are")
	}
}

// What is large is not copied.
func TestLargeMessagesAreNotCopied(t *testing.T) {
	body := make([]byte, 60_000)
	f := frames{}
	if n := f.fill([]message{{head: []byte("one"), body: body}, {head: []byte("two"), body: body}, {head: []byte("three")}}); n != 3 {
		t.Fatalf("%d messages were taken", n)
	}
	found := 0
	for _, p := range f.pieces {
		if len(p) == len(body) && &p[0] == &body[0] {
			found++
		}
	}
	if found != 2 || len(f.buffer) > 100 {
		t.Errorf("the body stands in %d pieces, and %d bytes were copied", found, len(f.buffer))
	}
}

// However a stream is cut into reads, its messages are the same.
func TestReader(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var messages [][]byte
	for range 400 {
		size := random.IntN(500)
		if random.IntN(40) == 0 {
			size = random.IntN(transport.MaxMessage + 1)
		}
		messages = append(messages, bytes.Repeat([]byte{byte(random.Int())}, size))
	}
	stream := bundles(messages)
	for name, from := range map[string]io.Reader{
		"at once": bytes.NewReader(stream), "halves": iotest.HalfReader(bytes.NewReader(stream)), "data with the error": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		got, err := readAll(from)
		if err != io.EOF || len(got) != len(messages) {
			t.Fatalf("%s: got %d messages and %v", name, len(got), err)
		}
		for i := range got {
			if !bytes.Equal(got[i], messages[i]) {
				t.Fatalf("%s: message %d is not what was sent", name, i)
			}
		}
	}
	if got, err := readAll(bytes.NewReader(stream[:len(stream)-1])); err != io.ErrUnexpectedEOF || len(got) >= len(messages) {
		t.Errorf("cut short: got %d messages and %v", len(got), err)
	}
}

// Any one flipped bit is found, and nothing of its frame gets through.
func TestFlippedBits(t *testing.T) {
	good := bundles([][]byte{[]byte("before")})
	frame := bundles([][]byte{[]byte("hello"), []byte("world")})
	for i := range len(frame) * 8 {
		bad := bytes.Clone(frame)
		bad[i/8] ^= 1 << (i % 8)
		got, err := readAll(bytes.NewReader(append(bytes.Clone(good), bad...)))
		if !errors.Is(err, ErrMalformed) || len(got) != 1 || string(got[0]) != "before" {
			t.Errorf("bit %d: got %q and %v", i, got, err)
		}
	}
}

func TestUnbundleRefuses(t *testing.T) {
	for name, payload := range map[string][]byte{
		"nothing":      {},
		"cut":          {3, 'a', 'b'},
		"long number":  {0x81, 0x00, 'a'},
		"no end":       {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"too large":    append([]byte{0x81, 0x80, 0x40}, make([]byte, 1<<20+1)...),
		"many in much": make([]byte, maxBundle),
	} {
		if got, err := unbundle(nil, payload); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %d messages and %v", name, len(got), err)
		}
	}
}

// The buffer grows with what arrives, not with what is announced, and is small again afterwards.
func TestBufferGrowsAsNeeded(t *testing.T) {
	frame := bundles([][]byte{make([]byte, transport.MaxMessage)})
	r := reader{from: bytes.NewReader(append(frame[:headerSize:headerSize], 1, 2, 3)), buffer: make([]byte, leastBuffer)}
	if _, _, err := r.next(); err == nil || len(r.buffer) > readBuffer {
		t.Errorf("got %v with a buffer of %d", err, len(r.buffer))
	}
	r = reader{from: bytes.NewReader(append(frame, bundles([][]byte{{1}})...)), buffer: make([]byte, leastBuffer)}
	for got := 0; got < 2; {
		m, _, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		got += len(m)
	}
	if r.next(); len(r.buffer) > readBuffer {
		t.Errorf("the buffer stays at %d bytes", len(r.buffer))
	}
}

func FuzzReader(f *testing.F) {
	f.Add(bundles([][]byte{[]byte("hello"), nil, []byte("world")}))
	f.Add(append(bundles([][]byte{[]byte("one")}), bundles([][]byte{[]byte("two")})...))
	f.Add(appendFrame(nil, helloFrame, []byte("x")))
	f.Add(appendFrame(nil, messagesFrame, []byte{0x81, 0x00, 1}))
	f.Add(appendFrame(nil, messagesFrame, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		messages, err := readAll(bytes.NewReader(b))
		runtime.ReadMemStats(&after)
		if taken := after.TotalAlloc - before.TotalAlloc; taken > 200*uint64(len(b))+1<<20 {
			t.Errorf("%d bytes of memory for %d", taken, len(b))
		}
		total := 0
		for _, m := range messages {
			total += len(m)
		}
		if err == nil || total > len(b) {
			t.Errorf("got %d bytes from %d, and %v", total, len(b), err)
		}
	})
}

// FuzzPayload tries what is behind the checksums, which hide it from a fuzzer of whole frames.
func FuzzPayload(f *testing.F) {
	f.Add([]byte("\x05hello\x00\x01x"))
	f.Add([]byte{0x80})
	f.Fuzz(func(t *testing.T, payload []byte) {
		messages, err := unbundle(nil, payload)
		if err == nil && len(payload) <= maxBundle-headerSize-maxPrefix {
			if frame := bundles(messages); len(frame) < headerSize || !bytes.Equal(frame[headerSize:], payload) {
				t.Errorf("%x became %d messages and then %x", payload, len(messages), frame)
			}
		}
	})
}

func FuzzGreeting(f *testing.F) {
	g := greeting{Hello: transport.Hello{Cluster: "c", Stack: "s", Group: []protocol.ID{1, 2, 300}, ID: 2, Incarnation: 7, Lamport: 1 << 40, API: ":1"}}
	f.Add(g.append(nil))
	f.Add((&greeting{Hello: transport.Hello{ID: 1, Incarnation: 1}}).append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := parseGreeting(b)
		if err == nil && !bytes.Equal(g.append(nil), b) {
			t.Errorf("%x became %+v", b, g)
		}
	})
}
