package check

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/election"
	"ciranda.dev/trace"
	"github.com/cockroachdb/datadriven"
)

// A false suspicion of a tenth of the time, a crash that is noticed in 40 ms, and two leaders for a moment, one of which renews its term.
func TestFigures(t *testing.T) {
	d := &datadriven.TestData{Input: `
		0s 1 start
		0s 2 start
		1s 2 leader 2 1.2
		1s 1 leader 2 1.2
		2s 1 suspect 2 timeout
		2s 1 begun 2 suspect
		2050ms 1 leader 1 2.1
		2400ms 1 restore 2
		2450ms 2 leader 2 3.2
		2500ms 1 leader 2 3.2
		4s 2 crash
		4040ms 1 suspect 2 link
		4040ms 1 begun 4 suspect
		4100ms 1 leader 1 4.1
		5s end`}
	q := &Quality{}
	for _, e := range parseTrace(t, d) {
		q.Record(&e)
	}
	want := Figures{
		Detections: []time.Duration{40 * time.Millisecond}, Mistakes: 1, Mistaken: 400 * time.Millisecond, Watched: 8 * time.Second,
		Elections: 2, Changes: 6, Agreements: []time.Duration{100 * time.Millisecond},
		Overlaps: 2, Overlapping: 450 * time.Millisecond, Longest: 400 * time.Millisecond,
	}
	got := q.Figures()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if a := got.Accuracy(); a != 0.95 {
		t.Errorf("got accuracy %v, want 0.95", a)
	}
}

// Events that were read from a file are judged as those that were just recorded.
func TestEventsFromFiles(t *testing.T) {
	p, err := New("one-leader-per-term", nil, Setup{Nodes: ids(2), Level: trace.Protocol, Election: &Election{}})
	if err != nil {
		t.Fatal(err)
	}
	suite := NewSuite(p)
	for inc := range 2 {
		elected := election.Elected{Leader: 2, Term: election.Term{Counter: 1, Leader: 2}}
		text, err := json.Marshal(elected)
		if err != nil {
			t.Fatal(err)
		}
		suite.Record(&trace.Event{Kind: trace.Told, Node: 2, Inc: protocol.Incarnation(1 + inc), Data: trace.Raw{Name: elected.Kind(), JSON: text}})
	}
	if r := suite.Results()[0]; r.Verdict != Violated {
		t.Errorf("got %s, want %s", r.Verdict, Violated)
	}
}

// What a file claims is no reason to panic: unknown kinds, wrong data, nodes and lives out of order.
func FuzzSuite(f *testing.F) {
	f.Add([]byte{1, 1, 1, 0, 7, 1, 1, 1, 8, 2, 1, 1, 14, 1, 2, 0, 3, 1, 1, 0})
	f.Add([]byte{8, 255, 0, 255, 14, 200, 3, 1, 14, 1, 2, 2, 20, 0, 0, 0, 255, 1, 1, 1})
	setup := Setup{Nodes: ids(3), Level: trace.Full, Election: &Election{Stable: true, Quorum: true, Silence: 1}, Detector: &Detector{Timeout: 1, Verify: 1}}
	f.Fuzz(func(t *testing.T, b []byte) {
		var properties []Property
		for _, name := range Names() {
			if p, err := New(name, nil, setup); err == nil {
				properties = append(properties, p)
			}
		}
		suite, quality := NewSuite(properties...), &Quality{}
		for i := 0; i+3 < len(b); i += 4 {
			e := fuzzed(int64(i), b[i:i+4])
			suite.Record(e)
			quality.Record(e)
		}
		for _, r := range suite.Results() {
			if r.Verdict == Holds && r.Examined == 0 {
				t.Errorf("%s holds, and nothing was examined", r.Property)
			}
		}
		quality.Figures()
	})
}

// fuzzed makes an event of four bytes.
func fuzzed(t int64, b []byte) *trace.Event {
	e := &trace.Event{T: t, N: uint64(b[3]), Seq: uint64(b[3]) << 12, Lamport: uint64(b[2]), Kind: trace.Kind(b[0])}
	e.Node, e.Inc, e.Peer, e.PeerInc = protocol.ID(b[1]), protocol.Incarnation(b[2]&3), protocol.ID(b[2]), protocol.Incarnation(b[3]&3)
	data := []any{nil, trace.Life{Durable: uint64(b[3])}, trace.Life{Stored: true}, trace.FaultNote{Text: "clock"}, trace.Loss{}, trace.Ending{},
		election.Elected{Leader: e.Peer, Term: election.Term{Counter: uint64(b[3] & 3)}}, election.Begun{Why: election.Recovered},
		election.SteppedDown{}, election.Granted{To: e.Peer}, detector.Suspect{Node: e.Peer, Incarnation: e.PeerInc, Why: detector.Link},
		detector.Restore{Node: e.Peer, Incarnation: e.PeerInc}, detector.Hint{Node: e.Peer, Incarnation: e.PeerInc},
		trace.Raw{Name: "el.leader", JSON: json.RawMessage("{")}, detector.Stalled{Node: e.Peer, On: true}}
	e.Data = data[int(b[3])%len(data)]
	return e
}
