package transfer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ciranda.dev/app/board"
	"ciranda.dev/check"
	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/wire"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector/heartbeat"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/link"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/protocol/transfer"
	"ciranda.dev/trace"
)

const (
	ms       = time.Millisecond
	calmAt   = 5 * time.Second
	silentAt = calmAt + 2*time.Second
	duration = silentAt + 20*time.Second // who gave up often stays away long
)

// A trial is what a campaign runs: a group that keeps a board, while much is done to its members, most of all to those
// that hand the board over.
type trial struct {
	nodes int
	opts  transfer.Options
	wild  bool // more nodes fail at once than a group can bear
	twice bool
	trap  bool // a panic is a finding
}

// small has states travel in many chunks.
var small = transfer.Options{Chunk: 200, Window: 2, Silence: 300 * ms}

// tight has joiners that can hold little.
var tight = transfer.Options{Chunk: 100, Window: 1, Silence: 300 * ms, Hold: 1200}

func (c trial) build(self protocol.Self) (*protocol.Stack, error) {
	return protocol.NewStack(self, heartbeat.New(heartbeat.Options{}), link.New(link.Options{}), group.New(group.Options{Traffic: true}),
		multicast.New(multicast.Options{}), &tap{}, transfer.New(c.opts), board.New(board.Options{Keep: 20}))
}

// A tap notes the chunks that pass.
type tap struct{ protocol.Base }

// Poured is the note of a chunk.
type Poured struct {
	To    protocol.ID
	View  uint64
	Index uint32
}

func (Poured) Kind() string { return "poured" }

func (*tap) String() string                                        { return "" }
func (*tap) Traits() protocol.Traits                               { return protocol.Traits{Channel: "tap"} }
func (*tap) Pass(protocol.ID, protocol.Packet, *protocol.Out) bool { return false }
func (*tap) Down(to protocol.ID, p protocol.Packet, o *protocol.Out) bool {
	if m, is := p.Body.(transfer.Chunk); is {
		o.Note(Poured{to, m.View, m.Index})
	}
	return false
}

// A place is one in the history of a board.
type place struct{ since, count uint64 }

// A judge reads a run. All boards that began in one view have the same history (ST-1 and ST-2: a state that does not fit its
// view, a message too few or too many changes all hashes that follow); what is loaded is what was kept; and a transfer that
// is resumed brings no chunk twice (ST-4).
type judge struct {
	wild    bool
	history map[place]board.Hash
	lives   map[protocol.ID]map[place]board.Hash // of the present lives
	since   map[protocol.ID]uint64
	kept    map[[2]uint64]transfer.Root // roots, by member and view
	asked   map[[3]uint64]uint32        // the first chunk that a member was asked for, by joiner, member and view
	wrong   string
	checks  []string // what the properties find, by name

	loads, resumed, anew, gaveUp, posts int
}

func newJudge(wild bool) *judge {
	return &judge{wild: wild, history: map[place]board.Hash{}, lives: map[protocol.ID]map[place]board.Hash{}, since: map[protocol.ID]uint64{},
		kept: map[[2]uint64]transfer.Root{}, asked: map[[3]uint64]uint32{}}
}

func (j *judge) fault(format string, args ...any) {
	if j.wrong == "" {
		j.wrong = fmt.Sprintf(format, args...)
	}
}

func (j *judge) Record(e *trace.Event) {
	switch d := e.Data.(type) {
	case board.Added:
		j.posts += d.New
		j.stands(e.Node, d.Count, d.Hash)
	case board.Given:
		j.begins(e.Node, d.Since)
		j.stands(e.Node, d.Count, d.Hash)
	case board.Spoilt:
		j.fault("node %d: %s", e.Node, d.Why)
	case transfer.Anew:
		j.anew++
	case transfer.Keeping:
		j.kept[[2]uint64{uint64(e.Node), d.View}] = d.Root
	case transfer.Loaded:
		j.loads++
		if kept := j.kept[[2]uint64{uint64(d.From), d.View}]; kept != d.Root {
			j.fault("node %d loads a state with root %s of view %d, and node %d kept %s", e.Node, d.Root, d.View, d.From, kept)
		}
	case transfer.Taking:
		who := [3]uint64{uint64(e.Node), uint64(d.From), d.View}
		if first, again := j.asked[who]; again {
			j.asked[who] = min(first, d.Chunk)
			break
		}
		j.asked[who] = d.Chunk
		if d.Chunk > 0 {
			j.resumed++
		}
	case transfer.GaveUp:
		j.gaveUp++
	case Poured:
		if first := j.asked[[3]uint64{uint64(d.To), uint64(e.Node), d.View}]; d.Index < first {
			j.fault("node %d sends chunk %d of view %d to node %d, which has asked from %d on", e.Node, d.Index, d.View, d.To, first)
		}
	case nil:
		if e.Kind == trace.Crash {
			j.begins(e.Node, 0)
		}
	}
}

// begins notes that a node has another board from now on.
func (j *judge) begins(node protocol.ID, since uint64) {
	j.since[node], j.lives[node] = since, map[place]board.Hash{}
}

