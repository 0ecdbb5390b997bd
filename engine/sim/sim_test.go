package sim_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// A gossip passes a growing number round: small, but with a timer, a draw, storage and a call.
type gossip struct {
	protocol.Base
	Best   uint64
	Heard  map[protocol.ID]uint64
	leak   *uint64 `layer:"const"` // state outside the state, for the cheat
	mangle bool    `layer:"const"`
	loud   bool    // it broadcasts, once it knows that it can
}

type rumour struct {
	Value uint64
	Path  []uint64
}

type heard struct {
	Value uint64 `json:"value"`
}

func (heard) Kind() string { return "heard" }

type raise struct{ By uint64 }

func (g *gossip) Start(o *protocol.Out) {
	g.Heard = map[protocol.ID]uint64{}
	o.Set(protocol.Timer{}, time.Duration(o.Draw(100))*time.Millisecond)
}

func (g *gossip) Recover(stored protocol.Stored, o *protocol.Out) {
	if v, ok := stored("best"); ok {
		g.Best = uint64(v[0])
	}
	g.Start(o)
}

func (g *gossip) Expire(_ protocol.Timer, o *protocol.Out) {
	if g.leak != nil {
		*g.leak++
		g.Best = *g.leak
	}
	if r := (rumour{g.Best, []uint64{g.Best, 1}}); g.loud {
		o.Broadcast(r)
	} else {
		o.SendAll(r)
	}
	o.Set(protocol.Timer{}, 100*time.Millisecond)
}

func (g *gossip) Receive(from protocol.ID, m protocol.Message, o *protocol.Out) {
	r := m.(rumour)
	g.Heard[from] = r.Value
	if g.mangle {
		r.Path[0]++
	}
	if r.Value > g.Best {
		g.learn(r.Value, o)
	}
}

func (g *gossip) Hear(from protocol.ID, m protocol.Message, o *protocol.Out) { g.Receive(from, m, o) }

func (g *gossip) Indicate(e protocol.Event, _ *protocol.Out) bool {
	c, ok := e.(protocol.Carries)
	g.loud = g.loud || ok && c.Broadcasts && c.Size == 1000
	return ok
}

func (g *gossip) Request(r any, o *protocol.Out) bool {
	g.learn(g.Best+r.(protocol.Call).Body.(raise).By, o)
	return true
}

func (g *gossip) learn(v uint64, o *protocol.Out) {
	g.Best = v
	o.Persist("best", []byte{byte(v)})
	o.Indicate(heard{v})
}

func (g *gossip) Traits() protocol.Traits {
	return protocol.Traits{Channel: "gossip", Messages: []protocol.Message{rumour{}}, Timers: []string{"beat"}}
}

func (g *gossip) String() string { return fmt.Sprint(g.Best) }

type memory struct{ events []trace.Event }

func (m *memory) Record(e *trace.Event) { m.events = append(m.events, *e) }

