package odd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ciranda.dev/rmi"
	"ciranda.dev/rmi/rmigen/internal/odd/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// types gives back what it gets.
type echo struct{}

func (echo) Basics(_ Context, b bool, i int8, u uint64, f float32, s string, r rune) (bool, int8, uint64, float32, string, rune, error) {
	return b, i, u, f, s, r, nil
}

func (echo) Named(_ context.Context, k Kind, c Cents, n Names, by Index) (Kind, Cents, Names, Index, error) {
	return k, c, n, by, nil
}

func (echo) Lists(_ context.Context, raw []byte, fixed [4]byte, pair [2]string, grid [][]int) ([]byte, [4]byte, [2]string, [][]int, error) {
	return raw, fixed, pair, grid, nil
}

func (echo) Maps(_ context.Context, m map[string][]int, k map[Kind]bool, a map[netip.Addr]string) (map[string][]int, map[Kind]bool, map[netip.Addr]string, error) {
	return m, k, a, nil
}

func (echo) Pointers(_ context.Context, p *int, q **string, s *Structure) (*int, **string, *Structure, error) {
	return p, q, s, nil
}

func (echo) Structs(_ context.Context, s Structure, a struct{ X, Y int }, g Pair[string, Kind]) (Structure, struct{ X, Y int }, Pair[string, Kind], error) {
	return s, a, g, nil
}

func (echo) Times(_ context.Context, at time.Time, d time.Duration) (time.Time, time.Duration, error) {
	return at, d, nil
}

func (echo) Itself(_ context.Context, v Version, a netip.Addr, n Number) (Version, netip.Addr, Number, error) {
	return v, a, n, nil
}

func (echo) Tree(_ context.Context, t Tree) (*Tree, error) { return &t, nil }

func (echo) Nothing(_ context.Context, e struct{}, none []struct{}) (struct{}, []struct{}, error) {
	return e, none, nil
}

func (echo) Ref(_ context.Context, ref rmi.Ref) (rmi.Ref, error) { return ref, nil }

var options = rmi.Options{Secret: []byte("a secret of the tests")}