// stands notes the hash of a node's board. In a wild run what a node saw before it crashed may be lost.
func (j *judge) stands(node protocol.ID, count uint64, hash board.Hash) {
	at := place{j.since[node], count}
	if j.lives[node] == nil {
		j.begins(node, 0)
	}
	j.lives[node][at] = hash
	if was, known := j.history[at]; !j.wild && known && was != hash {
		j.fault("node %d has the hash %s after %d notices since view %d, and another had %s", node, hash, count, at.since, was)
	}
	j.history[at] = hash
}

// end compares the boards that are left, and what the nodes say.
func (j *judge) end(s *sim.Sim) {
	all := map[place]board.Hash{}
	for _, node := range s.World().Group() {
		for at, hash := range j.lives[node] {
			if was, known := all[at]; known && was != hash {
				j.fault("in the end node %d had the hash %s after %d notices since view %d, and another %s", node, hash, at.count, at.since, was)
			}
			all[at] = hash
		}
	}
	var first board.Contents
	for i, node := range s.World().Group() {
		st, _ := s.World().Ask(node, transfer.Query{})
		if t := st.(transfer.Status); !t.Ready || t.Held > 0 || t.Keeping > 0 {
			v, _ := s.World().Ask(node, group.Query{})
			j.fault("in the end node %d has %+v in view %s", node, t, v.(group.Status).View)
		}
		answer, _ := s.World().Ask(node, board.Query{})
		c := answer.(board.Contents)
		if i == 0 {
			first = c
		} else if c.Count != first.Count || c.Hash != first.Hash || c.Since != first.Since || !slices.Equal(c.Notices, first.Notices) {
			j.fault("in the end node %d has %d notices since view %d with hash %s, and node 1 %d since %d with %s", node, c.Count, c.Since, c.Hash,
				first.Count, first.Since, first.Hash)
		}
	}
}

// run runs a trial.
func (c trial) run(t testing.TB, seed uint64) *judge {
	t.Helper()
	j, suite := newJudge(c.wild), c.suite(t)
	config := world.Config{Nodes: c.nodes, Build: c.build, Level: trace.Protocol, Sink: both{j, suite}, Twice: c.twice, Requests: requests()}
	if c.twice {
		stack, err := c.build(protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1}})
		if err != nil {
			t.Fatal(err)
		}
		if config.Codec, err = wire.New(stack.Traits()); err != nil {
			t.Fatal(err)
		}
	}
	script := []sim.Action{{At: ms, Do: post}, {At: 600 * ms, Do: c.disturb()}, {At: calmAt + ms, Do: backAll}, {At: duration, Do: func(*sim.Sim) {}}}
	s, err := sim.New(sim.Config{World: config, Network: network.Link{Delay: network.Between(ms, 10*ms)}, Seed: seed, Script: script,
		Calm: calmAt, Duration: duration, Queue: 10000})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(); err != nil {
		if !c.trap {
			t.Fatalf("seed %d: %v", seed, err)
		}
		j.fault("%v", err)
		return j
	}
	j.end(s)
	for _, r := range suite.Results() {
		if r.Verdict == check.Violated {
			j.checks = append(j.checks, r.Property)
			j.fault("%s: %s", r.Property, r.Why)
		}
	}
	return j
}