func (m *memory) hash() string {
	h := sha256.New()
	for _, e := range m.events {
		fmt.Fprintf(h, "%+v\n", e)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func config(m *memory, build func() *gossip) sim.Config {
	return sim.Config{
		World: world.Config{
			Nodes: 5,
			Build: func(self protocol.Self) (*protocol.Stack, error) { return protocol.NewStack(self, build()) },
			Level: trace.Full, Sink: m, Twice: true,
			Requests: map[string]any{"raise": raise{3}},
		},
		Network:  network.Link{Delay: network.Between(time.Millisecond, 20*time.Millisecond), Loss: 0.1, Duplicate: 0.1},
		Duration: 5 * time.Second,
		Calm:     4 * time.Second,
		Script: []sim.Action{
			{At: 500 * time.Millisecond, Do: func(s *sim.Sim) { s.Request(2, "raise") }},
			{At: time.Second, Do: func(s *sim.Sim) { s.Crash(3, true, false) }},
			{At: 1100 * time.Millisecond, Do: func(s *sim.Sim) { s.Pause(4); s.Slow(5, 3*time.Millisecond) }},
			{At: 1500 * time.Millisecond, Do: func(s *sim.Sim) { s.StallDisk(1); s.Request(1, "raise") }},
			{At: 2 * time.Second, Do: func(s *sim.Sim) { s.Resume(4); s.Recover(3); s.Reset(2, 5) }},
			{At: 2200 * time.Millisecond, Do: func(s *sim.Sim) { s.Partition([][]protocol.ID{{1, 2}, {3, 4, 5}}); s.SetRate(2, 5000) }},
			{At: 2500 * time.Millisecond, Do: func(s *sim.Sim) { s.Crash(1, false, true); s.JumpClock(2, time.Hour) }},
			{At: 2700 * time.Millisecond, Do: func(s *sim.Sim) { s.Recover(1); s.SlowDisk(4, 30*time.Millisecond); s.Request(4, "raise") }},
			{At: 3 * time.Second, Do: func(s *sim.Sim) { s.Isolate([]protocol.ID{2, 4}) }},
		},
	}
}

func honest() *gossip { return &gossip{} }

func TestSameSeedSameTrace(t *testing.T) {
	for seed := range uint64(20) {
		var hashes []string
		for range 2 {
			m := &memory{}
			cfg := config(m, honest)
			cfg.Seed = seed
			s, err := sim.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Run(); err != nil {
				t.Fatal(err)
			}
			hashes = append(hashes, m.hash())
		}
		if hashes[0] != hashes[1] {
			t.Errorf("seed %d: two runs differ", seed)
		}
	}
}

// A recorded run, taken again step by step and from its text, gives the same trace.
func TestReplay(t *testing.T) {
	for seed := range uint64(20) {
		m := &memory{}
		cfg := config(m, honest)
		cfg.Seed = seed
		s, err := sim.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		s.World().Record(func(st world.Step) { lines = append(lines, st.String()) })
		if _, err := s.Run(); err != nil {
			t.Fatal(err)
		}
		var steps []world.Step
		for _, l := range lines {
			st, err := world.ParseStep(l)
			if err != nil {
				t.Fatal(err)
			}
			if st.String() != l {
				t.Fatalf("%q is read as %q", l, st)
			}
			steps = append(steps, st)
		}
		again := &memory{}
		cfg.World.Sink = again
		r, err := world.NewReplay(cfg.World, steps)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Run(); err != nil {
			t.Fatal(err)
		}
		if m.hash() != again.hash() {
			for i := range m.events {
				if i >= len(again.events) || fmt.Sprintf("%+v", m.events[i]) != fmt.Sprintf("%+v", again.events[i]) {
					t.Fatalf("seed %d: event %d differs: %+v, %+v", seed, i, m.events[i], again.events[min(i, len(again.events)-1)])
				}
			}
		}
	}
}

// A partition is one fault in the trace, and so is its end; what a new one mends of an older is told link by link.
func TestPartitionIsOneFault(t *testing.T) {
	m := &memory{}
	cfg := config(m, honest)
	cfg.Script = []sim.Action{
		{At: time.Second, Do: func(s *sim.Sim) { s.Isolate([]protocol.ID{5}) }},
		{At: 2 * time.Second, Do: func(s *sim.Sim) {
			s.Partition([][]protocol.ID{{1, 2}, {}, {4, 5}})
			w := s.World()
			if w.IsCut(4, 5) || w.IsCut(2, 1) || !w.IsCut(1, 4) || !w.IsCut(3, 1) || !w.IsCut(5, 3) || len(w.Cuts()) != 16 {
				t.Errorf("cut are %v", w.Cuts())
			}
		}},
		{At: 3 * time.Second, Do: func(s *sim.Sim) { s.Heal(); s.Heal() }},
	}
	s, err := sim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range m.events {
		if note, ok := e.Data.(trace.FaultNote); ok {
			got = append(got, note.Text)
		}
	}
	want := []string{"isolate 5", "mend 4 -> 5", "mend 5 -> 4", "partition 1,2 / 4,5 / 3", "heal all"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReplayDiverges(t *testing.T) {
	cfg := config(&memory{}, honest)
	steps := []world.Step{{Do: world.Start, Node: 1}, {Do: world.Draw, Value: 7}, {Do: world.Deliver, Node: 1, Peer: 2, What: "sim_test.rumour"}}
	r, err := world.NewReplay(cfg.World, steps)
	if err != nil {
		t.Fatal(err)
	}
	var d *world.Diverged
	if err := r.Run(); !errors.As(err, &d) || d.Index != 2 {
		t.Fatalf("got %v", err)
	}
	if want := "step 3, 0s deliver 1→2 sim_test.rumour: no such message is in flight"; d.Error() != want {
		t.Errorf("got %q, want %q", d, want)
	}
}

// State outside a layer's fields and changes to shared messages are found by taking each step twice.
func TestTwiceFindsCheats(t *testing.T) {
	var outside uint64
	cfg := config(&memory{}, func() *gossip { return &gossip{leak: &outside} })
	s, err := sim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Run()
	var cheat *world.Cheat
	if !errors.As(err, &cheat) || !strings.Contains(cheat.What, "on a second try") {
		t.Errorf("a counter outside the state: got %v", err)
	}
}

// Every message that was sent was delivered, dropped, or is still in flight; Lamport's condition holds.
func TestAccounting(t *testing.T) {
	m := &memory{}
	s, err := sim.New(config(m, honest))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(); err != nil {
		t.Fatal(err)
	}
	count := map[trace.Kind]int{}
	stamps := map[trace.MessageID]uint64{}
	last := map[protocol.ID]uint64{}
	for i := range m.events {
		e := &m.events[i]
		count[e.Kind]++
		if e.N == 0 {
			continue
		}
		if e.Lamport <= last[e.Node] || e.Kind == trace.Receive && e.Lamport <= stamps[e.Message()] {
			t.Fatalf("the clock condition fails at %+v", e)
		}
		last[e.Node] = e.Lamport
		if e.Kind == trace.Send {
			stamps[e.Message()] = e.Lamport
		}
	}
	inFlight := m.events[len(m.events)-1].Data.(trace.Ending).InFlight
	if sent, gone := count[trace.Send]+count[trace.Duplicate], count[trace.Receive]+count[trace.Drop]+inFlight; sent != gone {
		t.Errorf("%d messages sent or doubled, %d received, dropped or in flight", sent, gone)
	}
	for _, k := range []trace.Kind{trace.Drop, trace.Duplicate, trace.Crash, trace.Recover, trace.Pause, trace.Persisted, trace.Call, trace.Calm} {
		if count[k] == 0 {
			t.Errorf("no %s happened", k)
		}
	}
}

// What waits for the disk does not leave before it: a stalled node tells nobody what it could still forget.
func TestNothingOvertakesTheDisk(t *testing.T) {
	m := &memory{}
	cfg := config(m, honest)
	cfg.Script = []sim.Action{
		{At: time.Second, Do: func(s *sim.Sim) { s.StallDisk(1); s.Request(1, "raise") }},
		{At: 2 * time.Second, Do: func(s *sim.Sim) { s.Crash(1, false, false); s.FastDisk(1); s.Recover(1) }},
	}
	s, err := sim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(); err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(m.events, func(e trace.Event) bool { _, ok := e.Data.(heard); return ok }); i >= 0 {
		t.Errorf("%+v: the write was lost, so nobody should know", m.events[i])
	}
	told := slices.ContainsFunc(m.events, func(e trace.Event) bool { return e.Data == protocol.Disk{Stalled: true} })
	if !told {
		t.Error("the node was not told that its disk had stalled")
	}
}

// A run in which nothing more happens lasts as long as it should all the same.
func TestQuietRunLasts(t *testing.T) {
	m := &memory{}
	cfg := config(m, honest)
	cfg.Script = nil
	cfg.World.Build = func(self protocol.Self) (*protocol.Stack, error) { return protocol.NewStack(self, &mute{}) }
	s, err := sim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Run()
	if err != nil {
		t.Fatal(err)
	}
	if end := m.events[len(m.events)-1]; r.Elapsed != cfg.Duration || end.Kind != trace.End || end.T != int64(cfg.Duration) {
		t.Errorf("the run of %s ends after %s, its trace with %+v", cfg.Duration, r.Elapsed, end)
	}
}

// A mute layer does nothing.
type mute struct {
	protocol.Base
	Nothing int
}

func (*mute) Traits() protocol.Traits { return protocol.Traits{Channel: "mute"} }
func (*mute) String() string          { return "mute" }
