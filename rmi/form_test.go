package rmi

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

type (
	Inner struct {
		A int `json:"a"`
		B string
	}
	outer struct {
		Inner2
		Inner
		C    []Inner          `cbor:"c"`
		D    map[string]Inner `json:"d,omitempty"`
		Skip chan int         `cbor:"-"`
		When time.Time
		By   *Inner
	}
	Inner2  struct{ E bool }
	circle  struct{ Next *circle }
	circles struct {
		Name string
		At   *circle `cbor:"at"`
	}
	dated struct {
		time.Time
		Text string
	}
	pointing *pointing
	own      struct {
		time.Time
		Text string
	}
)

func (o own) MarshalBinary() ([]byte, error)  { return []byte(o.Text), nil }
func (o *own) UnmarshalBinary(b []byte) error { o.Text = string(b); return nil }

// What a description says is what is on the wire.
func TestWords(t *testing.T) {
	want := "{E bool, a int, B string, c []{a int, B string}, d map[string]{a int, B string}, When time, By *{a int, B string}}"
	if got := words(reflect.TypeFor[outer](), nil); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	b, err := encode(outer{})
	if err != nil {
		t.Fatal(err)
	}
	var on map[string]any
	if err := decode(b, &on); err != nil {
		t.Fatal(err)
	}
	for _, f := range fields(reflect.TypeFor[outer]()) {
		if delete(on, f.Name); f.Name == "" {
			t.Error("a field without a name")
		}
	}
	if len(on) > 0 {
		t.Errorf("on the wire is also %v", on)
	}
	if err := crosses(reflect.TypeFor[dated]()); err == nil || !strings.Contains(err.Error(), "stay behind") {
		t.Errorf("got %v", err)
	}
	if err := crosses(reflect.TypeFor[struct{ O own }]()); err != nil {
		t.Error(err)
	}
	if err := crosses(reflect.TypeFor[outer]()); err != nil {
		t.Error(err)
	}
}

// A value that contains itself is refused, and so is one that is too deep. Others of its type go.
func TestCircles(t *testing.T) {
	ring := &circle{}
	ring.Next = ring
	long := &circle{}
	for range 30 {
		long = &circle{long}
	}
	var self pointing
	self = &self
	for _, at := range []*circle{ring, long} {
		var is *Error
		if _, err := encode(&circles{"x", at}); !errors.As(err, &is) || is.Kind != BadArgument || !strings.HasPrefix(is.Text, "at: found more than 16 levels") {
			t.Errorf("got %v", err)
		}
	}
	if _, err := encode(&struct{ P pointing }{self}); err == nil {
		t.Error("a pointer to itself is encoded")
	}
	if _, err := encode(&circles{"x", &circle{&circle{}}}); err != nil {
		t.Error(err)
	}
}

// Names can be looked up without code, too.
func TestNamesByJSON(t *testing.T) {
	server, client, _, _ := near(t)
	ref, err := newRoot(server).Names(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := client.Remote(ref)
	d, err := r.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.CallJSON(t.Context(), d, "Lookup", []byte(`{"name": "greeter"}`))
	if err != nil || !strings.Contains(string(out), `"name":"greeter"`) || !strings.Contains(string(out), `"interface":"test.Greeter"`) {
		t.Errorf("got %s, %v", out, err)
	}
}
