package snapshot_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/detector/heartbeat"
	"ciranda.dev/protocol/link"
	"ciranda.dev/protocol/snapshot"
	"ciranda.dev/trace"
)

// A heard is what is told of snapshots in a run, and when.
type heard struct {
	taken   []snapshot.Taken
	took    []time.Duration // since the last begin
	refused []string
	begun   time.Duration
	left    snapshot.Status // at the end, in all
}

// Record notes when snapshots begin.
func (h *heard) Record(e *trace.Event) {
	if _, ok := e.Data.(snapshot.Started); ok {
		h.begun = time.Duration(e.T)
	}
}

// play does a script to four nodes with purses.
func play(t *testing.T, c trial, script ...sim.Action) heard {
	t.Helper()
	return playWith(t, c, func(*trace.Event) {}, script...)
}

// A sink calls a function with each event.
type sink func(*trace.Event)

func (f sink) Record(e *trace.Event) { f(e) }

// playWith lets all events be seen.
func playWith(t *testing.T, c trial, see func(*trace.Event), script ...sim.Action) (h heard) {
	t.Helper()
	w := world.Config{Nodes: 4, Build: c.build, Level: trace.Protocol, Sink: sink(func(e *trace.Event) { h.Record(e); see(e) }), Requests: requests}
	script = append(script, sim.Action{At: duration, Do: func(*sim.Sim) {}})
	s, err := sim.New(sim.Config{World: w, Network: network.Link{Delay: network.Between(ms, 10*ms)}, Seed: 1, Script: script, Duration: duration})
	if err != nil {
		t.Fatal(err)
	}
	s.OnLeave(func(_ protocol.ID, e protocol.Event) {
		r, _ := e.(protocol.Reply)
		switch body := r.Body.(type) {
		case snapshot.Taken:
			h.taken, h.took = append(h.taken, body), append(h.took, s.Now()-h.begun)
		case protocol.Refused:
			h.refused = append(h.refused, body.Why)
		}
	})
	if _, err := s.Run(); err != nil {
		t.Fatal(err)
	}
	for _, id := range s.World().Group() {
		if a, up := s.World().Ask(id, snapshot.Query{}); up {
			h.left.Own += a.(snapshot.Status).Own
			h.left.Parts += a.(snapshot.Status).Parts
		}
	}
	return h
}

func at(when time.Duration, do func(s *sim.Sim)) sim.Action { return sim.Action{At: when, Do: do} }

func takeAt(when time.Duration, id protocol.ID) sim.Action {
	return at(when, func(s *sim.Sim) { s.Request(id, "snapshot") })
}

// only is the snapshot that was taken, incomplete for one node.
func (h heard) only(t *testing.T, missing protocol.ID, why string) time.Duration {
	t.Helper()
	if len(h.taken) != 1 {
		t.Fatalf("got %d snapshots; want one", len(h.taken))
	}
	s := h.taken[0]
	if s.Complete || len(s.Missing) == 0 || s.Missing[0].Node != missing || !strings.Contains(s.Missing[0].Why, why) {
		t.Errorf("got %+v; want it to miss node %d, %s", s, missing, why)
	}
	return h.took[0]
}

// A node that is down from the start is missing after the grace, and one that comes back is not.
func TestDownFromTheStart(t *testing.T) {
	down := at(500*ms, func(s *sim.Sim) { s.Crash(3, false, false) })
	h := play(t, trial{}, down, takeAt(2*time.Second, 1))
	if took := h.only(t, 3, "suspected"); took < 150*ms || took > 250*ms {
		t.Errorf("it took %s; the grace is 150ms", took)
	}
	if len(h.taken[0].Nodes) != 3 {
		t.Errorf("got the states of %d nodes; want 3", len(h.taken[0].Nodes))
	}
	back := at(1900*ms, func(s *sim.Sim) { s.Recover(3) })
	if h := play(t, trial{}, down, back, takeAt(2*time.Second, 1)); !h.taken[0].Complete {
		t.Errorf("got %+v; want it complete", h.taken[0])
	}
}

// A node that dies in the middle is missing as soon as that is known; a new life does not stand in for it.
func TestCrashInTheMiddle(t *testing.T) {
	for _, back := range []time.Duration{0, 5 * ms} {
		script := []sim.Action{takeAt(time.Second, 1), at(time.Second+ms/2, func(s *sim.Sim) { s.Crash(4, false, false) })}
		if back > 0 {
			script = append(script, at(time.Second+back, func(s *sim.Sim) { s.Recover(4) }))
		}
		if took := play(t, trial{}, script...).only(t, 4, ""); took >= within/2 {
			t.Errorf("it took %s", took)
		}
	}
}

