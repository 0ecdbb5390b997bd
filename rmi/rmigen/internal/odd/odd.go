// Package odd has remote interfaces with all kinds of types, whose written code the tests run.
package odd

import (
	"context"
	"encoding/binary"
	"errors"
	"math/big"
	"net/netip"
	"time"

	"ciranda.dev/rmi"
	"ciranda.dev/rmi/rmigen/internal/odd/peer"
)

//go:generate go tool rmigen

// Types take and give back values.
//
//rmi:remote
type Types interface {
	Basics(ctx Context, b bool, i int8, u uint64, f float32, s string, r rune) (b2 bool, i2 int8, u2 uint64, f2 float32, s2 string, r2 rune, err error)
	Named(ctx context.Context, k Kind, c Cents, n Names, by Index) (Kind, Cents, Names, Index, error)
	Lists(ctx context.Context, raw []byte, fixed [4]byte, pair [2]string, grid [][]int) (raw2 []byte, fixed2 [4]byte, pair2 [2]string, grid2 [][]int, err error)
	Maps(ctx context.Context, m map[string][]int, k map[Kind]bool, a map[netip.Addr]string) (m2 map[string][]int, k2 map[Kind]bool, a2 map[netip.Addr]string, err error)
	Pointers(ctx context.Context, p *int, q **string, s *Structure) (p2 *int, q2 **string, s2 *Structure, err error)
	Structs(ctx context.Context, s Structure, anonymous struct{ X, Y int }, g Pair[string, Kind]) (Structure, struct{ X, Y int }, Pair[string, Kind], error)
	Times(ctx context.Context, at time.Time, d time.Duration) (at2 time.Time, d2 time.Duration, err error)
	Itself(ctx context.Context, v Version, a netip.Addr, n Number) (v2 Version, a2 netip.Addr, n2 Number, err error)
	Tree(ctx context.Context, t Tree) (tree *Tree, err error)
	Nothing(ctx context.Context, e struct{}, none []struct{}) (e2 struct{}, none2 []struct{}, err error)
	Ref(ctx context.Context, ref rmi.Ref) (ref2 rmi.Ref, err error)
}

// Hiding has methods with names that the written code uses too.
//
//rmi:remote
type Hiding interface {
	String(ctx context.Context, stub, in, out, object, result string) (string, error)
	Peer(ctx context.Context, rmi, context_, ref1, arg1 int, peer peer.Listener) (nil_, len, error_ int, _err error)
	Describe(ctx context.Context, ärger, 名 int) (int, error)
	Ref(context.Context) error
	Caller(ctx context.Context, Caller, Take peer.Listener) (Pass peer.Listener, err error)
}

// Party has references, its own among them, and those of another package.
//
//rmi:remote
type Party interface {
	peer.Listener
	// Introduce gives both back.
	//
	//rmi:idempotent
	Introduce(ctx context.Context, guest Party, back peer.Listener) (Party, peer.Listener, error)
	Tell(ctx context.Context, to peer.Listener, what string) (heard int, err error)
	Shout(ctx context.Context, what string) error //rmi:maybe
}

// Context is the usual one by another name.
type Context = context.Context

// Kind is a small number.
type Kind uint8

// Cents is a number by another name.
type Cents = int64

// Names are strings.
type Names []string

// Index is a map.
type Index map[string]Names

// Base is embedded.
type Base struct{ ID int }

// Structure has all kinds of fields.
type Structure struct {
	Base
	*Other
	Name  string `cbor:"n,omitempty"`
	Inner struct {
		Deep []map[string]*Kind
	}
	When time.Time
}

// Other is embedded by a pointer.
type Other struct{ More []byte }

// Pair is generic.
type Pair[A, B any] struct {
	First  A
	Second []B
}

// Tree contains itself.
type Tree struct {
	Value    int
	Children []*Tree
	Named    map[string]Tree
}

// Version writes itself in six bytes.
type Version struct{ major, minor uint16 }

// MarshalBinary gives the version in bytes.
func (v Version) MarshalBinary() ([]byte, error) {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16([]byte("v."), v.major), v.minor), nil
}

// UnmarshalBinary reads what MarshalBinary gives.
func (v *Version) UnmarshalBinary(b []byte) error {
	if len(b) != 6 {
		return errors.New("expected six bytes")
	}
	v.major, v.minor = binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint16(b[4:])
	return nil
}

// Number is one that writes itself by what it embeds, and has nothing else.
type Number struct{ Big }

// Big writes itself as text in CBOR.
type Big struct{ i big.Int }

// MarshalCBOR writes a text.
func (b Big) MarshalCBOR() ([]byte, error) {
	text := b.i.String()
	if len(text) > 23 {
		return nil, errors.New("expected at most 23 digits")
	}
	return append([]byte{0x60 | byte(len(text))}, text...), nil
}

// UnmarshalCBOR reads what MarshalCBOR writes.
func (b *Big) UnmarshalCBOR(text []byte) error {
	if len(text) == 0 {
		return errors.New("expected a text")
	}
	if _, ok := b.i.SetString(string(text[1:]), 10); !ok {
		return errors.New("expected digits")
	}
	return nil
}
