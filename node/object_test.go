package node

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"ciranda.dev/app/bank"
)

// What is made of a value is what package json makes of it, but for numbers that would lose digits.
func TestObject(t *testing.T) {
	type inner struct{ A, B int }
	type outer struct {
		Plain   inner
		Tagged  uint16 `json:"tagged"`
		Empty   []int  `json:"empty,omitempty"`
		None    []int
		Zero    inner `json:"zero,omitzero"`
		Kept    inner `json:"kept,omitempty"`
		hidden  int
		Out     int    `json:"-"`
		Text    string `json:"text,omitempty"`
		Quoted  string
		Bytes   []byte
		Map     map[string]inner
		Any     any
		Pointer *inner
		Float   float64
		Flags   [2]bool
		Time    time.Time
	}
	values := []any{
		outer{hidden: 1, Out: 2, Quoted: "é\u2028<\"", Bytes: []byte{0, 255}, Map: map[string]inner{"x": {1, 2}}, Any: []any{1, "a", nil},
			Pointer: &inner{3, 4}, Float: 0.1, Flags: [2]bool{true, false}, Time: time.Unix(5, 0).UTC()},
		outer{},
		struct {
			inner
			C int `json:"c,string"`
		}{inner{1, 2}, 3},
		struct {
			N int `json:"n,string"`
		}{5},
		bank.Account{Node: 1, Balance: -5, Next: 9, Outgoing: []bank.Outgoing{{Number: 1, To: 2, Amount: 3}}, Applied: []bank.Applied{{From: 1, Also: []uint64{5}}}},
		map[string]int{"a": 1},
	}
	for _, v := range values {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		want := &structpb.Struct{}
		if err := json.Unmarshal(text, want); err != nil {
			t.Fatal(err)
		}
		got, err := object(v)
		if err != nil || !reflect.DeepEqual(got.AsMap(), want.AsMap()) {
			t.Errorf("%T: got %v, %v; want %v", v, got.AsMap(), err, want.AsMap())
		}
	}
	for _, c := range []struct{ v, want any }{
		{nil, nil}, {5, 5.0}, {"x", "x"}, {uint64(math.MaxUint64), "18446744073709551615"}, {int64(-1<<53 - 1), "-9007199254740993"},
		{int64(1 << 53), 9007199254740992.0}, {[]uint64{1 << 60}, []any{"1152921504606846976"}}, {map[string]uint64{"a": 1 << 60}, nil},
	} {
		got, err := object(c.v)
		if m, ok := c.v.(map[string]uint64); ok {
			if err != nil || got.AsMap()["a"] != "1152921504606846976" {
				t.Errorf("%v: got %v, %v", m, got.AsMap(), err)
			}
		} else if err != nil || !reflect.DeepEqual(got.AsMap()["value"], c.want) {
			t.Errorf("%v: got %v, %v; want %v", c.v, got.AsMap(), err, c.want)
		}
	}
	if _, err := object(math.NaN()); err == nil {
		t.Error("what JSON cannot say was shown")
	}
}
