package diagram_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ciranda.dev/app/bank"
	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/link"
	"ciranda.dev/protocol/snapshot"
	"ciranda.dev/stacks"
	"ciranda.dev/trace"
	"ciranda.dev/trace/diagram"
)

// pictured runs a bank whose money moves while snapshots of it are taken.
func pictured(t testing.TB, seed uint64, notes bool, l network.Link) *trace.Trace {
	t.Helper()
	var m trace.Memory
	h := trace.Header{Engine: "sim", Level: trace.Full, Seed: seed, Scenario: "Snapshots of a bank"}
	spec := stacks.Spec{Profile: stacks.Lab, App: "bank", Notes: notes}
	build := func(self protocol.Self) (*protocol.Stack, error) {
		s, err := spec.Build(self)
		if err == nil {
			h.SetStack(s.Traits())
			h.Members = self.Group
		}
		return s, err
	}
	requests := map[string]any{"snapshot": snapshot.Take{}}
	for to := protocol.ID(1); to <= 3; to++ {
		requests["pay "+to.String()] = bank.Transfer{To: to, Amount: 3}
	}
	script := []sim.Action{
		{At: 500 * time.Millisecond, Do: func(s *sim.Sim) { s.Request(1, "snapshot") }},
		{At: 504 * time.Millisecond, Do: func(s *sim.Sim) { s.Request(3, "snapshot") }},
		{At: 700 * time.Millisecond, Do: func(s *sim.Sim) { s.Crash(2, false, false) }},
		{At: 701 * time.Millisecond, Do: func(s *sim.Sim) { s.Request(1, "snapshot") }},
	}
	for i := range 12 {
		from, to := protocol.ID(1+i%3), protocol.ID(1+(i+1+i/3%2)%3)
		at := time.Duration(480+4*i) * time.Millisecond
		script = append(script, sim.Action{At: at, Do: func(s *sim.Sim) { s.Request(from, "pay "+to.String()) }})
	}
	s, err := sim.New(sim.Config{
		World: world.Config{Nodes: 3, Build: build, Level: trace.Full, Sink: &m, Requests: requests},
		Seed:  seed, Network: l, Script: script, Duration: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(); err != nil {
		t.Fatal(err)
	}
	return &trace.Trace{Header: h, Events: m.Events()}
}

// The messages that are marked are those that the snapshots found on the channels. UPDATE=1 records the run that
// is drawn in TestPictures.
func TestMarkedIsWhatWasFound(t *testing.T) {
	l := network.Link{Delay: network.Between(time.Millisecond, 20*time.Millisecond)}
	found := 0
	for seed := range uint64(8) {
		tr := pictured(t, seed, seed%2 == 0, l)
		titles := titles(parse(t, draw(t, tr, diagram.Options{MaxSteps: 10_000})))
		for i := range tr.Events {
			d, ok := trace.DataOf[snapshot.Done](&tr.Events[i])
			if !ok || !d.Complete {
				continue
			}
			want := 0
			for _, c := range d.Channels {
				want += c.Count
			}
			text := fmt.Sprintf("on the way in the cut %s:", d.ID)
			got := 0
			for _, title := range titles {
				got += strings.Count(title, text)
			}
			if got != want {
				t.Errorf("seed %d: %d messages are marked as on the way in the cut %s; expected %d", seed, got, d.ID, want)
			}
			found += want
		}
		if strings.Contains(strings.Join(titles, "\n"), "not consistent") {
			i := slices.IndexFunc(titles, func(s string) bool { return strings.Contains(s, "not consistent") })
			t.Errorf("seed %d: a right snapshot is drawn as a wrong one: %s", seed, titles[i])
		}
	}
	if found < 10 {
		t.Errorf("%d messages were on the way in all; expected more, or this test shows nothing", found)
	}
	if os.Getenv("UPDATE") != "" {
		l.Loss, l.Duplicate = 0.05, 0.05
		record(t, filepath.Join("testdata", "snapshot.jsonl.zst"), pictured(t, 4, true, l))
	}
}

func titles(all []element) (texts []string) {
	for _, e := range all {
		if e.name == "title" {
			texts = append(texts, e.text)
		}
	}
	return texts
}

// From a file and from memory the same is drawn, though a file names no packet's type.
func TestFilesAreDrawnAlike(t *testing.T) {
	tr := pictured(t, 1, true, network.Link{Delay: network.Between(time.Millisecond, 20*time.Millisecond), Loss: 0.1})
	path := filepath.Join(t.TempDir(), "run.jsonl.zst")
	record(t, path, tr)
	read, err := trace.ReadFile(path, trace.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o := diagram.Options{To: 600 * time.Millisecond}
	// Of a long body a file has the hash alone: it is known that links carry it, and not for which layer.
	memory := strings.ReplaceAll(draw(t, tr, o), ">snapshot<", ">Data<")
	a, b := texts(parse(t, memory)), texts(parse(t, draw(t, read, o)))
	if len(a) == 0 || !slices.Equal(a, b) {
		t.Errorf("got %q from memory and %q from a file", a, b)
	}
}

// A message that was sent after the cut and received before it is marked as what it is, an alarm; one that goes the
// other way is part of the snapshot.
func TestInconsistentCut(t *testing.T) {
	c := newCluster(3)
	c.trace.Header.Layers = []string{"link", "snapshot", "app"}
	id := snapshot.ID{Node: 1, Incarnation: 1, Number: 1}
	data := func(seq uint64, channel uint8, body any) link.Data {
		return link.Data{To: 1, Seq: seq, Packet: protocol.Packet{Channel: channel, Body: body}}
	}
	carry := func(from, to protocol.ID, sent, came int64, d link.Data) {
		n := c.send(from, to, sent, 0)
		c.trace.Events[len(c.trace.Events)-1].Data = d
		c.receive(to, from, came, n, 0)
		c.trace.Events[len(c.trace.Events)-1].Data = d
	}
	way := data(1, 2, hello{1})
	n := c.send(2, 1, 5, 0)
	c.trace.Events[len(c.trace.Events)-1].Data = way
	c.told(1, 10, 0, snapshot.Recorded{ID: id, Channel: 2})
	carry(1, 2, 10, 12, data(1, 1, snapshot.Marker{ID: id})) // node 2 sleeps through it
	carry(1, 2, 12, 14, data(2, 2, hello{2}))                // the future of node 1, the past of node 2
	c.told(2, 20, 0, snapshot.Recorded{ID: id, Channel: 2})
	c.receive(1, 2, 22, n, 0)
	c.trace.Events[len(c.trace.Events)-1].Data = way
	c.told(1, 30, 0, snapshot.Done{Taken: snapshot.Taken{ID: id, Counted: 1, Missing: []snapshot.Missing{{Node: 3}}}})
	all := parse(t, draw(t, &c.trace, diagram.Options{}))
	if got := count(all, "early"); got != 1+1 {
		t.Errorf("%d messages are marked as not consistent; expected one, and one in the legend", got-1)
	}
	if got := count(all, "band0"); got != 2+2 {
		t.Errorf("%d messages are marked; expected two, and two in the legend", got-2)
	}
	for _, want := range []string{"cut 1#1:1: incomplete, node 3 is missing, not consistent", "marker",
		"received before the cut, sent after it: not consistent"} {
		if !slices.Contains(texts(all), want) {
			t.Errorf("got %q, want %q", texts(all), want)
		}
	}
}

// The line of a cut passes all nodes that recorded their states, dashed past others; outside of the window it is not
// drawn.
func TestLinesOfCuts(t *testing.T) {
	c := newCluster(4)
	for i := range uint64(15) {
		for _, node := range []protocol.ID{1, 2, 4} {
			c.told(node, int64(10+i), 0, snapshot.Recorded{ID: snapshot.ID{Node: 1, Incarnation: 1, Number: i + 1}})
		}
	}
	all := parse(t, draw(t, &c.trace, diagram.Options{To: 10 * time.Millisecond}))
	if got := count(all, "shot"); got != 4+1 {
		t.Errorf("a cut of three nodes has %d pieces; expected an end, two between lanes, an end, and one in the legend", got-1)
	}
	if got := count(all, "copy"); got != 1 {
		t.Errorf("%d pieces are dashed; expected that past node 3", got)
	}
	if !slices.Contains(texts(all), "cut 1#1:1: its end is not in the trace") {
		t.Errorf("got %q", texts(all))
	}
	if all := texts(parse(t, draw(t, &c.trace, diagram.Options{}))); !slices.Contains(all, "and 3 more cuts") {
		t.Errorf("got %q", all)
	}
}

// Of more that a step tells than there is room for, the number is told.
func TestCrowdedSteps(t *testing.T) {
	c := newCluster(2)
	cause := c.send(1, 2, 10, 0)
	first := c.receive(2, 1, 12, cause, 0)
	for i := range uint64(6) {
		c.told(2, 12, first, snapshot.Recorded{ID: snapshot.ID{Node: 1, Incarnation: 1, Number: i + 1}})
	}
	if all := texts(parse(t, draw(t, &c.trace, diagram.Options{}))); !slices.Contains(all, "and 3 more") {
		t.Errorf("got %q", all)
	}
}
