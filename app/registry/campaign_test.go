package registry_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"ciranda.dev/app/registry"
	"ciranda.dev/check"
	"ciranda.dev/engine/network"
	"ciranda.dev/engine/sim"
	"ciranda.dev/engine/wire"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector/heartbeat"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/invocation"
	"ciranda.dev/protocol/link"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/trace"
)

const (
	ms       = time.Millisecond
	calmAt   = 5 * time.Second
	silentAt = calmAt + 2*time.Second
	duration = silentAt + 8*time.Second
)

// A trial is what a campaign runs: a group with a registry that clients use, while much is done to its members.
type trial struct {
	nodes int
	opts  registry.Options
	wild  bool // more nodes fail at once than a group can bear
	twice bool
	full  bool // the whole trace is looked at
	trap  bool // a panic is a finding
}

// small has tables travel in many pieces.
var small = registry.Options{Piece: 400, Remember: 60}

func (c trial) build(self protocol.Self) (*protocol.Stack, error) {
	return protocol.NewStack(self, heartbeat.New(heartbeat.Options{}), link.New(link.Options{}), group.New(group.Options{Traffic: true}),
		multicast.New(multicast.Options{Orders: []multicast.Order{multicast.FIFO}, Inner: true}), registry.New(c.opts), &tap{})
}

// A tap notes the calls that pass.
type tap struct{ protocol.Base }

// Asked is the note of a call.
type Asked struct{ Call protocol.Call }

// Told is the note of an answer.
type Told struct{ Reply protocol.Reply }

func (Asked) Kind() string { return "asked" }
func (Told) Kind() string  { return "answered" }

func (*tap) String() string          { return "" }
func (*tap) Traits() protocol.Traits { return protocol.Traits{Channel: "tap"} }
func (*tap) Request(r any, o *protocol.Out) bool {
	if c, is := r.(protocol.Call); is {
		o.Note(Asked{c})
	}
	return false
}
func (*tap) Indicate(e protocol.Event, o *protocol.Out) bool {
	if r, is := e.(protocol.Reply); is {
		o.Note(Told{r})
	}
	return false
}

// names are those that clients use: few, so that they meet.
var names = []string{"bank/alice", "bank/bob", "x", "x/y"}

// A crowd is the clients. They make one request after the other, sometimes again, and at any node.
type crowd struct {
	requests map[string]any
	seq      uint64
	recent   []string // requests that may be made again
	ids      []invocation.ObjectID
}

func clientID(n int) (id invocation.ClientID) {
	id[0], id[15] = 0xc1, byte(n)
	return id
}

// act has a client ask for something, and plans the next, until a while after the calm.
func (c *crowd) act(s *sim.Sim) {
	f, all := s.Faults(), s.World().Group()
	node := all[f.Intn(len(all))]
	if len(c.recent) > 0 && f.Intn(5) == 0 {
		s.Request(node, c.recent[f.Intn(len(c.recent))])
	} else {
		s.Request(node, c.draw(s, node))
	}
	if next := s.Now() + time.Duration(1+f.Intn(15))*ms; next < silentAt {
		s.Plan(sim.Action{At: next, Do: c.act})
	}
}

// draw makes a request.
func (c *crowd) draw(s *sim.Sim, node protocol.ID) string {
	f := s.Faults()
	c.seq++
	client := f.Intn(3)
	rid := invocation.RID{Client: clientID(client), Incarnation: 1, Seq: c.seq}
	name := names[f.Intn(len(names))]
	var body any
	switch n := f.Intn(20); {
	case n < 5:
		body = registry.Bind{Request: rid, Entry: c.entry(s, name, client)}
	case n < 8:
		body = registry.Rebind{Request: rid, Entry: c.entry(s, name, client)}
	case n < 10:
		body = registry.Unbind{Request: rid, Name: name}
	case n < 11:
		body = registry.Unbind{Request: rid, Name: name, Own: true}
	case n < 12:
		body = registry.Expire{Client: clientID(client), Incarnation: 1}
	case n < 13:
		body = registry.List{Prefix: "bank/"}
	default:
		body = registry.Lookup{Name: name}
	}
	key := fmt.Sprintf("%d", c.seq)
	c.requests[key] = body
	switch body.(type) {
	case registry.Lookup, registry.List, registry.Expire:
	default:
		if c.recent = append(c.recent, key); len(c.recent) > 5 {
			c.recent = c.recent[1:]
		}
	}
	return key
}

