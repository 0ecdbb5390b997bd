package wire

import (
	"bytes"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"pgregory.net/rapid"

	"ciranda.dev/protocol"
)

type (
	empty struct{}
	beat  struct {
		Count uint64
		Delay int16
		Flag  bool
	}
	wrap struct {
		Seq    uint32
		Packet protocol.Packet
	}
	batch struct {
		First uint64
		Items [][]byte
	}
	rich struct {
		Name    string
		Bytes   []byte
		Key     [4]byte
		List    []beat
		Map     map[string]int64
		Ratio   float64
		Half    float32
		Kids    []rich
		Packets []protocol.Packet
		Grid    map[[2]int8][]uint16
	}
)

func traits() []protocol.Traits {
	return []protocol.Traits{
		{Channel: "link", Messages: []protocol.Message{wrap{}, beat{}}},
		{Channel: "mute"},
		{Channel: "app", Messages: []protocol.Message{rich{}, empty{}, beat{}, batch{}}},
	}
}

func newCodec(t testing.TB) *Codec {
	t.Helper()
	c, err := New(traits())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A packet wrapped by a layer below keeps its channel and its type, in few bytes that any CBOR tool can show.
func TestNestedPacket(t *testing.T) {
	c := newCodec(t)
	p := protocol.Packet{Channel: 0, Body: wrap{Seq: 7, Packet: protocol.Packet{Channel: 2, Body: beat{300, -2, true}}}}
	b, err := c.Encode([]byte("x"), p)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := cbor.Diagnose(b[1:])
	if want := "[0, 0, [7, [2, 2, [300, -2, true]]]]"; err != nil || shown != want {
		t.Errorf("got %s, %v; want %s", shown, err, want)
	}
	if got, err := c.Decode(b[1:]); err != nil || got != p {
		t.Errorf("got %v, %v; want %v", got, err, p)
	}
}

// packets draws any packet of the test's stack.
func packets(depth int) *rapid.Generator[protocol.Packet] {
	return rapid.Custom(func(t *rapid.T) protocol.Packet {
		b := beat{rapid.Uint64().Draw(t, "count"), rapid.Int16().Draw(t, "delay"), rapid.Bool().Draw(t, "flag")}
		kind := rapid.IntRange(0, 5).Draw(t, "kind")
		if depth == 0 {
			kind = min(kind, 3)
		}
		switch kind {
		case 0:
			return protocol.Packet{Channel: 0, Body: b}
		case 1:
			return protocol.Packet{Channel: 2, Body: b}
		case 2:
			return protocol.Packet{Channel: 2, Body: empty{}}
		case 3:
			items := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 40), 0, 4).Draw(t, "items")
			return protocol.Packet{Channel: 2, Body: batch{b.Count, items}}
		case 4:
			return protocol.Packet{Channel: 0, Body: wrap{rapid.Uint32().Draw(t, "seq"), packets(depth-1).Draw(t, "inner")}}
		default:
			return protocol.Packet{Channel: 2, Body: riches(depth-1).Draw(t, "rich")}
		}
	})
}

func riches(depth int) *rapid.Generator[rich] {
	return rapid.Custom(func(t *rapid.T) rich {
		r := rich{
			Name:  string(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "name")),
			Bytes: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes"),
			Key:   [4]byte{rapid.Byte().Draw(t, "key"), 1, 2, 3},
			Map:   rapid.MapOfN(rapid.String(), rapid.Int64(), 0, 30).Draw(t, "map"),
			Ratio: rapid.Float64().Draw(t, "ratio"),
			Half:  rapid.Float32().Draw(t, "half"),
			Grid:  rapid.MapOfN(rapid.Custom(grid), rapid.SliceOfN(rapid.Uint16(), 0, 3), 0, 3).Draw(t, "grid"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "list") {
			r.List = append(r.List, beat{rapid.Uint64().Draw(t, "count"), 0, false})
		}
		if depth > 0 && rapid.Bool().Draw(t, "nested") {
			r.Kids = []rich{riches(depth-1).Draw(t, "kid")}
			r.Packets = []protocol.Packet{{}, packets(depth-1).Draw(t, "packet")}
		}
		return r
	})
}

func grid(t *rapid.T) [2]int8 { return [2]int8{rapid.Int8().Draw(t, "x"), rapid.Int8().Draw(t, "y")} }

