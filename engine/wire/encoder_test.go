package wire

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"ciranda.dev/protocol"
)

// large is a packet of the test's application, of n bytes and some.
func large(n int) protocol.Packet {
	return protocol.Packet{Channel: 2, Body: rich{Name: "large", Bytes: bytes.Repeat([]byte{7}, n)}}
}

// A packet that is sent to many, in a message to each, is encoded once.
func TestEncoderShares(t *testing.T) {
	c := newCodec(t)
	x := c.NewEncoder()
	inner := large(Large)
	var first []byte
	for seq := range uint32(4) {
		p := protocol.Packet{Body: wrap{seq, inner}}
		head, body, err := x.Encode(p)
		if err != nil || len(body) < Large || len(head) > 16 {
			t.Fatalf("%d and %d bytes, %v", len(head), len(body), err)
		}
		if first == nil {
			first = body
		} else if &body[0] != &first[0] {
			t.Error("the packet was encoded again")
		}
		if got, err := c.Decode(append(bytes.Clone(head), body...)); err != nil || got.Body.(wrap).Seq != seq {
			t.Errorf("got %v, %v", got, err)
		}
	}
	if _, body, _ := x.Encode(protocol.Packet{Body: wrap{9, large(Large)}}); &body[0] == &first[0] {
		t.Error("another packet was taken for the last one")
	}
	if _, body, _ := x.Encode(protocol.Packet{Body: wrap{9, large(Large / 2)}}); body != nil {
		t.Error("a small packet was shared")
	}
}

// An encoder writes what the codec writes, whatever it wrote before, and leaves alone what it has given away.
func TestEncoderAgrees(t *testing.T) {
	c := newCodec(t)
	pool := []protocol.Packet{large(10), large(Large), large(Large + 100), large(20_000)}
	rapid.Check(t, func(t *rapid.T) {
		x := c.NewEncoder()
		type given struct{ body, was []byte }
		var all []given
		for range rapid.IntRange(1, 8).Draw(t, "packets") {
			p := rapid.OneOf(packets(1), nests(pool)).Draw(t, "packet")
			head, body, err := x.Encode(p)
			want, wrong := c.Encode(nil, p)
			if (err == nil) != (wrong == nil) || !bytes.Equal(append(bytes.Clone(head), body...), want) {
				t.Fatalf("got %d and %d bytes, %v; want %d, %v", len(head), len(body), err, len(want), wrong)
			}
			all = append(all, given{body, bytes.Clone(body)})
		}
		for _, g := range all {
			if !bytes.Equal(g.body, g.was) {
				t.Fatal("a body was changed")
			}
		}
	})
}

// nests draws packets of a pool, alone, in one message or several in one, and some that cannot be encoded.
func nests(pool []protocol.Packet) *rapid.Generator[protocol.Packet] {
	return rapid.Custom(func(t *rapid.T) protocol.Packet {
		p := rapid.SampledFrom(pool).Draw(t, "inner")
		switch rapid.IntRange(0, 4).Draw(t, "nest") {
		case 0:
			return p
		case 1:
			return protocol.Packet{Body: wrap{1, protocol.Packet{Body: wrap{2, p}}}}
		case 2:
			return protocol.Packet{Channel: 2, Body: rich{Packets: []protocol.Packet{p, rapid.SampledFrom(pool).Draw(t, "other"), {}}}}
		case 3: // something follows, and cannot be encoded
			return protocol.Packet{Channel: 2, Body: rich{Packets: []protocol.Packet{p, {Channel: 1, Body: beat{}}}}}
		default:
			return protocol.Packet{Body: wrap{1, p}}
		}
	})
}

// Byte slices that are decoded in place are parts of the input; nothing can be appended to them that would change it.
func TestDecodeInPlace(t *testing.T) {
	c := newCodec(t)
	b, err := c.Encode(nil, large(100))
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.DecodeInPlace(b)
	if err != nil {
		t.Fatal(err)
	}
	got := p.Body.(rich).Bytes
	b[bytes.IndexByte(b, 7)] = 8
	if got[0] != 8 || cap(got) != len(got) {
		t.Errorf("got %v with room for %d", got[0], cap(got))
	}
	copied, err := c.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	b[bytes.IndexByte(b, 8)] = 7
	if got := copied.Body.(rich).Bytes; got[0] != 8 {
		t.Error("a copy is part of the input")
	}
}
