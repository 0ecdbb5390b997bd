package check

import (
	"math/rand/v2"
	"strings"
	"testing"

	"ciranda.dev/app/bank"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/snapshot"
	"ciranda.dev/trace"
)

// A teller writes what three nodes of a bank tell, one event a second.
type teller struct {
	events []trace.Event
	lives  [4]protocol.Incarnation
	counts [4]uint64
}

func (t *teller) add(id protocol.ID, k trace.Kind, data any) *teller {
	if k == trace.Start || k == trace.Recover {
		t.lives[id], t.counts[id] = t.lives[id]+1, 0
	}
	t.counts[id]++
	t.events = append(t.events, trace.Event{Kind: k, T: int64(len(t.events)) * 1e9, Node: id, Inc: t.lives[id], N: t.counts[id], Data: data})
	return t
}

// open begins a life with an account.
func (t *teller) open(a bank.Account) *teller {
	k := trace.Recover
	if t.lives[a.Node] == 0 {
		k = trace.Start
	}
	return t.add(a.Node, k, trace.Life{Stored: k == trace.Recover}).tell(a.Node, bank.Opened{Account: a})
}

func (t *teller) tell(id protocol.ID, e protocol.Event) *teller { return t.add(id, trace.Told, e) }

func (t *teller) debit(id protocol.ID, number uint64, to protocol.ID, amount, balance int64) *teller {
	return t.tell(id, bank.Debited{TID: bank.TID{Node: id, Number: number}, To: to, Amount: amount, Balance: balance})
}

func (t *teller) credit(id, from protocol.ID, number uint64, amount, balance int64) *teller {
	return t.tell(id, bank.Credited{TID: bank.TID{Node: from, Number: number}, Amount: amount, Balance: balance})
}

func (t *teller) settle(id protocol.ID, number uint64) *teller {
	return t.tell(id, bank.Settled{TID: bank.TID{Node: id, Number: number}})
}

func (t *teller) calm() *teller {
	t.add(0, trace.Calm, nil)
	t.events[len(t.events)-1].Inc = 0
	return t
}

func (t *teller) wait() *teller {
	return t.add(0, trace.End, trace.Ending{})
}

// opened has all three accounts open.
func opened() *teller {
	t := &teller{}
	for id := protocol.ID(1); id <= 3; id++ {
		t.open(bank.Account{Node: id, Balance: 100})
	}
	return t
}

func (t *teller) judge(tb testing.TB, name string, e Engine) Result {
	p, err := New(name, Params{}, Setup{Nodes: ids(3), Engine: e, Level: trace.Protocol, Bank: &Bank{}})
	if err != nil {
		tb.Fatal(err)
	}
	s := NewSuite(p)
	for i := range t.events {
		s = s.Clone()
		s.Record(&t.events[i])
	}
	return s.Results()[0]
}

func reply(n uint64) protocol.Reply {
	return protocol.Reply{ID: n, Body: bank.Transferred{TID: bank.TID{Node: 1, Number: n}, To: 2, Amount: 30}}
}

// notViolated is wanted where it depends on the cuts that are drawn whether anything was judged.
const notViolated Verdict = "not violated"