// normal makes empty slices and maps nil, as they are after decoding.
func normal(v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		if v.Len() == 0 {
			v.SetZero()
		} else if v.Kind() == reflect.Slice {
			for i := range v.Len() {
				normal(v.Index(i))
			}
		} else {
			for _, k := range v.MapKeys() {
				e := reflect.New(v.Type().Elem()).Elem()
				e.Set(v.MapIndex(k))
				normal(e)
				v.SetMapIndex(k, e)
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			normal(v.Field(i))
		}
	case reflect.Interface:
		if !v.IsNil() {
			e := reflect.New(v.Elem().Type()).Elem()
			e.Set(v.Elem())
			normal(e)
			v.Set(e)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	c := newCodec(t)
	rapid.Check(t, func(t *rapid.T) {
		p := packets(3).Draw(t, "packet")
		b, err := c.Encode(nil, p)
		if err != nil {
			t.Fatal(err)
		}
		if err := cbor.Wellformed(b); err != nil {
			t.Fatalf("%x is no CBOR: %v", b, err)
		}
		got, err := c.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		normal(reflect.ValueOf(&p).Elem())
		if !reflect.DeepEqual(got, p) {
			t.Fatalf("got %+v\nwant %+v", got, p)
		}
	})
}

// What a general library writes in its deterministic mode is what this one writes.
func TestMapsAsTheLibraryWritesThem(t *testing.T) {
	lib, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	type counts struct{ M map[int32]string }
	c, err := New([]protocol.Traits{{Channel: "c", Messages: []protocol.Message{counts{}}}})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOf(rapid.Int32(), rapid.String()).Draw(t, "map")
		got, err := c.Encode(nil, protocol.Packet{Body: counts{m}})
		if err != nil {
			t.Fatal(err)
		}
		if m == nil {
			m = map[int32]string{}
		}
		want, err := lib.Marshal([]any{0, 0, []any{m}})
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %x, want %x, %v", got, want, err)
		}
	})
}