// suite are the properties of transfers.
func (c trial) suite(t testing.TB) *check.Suite {
	setup := check.Setup{Level: trace.Protocol, Group: &check.Group{Casts: true}, Transfer: true, Board: true,
		Detector: &check.Detector{Interval: 100 * ms, Timeout: 350 * ms, Verify: 30 * ms}}
	for i := range c.nodes {
		setup.Nodes = append(setup.Nodes, protocol.ID(i+1))
	}
	var all []check.Property
	for _, name := range []string{"transfer-same-state", "transfer-one-history", "transfer-ends"} {
		params := check.Params{}
		if name == "transfer-ends" {
			params["within"] = 20 * time.Second // who gave up four times while there was much to hold stays away for 16
		}
		p, err := check.New(name, params, setup)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return check.NewSuite(all...)
}

// both hear all.
type both struct{ first, second trace.Sink }

func (b both) Record(e *trace.Event) {
	b.first.Record(e)
	b.second.Record(e)
}

// texts are how many different notices there are.
const texts = 12

func requests() map[string]any {
	all := map[string]any{"leave": group.Leave{}, "join": group.Join{}}
	for i := range texts {
		all[fmt.Sprintf("post %d", i)] = board.Post{Text: fmt.Sprintf("notice %d", i) + strings.Repeat(".", 30*i)}
	}
	return all
}

// post has nodes post, now and then, until a while after the calm.
func post(s *sim.Sim) {
	f, all := s.Faults(), s.World().Group()
	s.Request(all[f.Intn(len(all))], fmt.Sprintf("post %d", f.Intn(texts)))
	if next := s.Now() + time.Duration(1+f.Intn(25))*ms; next < silentAt {
		s.Plan(sim.Action{At: next, Do: post})
	}
}

// backAll has all nodes up and in the group.
func backAll(s *sim.Sim) {
	for _, id := range s.World().Group() {
		if s.World().Up(id) {
			s.Request(id, "join")
		} else {
			s.Recover(id)
		}
	}
}

// disturb gives the action that does something to a node, and plans itself again, until the calm. If it is not wild, the
// faults before must be over, and all nodes members again, before the next: they need not be ready.
func (c trial) disturb() func(s *sim.Sim) {
	var over time.Duration
	var again func(s *sim.Sim)
	again = func(s *sim.Sim) {
		if s.Now() > calmAt-20*ms {
			return
		}
		f, all := s.Faults(), s.World().Group()
		giver := giverOf(s)
		if c.wild && (giver == protocol.None || f.Intn(4) == 0) && f.Intn(10) == 0 || s.Now() > over+20*ms && together(s) {
			victim := all[f.Intn(len(all))]
			if giver != protocol.None && f.Intn(3) > 0 {
				victim = giver
			}
			over = max(over, strike(s, victim))
		}
		s.Plan(sim.Action{At: s.Now() + time.Duration(1+f.Intn(40))*ms, Do: again})
	}
	return again
}

// giverOf is a node that hands a state over; None if none does.
func giverOf(s *sim.Sim) protocol.ID {
	for _, id := range s.World().Group() {
		if st, up := s.World().Ask(id, transfer.Query{}); up && !st.(transfer.Status).Ready && st.(transfer.Status).Got > 0 {
			return st.(transfer.Status).From
		}
	}
	return protocol.None
}

// together says whether all nodes are up and in one view.
func together(s *sim.Sim) bool {
	w := s.World()
	for _, id := range w.Group() {
		answer, up := w.Ask(id, group.Query{})
		if !up || w.Paused(id) {
			return false
		}
		st := answer.(group.Status)
		if !st.Member || len(st.View.Members) != len(w.Group()) {
			return false
		}
		for _, m := range st.View.Members {
			if m.Incarnation != w.Incarnation(m.Node) {
				return false
			}
		}
	}
	return true
}

// strike does something to a node, and makes it good again. It says when.
func strike(s *sim.Sim, p protocol.ID) (over time.Duration) {
	f, all := s.Faults(), s.World().Group()
	over = s.Now()
	later := func(within int, do func(s *sim.Sim)) {
		over = s.Now() + time.Duration(f.Intn(within))*ms
		s.Plan(sim.Action{At: over, Do: do})
	}
	each := func(do func(q protocol.ID)) {
		for _, q := range all {
			if q != p {
				do(q)
			}
		}
	}
	switch f.Intn(8) {
	case 0, 1, 2:
		s.Crash(p, f.Intn(2) == 0, false)
		later(300, func(s *sim.Sim) { s.Recover(p) })
	case 3:
		s.Crash(p, false, false)
		s.Recover(p)
	case 4:
		each(func(q protocol.ID) { s.Cut(p, q); s.Cut(q, p) })
		later(1000, func(s *sim.Sim) { each(func(q protocol.ID) { s.Mend(p, q); s.Mend(q, p) }) })
	case 5, 6:
		if !s.World().DiskSlow(p) {
			s.Pause(p)
			later(700, func(s *sim.Sim) { s.Resume(p) })
		}
	case 7:
		s.Request(p, "leave")
		later(500, func(s *sim.Sim) { s.Request(p, "join") })
	}
	return over
}

// Whatever the network and the nodes do, all boards have one history, and in the end all are the same.
func TestCampaign(t *testing.T) {
	for _, c := range []struct {
		name string
		trial
		seeds uint64
	}{
		{"three", trial{nodes: 3, opts: small}, 12},
		{"five", trial{nodes: 5, opts: small}, 8},
		{"tight", trial{nodes: 3, opts: tight}, 6},
		{"wild three", trial{nodes: 3, opts: small, wild: true}, 12},
		{"wild five", trial{nodes: 5, opts: small, wild: true}, 6},
		{"twice", trial{nodes: 3, opts: small, twice: true}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var sum judge
			for seed := range c.seeds {
				run := c.run(t, seed)
				if run.wrong != "" {
					t.Fatalf("seed %d: %s", seed, run.wrong)
				}
				sum.loads += run.loads
				sum.resumed += run.resumed
				sum.anew += run.anew
				sum.gaveUp += run.gaveUp
				sum.posts += run.posts
			}
			t.Logf("%d notices, %d states loaded, %d transfers resumed, %d times anew, %d given up", sum.posts, sum.loads, sum.resumed, sum.anew, sum.gaveUp)
			resumed, gaveUp, anew := c.name != "tight" && !c.twice, c.name == "tight", int(c.seeds)*c.nodes
			if sum.loads == 0 || resumed && sum.resumed == 0 || gaveUp && sum.gaveUp == 0 || c.wild && sum.anew <= anew {
				t.Error("too little happened")
			}
		})
	}
}