var bankTests = []struct {
	name, property string
	run            *teller
	engine         Engine
	want           Verdict
	why            string // a part of it
}{
	{"fine", "money-conserved", opened().debit(1, 1, 2, 30, 70).credit(2, 1, 1, 30, 130).settle(1, 1), Simulated, Holds, ""},
	{"on its way", "money-conserved", opened().debit(1, 1, 2, 30, 70), Simulated, Holds, ""},
	{"vanished", "money-conserved", opened().debit(1, 1, 2, 30, 70).settle(1, 1), Simulated, Violated, "is 270 in a consistent cut, and should be 300"},
	{"twice", "money-conserved", opened().debit(1, 1, 2, 30, 70).credit(2, 1, 1, 30, 130).credit(2, 1, 1, 30, 160), Simulated, Violated, "is 330"},
	{"a crash loses an entry", "money-conserved", opened().debit(1, 1, 2, 30, 70).open(bank.Account{Node: 1, Balance: 70}), Simulated, Violated, "is 270"},
	{"a crash brings a settled entry back", "money-conserved", opened().debit(1, 1, 2, 30, 70).credit(2, 1, 1, 30, 130).settle(1, 1).
		open(bank.Account{Node: 1, Balance: 70, Outgoing: []bank.Outgoing{{Number: 1, To: 2, Amount: 30}}}), Simulated, Holds, ""},
	{"a killed process did not record", "money-conserved", opened().credit(2, 1, 1, 30, 130), OneHost, notViolated, ""},
	{"a disk was lost", "money-conserved", opened().add(2, trace.Recover, trace.Life{}).tell(2, bank.Opened{Account: bank.Account{Node: 2, Balance: 0}}),
		Simulated, Unexercised, "node 2 lost its disk"},
	{"nothing", "money-conserved", &teller{}, Simulated, Unexercised, "no node opened"},

	{"none", "no-overdraft", opened().debit(1, 1, 2, 100, 0), Simulated, Holds, ""},
	{"overdraft", "no-overdraft", opened().debit(1, 1, 2, 101, -1), Simulated, Violated, "node 1 has a balance of -1"},
	{"once", "applied-once", opened().credit(2, 1, 1, 30, 130).credit(2, 1, 2, 30, 160), Simulated, Holds, ""},
	{"twice in two lives", "applied-once", opened().credit(2, 1, 1, 30, 130).open(bank.Account{Node: 2, Balance: 130}).credit(2, 1, 1, 30, 160),
		Simulated, Violated, "node 2 applies transfer 1:1 of 30, which was applied before"},

	{"in order", "applied-after-debit", opened().debit(1, 1, 2, 30, 70).credit(2, 1, 1, 30, 130), Simulated, Holds, ""},
	{"never debited", "applied-after-debit", opened().credit(2, 1, 1, 30, 130), Simulated, Violated, "never debited"},
	{"another amount", "applied-after-debit", opened().debit(1, 1, 2, 30, 70).credit(2, 1, 1, 31, 131), Simulated, Violated, "debited as 30 to node 2"},
	{"another receiver", "applied-after-debit", opened().debit(1, 1, 2, 30, 70).credit(3, 1, 1, 30, 130), Simulated, Violated, "to node 2"},
	{"told by the next life", "applied-after-debit", opened().credit(2, 1, 1, 30, 130).
		open(bank.Account{Node: 1, Balance: 70, Outgoing: []bank.Outgoing{{Number: 1, To: 2, Amount: 30}}}), OneHost, Holds, ""},
	{"killed before it could record", "applied-after-debit", opened().credit(2, 1, 1, 30, 130).add(1, trace.Crash, nil), OneHost, Unexercised, ""},
	{"never debited, live", "applied-after-debit", opened().credit(2, 1, 1, 30, 130), OneHost, Violated, "never debited"},

	{"arrived", "debits-applied", opened().debit(1, 1, 2, 30, 70).credit(2, 1, 1, 30, 130).calm().wait().wait().wait().wait().wait().wait(), Simulated, Holds, ""},
	{"not arrived", "debits-applied", opened().calm().debit(1, 1, 2, 30, 70).wait().wait().wait().wait().wait().wait(), Simulated, Violated, "is not applied after 6s, when 5s are allowed"},
	{"the receiver is down", "debits-applied", opened().debit(1, 1, 2, 30, 70).add(2, trace.Crash, nil).calm().wait().wait().wait().wait().wait().wait(), Simulated, Unexercised, "no such transfer"},
	{"too early", "debits-applied", opened().debit(1, 1, 2, 30, 70).calm().wait(), Simulated, Unexercised, "1s after it became calm"},
	{"shown by a stored account", "debits-applied", opened().debit(1, 1, 2, 30, 70).
		open(bank.Account{Node: 2, Balance: 130, Applied: []bank.Applied{{From: 1, Below: 1, Also: []uint64{1}}}}).calm().wait().wait().wait().wait().wait(), Simulated, Holds, ""},

	{"acknowledged", "none-acknowledged-lost", opened().debit(1, 1, 2, 30, 70).tell(1, reply(1)).credit(2, 1, 1, 30, 130).calm().wait().wait().wait().wait().wait(), Simulated, Holds, ""},
	{"not acknowledged", "none-acknowledged-lost", opened().debit(1, 1, 2, 30, 70).calm().wait().wait().wait().wait().wait(), Simulated, Unexercised, ""},
	{"acknowledged and lost", "none-acknowledged-lost", opened().debit(1, 1, 2, 30, 70).tell(1, reply(1)).calm().wait().wait().wait().wait().wait(), Simulated, Violated, "was acknowledged to a client, and is not applied"},
	{"acknowledged and undone", "none-acknowledged-lost", opened().tell(1, reply(1)).open(bank.Account{Node: 1, Balance: 100}), Simulated, Violated, "the crash of node 1 undid it"},
}