func TestEncodeRefuses(t *testing.T) {
	c := newCodec(t)
	deep := protocol.Packet{Channel: 2, Body: empty{}}
	for range maxDepth {
		deep = protocol.Packet{Body: wrap{Packet: deep}}
	}
	for name, test := range map[string]struct {
		p    protocol.Packet
		want string
	}{
		"nothing":        {protocol.Packet{}, "an empty packet"},
		"channel":        {protocol.Packet{Channel: 3, Body: beat{}}, "channel 3"},
		"foreign":        {protocol.Packet{Channel: 0, Body: empty{}}, "wire.empty on channel link"},
		"pointer":        {protocol.Packet{Channel: 0, Body: &beat{}}, "*wire.beat on channel link"},
		"nested foreign": {protocol.Packet{Body: wrap{Packet: protocol.Packet{Channel: 1, Body: beat{}}}}, "wire.wrap.Packet: a wire.beat on channel mute"},
		"deep":           {deep, "nested more than 64 deep"},
	} {
		b, err := c.Encode([]byte("kept"), test.p)
		if err == nil || !strings.Contains(err.Error(), test.want) || string(b) != "kept" {
			t.Errorf("%s: got %q, %v; want an error with %q", name, b, err, test.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	c := newCodec(t)
	for name, test := range map[string]struct {
		b    string
		want string
	}{
		"nothing":           {"", "wire: found the end at byte 0; expected an array"},
		"null":              {"\xf6", "expected a packet"},
		"channel":           {"\x83\x03\x00\x80", "found 3 at byte 1; expected the number of a channel below 3"},
		"no messages":       {"\x83\x01\x00\x80", "found 0 at byte 2; expected the number of a message on that channel below 0"},
		"rest":              {"\x83\x02\x01\x80\x00", "found 1 bytes more at byte 4; expected the end"},
		"missing field":     {"\x83\x00\x01\x82\x00\x00", "wire: wire.beat: found an array of 2 at byte 3; expected 3"},
		"cut":               {"\x83\x00\x01\x83\x00\x00", "wire.beat.Flag: found the end at byte 6; expected true or false"},
		"long number":       {"\x83\x00\x01\x83\x18\x05\x00\xf5", "wire.beat.Count: found a number that is too long"},
		"long number of 8":  {"\x83\x00\x01\x83\x1b\x00\x00\x00\x00\xff\xff\xff\xff\x00\xf5", "too long"},
		"range":             {"\x83\x00\x01\x83\x00\x19\x80\x00\xf5", "wire.beat.Delay: found a number out of range at byte 5; expected one of type int16"},
		"indefinite":        {"\x9f\x00\x01\xff", "found 0x9f without a whole number"},
		"tag":               {"\xc1\x83\x00\x01\x80", "expected an array"},
		"nested type":       {"\x83\x00\x00\x82\x00\x83\x02\x05\x80", "wire.wrap.Packet: found 5 at byte 7; expected the number of a message on that channel below 4"},
		"too many elements": {"\x83\x02\x00\x8a\x60\x40\x84\x00\x00\x00\x00\x9a\xff\xff\xff\xff", "wire.rich.List: found an array of 4294967295 at byte 11; expected no more than what follows"},
	} {
		p, err := c.Decode([]byte(test.b))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, %v; want an error with %q", name, p, err, test.want)
		}
	}
}

// Every message is a bomb that would take hundreds of times its bytes in a decoder that believed it.
func TestMemoryIsBounded(t *testing.T) {
	type (
		slot  struct{ A, B, C, D, E, F, G, H [16]uint64 }
		bomb  struct{ Maps []map[uint8]slot }
		bombs struct{ List []bombs }
	)
	c, err := New([]protocol.Traits{{Channel: "bombs", Messages: []protocol.Message{bomb{}, bombs{}, wrap{}}}})
	if err != nil {
		t.Fatal(err)
	}
	lists := []byte{0x83, 0, 1, 0x81, 0x9a, 0, 3, 0, 0}
	for range 3 << 16 {
		lists = append(lists, 0x81, 0x80)
	}
	nests := bytes.Repeat([]byte{0x83, 0, 2, 0x82, 0}, 1<<18/5)
	maps := []byte{0x83, 0, 0, 0x81, 0x9a, 0, 1, 0, 0}
	for range 1 << 16 {
		maps = append(maps, 0xa1, 0, 0x88)
	}
	for name, b := range map[string][]byte{"lists": lists, "nests": nests, "maps": maps} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c.Decode(b)
		runtime.ReadMemStats(&after)
		if taken := after.TotalAlloc - before.TotalAlloc; taken > memoryFactor*uint64(len(b))+1<<16 {
			t.Errorf("%s: %d bytes of memory for %d", name, taken, len(b))
		}
	}
	sparse := bomb{}
	for range 100 {
		sparse.Maps = append(sparse.Maps, map[uint8]slot{1: {}})
	}
	if b, err := c.Encode(nil, protocol.Packet{Body: sparse}); err == nil {
		if _, err := c.Decode(b); err != nil {
			t.Errorf("encoded and not decoded: %v", err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for want, m := range map[string]protocol.Message{
		"is not a plain struct":                   7,
		"message wire.a.P: a *int has no":         a{},
		"message wire.h.x: is not exported":       h{x: 1},
		"message wire.f.M: keys of type float64":  f{},
		"message wire.k.M: keys of type protocol": k{},
		"is listed twice":                         beat{},
	} {
		_, err := New([]protocol.Traits{{Channel: "c", Messages: []protocol.Message{beat{}, m}}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%T: got %v, want an error with %q", m, err, want)
		}
	}
}

type (
	a struct{ P *int }
	h struct{ x int }
	f struct{ M map[float64]int }
	k struct{ M map[protocol.Packet]int }
)

// Two stacks whose messages differ only in a field's width or name must not shake hands.
func TestFingerprint(t *testing.T) {
	print := func(m ...protocol.Message) string {
		c, err := New([]protocol.Traits{{Channel: "c", Messages: m}})
		if err != nil {
			t.Fatal(err)
		}
		return c.Fingerprint()
	}
	narrow, renamed := struct{ N uint16 }{}, struct{ M uint32 }{}
	this := struct{ N uint32 }{}
	if first, again := print(this), print(this); first != again || first == print(narrow) || print(this) == print(renamed) || print(rich{}) == print(rich{}, beat{}) {
		t.Error("fingerprints do not tell codecs apart")
	}
}

func TestFloats(t *testing.T) {
	c := newCodec(t)
	weird := math.Float64frombits(0x7ff0000000000001)
	b, err := c.Encode(nil, protocol.Packet{Channel: 2, Body: rich{Ratio: weird, Half: float32(math.Inf(-1))}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Decode(b)
	if r := p.Body.(rich); err != nil || math.Float64bits(r.Ratio) != nan64 || !math.IsInf(float64(r.Half), -1) {
		t.Errorf("got %v, %v", p, err)
	}
}

func TestEnvelope(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := Envelope{
			rapid.Uint64Max(Ceiling).Draw(t, "seq"), rapid.Uint64Max(Ceiling).Draw(t, "lamport"),
			protocol.Incarnation(rapid.Uint32().Draw(t, "to")), rapid.Uint64().Draw(t, "hlc"),
		}
		b := AppendEnvelope([]byte("x"), e)
		if len(b) > 1+35 {
			t.Fatalf("%d bytes", len(b))
		}
		got, rest, err := ParseEnvelope(append(b[1:], "rest"...))
		if err != nil || got != e || string(rest) != "rest" {
			t.Fatalf("got %v, %q, %v; want %v", got, rest, err, e)
		}
	})
}

func TestEnvelopeRefuses(t *testing.T) {
	big := AppendEnvelope(nil, Envelope{Seq: 1, Lamport: Ceiling + 1})
	for want, b := range map[string]string{
		"no bytes":                   "",
		"flags 0x02":                 "\x02\x01\x01\x01",
		"whole message number":       "\x00",
		"whole Lamport stamp":        "\x00\x01\x80",
		"whole incarnation":          "\x00\x01\x01\x81\x00",
		"the incarnation 4294967296": "\x00\x01\x01\x80\x80\x80\x80\x10",
		"without the hybrid clock":   "\x01\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00",
		"the Lamport stamp 46116860": string(big),
	} {
		if e, _, err := ParseEnvelope([]byte(b)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%x: got %v, %v; want an error with %q", b, e, err, want)
		}
	}
}

// What is decoded is encoded to the same bytes: so nothing but canonical encodings gets through.
func FuzzDecode(f *testing.F) {
	c := newCodec(f)
	for _, p := range []protocol.Packet{
		{Channel: 2, Body: empty{}},
		{Body: wrap{7, protocol.Packet{Channel: 2, Body: beat{300, -2, true}}}},
		{Channel: 2, Body: rich{Name: "a\xff", Bytes: []byte{1}, List: []beat{{}}, Map: map[string]int64{"a": -1, "b": 1 << 40}, Kids: []rich{{}}}},
	} {
		b, err := c.Encode(nil, p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := c.Decode(b)
		inPlace, other := c.DecodeInPlace(b)
		if (err == nil) != (other == nil) {
			t.Fatalf("%x gives %v, and in place %v", b, err, other)
		}
		if err != nil {
			return
		}
		for _, p := range []protocol.Packet{p, inPlace} {
			again, err := c.Encode(nil, p)
			if err != nil || !bytes.Equal(again, b) {
				t.Errorf("%x became %+v and then %x, %v", b, p, again, err)
			}
		}
	})
}

func FuzzEnvelope(f *testing.F) {
	f.Add(AppendEnvelope(nil, Envelope{1, 2, 3, 4}))
	f.Add(AppendEnvelope(nil, Envelope{1 << 40, 1 << 50, 1 << 31, 0}))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, rest, err := ParseEnvelope(b)
		if err == nil && !bytes.Equal(append(AppendEnvelope(nil, e), rest...), b) {
			t.Errorf("%x became %+v", b, e)
		}
	})
}

func BenchmarkCodec(b *testing.B) {
	c := newCodec(b)
	for _, bench := range []struct {
		name string
		p    protocol.Packet
	}{
		{"beat", protocol.Packet{Body: beat{Count: 1 << 30}}},
		{"wrapped 1 KiB", protocol.Packet{Body: wrap{7, protocol.Packet{Channel: 2, Body: rich{Bytes: make([]byte, 1024)}}}}},
	} {
		buffer, err := c.Encode(nil, bench.p)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("encode "+bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buffer, _ = c.Encode(buffer[:0], bench.p)
			}
		})
		b.Run("decode "+bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Decode(buffer)
			}
		})
	}
}