// entry refers to a new object, of a node or of a client.
func (c *crowd) entry(s *sim.Sim, name string, client int) registry.Entry {
	f, all := s.Faults(), s.World().Group()
	e := registry.Entry{Name: name, Ref: invocation.Ref{Owner: clientID(client), Incarnation: 1, Interface: "Account", Fingerprint: "f"},
		Tags: map[string]string{"n": fmt.Sprint(c.seq)}, Description: []byte("what it can do")}
	if f.Intn(2) == 0 {
		owner := all[f.Intn(len(all))]
		e.Ref.Owner, e.Ref.Incarnation = invocation.NodeClient(uint16(owner)), uint64(s.World().Incarnation(owner))
	}
	copy(e.Ref.Object[:], "object id      !")
	binary.BigEndian.PutUint32(e.Ref.Object[10:], uint32(c.seq))
	c.ids = append(c.ids, e.Ref.Object)
	return e
}

// A run is what came of a trial.
type run struct {
	history
	wrong  string
	judged bool     // whether there is an order of the calls was looked at
	checks []string // what the properties find, by name
	loads  int
	anew   int // tables that began since another
	leaks  int
	bytes  int
}

func (r *run) fault(check, format string, args ...any) {
	r.checks = append(r.checks, check)
	if r.wrong == "" {
		r.wrong = check + ": " + fmt.Sprintf(format, args...)
	}
}

func (r *run) Record(e *trace.Event) {
	if s, is := e.Data.(registry.Stands); is && s.Loaded && s.Revision > 0 {
		r.loads++
	} else if is && s.Loaded && s.Since > 1 {
		r.anew++
	}
	r.history.record(e)
}

// A scanner looks at a whole trace, as it is written, for ids in clear.
type scanner struct {
	encoder *trace.Encoder
	text    bytes.Buffer
}

func (s *scanner) Record(e *trace.Event) {
	s.text.Write(s.encoder.Append(nil, e, -1))
	fmt.Fprintln(&s.text, trace.Text(e, &trace.Header{}))
}

// leaks counts the ids that can be read.
func (s *scanner) leaks(ids []invocation.ObjectID) (n int) {
	for _, id := range ids {
		if readable(s.text.Bytes(), id[:]) {
			n++
		}
	}
	return n
}

// readable says whether some bytes stand in a text as they are, in hexadecimal, or in base64 at any offset.
func readable(text, b []byte) bool {
	if bytes.Contains(text, b) || bytes.Contains(text, fmt.Appendf(nil, "%x", b)) {
		return true
	}
	for shift := range 3 {
		whole := b[shift : shift+(len(b)-shift)/3*3]
		if bytes.Contains(text, []byte(base64.StdEncoding.EncodeToString(whole))) {
			return true
		}
	}
	return false
}

// sinks hear all.
type sinks []trace.Sink

func (all sinks) Record(e *trace.Event) {
	for _, s := range all {
		s.Record(e)
	}
}

func (c trial) run(t testing.TB, seed uint64) *run {
	t.Helper()
	r, suite, crowd := &run{}, c.suite(t), &crowd{requests: map[string]any{"leave": group.Leave{}, "join": group.Join{}}}
	config := world.Config{Nodes: c.nodes, Build: c.build, Level: trace.Protocol, Sink: sinks{r, suite}, Twice: c.twice, Requests: crowd.requests}
	scan := &scanner{encoder: trace.NewEncoder(&trace.Header{})}
	if c.full {
		config.Level, config.Sink = trace.Full, sinks{r, suite, scan}
	}
	if c.twice {
		stack, err := c.build(protocol.Self{ID: 1, Incarnation: 1, Group: []protocol.ID{1}})
		if err != nil {
			t.Fatal(err)
		}
		if config.Codec, err = wire.New(stack.Traits()); err != nil {
			t.Fatal(err)
		}
	}
	script := []sim.Action{{At: ms, Do: crowd.act}, {At: 600 * ms, Do: c.disturb()}, {At: calmAt + ms, Do: backAll}, {At: duration, Do: func(*sim.Sim) {}}}
	s, err := sim.New(sim.Config{World: config, Network: network.Link{Delay: network.Between(ms, 10*ms)}, Seed: seed, Script: script,
		Calm: calmAt, Duration: duration, Queue: 10000})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(); err != nil {
		if !c.trap {
			t.Fatalf("seed %d: %v", seed, err)
		}
		r.fault("panic", "%v", err)
		return r
	}
	r.end(s)
	// If most of a view fail at once, what only they had is lost; and with the last member that has the table all names go, without a note.
	if r.judged = !c.wild && r.anew == 0; r.judged && !r.linearizable() {
		r.fault("linearizable", "the answers fit no order of the calls")
	}
	for _, x := range suite.Results() {
		if x.Verdict == check.Violated {
			r.fault(x.Property, "%s", x.Why)
		}
	}
	r.leaks, r.bytes = scan.leaks(crowd.ids), scan.text.Len()
	return r
}

