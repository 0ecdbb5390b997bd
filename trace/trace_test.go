package trace_test

import (
	"fmt"
	"math/rand/v2"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/election"
	"ciranda.dev/trace"
)

// ping is a message of the tests.
type ping struct {
	Counter uint64 `json:"counter"`
	Note    string `json:"note,omitempty"`
}

var header = trace.Header{
	Version: "test", Scenario: "a test", Engine: "sim", Level: trace.Full, Members: []protocol.ID{1, 2, 3, 4},
	Layers: []string{"heartbeat", "bully"}, Timers: [][]string{{"beat", "timeout"}, {"answer"}}, Seed: 7,
	Steps: []string{"start 1", "deliver 1→2 ping"},
}

// A run makes events as an engine would: a few nodes that send, receive, set timers, suspect, elect, crash and recover.
type run struct {
	draw    func(n int) int
	t       int64
	nodes   []life
	flying  []flight
	events  []trace.Event
	dropped bool // whether messages are dropped and doubled
}

type life struct {
	inc     protocol.Incarnation
	n, seq  uint64
	lamport uint64
}

type flight struct {
	id   trace.MessageID
	to   protocol.ID
	t    uint64
	copy uint8
	body ping
}

// random makes about so many events.
func random(draw func(n int) int, nodes, events int) []trace.Event {
	r := &run{draw: draw, nodes: make([]life, nodes), dropped: true}
	for id := 1; id <= nodes; id++ {
		r.nodes[id-1].inc = 1
		r.add(id, trace.Event{Kind: trace.Start, Data: trace.Life{}})
	}
	for len(r.events) < events {
		r.t += int64(draw(1_000_000))
		r.step(1 + draw(nodes))
	}
	r.events = append(r.events, trace.Event{Kind: trace.Calm, T: r.t},
		trace.Event{Kind: trace.End, T: r.t, Data: trace.Ending{InFlight: len(r.flying)}})
	return r.events
}

func seeded(seed uint64, nodes, events int) []trace.Event {
	return random(rand.New(rand.NewPCG(seed, 3)).IntN, nodes, events)
}

// add stamps an event of a node and keeps it.
func (r *run) add(id int, e trace.Event) {
	l := &r.nodes[id-1]
	l.n++
	l.lamport++
	e.Node, e.Inc, e.N, e.T, e.Lamport = protocol.ID(id), l.inc, l.n, r.t, l.lamport
	r.events = append(r.events, e)
}

func (r *run) step(id int) {
	l := &r.nodes[id-1]
	peer := protocol.ID(1 + r.draw(len(r.nodes)))
	switch what := r.draw(20); {
	case what < 6:
		if int(peer) == id {
			return
		}
		l.seq++
		body := ping{uint64(r.draw(5)), ""}
		r.add(id, trace.Event{Kind: trace.Send, Layer: 1, Peer: peer, PeerInc: 1, Seq: l.seq, Cause: l.n, Data: body})
		r.flying = append(r.flying, flight{trace.MessageID{Node: protocol.ID(id), Inc: l.inc, Seq: l.seq}, peer, l.lamport, 0, body})
	case what < 12 && len(r.flying) > 0:
		r.arrive(r.draw(len(r.flying)))
	case what == 12:
		r.add(id, trace.Event{Kind: trace.Told, Data: detector.Suspect{Node: peer, Incarnation: 1, Why: detector.Timeout}})
	case what == 13:
		term := election.Term{Counter: uint64(r.draw(4)), Leader: peer}
		r.add(id, trace.Event{Kind: trace.Told, Layer: 1, Data: election.Elected{Leader: peer, Term: term}})
	case what == 14:
		r.add(id, trace.Event{Kind: trace.Noted, Data: detector.Hint{Node: peer, Incarnation: 1}})
	case what == 15:
		r.add(id, trace.Event{Kind: trace.TimerSet, Timer: protocol.Timer{Kind: 1, Arg: uint32(peer)}, After: 100_000_000})
		r.add(id, trace.Event{Kind: trace.TimerFire, Timer: protocol.Timer{Kind: 0}, Layer: 1})
	case what == 16:
		r.add(id, trace.Event{Kind: trace.Persisted, Layer: 1, Data: trace.Record{Key: "bully/term", Length: 12}})
	case what == 17:
		r.events = append(r.events, trace.Event{Kind: trace.Fault, T: r.t, Node: protocol.ID(id), Peer: peer,
			Data: trace.FaultNote{Text: fmt.Sprintf("cut %d -> %d", id, peer)}})
	case what == 18:
		r.add(id, trace.Event{Kind: trace.Crash})
		l.inc++
		l.n, l.seq = 0, 0
		r.add(id, trace.Event{Kind: trace.Recover, Data: trace.Life{Stored: true, Durable: 3}})
	}
}

func (r *run) arrive(i int) {
	f := r.flying[i]
	if r.dropped {
		e := trace.Event{T: r.t, Node: f.id.Node, Inc: f.id.Inc, Peer: f.to, Seq: f.id.Seq, Layer: 1, Copy: f.copy}
		switch r.draw(8) {
		case 0:
			r.flying = append(r.flying[:i], r.flying[i+1:]...)
			e.Kind, e.Data = trace.Drop, trace.Loss{Reason: "loss"}
			r.events = append(r.events, e)
			return
		case 1:
			f.copy++
			e.Kind, e.Copy = trace.Duplicate, f.copy
			r.flying = append(r.flying, f)
			r.events = append(r.events, e)
		}
	}
	f = r.flying[i]
	r.flying = append(r.flying[:i], r.flying[i+1:]...)
	l := &r.nodes[f.to-1]
	l.lamport = max(l.lamport, f.t)
	r.add(int(f.to), trace.Event{Kind: trace.Receive, Layer: 1, Peer: f.id.Node, PeerInc: f.id.Inc, Seq: f.id.Seq,
		Copy: f.copy, Data: f.body})
}