// What belongs to a node that was asked and is no more is dropped.
func TestAskedNodeRestarts(t *testing.T) {
	s, o := stack(t, 3)
	id := snapshot.ID{Node: 2, Incarnation: 1, Number: 1}
	data := link.Data{To: 1, Seq: 1, Packet: protocol.Packet{Channel: 2, Body: snapshot.Marker{ID: id}}}
	s.Receive(2, 1, protocol.Packet{Channel: 1, Body: data}, protocol.Inputs{}, o)
	if a, _ := s.Answer(snapshot.Query{}); a.(snapshot.Status).Parts != 1 {
		t.Fatalf("got %+v; want a part", a)
	}
	s.Notify(detector.Suspect{Node: 2, Incarnation: 1, Why: detector.Restarted}, protocol.Inputs{}, o)
	told := slices.ContainsFunc(o.Effects(), func(e protocol.Effect) bool { return e.Body == snapshot.Aborted{ID: id} })
	if a, _ := s.Answer(snapshot.Query{}); a != (snapshot.Status{}) || !told {
		t.Errorf("got %+v and %v; want nothing left, and to be told", a, o.Effects())
	}
}

// An application that says nothing is missing.
func TestMute(t *testing.T) {
	if took := play(t, trial{mute: true}, takeAt(time.Second, 2)).only(t, 1, "did not hand over"); took > within {
		t.Errorf("it took %s", took)
	}
}

// A part that is too large is missing, and the links stay as they are.
func TestTooLarge(t *testing.T) {
	many := at(990*ms, func(s *sim.Sim) {
		for range 10 {
			s.Request(2, "give 3 1 5")
		}
	})
	h := play(t, trial{opts: snapshot.Options{Bytes: 1 << 10}}, many, takeAt(time.Second, 3))
	h.only(t, 3, "takes more than 1024 bytes")
}

// A state that does not fit into a message comes in pieces, all of it.
func TestLargeState(t *testing.T) {
	h := play(t, trial{bulk: []int{700_000, 700_000, 10, 700_000, 700_000}}, takeAt(time.Second, 1))
	if len(h.taken) != 1 || !h.taken[0].Complete || h.took[0] > 500*ms {
		t.Fatalf("got %d snapshots, after %s", len(h.taken), h.took)
	}
	for _, n := range h.taken[0].Nodes {
		sizes := []int{}
		for _, m := range n.More {
			sizes = append(sizes, len(m.Body.(Bulk).Bytes))
		}
		if _, first := n.State.Body.(Purse); !first || !slices.Equal(sizes, []int{700_000, 700_000, 10, 700_000, 700_000}) {
			t.Errorf("node %d: got %s and then pieces of %v bytes", n.Node, n.State.Type, sizes)
		}
	}
}

// What cannot be reported is missing: a piece that no message carries, a node that dies while it reports, and parts that
// are too much together.
func TestLargeStateFails(t *testing.T) {
	h := play(t, trial{bulk: []int{800_000}}, takeAt(time.Second, 1))
	h.only(t, 1, "a message of it takes more than 786432 bytes")
	six := []int{600_000, 600_000, 600_000, 600_000, 600_000, 600_000}
	h = play(t, trial{bulk: six}, takeAt(time.Second, 1), at(time.Second+40*ms, func(s *sim.Sim) { s.Crash(3, false, false) }))
	if took := h.only(t, 3, "suspected"); took > 300*ms {
		t.Errorf("it took %s", took)
	}
	h = play(t, trial{bulk: six, opts: snapshot.Options{Bytes: 3_000_000}}, takeAt(time.Second, 1))
	h.only(t, 1, "takes more than 3000000 bytes")
	if h.left != (snapshot.Status{}) {
		t.Errorf("%+v is left", h.left)
	}
}

// While a large state travels, what the application sends is hardly later than without.
func TestLargeStateHoldsUpNobody(t *testing.T) {
	var longest int
	h := play(t, trial{bulk: slices.Repeat([]int{700_000}, 4)}, takeAt(time.Second, 1), at(time.Second+50*ms, func(s *sim.Sim) {
		for _, id := range s.World().Group() {
			a, _ := s.World().Ask(id, link.Query{})
			for _, p := range a.(link.Status).Peers {
				longest = max(longest, p.Bytes)
			}
		}
	}))
	if len(h.taken) != 1 || !h.taken[0].Complete || longest == 0 || longest > 1<<20 {
		t.Errorf("got %d snapshots; %d bytes on a link", len(h.taken), longest)
	}
}

// More snapshots than a node may be asked for are refused.
func TestTooMany(t *testing.T) {
	h := play(t, trial{opts: snapshot.Options{Most: 2}}, at(time.Second, func(s *sim.Sim) {
		for range 3 {
			s.Request(1, "snapshot")
		}
	}))
	if len(h.taken) != 2 || len(h.refused) != 1 || !strings.HasPrefix(h.refused[0], "2 snapshots that this node was asked for are under way") {
		t.Errorf("got %d snapshots, refused %q", len(h.taken), h.refused)
	}
}

