package live

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"ciranda.dev/engine/live/disk"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
	"ciranda.dev/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A cluster is the nodes of a test, over one mesh, each with a disk.
type cluster struct {
	gives   protocol.Property
	t       *testing.T
	mesh    *mesh
	group   []protocol.ID
	path    string // of the disks; empty: without
	mistake mistake
	options Options
	air     *air // if nodes can broadcast
	nodes   map[protocol.ID]*Node
	disks   map[protocol.ID]*disk.Store
	traces  map[protocol.ID]*recorder // over all lives
}

// A recorder keeps what a node recorded.
type recorder struct {
	mu     sync.Mutex
	events []trace.Event
}

func (r *recorder) Record(e *trace.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, *e)
}

func (r *recorder) all() []trace.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

func newCluster(t *testing.T, size int, path string) *cluster {
	c := &cluster{t: t, mesh: newMesh(1000), path: path, nodes: map[protocol.ID]*Node{},
		disks: map[protocol.ID]*disk.Store{}, traces: map[protocol.ID]*recorder{}}
	for id := range protocol.ID(size) {
		c.group = append(c.group, id+1)
		c.traces[id+1] = &recorder{}
	}
	return c
}

func (c *cluster) startAll() {
	for _, id := range c.group {
		c.start(id)
	}
}

func (c *cluster) config(id protocol.ID) Config {
	return Config{
		Cluster: "test", ID: id, Group: c.group, Seed: 1, Sink: c.traces[id], Level: trace.Full, Options: c.options,
		Build: func(self protocol.Self) (*protocol.Stack, error) {
			return protocol.NewStack(self, &toy{gives: c.gives})
		},
		Transport: func(h transport.Handler, hello func() transport.Hello) (transport.Transport, error) {
			if c.air != nil {
				return c.air.open(c.mesh, h, hello)
			}
			return c.mesh.open(h, hello)
		},
		Incarnation: 1,
	}
}

func (c *cluster) start(id protocol.ID) *Node {
	c.t.Helper()
	cfg := c.config(id)
	if c.path != "" {
		cfg.Disk = c.disk(id)
	}
	n, err := open(cfg, c.mistake)
	if err != nil {
		c.t.Fatal(err)
	}
	c.nodes[id] = n
	return n
}

func (c *cluster) disk(id protocol.ID) *disk.Store {
	c.t.Helper()
	store, err := disk.Open(filepath.Join(c.path, id.String()), disk.Options{Cluster: "test", Node: id})
	if err != nil {
		c.t.Fatal(err)
	}
	c.disks[id] = store
	return store
}

// kill ends a life as a crash does: what the disk has not confirmed is lost.
func (c *cluster) kill(id protocol.ID) {
	c.nodes[id].Kill()
	delete(c.nodes, id)
	if s := c.disks[id]; s != nil {
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Close(gone)
		delete(c.disks, id)
	}
}

func (c *cluster) stop(id protocol.ID) {
	c.t.Helper()
	if err := c.nodes[id].Close(context.Background()); err != nil {
		c.t.Error(err)
	}
	delete(c.nodes, id)
	if s := c.disks[id]; s != nil {
		if err := s.Close(context.Background()); err != nil {
			c.t.Error(err)
		}
		delete(c.disks, id)
	}
}

func (c *cluster) stopAll() {
	c.t.Helper()
	for _, id := range c.group {
		if c.nodes[id] != nil {
			c.stop(id)
		}
	}
}

func (c *cluster) call(id protocol.ID, body any) uint64 {
	c.t.Helper()
	r, err := c.nodes[id].Call(context.Background(), body)
	if err != nil {
		c.t.Fatal(err)
	}
	return r.(uint64)
}

func (c *cluster) state(id protocol.ID) *toy {
	c.t.Helper()
	a, err := c.nodes[id].Ask(context.Background(), "state")
	if err != nil {
		c.t.Fatal(err)
	}
	return a.(*toy)
}

func (c *cluster) status(id protocol.ID) Status {
	c.t.Helper()
	s, err := c.nodes[id].Status()
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// check says what is wrong with the traces of all nodes: events that are not counted one by one, clocks that do not
// keep Lamport's rules in and across lives, receipts without a sending, outputs before what was persisted.
func (c *cluster) check() error {
	sends := map[trace.MessageID]trace.Event{}
	for _, r := range c.traces {
		for _, e := range r.all() {
			if e.Kind == trace.Send {
				sends[e.Message()] = e
			}
		}
	}
	for _, id := range c.group {
		if err := checkNode(c.traces[id].all(), sends); err != nil {
			return fmt.Errorf("node %d: %w", id, err)
		}
	}
	return nil
}

func checkNode(events []trace.Event, sends map[trace.MessageID]trace.Event) error {
	var last trace.Event
	for _, e := range events {
		if e.N == 0 {
			continue
		}
		want := last.Lamport + 1
		if e.Kind == trace.Receive {
			s, ok := sends[e.Message()]
			if !ok || s.Peer != e.Node && s.Peer != protocol.None {
				return fmt.Errorf("received %s, which was not sent to it", e.Message())
			}
			want = max(last.Lamport, s.Lamport) + 1
		}
		newLife := e.Inc > last.Inc
		switch {
		case e.Inc < last.Inc || !newLife && e.N != last.N+1 || newLife && e.N != 1:
			return fmt.Errorf("event %d.%d follows %d.%d", e.Inc, e.N, last.Inc, last.N)
		case newLife && e.Lamport < want || !newLife && e.Lamport != want:
			return fmt.Errorf("event %d.%d (%s) has the stamp %d; expected %d", e.Inc, e.N, e.Kind, e.Lamport, want)
		case e.Cause >= e.N:
			return fmt.Errorf("event %d.%d is caused by %d", e.Inc, e.N, e.Cause)
		}
		last = e
	}
	return nil
}

// kinds counts what a node recorded, by kind.
func (c *cluster) kinds(id protocol.ID) map[trace.Kind]int {
	counts := map[trace.Kind]int{}
	for _, e := range c.traces[id].all() {
		counts[e.Kind]++
	}
	return counts
}

// losses counts the messages lost in a node's trace, by reason.
func (c *cluster) losses(id protocol.ID) map[string]int {
	counts := map[string]int{}
	for _, e := range c.traces[id].all() {
		if l, ok := e.Data.(trace.Loss); ok {
			counts[l.Reason]++
		}
	}
	return counts
}
