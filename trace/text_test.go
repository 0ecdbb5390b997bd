package trace_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ciranda.dev/app/bank"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/election"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/link"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/protocol/snapshot"
	"ciranda.dev/trace"
)

// every has an event of each kind, and of each that a detector or an election tells.
func every() []trace.Event {
	told := func(node protocol.ID, d protocol.Event) trace.Event {
		return trace.Event{Kind: trace.Told, Layer: 1, Node: node, Inc: 1, N: 9, Data: d}
	}
	note := func(d protocol.Event) trace.Event {
		return trace.Event{Kind: trace.Noted, Layer: 1, Node: 2, Inc: 1, N: 9, Data: d}
	}
	taken := snapshot.ID{Node: 1, Incarnation: 1, Number: 1}
	term := func(c uint64, l protocol.ID) election.Term { return election.Term{Counter: c, Leader: l} }
	return []trace.Event{
		{Kind: trace.Start, Node: 1, Inc: 1, N: 1, Lamport: 1, Data: trace.Life{}},
		{Kind: trace.Send, Node: 1, Inc: 1, N: 2, T: 12_004_567, Lamport: 2, Peer: 2, Seq: 1, Data: ping{7, "a\nb"}},
		{Kind: trace.Receive, Node: 2, Inc: 1, N: 2, T: 13e6, Lamport: 3, Peer: 1, PeerInc: 1, Seq: 1, Copy: 1, Data: ping{7, ""}},
		{Kind: trace.Send, Node: 1, Inc: 1, N: 3, Peer: 2, Seq: 2},
		{Kind: trace.Send, Node: 1, Inc: 1, N: 4, Seq: 3, Data: ping{7, ""}},
		note(protocol.Carries{Broadcasts: true, Size: 1400}), note(protocol.Carries{Why: "node 3 hears none"}),
		{Kind: trace.TimerSet, Node: 1, Inc: 1, N: 4, Layer: 0, Timer: protocol.Timer{Kind: 1, Arg: 5}, After: 350e6},
		{Kind: trace.TimerFire, Node: 1, Inc: 1, N: 5, Layer: 0, Timer: protocol.Timer{Kind: 1, Arg: 5}},
		{Kind: trace.TimerCancel, Node: 1, Inc: 1, N: 6, Layer: 9, Timer: protocol.Timer{Kind: 4}},
		{Kind: trace.Persisted, Node: 1, Inc: 1, N: 7, Data: trace.Record{Key: "bully/pair", Length: 12}},
		{Kind: trace.Call, Node: 1, Inc: 1, N: 8, Data: election.Campaign{}},
		told(3, detector.Suspect{Node: 5, Incarnation: 1, Why: detector.Link}),
		told(3, detector.Suspect{Node: 5, Incarnation: 1, Why: "a dream"}),
		told(3, detector.Restore{Node: 5, Incarnation: 1}),
		told(3, detector.Stalled{Node: 5, On: true}),
		told(4, election.Begun{Counter: 7, Why: election.Suspected}),
		told(4, election.Elected{Leader: 4, Term: term(7, 4)}),
		told(4, election.Elected{Leader: 4, Term: term(8, 4)}),
		told(3, election.Elected{Leader: 4, Term: term(7, 4)}),
		told(3, election.Elected{}),
		told(4, election.SteppedDown{Term: term(7, 4), Why: election.Quorum}),
		told(2, election.Granted{Counter: 8, To: 2}),
		told(1, election.Granted{Counter: 8, To: 2}),
		told(2, election.Elected{Leader: 2, Term: term(8, 2)}),
		told(2, protocol.Reply{ID: 3, Body: election.Campaigning{Counter: 8}}),
		{Kind: trace.Call, Node: 1, Inc: 1, N: 8, Data: bank.Transfer{To: 2, Amount: 30}},
		{Kind: trace.Call, Node: 1, Inc: 1, N: 8, Data: bank.Transfer{To: 2, Amount: 30, Request: bank.Request{Client: "me", Number: 7}}},
		told(1, bank.Opened{Account: bank.Account{Node: 1, Balance: 100, Next: 1}}),
		told(1, bank.Opened{Account: bank.Account{Node: 1, Balance: 70, Next: 2, Outgoing: []bank.Outgoing{{Number: 1, To: 2, Amount: 30}}}}),
		told(1, bank.Debited{TID: bank.TID{Node: 1, Number: 5}, To: 2, Amount: 30, Balance: 70}),
		told(2, bank.Credited{TID: bank.TID{Node: 1, Number: 5}, Amount: 30, Balance: 130}),
		told(1, bank.Settled{TID: bank.TID{Node: 1, Number: 5}}),
		told(1, protocol.Reply{ID: 4, Body: bank.Transferred{TID: bank.TID{Node: 1, Number: 5}, To: 2, Amount: 30}}),
		told(1, protocol.Reply{ID: 5, Body: protocol.Refused{Why: "amount: found 500; expected at most the balance, 70"}}),
		told(1, link.Failed{Node: 2, Incarnation: 1, Packets: 3}), told(1, link.Ejected{Node: 2, Incarnation: 1, Why: link.Backlogged}),
		told(1, link.Full{Node: 2}), told(1, link.Room{Node: 2}),
		told(1, snapshot.Started{ID: taken}), told(2, snapshot.Cut{ID: taken}), told(2, snapshot.Recorded{ID: taken}),
		told(2, snapshot.Closed{ID: taken, From: 1}), told(2, snapshot.Closed{ID: taken, From: 1, Count: 2}),
		told(1, snapshot.Done{Taken: snapshot.Taken{ID: taken, Complete: true}}),
		told(1, snapshot.Done{Taken: snapshot.Taken{ID: taken, Missing: []snapshot.Missing{{Node: 3, Why: "did not report in time"}}}}),
		told(2, snapshot.Aborted{ID: taken}),
		told(1, group.Installed{View: group.View{ID: 1, Members: []group.Member{{Node: 1}, {Node: 3}}}, First: true}),
		told(1, group.Installed{View: group.View{ID: 2, Members: []group.Member{{Node: 1}, {Node: 2}}}, Joined: []protocol.ID{2}, Gone: []protocol.ID{3}}),
		told(1, group.Flush{View: 2}), told(1, group.Gather{View: 2}), told(1, group.Blocked{Why: "1 of 2 is here"}), told(1, group.Blocked{}),
		told(1, group.Excluded{View: 2, Why: group.Left}), told(1, group.Excluded{View: 2, Why: group.Passed}),
		told(1, group.Excluded{View: 2, Why: group.Abrupt}),
		{Kind: trace.Call, Node: 1, Inc: 1, N: 8, Data: group.Leave{}}, {Kind: trace.Call, Node: 1, Inc: 1, N: 8, Data: group.Join{}},
		{Kind: trace.Call, Node: 1, Inc: 1, N: 8, Data: multicast.Cast{Order: multicast.Total, Uniform: true, Payloads: [][]byte{{1}, {2}}}},
		told(1, protocol.Reply{ID: 6, Body: multicast.Sent{View: 2, First: 1, Count: 2}}), told(1, protocol.Reply{ID: 7, Body: group.Out{View: 2}}),
		note(multicast.Began{View: 2, Lane: multicast.Lane{Order: multicast.Total, Uniform: true}, First: 1, Count: 2}),
		note(multicast.Delivered{View: 2, Sender: 2, Lane: multicast.Lane{Order: multicast.FIFO}, First: 7, Count: 1}),
		note(multicast.Ordered{View: 2, Lane: multicast.Lane{Order: multicast.Total}, Place: 4, Sender: 2, First: 7, Count: 3}),
		note(multicast.Holds{View: 2, Upto: []uint64{3, 4}}), note(multicast.Dropped{From: 2, Reason: "view"}),
		told(1, multicast.Broadcasting{Is: true}), told(1, multicast.Broadcasting{Why: "node 3 hears none"}),
		note(detector.Hint{Node: 5, Incarnation: 1}), note(protocol.LinkDown{Node: 5, Incarnation: 1}),
		note(protocol.Disk{Stalled: true}), note(protocol.Disk{}), note(protocol.Stopping{}),
		{Kind: trace.Pause, Node: 2, Inc: 1}, {Kind: trace.Resume, Node: 2, Inc: 1},
		{Kind: trace.Crash, Node: 2, Inc: 1}, {Kind: trace.Stop, Node: 3, Inc: 1},
		{Kind: trace.Recover, Node: 2, Inc: 2, Data: trace.Life{Stored: true}}, {Kind: trace.Recover, Node: 3, Inc: 2, Data: trace.Life{}},
		{Kind: trace.Drop, Node: 1, Inc: 1, Peer: 2, Seq: 2, Data: trace.Loss{Reason: "cut"}},
		{Kind: trace.Duplicate, Node: 1, Inc: 1, Peer: 2, Seq: 1, Copy: 1},
		{Kind: trace.Fault, Node: 1, Peer: 2, Data: trace.FaultNote{Text: "cut 1 -> 2"}},
		{Kind: trace.Calm, T: -5_000}, {Kind: trace.End, Data: trace.Ending{InFlight: 3}},
	}
}

// Text and story are the same whether an event was recorded or read.
func TestInWords(t *testing.T) {
	fresh := inWords(every(), &header)
	file := read(t, write(t, header, every(), trace.WriteOptions{}))
	if stored := inWords(file.Events, &file.Header); stored != fresh {
		t.Errorf("an event that was read is told differently:\n%s\n%s", stored, fresh)
	}
	golden := filepath.Join("testdata", "words.txt")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(fresh), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if fresh != string(want) {
		t.Errorf("got\n%s\nwant that of %s (UPDATE=1 writes it)", fresh, golden)
	}
}

func inWords(events []trace.Event, h *trace.Header) string {
	var b strings.Builder
	teller := trace.NewTeller(h)
	for i := range events {
		b.WriteString(trace.Line(&events[i], h) + "\n")
		if s, ok := teller.Tell(&events[i]); ok {
			b.WriteString("    " + s + "\n")
		}
	}
	return b.String()
}

func TestDataTextIsShort(t *testing.T) {
	text := trace.DataText(ping{1, strings.Repeat("é", 1000)})
	if len(text) > 210 || !strings.HasPrefix(text, "counter=1 note=é") || !bytes.HasSuffix([]byte(text), []byte("…")) {
		t.Errorf("got %q", text)
	}
}
