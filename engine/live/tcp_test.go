package live

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"ciranda.dev/check"
	"ciranda.dev/engine/network"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector/heartbeat"
	"ciranda.dev/protocol/election"
	"ciranda.dev/protocol/election/bully"
	"ciranda.dev/trace"
	"ciranda.dev/transport"
	"ciranda.dev/transport/tcp"
)

// A band is a cluster of real elections over loopback TCP.
type band struct {
	*cluster
	links map[protocol.ID]*tcp.Transport
	views chan view
	leads map[protocol.ID]protocol.ID // whom each node that is up follows
}

type view struct{ node, leader protocol.ID }

func (b *band) config(id protocol.ID) Config {
	cfg := b.cluster.config(id)
	cfg.Build = func(self protocol.Self) (*protocol.Stack, error) {
		return protocol.NewStack(self, heartbeat.New(heartbeat.Options{}), bully.New(bully.Options{}))
	}
	cfg.Transport = func(h transport.Handler, hello func() transport.Hello) (transport.Transport, error) {
		link, err := tcp.Open(tcp.Config{Hello: hello, Handler: h})
		b.links[id] = link
		return link, err
	}
	cfg.Leave = func(e protocol.Event, _ uint64) {
		if e, ok := e.(election.Elected); ok {
			b.views <- view{id, e.Leader}
		}
	}
	return cfg
}

func (b *band) start(id protocol.ID) {
	b.t.Helper()
	cfg := b.config(id)
	cfg.Disk = b.disk(id)
	n, err := Open(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	b.nodes[id], b.leads[id] = n, protocol.None
	for other, link := range b.links {
		if other != id && b.nodes[other] != nil {
			link.SetPeer(id, b.links[id].Addr())
			b.links[id].SetPeer(other, link.Addr())
		}
	}
}

// agree waits until all that are up follow a leader, and says how long it took.
func (b *band) agree(leader protocol.ID) {
	b.t.Helper()
	begun, deadline := time.Now(), time.After(30*time.Second)
	for {
		follow := slices.Collect(maps.Values(b.leads))
		if !slices.ContainsFunc(follow, func(id protocol.ID) bool { return id != leader }) {
			b.t.Logf("%d nodes follow node %d after %s", len(follow), leader, time.Since(begun).Round(time.Millisecond))
			return
		}
		select {
		case v := <-b.views:
			if _, up := b.leads[v.node]; up {
				b.leads[v.node] = v.leader
			}
		case <-deadline:
			b.t.Fatalf("who follows whom: %v; expected all to follow node %d", b.leads, leader)
		}
	}
}

func TestElectionOverTCP(t *testing.T) {
	b := &band{newCluster(t, 5, t.TempDir()), map[protocol.ID]*tcp.Transport{}, make(chan view, 10_000), map[protocol.ID]protocol.ID{}}
	for _, id := range b.group {
		b.start(id)
	}
	b.agree(5)

	delete(b.leads, 5)
	b.stop(5)
	b.agree(4)

	delete(b.leads, 4)
	b.kill(4)
	b.traces[4].crashed()
	b.agree(3)

	b.start(5)
	b.agree(5)

	b.cutOff(5)
	b.agree(3)
	for _, n := range b.nodes {
		must(t, n.Heal())
	}
	b.leads[5] = protocol.None // it may have thought so all the time
	b.call5(t)
	b.agree(5)

	b.stopAll()
	if err := b.check(); err != nil {
		t.Error(err)
	}
	b.judge()
	if k := b.kinds(5); k[trace.Start] != 1 || k[trace.Recover] != 1 || k[trace.Stop] != 2 {
		t.Errorf("trace of node 5: %v", k)
	}
}

// judge lets the properties judge the merged trace that any trace shows.
func (b *band) judge() {
	b.t.Helper()
	var parts []*trace.Trace
	for _, id := range b.group {
		parts = append(parts, &trace.Trace{Header: trace.Header{Level: trace.Full, Node: id, Members: b.group, Boot: "here"}, Events: b.traces[id].all()})
	}
	whole, report, err := trace.Merge(parts)
	if err != nil || report.Missing > 0 || report.Forced > 0 {
		b.t.Fatalf("merged: %v, %+v", err, report)
	}
	setup := check.Setup{Nodes: b.group, Engine: check.OneHost, Level: trace.Full, Election: &check.Election{},
		Detector: &check.Detector{Interval: 100 * time.Millisecond, Timeout: 350 * time.Millisecond, Verify: 30 * time.Millisecond}}
	var properties []check.Property
	for _, name := range []string{"well-formed", "no-creation", "clock-condition", "incarnations-rise", "durable-first",
		"suspicions-alternate", "detector-lives", "hints-verified", "one-leader-per-term", "terms-never-decrease"} {
		p, err := check.New(name, nil, setup)
		if err != nil {
			b.t.Fatal(err)
		}
		properties = append(properties, p)
	}
	suite := check.NewSuite(properties...)
	for i := range whole.Events {
		suite.Record(&whole.Events[i])
	}
	for _, r := range suite.Results() {
		if r.Verdict != check.Holds {
			b.t.Errorf("%s: %s: %s", r.Property, r.Verdict, r.Why)
			for i := range r.Witnesses {
				b.t.Logf("    %+v", r.Witnesses[i])
			}
		}
	}
}

// crashed records the end of a life that could not record it.
func (r *recorder) crashed() {
	var last trace.Event
	for _, e := range r.all() {
		if e.N > 0 {
			last = e
		}
	}
	r.Record(&trace.Event{Kind: trace.Crash, Node: last.Node, Inc: last.Inc, N: last.N + 1, Lamport: last.Lamport + 1, T: machineClock()})
}

// cutOff cuts a node off from the others, who are those to agree now.
func (b *band) cutOff(id protocol.ID) {
	delete(b.leads, id)
	for _, n := range b.nodes {
		for _, other := range b.group {
			if other != id {
				must(b.t, n.SetLink(id, other, network.Link{Cut: true}))
				must(b.t, n.SetLink(other, id, network.Link{Cut: true}))
			}
		}
	}
}

// call5 asks node 5 for an election, so that it tells its view again.
func (b *band) call5(t *testing.T) {
	if _, err := b.nodes[5].Call(context.Background(), election.Campaign{}); err != nil {
		t.Fatal(err)
	}
}