// One snapshot after another of a node is spaced, and that of another node is not.
func TestSpacing(t *testing.T) {
	var begun []time.Duration
	h := playWith(t, trial{bank: true}, func(e *trace.Event) {
		if _, ok := e.Data.(snapshot.Started); ok {
			begun = append(begun, time.Duration(e.T))
		}
	}, at(time.Second, func(s *sim.Sim) {
		for range 3 {
			s.Request(1, "snapshot")
		}
		s.Request(2, "snapshot")
	}), takeAt(2*time.Second, 1))
	want := []time.Duration{time.Second, time.Second, 1050 * ms, 1100 * ms, 2 * time.Second}
	if len(h.taken) != 5 || !slices.Equal(begun, want) {
		t.Errorf("got %d snapshots, begun at %v; want them at %v", len(h.taken), begun, want)
	}
}

// A node alone has all there is.
func TestAlone(t *testing.T) {
	s, o := stack(t, 1)
	s.Call(protocol.Call{ID: 7, Body: snapshot.Take{}}, protocol.Inputs{}, o)
	for _, e := range o.Effects() {
		if r, ok := e.Body.(protocol.Reply); ok && r.ID == 7 && r.Body.(snapshot.Taken).Complete {
			return
		}
	}
	t.Errorf("got %v", o.Effects())
}

func stack(t *testing.T, nodes int) (*protocol.Stack, *protocol.Out) {
	t.Helper()
	self := protocol.Self{ID: 1, Incarnation: 1}
	for id := range nodes {
		self.Group = append(self.Group, protocol.ID(id+1))
	}
	s, err := protocol.NewStack(self, heartbeat.New(heartbeat.Options{}), link.New(link.Options{}), snapshot.New(snapshot.Options{}), newPurse(self))
	if err != nil {
		t.Fatal(err)
	}
	var o protocol.Out
	s.Start(protocol.Inputs{Draw: func(int) int { return 0 }}, &o)
	return s, &o
}

// Messages that no node of ours sends change nothing that lasts and break nothing.
func TestStrangeMessages(t *testing.T) {
	s, o := stack(t, 3)
	seq := uint64(0)
	send := func(m protocol.Message) {
		seq++
		data := link.Data{To: 1, Seq: seq, Packet: protocol.Packet{Channel: 2, Body: m}}
		s.Receive(2, 1, protocol.Packet{Channel: 1, Body: data}, protocol.Inputs{}, o)
	}
	for _, id := range []snapshot.ID{{}, {Node: 1, Incarnation: 1, Number: 9}, {Node: 77, Incarnation: 1, Number: 1}, {Node: 2, Incarnation: 0, Number: 1}} {
		send(snapshot.Marker{ID: id})
		send(snapshot.Report{ID: id})
	}
	if a, _ := s.Answer(snapshot.Query{}); a != (snapshot.Status{}) {
		t.Errorf("got %+v; want nothing", a)
	}
	for n := range uint64(100) { // no more than Most of each node
		send(snapshot.Marker{ID: snapshot.ID{Node: 3, Incarnation: 1, Number: n + 1}})
	}
	if a, _ := s.Answer(snapshot.Query{}); a.(snapshot.Status).Parts > 4 {
		t.Errorf("got %+v; want at most 4 parts", a)
	}
	s.Call(protocol.Call{ID: 1, Body: snapshot.Take{}}, protocol.Inputs{}, o)
	mine := snapshot.ID{Node: 1, Incarnation: 1, Number: 1}
	send(snapshot.Rest{ID: mine})
	send(snapshot.Next{ID: mine})
	coins := []snapshot.Found{{From: 55, Packets: make([]protocol.Packet, 3)}, {From: 99, Packets: make([]protocol.Packet, 1)}}
	send(snapshot.Report{ID: mine, Channels: []snapshot.Channel{{From: 99}, {From: 1, Incarnation: 5}}, Content: snapshot.Content{Found: coins, More: true}})
	send(snapshot.Rest{ID: mine, Content: snapshot.Content{Found: coins}})
	send(snapshot.Rest{ID: mine, Content: snapshot.Content{Found: coins}})
	send(snapshot.Marker{ID: snapshot.ID{Node: 1, Incarnation: 1, Number: 1}})
	s.Notify(detector.Suspect{Node: 3, Incarnation: 1, Why: detector.Timeout}, protocol.Inputs{}, o)
	for _, e := range o.Effects() {
		if d, ok := e.Body.(snapshot.Done); ok && !d.Complete {
			return
		}
	}
	t.Errorf("got %v; want a snapshot that is over and not complete", o.Effects())
}

func TestOptions(t *testing.T) {
	if err := (snapshot.Options{}).Validate(); err != nil {
		t.Error(err)
	}
	for text, o := range map[string]snapshot.Options{
		"Within is 1ms; it must be between 10ms and 1h":             {Within: ms},
		"Grace is 6s; it must be between 0s and half of Within, 5s": {Grace: 6 * time.Second},
		"Most is 65; it must be between 1 and 64 snapshots":         {Most: 65},
		"Bytes is 10; it must be between 1024 and 1073741824":       {Bytes: 10},
		"Spacing is 6s; it must be at most half of Within, 5s":      {Spacing: 6 * time.Second},
		"there is no mistake 200":                                   {Mistake: 200},
	} {
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v; want %s", err, text)
		}
	}
}
