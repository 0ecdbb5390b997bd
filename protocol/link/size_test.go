package link

import (
	"strings"
	"testing"

	"ciranda.dev/protocol"
)

type (
	inner struct {
		Name  string
		Marks []uint64
	}
	outer struct {
		ID     protocol.ID
		Inner  []inner
		Map    map[string]int
		Packet protocol.Packet
		Bytes  []byte
		Sum    [4]byte
	}
	sized struct{ Bytes []byte }
	wrong struct{}
)

func (s sized) Size() int { return 2 * len(s.Bytes) }
func (wrong) Size() int   { return -1000 }

func TestSizeOfMessages(t *testing.T) {
	for name, test := range map[string]struct {
		message protocol.Message
		want    int
	}{
		"nothing":             {struct{}{}, 0},
		"numbers":             {struct{ A, B int }{}, 16},
		"a text":              {struct{ S string }{"hello"}, 8 + 5},
		"a sizer":             {sized{make([]byte, 10)}, 20},
		"a sizer that errs":   {wrong{}, 0},
		"an empty outer":      {outer{}, 8 + 8 + 8 + (8 + 8) + 8 + (8 + 4)},
		"a full slice":        {struct{ S []inner }{[]inner{{"a", []uint64{1, 2}}, {}}}, 8 + (9 + 24) + (8 + 8)},
		"a map":               {struct{ M map[string]int }{map[string]int{"a": 1, "bc": 2}}, 8 + 9 + 8 + 10 + 8},
		"a packet in another": {Data{Packet: protocol.Packet{Body: sized{make([]byte, 50)}}}, 4*8 + 8 + 100},
	} {
		if got := sizeOfMessage(test.message); got != test.want {
			t.Errorf("%s: %d bytes, want %d", name, got, test.want)
		}
	}
}

func BenchmarkSizeOf(b *testing.B) {
	p := protocol.Packet{Channel: 2, Body: inner{strings.Repeat("x", 100), make([]uint64, 10)}}
	b.ReportAllocs()
	for range b.N {
		if sizeOf(p) != overhead+8+100+8+80 {
			b.Fatal("wrong")
		}
	}
}