func TestBankProperties(t *testing.T) {
	for _, test := range bankTests {
		t.Run(test.property+", "+test.name, func(t *testing.T) {
			got := test.run.judge(t, test.property, test.engine)
			if test.want == notViolated && got.Verdict != Violated {
				return
			}
			if got.Verdict != test.want || !strings.Contains(got.Why, test.why) {
				t.Errorf("got %s: %s; want %s: %s", got.Verdict, got.Why, test.want, test.why)
			}
		})
	}
}

func TestRequestOnce(t *testing.T) {
	d := bank.Debited{TID: bank.TID{Node: 1, Number: 1}, To: 2, Amount: 1, Balance: 99, Request: bank.Request{Client: "me", Number: 7}}
	if r := opened().tell(1, d).judge(t, "request-once", Simulated); r.Verdict != Holds {
		t.Errorf("once: %v", r)
	}
	d.TID.Number = 2
	if r := opened().tell(1, d).tell(1, d).judge(t, "request-once", Simulated); r.Verdict != Violated || r.Why != "node 1 does request me/7 twice" {
		t.Errorf("twice: %v", r)
	}
	life := func(next uint64) Result {
		return opened().debit(1, 1, 2, 30, 70).tell(1, reply(1)).open(bank.Account{Node: 1, Balance: 70, Next: next}).judge(t, "request-once", OneHost)
	}
	if r := life(2); r.Verdict != Holds {
		t.Errorf("a life that knows: %v", r)
	}
	if r := life(1); r.Verdict != Violated || r.Why != "node 1 does not know transfer 1:1 any more, of which a client was told that it is done" {
		t.Errorf("a life that forgot: %v", r)
	}
}

// A reply that was read from a file has its type again; others stay as they are.
func TestRepliesFromFiles(t *testing.T) {
	for json, want := range map[string]any{
		`{"id":7,"body":{"tid":{"node":1,"number":5},"to":2,"amount":30}}`: protocol.Reply{ID: 7,
			Body: bank.Transferred{TID: bank.TID{Node: 1, Number: 5}, To: 2, Amount: 30}},
		`{"id":7,"body":{"why":"no"}}`: trace.Raw{Name: "reply", JSON: []byte(`{"id":7,"body":{"why":"no"}}`)},
		`{"id":7,"body":3}`:            trace.Raw{Name: "reply", JSON: []byte(`{"id":7,"body":3}`)},
	} {
		e := typed(&trace.Event{Kind: trace.Told, Data: trace.Raw{Name: "reply", JSON: []byte(json)}})
		if got, ok := e.Data.(protocol.Reply); ok && got != want {
			t.Errorf("%s is %v; want %v", json, got, want)
		} else if _, reply := want.(protocol.Reply); reply != ok {
			t.Errorf("%s is a %T", json, e.Data)
		}
	}
}

func TestNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	set, want := numbers{}, map[uint64]bool{}
	for range 2000 {
		n := uint64(r.IntN(300))
		if set.has(n) != want[n] || set.add(n) == want[n] {
			t.Fatalf("%d: found %t, want %t, in %v", n, !want[n], want[n], set.runs)
		}
		want[n] = true
		for i := 1; i < len(set.runs); i++ {
			if set.runs[i-1].last+1 >= set.runs[i].first {
				t.Fatalf("the runs %v touch", set.runs)
			}
		}
	}
}

// A snapshot that was read from a file has its type again, and the accounts in it.
func TestSnapshotsFromFiles(t *testing.T) {
	e := typed(&trace.Event{Kind: trace.Told, Data: trace.Raw{Name: "snap.done", JSON: []byte(`{"id":{"node":1,"inc":1,"number":2},
		"complete":true,"consistent":true,"nodes":[{"node":1,"inc":1,"state":{"type":"bank.Account","body":{"node":1,"balance":90,"next":2}}},
		{"node":2,"inc":1,"state":{"type":"purse","body":3}},{"node":3,"inc":1,"state":{"type":"bank.Account"}}]}`)}})
	got, ok := taken(e)
	if !ok || !got.Complete || got.ID.Number != 2 || len(got.Nodes) != 3 {
		t.Fatalf("got %+v, %t", e.Data, ok)
	}
	if a, ok := got.Nodes[0].State.Body.(bank.Account); !ok || a.Balance != 90 {
		t.Errorf("got the state %+v", got.Nodes[0].State)
	}
}

// A picture adds up whether a transfer is debited, on its way or applied; of one that lacks a node nothing is said.
func TestSnapshotConserved(t *testing.T) {
	picture := func(complete bool, accounts ...bank.Account) snapshot.Done {
		s := snapshot.Taken{ID: snapshot.ID{Node: 1, Incarnation: 1, Number: 1}, Complete: complete}
		for _, a := range accounts {
			s.Nodes = append(s.Nodes, snapshot.NodeState{Node: a.Node, Incarnation: 1, State: snapshot.Message{Body: a}})
		}
		if !complete {
			s.Missing = []snapshot.Missing{{Node: 3, Why: "restarted"}}
		}
		return snapshot.Done{Taken: s}
	}
	large := picture(true, bank.Account{Node: 1})
	large.Nodes[0].State.Body = nil
	before := bank.Account{Node: 1, Balance: 100, Next: 1}
	after := bank.Account{Node: 1, Balance: 70, Next: 2, Outgoing: []bank.Outgoing{{Number: 1, To: 2, Amount: 30}}}
	second, third := bank.Account{Node: 2, Balance: 100, Next: 1}, bank.Account{Node: 3, Balance: 100, Next: 1}
	richer := bank.Account{Node: 2, Balance: 130, Next: 1, Applied: []bank.Applied{{From: 1, Also: []uint64{1}, Count: 1}}}
	for _, test := range []struct {
		done snapshot.Done
		want Verdict
		why  string
	}{
		{picture(true, before, second, third), Holds, ""},
		{picture(true, after, second, third), Holds, ""},
		{picture(true, after, richer, third), Holds, ""},
		{picture(true, before, richer, third), Violated, "all money is 330 in snapshot 1#1:1, and should be 300: 330 in 3 accounts + 0 on its way"},
		{picture(false, before, richer), Unexercised, "no snapshot is complete: of 1#1:1 node 3 is missing, restarted"},
		{large, Unexercised, "what snapshot 1#1:1 found is too large for the trace"},
	} {
		p, err := New("snapshot-conserved", nil, Setup{Nodes: ids(3), Level: trace.Protocol, Bank: &Bank{}, Snapshot: &Snapshot{}})
		if err != nil {
			t.Fatal(err)
		}
		s := NewSuite(p)
		s.Record(&trace.Event{Kind: trace.Told, Node: 1, Inc: 1, Data: test.done})
		if r := s.Results()[0]; r.Verdict != test.want || r.Why != test.why {
			t.Errorf("got %s: %s; want %s: %s", r.Verdict, r.Why, test.want, test.why)
		}
	}
}