// end compares the tables that are left.
func (r *run) end(s *sim.Sim) {
	var first registry.Status
	for i, node := range s.World().Group() {
		answer, _ := s.World().Ask(node, registry.Query{})
		st := answer.(registry.Status)
		if st.Since == 0 || st.Waits > 0 {
			r.fault("end", "node %d has %+v", node, st)
		}
		if i == 0 {
			first = st
		} else if st != first {
			r.fault("end", "node %d has %+v, and node 1 %+v", node, st, first)
		}
	}
}

// suite are the properties of registries.
func (c trial) suite(t testing.TB) *check.Suite {
	setup := check.Setup{Level: trace.Protocol, Group: &check.Group{Casts: true}, Registry: true,
		Detector: &check.Detector{Interval: 100 * ms, Timeout: 350 * ms, Verify: 30 * ms}}
	for i := range c.nodes {
		setup.Nodes = append(setup.Nodes, protocol.ID(i+1))
	}
	var all []check.Property
	for _, name := range []string{"registry-agree", "registry-no-orphans"} {
		p, err := check.New(name, check.Params{}, setup)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return check.NewSuite(all...)
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
// faults before must be over, and all nodes members again, before the next: they need not have the table.
func (c trial) disturb() func(s *sim.Sim) {
	var over time.Duration
	var next func(s *sim.Sim)
	next = func(s *sim.Sim) {
		if s.Now() > calmAt-20*ms {
			return
		}
		f, all := s.Faults(), s.World().Group()
		if c.wild && f.Intn(20) == 0 || s.Now() > over+20*ms && together(s) {
			over = max(over, strike(s, all[f.Intn(len(all))]))
		}
		s.Plan(sim.Action{At: s.Now() + time.Duration(1+f.Intn(40))*ms, Do: next})
	}
	return next
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
	case 0, 1:
		s.Crash(p, f.Intn(2) == 0, false)
		later(300, func(s *sim.Sim) { s.Recover(p) })
	case 2, 3:
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

// Whatever the network and the nodes do, answers are as if all calls were made one after the other, and tables are the same.
func TestCampaign(t *testing.T) {
	for _, c := range []struct {
		name string
		trial
		seeds uint64
	}{
		{"three", trial{nodes: 3, opts: small}, 12},
		{"five", trial{nodes: 5, opts: small}, 5},
		{"wild three", trial{nodes: 3, opts: small, wild: true}, 10},
		{"twice", trial{nodes: 3, opts: small, twice: true}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			done, loads, again, judged := 0, 0, 0, 0
			for seed := range c.seeds {
				r := c.run(t, seed)
				if r.wrong != "" {
					t.Fatalf("seed %d: %s", seed, r.wrong)
				}
				done, loads, again = done+len(r.done), loads+r.loads, again+r.again
				if r.judged {
					judged++
				}
			}
			t.Logf("%d calls, %d requests answered again, %d tables loaded, %d of %d histories judged", done, again, loads, judged, c.seeds)
			if done == 0 || loads == 0 && !c.twice || again == 0 || judged <= int(c.seeds)/2 && !c.wild {
				t.Error("too little happened")
			}
		})
	}
}

// No trace has the id of an object in clear, neither as JSON nor as text.
func TestIDsAreHidden(t *testing.T) {
	r := trial{nodes: 3, opts: small, full: true}.run(t, 3)
	if r.wrong != "" || r.leaks > 0 || r.bytes < 1<<20 {
		t.Errorf("%d ids can be read in %d bytes of trace; %s", r.leaks, r.bytes, r.wrong)
	}
}

// Each mistake is noticed by what is there for it, in a run that the right rules pass.
func TestMistakesShow(t *testing.T) {
	for _, m := range []struct {
		name    string
		mistake registry.Mistake
		check   string
	}{
		{"LooksHere", registry.LooksHere, "linearizable"},
		{"DeadStay", registry.DeadStay, "registry-no-orphans"},
		{"AppliesTwice", registry.AppliesTwice, "linearizable"},
		{"BeginsEmpty", registry.BeginsEmpty, "registry-agree"},
		{"ForgetsHeld", registry.ForgetsHeld, "registry-agree"},
	} {
		t.Run(m.name+" by "+m.check, func(t *testing.T) {
			t.Parallel()
			right, wrong := trial{nodes: 3, opts: small}, trial{nodes: 3, opts: small, trap: true}
			wrong.opts.Mistake = m.mistake
			for seed := range uint64(40) {
				if r := wrong.run(t, seed); !slices.Contains(r.checks, m.check) {
					continue
				}
				if r := right.run(t, seed); r.wrong != "" {
					t.Fatalf("seed %d, without the mistake: %s", seed, r.wrong)
				}
				t.Logf("after %d runs", seed+1)
				return
			}
			t.Error("nothing is noticed")
		})
	}
}
