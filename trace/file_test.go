package trace_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/trace"
)

func write(t testing.TB, h trace.Header, events []trace.Event, o trace.WriteOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := trace.NewWriter(&b, h, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		w.Record(&events[i])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(t testing.TB, file []byte) *trace.Trace {
	t.Helper()
	tr, err := trace.Read(bytes.NewReader(file), trace.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// same says whether an event that was read is the one that was written: all fields, and the data as their own type.
func same(t *testing.T, wrote, got *trace.Event) bool {
	t.Helper()
	a, b := *wrote, *got
	a.Data, b.Data = nil, nil
	if a != b {
		return false
	}
	switch want := wrote.Data.(type) {
	case nil:
		return got.Data == nil
	case ping:
		d, ok := trace.DataOf[ping](got)
		return ok && d == want && got.MessageName() == "trace_test.ping"
	case detector.Suspect:
		d, ok := trace.DataOf[detector.Suspect](got)
		return ok && d == want && got.Name() == "fd.suspect"
	case trace.Life, trace.Record, trace.Loss, trace.FaultNote, trace.Ending:
		return reflect.DeepEqual(want, got.Data)
	default:
		return got.Name() == want.(protocol.Event).Kind()
	}
}

func TestWrittenIsRead(t *testing.T) {
	for _, o := range []trace.WriteOptions{{}, {Compress: true}} {
		events := seeded(1, 4, 3000)
		got := read(t, write(t, header, events, o))
		want := header
		want.Format = trace.FormatVersion
		if !reflect.DeepEqual(got.Header, want) || got.Cut != "" {
			t.Errorf("header: got %+v, cut %q", got.Header, got.Cut)
		}
		if len(got.Events) != len(events) {
			t.Fatalf("got %d events, want %d", len(got.Events), len(events))
		}
		for i := range events {
			if !same(t, &events[i], &got.Events[i]) {
				t.Fatalf("event %d: got %+v, want %+v", i, got.Events[i], events[i])
			}
		}
		// What was read is written as the same bytes.
		again := write(t, got.Header, got.Events, trace.WriteOptions{})
		if !bytes.Equal(again, write(t, header, events, trace.WriteOptions{})) {
			t.Error("a trace that was read is written differently")
		}
	}
}

// The bytes are the same on every machine, and a change of the format is seen here.
func TestBytes(t *testing.T) {
	file := write(t, header, seeded(1, 4, 3000), trace.WriteOptions{})
	golden := filepath.Join("testdata", "first.jsonl")
	first := append(bytes.Join(bytes.SplitAfterN(file, []byte("\n"), 41)[:40], nil),
		fmt.Sprintf("sha256 of all: %x\n", sha256.Sum256(file))...)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, first, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, want) {
		t.Errorf("the file is not that of %s (UPDATE=1 writes it):\n%s", golden, first)
	}
}

// Whatever a crash leaves of a file is read, up to the last whole line.
func TestCutAnywhere(t *testing.T) {
	events := seeded(2, 3, 60)
	plain := write(t, header, events, trace.WriteOptions{})
	start := bytes.IndexByte(plain, '\n') + 1
	for end := start; end < len(plain); end++ {
		got := read(t, plain[:end])
		if n := bytes.Count(plain[start:end], []byte("\n")); len(got.Events) != n {
			t.Fatalf("cut at %d: got %d events, want %d", end, len(got.Events), n)
		}
		if whole := plain[end-1] == '\n'; whole != (got.Cut == "") {
			t.Fatalf("cut at %d: got %q", end, got.Cut)
		}
	}
	for end := range start {
		if _, err := trace.Read(bytes.NewReader(plain[:end]), trace.ReadOptions{}); err == nil {
			t.Fatalf("a header cut at %d was read", end)
		}
	}
}

func TestCutCompressed(t *testing.T) {
	var b bytes.Buffer
	w, err := trace.NewWriter(&b, header, trace.WriteOptions{Compress: true})
	if err != nil {
		t.Fatal(err)
	}
	flushed := map[int]int{} // length of the file, to events in it
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	head := b.Len()
	events := seeded(2, 3, 200)
	for i := range events {
		w.Record(&events[i])
		if i%20 == 19 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			flushed[b.Len()] = i + 1
		}
	}
	known := 0
	for end := head; end <= b.Len(); end++ {
		if known = max(known, flushed[end]); end%7 != 0 { // a decoder is large: not every cut
			continue
		}
		got := read(t, b.Bytes()[:end])
		if len(got.Events) < known || got.Cut == "" {
			t.Fatalf("cut at %d: got %d events, cut %q, want %d", end, len(got.Events), got.Cut, known)
		}
	}
	if known == 0 {
		t.Fatal("nothing was flushed")
	}
}

func TestDataOfAnyKind(t *testing.T) {
	long := strings.Repeat("x", 2000)
	events := []trace.Event{
		{Kind: trace.Send, Node: 1, Inc: 1, N: 1, Peer: 2, Seq: 1, Data: ping{9, long}},
		{Kind: trace.Send, Node: 1, Inc: 1, N: 2, Peer: 2, Seq: 2, Data: ping{9, "é\"\\\n<ü>\x00"}},
		{Kind: trace.Call, Node: 1, Inc: 1, N: 3, Data: "elect"},
		{Kind: trace.Noted, Node: 1, Inc: 1, N: 4, Data: odd{math.NaN()}},
		{Kind: trace.Told, Node: 1, Inc: 1, N: 5, Data: impostor{}},
		{Kind: trace.Told, Node: 1, Inc: 1, N: 6, Layer: 77, Data: detector.Stalled{Node: 2, On: true}},
	}
	got := read(t, write(t, header, events, trace.WriteOptions{})).Events
	if d, ok := got[0].Data.(trace.Digest); !ok || d.Length < 2000 || d.Name != "trace_test.ping" {
		t.Errorf("a long body: got %+v", got[0].Data)
	}
	if _, ok := trace.DataOf[ping](&got[0]); ok {
		t.Error("a long body was read as if it were there")
	}
	if d, ok := trace.DataOf[ping](&got[1]); !ok || d.Note != "é\"\\\n<ü>\x00" {
		t.Errorf("a text with escapes: got %+v", got[1].Data)
	}
	if d, ok := trace.DataOf[string](&got[2]); !ok || d != "elect" {
		t.Errorf("a call: got %+v", got[2].Data)
	}
	if got[3].Name() != "odd" || got[3].Kind != trace.Noted {
		t.Errorf("a note with no JSON: got %+v", got[3])
	}
	if got[4].Kind != trace.Told || got[4].N != 5 {
		t.Errorf("an event that is called send: got %+v", got[4])
	}
	if d, ok := trace.DataOf[detector.Stalled](&got[5]); !ok || !d.On || got[5].Layer != 77 {
		t.Errorf("a layer without a name: got %+v", got[5])
	}
	if _, ok := trace.DataOf[detector.Hint](&got[5]); ok {
		t.Error("one event was read as another")
	}
}

type odd struct{ X float64 }

func (odd) Kind() string { return "odd" }

type impostor struct{}

func (impostor) Kind() string { return "send" }

func TestBadFiles(t *testing.T) {
	const head = `{"ciranda":1,"level":"full","layers":["bully"]}` + "\n"
	for _, c := range []struct{ file, want string }{
		{"", "found an empty file; expected a header"},
		{"\n", `line 1: found ""; expected a header`},
		{"hello\n", `line 1: found "hello"; expected a header`},
		{"{}\n", "found no format version"},
		{`{"ciranda":2}` + "\n", "found format version 2; expected 1"},
		{`{"ciranda":1,"level":"loud"}` + "\n", `found level "loud"`},
		{head + "{}\n", "line 2: found no kind"},
		{head + "[]\n", `line 2: column 1: found "[]"; expected '{'`},
		{head + `{"kind":"start","node":1}` + "\n" + `{"kind":"start","node":70000}` + "\n", "line 3: column 24"},
		{head + `{"kind":"start","node":-1}` + "\n", "expected a whole number up to 65535"},
		{head + `{"kind":"send","node":1,"inc":1}` + "\n", `expected a "mid" for messages`},
		{head + `{"kind":"send","node":1,"inc":1,"mid":"n2#1:1"}` + "\n", "expected the sender's name"},
		{head + `{"kind":"send","node":1,"inc":1,"mid":"1-1"}` + "\n", "expected one like n1#1:17"},
		{head + `{"kind":"fd.suspect","node":1,"proto":"raft"}` + "\n", `found layer "raft"; expected one of ["bully"]`},
		{head + `{"kind":"fd.suspect","node":1,"data":{x}}` + "\n", "expected JSON"},
		{head + `{"kind":"start","node":1,"data":{"stored":3}}` + "\n", "cannot unmarshal"},
		{head + `{"kind":"start","node":1}}` + "\n", "expected the end of the line"},
		{head + `{"kind":"start","node":1,"x":[1,{"y":2}` + "\n", "expected the end of a value"},
		{head + `{"kind":"start","node":1,"x":"` + strings.Repeat("y", trace.MaxLine) + "\"}\n", "found more than 1048576 bytes"},
		{strings.Repeat(" ", trace.MaxHeader+9), "found more than"},
		{"\x28\xb5\x2f\xfdgarbage", "expected a header"},
	} {
		_, err := trace.Read(strings.NewReader(c.file), trace.ReadOptions{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60q: got %v, want %q", c.file, err, c.want)
		}
	}
	if _, err := trace.ReadFile(filepath.Join(t.TempDir(), "none"), trace.ReadOptions{}); err == nil {
		t.Error("a file that is not there was read")
	}
	file := write(t, header, seeded(1, 3, 100), trace.WriteOptions{})
	if _, err := trace.Read(bytes.NewReader(file), trace.ReadOptions{MaxEvents: 99}); err == nil {
		t.Error("more events were held than allowed")
	}
}

// Other tools write JSON in their own way.
func TestAnyOrderOfFields(t *testing.T) {
	const file = `{"ciranda":1,"level":"full","layers":["a","b"],"later":[1]}` + "\n" +
		` { "data" : {"node":3,"inc":2,"why":"timeout"} , "x":{"y":["}",",\"",null]}, "proto":"b", "t":-5 ,` +
		` "kind":"fd.sus\u0070ect","note": true ,"node":4}` + "\r\n"
	e := read(t, []byte(file)).Events[0]
	d, ok := trace.DataOf[detector.Suspect](&e)
	if !ok || d.Node != 3 || e.Layer != 1 || e.T != -5 || e.Kind != trace.Noted || e.Node != 4 {
		t.Errorf("got %+v, %+v", e, d)
	}
}

// A small file that unpacks to a large one is refused without being held.
func TestBomb(t *testing.T) {
	var b bytes.Buffer
	w, err := trace.NewWriter(&b, header, trace.WriteOptions{Compress: true})
	if err != nil {
		t.Fatal(err)
	}
	e := trace.Event{Kind: trace.Start, Node: 1, Inc: 1}
	for range 200_000 {
		w.Record(&e)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := trace.Read(&b, trace.ReadOptions{MaxEvents: 1000}); err == nil {
		t.Error("200,000 events were held")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(write(f, header, seeded(1, 3, 12), trace.WriteOptions{}))
	f.Add(write(f, header, seeded(2, 3, 12), trace.WriteOptions{Compress: true}))
	f.Fuzz(func(t *testing.T, file []byte) {
		tr, err := trace.Read(bytes.NewReader(file), trace.ReadOptions{MaxEvents: 10_000})
		if err != nil {
			return
		}
		for _, e := range tr.Events {
			if e.Kind == 0 {
				t.Fatalf("an event of no kind: %+v", e)
			}
		}
		once := write(t, tr.Header, tr.Events, trace.WriteOptions{})
		again := read(t, once)
		if len(again.Events) != len(tr.Events) || again.Cut != "" {
			t.Fatalf("%d events were read, and of what was written of them %d, cut %q", len(tr.Events), len(again.Events), again.Cut)
		}
		if twice := write(t, again.Header, again.Events, trace.WriteOptions{}); !bytes.Equal(once, twice) {
			t.Fatalf("written twice:\n%s\n%s", once, twice)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	events := seeded(1, 5, 100_000)
	for _, o := range []trace.WriteOptions{{}, {Compress: true}} {
		b.Run(fmt.Sprintf("compress=%v", o.Compress), func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				size = len(write(b, header, events, o))
			}
			perEvent(b, len(events), size)
		})
	}
}

func BenchmarkRead(b *testing.B) {
	events := seeded(1, 5, 100_000)
	for _, o := range []trace.WriteOptions{{}, {Compress: true}} {
		file := write(b, header, events, o)
		b.Run(fmt.Sprintf("compress=%v", o.Compress), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if len(read(b, file).Events) != len(events) {
					b.Fatal("events are missing")
				}
			}
			perEvent(b, len(events), len(file))
		})
	}
}

func perEvent(b *testing.B, events, size int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(events), "ns/event")
	b.ReportMetric(float64(size)/float64(events), "bytes/event")
}

func BenchmarkMemory(b *testing.B) {
	var m trace.Memory
	e := trace.Event{Kind: trace.Send, Data: ping{}}
	for b.Loop() {
		if m.Len() == 4_000_000 {
			m.Reset()
		}
		m.Record(&e)
	}
}