// nodes are two that are connected.
func nodes(t *testing.T) (server, client *rmi.Node) {
	t.Helper()
	server, err := rmi.Listen("127.0.0.1:0", options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	if client, err = rmi.Dial(t.Context(), server.Addr().String(), options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return server, client
}

// served gives a stub of an object that another node has.
func served[T any](t *testing.T, of *rmi.Interface[T], object T) T {
	t.Helper()
	server, client := nodes(t)
	ref, err := of.Export(server, object)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Names().Bind(t.Context(), "it", ref, nil); err != nil {
		t.Fatal(err)
	}
	stub, err := of.Lookup(t.Context(), client, "it")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := rmi.RefOf(stub); !ok {
		t.Fatalf("%T is no stub", stub)
	}
	return stub
}

// Each method of Types gives back what it is called with, with all kinds of values and with none.
func TestTypesRoundTrip(t *testing.T) {
	stub := reflect.ValueOf(served[Types](t, TypesRemote, echo{}))
	two, word := 2, "word"
	to := &word
	whole := Structure{Base: Base{7}, Other: &Other{[]byte{1, 2}}, Name: "whole", When: time.Unix(1, 500).UTC()}
	kind := Kind(9)
	whole.Inner.Deep = []map[string]*Kind{{"k": &kind, "none": nil}}
	var number Number
	number.i.Exp(big.NewInt(-10), big.NewInt(21), nil)
	calls := map[string][]any{
		"Basics":   {true, int8(-128), uint64(math.MaxUint64), float32(0.5), "ä\x00名", 'ß'},
		"Named":    {Kind(255), Cents(-1), Names{"", "n"}, Index{"a": {"b"}, "c": nil}},
		"Lists":    {[]byte{0, 255}, [4]byte{1, 2, 3, 4}, [2]string{"x", ""}, [][]int{{1}, {}, nil, {-2, 3}}},
		"Maps":     {map[string][]int{"": {1}}, map[Kind]bool{3: true, 0: false}, map[netip.Addr]string{netip.MustParseAddr("::1"): "home"}},
		"Pointers": {&two, &to, &whole},
		"Structs":  {whole, struct{ X, Y int }{3, -4}, Pair[string, Kind]{"p", []Kind{}}},
		"Times":    {time.Date(2026, 2, 29, 12, 0, 0, 123456789, time.UTC), -time.Hour},
		"Itself":   {Version{1, 26}, netip.MustParseAddr("192.0.2.1"), number},
		"Tree":     {Tree{1, []*Tree{{2, nil, nil}, nil}, map[string]Tree{"x": {Value: 3}}}},
		"Nothing":  {struct{}{}, []struct{}{{}, {}}},
		"Ref":      {rmi.Ref{Transfer: 3}},
	}
	for i := range TypesRemote.Description().Methods {
		name := TypesRemote.Description().Methods[i].Name
		m := stub.MethodByName(name)
		full, none := []reflect.Value{reflect.ValueOf(t.Context())}, []reflect.Value{reflect.ValueOf(t.Context())}
		for i, arg := range calls[name] {
			full = append(full, reflect.ValueOf(arg))
			none = append(none, reflect.Zero(m.Type().In(i+1)))
		}
		for _, args := range [][]reflect.Value{full, none} {
			compare(t, name, args, m.Call(args))
		}
	}
}

// compare compares results with arguments.
func compare(t *testing.T, name string, args, results []reflect.Value) {
	t.Helper()
	if err := results[len(results)-1]; !err.IsNil() {
		t.Errorf("%s: %v", name, err)
		return
	}
	for i, got := range results[:len(results)-1] {
		want := args[i+1]
		if got.Kind() == reflect.Pointer && want.Kind() == reflect.Struct { // the tree
			got = got.Elem()
		}
		if !reflect.DeepEqual(got.Interface(), want.Interface()) {
			t.Errorf("%s: result %d is %+v, want %+v", name, i+1, got, want)
		}
	}
}

// guest is a party.
type guest struct {
	heard []string
	shout chan string
}

func (g *guest) Hear(_ context.Context, what string) (int, error) {
	g.heard = append(g.heard, what)
	return len(g.heard), nil
}

func (g *guest) Count(context.Context) (int, error) { return len(g.heard), nil }

func (g *guest) Introduce(_ context.Context, other Party, back peer.Listener) (Party, peer.Listener, error) {
	return other, back, nil
}

func (g *guest) Tell(ctx context.Context, to peer.Listener, what string) (int, error) {
	if to == nil {
		return 0, errors.New("nobody is told")
	}
	return to.Hear(ctx, what)
}

func (g *guest) Shout(_ context.Context, what string) error {
	g.shout <- what
	return nil
}

// References go there, are called, and come back as what they were.
func TestReferencesRoundTrip(t *testing.T) {
	host, visitor, ear := &guest{shout: make(chan string, 1)}, &guest{}, &guest{}
	stub := served[Party](t, PartyRemote, host)
	p, l, err := stub.Introduce(t.Context(), visitor, ear)
	if err != nil || p != Party(visitor) || l != peer.Listener(ear) {
		t.Errorf("got %v, %v, %v", p, l, err)
	}
	if p, l, err = stub.Introduce(t.Context(), stub, nil); err != nil || l != nil {
		t.Errorf("got %v, %v, %v", p, l, err)
	}
	if n, err := p.Hear(t.Context(), "I am the host"); n != 1 || err != nil || host.heard[0] != "I am the host" {
		t.Errorf("got %d, %v; the host heard %v", n, err, host.heard)
	}
	for i := range 3 {
		if n, err := stub.Tell(t.Context(), ear, "hello"); n != i+1 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
	}
	if _, err := stub.Tell(t.Context(), nil, "hello"); err == nil || err.Error() != "nobody is told" {
		t.Errorf("got %v", err)
	}
	if err := stub.Shout(t.Context(), "ho"); err != nil || <-host.shout != "ho" {
		t.Errorf("got %v", err)
	}
}

// A reference to something else than the contract says is an error that names the argument.
func TestOtherInterface(t *testing.T) {
	server, client := nodes(t)
	party, err := PartyRemote.Export(server, &guest{})
	if err != nil {
		t.Fatal(err)
	}
	types, err := TypesRemote.Export(server, echo{})
	if err != nil {
		t.Fatal(err)
	}
	tell := partyTellMethod
	_, err = tell.Invoke(t.Context(), client.Remote(party), &partyTellIn{types, "hello"})
	var is *rmi.Error
	if !errors.As(err, &is) || is.Kind != rmi.BadArgument || is.Happened != rmi.No || !strings.HasPrefix(is.Text, "to: ") {
		t.Errorf("got %v", err)
	}
}

// hiding has methods with names that stubs have too.
type hiding struct{}

func (hiding) String(_ context.Context, stub, in, out, object, result string) (string, error) {
	return fmt.Sprint(stub, in, out, object, result), nil
}

func (hiding) Peer(ctx context.Context, rmi, context, ref1, arg1 int, back peer.Listener) (int, int, int, error) {
	n, err := back.Hear(ctx, fmt.Sprint(rmi, context, ref1, arg1))
	return rmi + context, ref1 + arg1, n, err
}

func (hiding) Describe(_ context.Context, ärger, 名 int) (int, error) { return ärger - 名, nil }

func (hiding) Ref(context.Context) error { return errors.ErrUnsupported }

func (hiding) Caller(_ context.Context, a, _ peer.Listener) (peer.Listener, error) { return a, nil }

func TestNamesHideNothing(t *testing.T) {
	stub := served[Hiding](t, HidingRemote, hiding{})
	if s, err := stub.String(t.Context(), "a", "b", "c", "d", "e"); s != "abcde" || err != nil {
		t.Errorf("got %q, %v", s, err)
	}
	ear := &guest{}
	if a, b, c, err := stub.Peer(t.Context(), 1, 2, 3, 4, ear); a != 3 || b != 7 || c != 1 || err != nil || ear.heard[0] != "1 2 3 4" {
		t.Errorf("got %d, %d, %d, %v", a, b, c, err)
	}
	if n, err := stub.Describe(t.Context(), 5, 7); n != -2 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if err := stub.Ref(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	if l, err := stub.Caller(t.Context(), ear, nil); l != peer.Listener(ear) || err != nil {
		t.Errorf("got %v, %v", l, err)
	}
}

// Marks of methods are in the description, also those of an interface that is embedded.
func TestMarks(t *testing.T) {
	want := map[string]rmi.Semantics{"Hear": rmi.AtMostOnce, "Count": rmi.AtLeastOnce, "Introduce": rmi.AtLeastOnce, "Tell": rmi.AtMostOnce, "Shout": rmi.Maybe}
	for _, m := range PartyRemote.Description().Methods {
		if m.Semantics != want[m.Name] {
			t.Errorf("%s is %v, want %v", m.Name, m.Semantics, want[m.Name])
		}
		delete(want, m.Name)
	}
	if len(want) > 0 {
		t.Errorf("not described: %v", want)
	}
}
