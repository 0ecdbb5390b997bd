package album

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

func object(t *testing.T, values map[string]any) *structpb.Struct {
	t.Helper()
	s, err := structpb.NewStruct(values)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// two are two snapshots of the same nodes.
func two(t *testing.T) (a, b Snapshot) {
	pay := object(t, map[string]any{"type": "bank.Pay", "body": map[string]any{"Amount": 30.0}})
	paid := object(t, map[string]any{"type": "bank.Paid"})
	first := &cirandav1.Snapshot{Id: "1#1:1", Initiator: 1, Complete: true, Consistent: true, ElapsedMs: 12.34,
		Nodes: []*cirandav1.Snapshot_State{
			{Id: 1, Incarnation: 1, Lamport: 7, State: object(t, map[string]any{"balance": 70.0, "outgoing": []any{map[string]any{"amount": 30.0}}})},
			{Id: 2, Incarnation: 1, State: object(t, map[string]any{"balance": 100.0, "peers": map[string]any{"a": 1.0}})}},
		Channels: []*cirandav1.Snapshot_Channel{{From: 1, To: 2, Count: 4, Messages: []*structpb.Struct{pay, paid, pay}}, {From: 2, To: 1}},
		Checks:   []*cirandav1.Snapshot_Check{{Name: "cut-consistent", Verdict: "holds"}, {Name: "money-conserved", Verdict: "holds", Detail: "200 = 170 in accounts + 30 in flight"}}}
	second := &cirandav1.Snapshot{Id: "2#1:1", Initiator: 2, Consistent: true,
		Nodes:   []*cirandav1.Snapshot_State{{Id: 1, Incarnation: 2, State: object(t, map[string]any{"balance": 70.0, "outgoing": []any{}, "name": "x"})}},
		Checks:  []*cirandav1.Snapshot_Check{{Name: "cut-consistent", Verdict: "holds"}, {Name: "money-conserved", Verdict: "unexercised", Detail: "n2 did not report"}},
		Missing: []*cirandav1.Snapshot_Missing{{Node: 2, Why: "restarted"}}}
	return Of(first), Of(second)
}

func TestWords(t *testing.T) {
	a, b := two(t)
	if !a.Holds() || b.Holds() || b.Violated() {
		t.Errorf("got %+v and %+v", a, b)
	}
	if got, want := a.Line(), "1#1:1 is complete, 12.3 ms; money-conserved holds: 200 = 170 in accounts + 30 in flight"; got != want {
		t.Errorf("got %q", got)
	}
	if got, want := b.Line(), "2#1:1 is not complete, 0.0 ms; money-conserved is unexercised: n2 did not report"; got != want {
		t.Errorf("got %q", got)
	}
	b.Consistent = false
	if !b.Violated() || b.Quality() != "not consistent" {
		t.Errorf("got %+v", b)
	}
	if got := a.States(); len(got) != 3 || !slices.Equal(got[1], []string{"1", "1", "7", "balance 70, outgoing: 1"}) ||
		got[2][3] != "balance 100, peers: 1" {
		t.Errorf("got %q", got)
	}
	if got := a.OnTheWay(); len(got) != 2 || !slices.Equal(got[1], []string{"1", "2", "4", "2 bank.Pay, 1 bank.Paid"}) || b.OnTheWay() != nil {
		t.Errorf("got %q", got)
	}
}

func TestCompare(t *testing.T) {
	a, b := two(t)
	d := Compare(a, b)
	want := []string{"from 1#1:1 to 2#1:1", `node 1  (life) 1 -> 2, name null -> "x", outgoing: 1 change`, "node 2  is in 1#1:1 only",
		"1 to 2  4 messages on the way before, 0 after",
		"money-conserved: holds: 200 = 170 in accounts + 30 in flight -> unexercised: n2 did not report"}
	if got := d.Lines(); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if c := d.Nodes[0].Changes; len(c) != 3 || c[2].Path != "outgoing[0]" || c[2].To != nil {
		t.Errorf("got %+v", c)
	}
	same := Compare(a, a)
	if got := same.Lines(); !slices.Equal(got, []string{"from 1#1:1 to 1#1:1", "nothing has changed"}) {
		t.Errorf("got %q", got)
	}
}

func TestRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.json")
	for text, want := range map[string]string{
		`{"id":"1#1:1","nodes":[]}`: "",
		`{"id":1}`:                  "is no snapshot: json: cannot unmarshal number",
		`{}`:                        "is no snapshot: found no id and nodes",
		``:                          "is no snapshot: unexpected end",
		`[`:                         "is no snapshot",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(file); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v; want %s", text, err, want)
		}
	}
	if _, err := Read(file + "x"); !os.IsNotExist(err) {
		t.Errorf("got %v", err)
	}
}

// FuzzParse reads any file. What is a snapshot can be shown, and compared with itself and another.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"id":"1#1:1","nodes":[{"id":1,"state":{"a":[1,{"b":null}]}}],"channels":[{"from":70000,"to":2,"count":3,"messages":[{"type":5}]}]}`))
	f.Add([]byte(`{"id":"x","nodes":[],"checks":[{"name":"cut-consistent"}]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s Snapshot
		if parse(text, &s) != nil {
			return
		}
		_, _, _ = s.Line(), s.States(), s.OnTheWay()
		if d := Compare(s, s); len(d.Nodes)+len(d.Channels)+len(d.Checks) > 0 && !repeats(s) {
			t.Errorf("%s: changes from itself to itself: %q", text, d.Lines())
		}
		d := Compare(s, Snapshot{ID: "other"})
		d.Lines()
	})
}

// repeats says that a check is there twice under one name, as none of ours is.
func repeats(s Snapshot) bool {
	seen := map[string]bool{}
	for _, c := range s.Checks {
		if seen[c.Name] {
			return true
		}
		seen[c.Name] = true
	}
	return false
}
