package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/engine/network"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// Limits of a group.
const (
	answerTime = time.Second // how long a node is given to answer
	mergedKept = 1 << 14     // events kept of the merged stream
)

// A Member is a node as whoever leads a [Group] knows it.
type Member struct {
	// Known is what is known without asking the node: its number, state, addresses, process and incarnation.
	Known *cirandav1.NodeStatus
	// Client asks the node. Nil if its address is not known.
	Client *api.Client
}

func (m Member) id() protocol.ID { return protocol.ID(m.Known.Id) }

// up says whether the node can be asked.
func (m Member) up() bool {
	return m.Client != nil && m.Known.State == cirandav1.NodeState_NODE_STATE_UP
}

// A Directory knows the nodes of a cluster: all configured ones, ascending, as they are now.
type Directory interface {
	Members() []Member
	// Last is the node that was killed last; None if there is none.
	Last() protocol.ID
}

// A Group is the cluster as a whole: it asks every node and puts the answers together. It is an [api.Cluster].
type Group struct {
	Cluster string // its name
	Stack   string // what the nodes run, in words
	Process uint32 // the supervisor's; 0 for none
	// Gateways gives what is known of gateways. Nil: nothing is.
	Gateways func() []*cirandav1.GatewayStatus
	// Insecure says whether what is sent can be read and changed on its way.
	Insecure bool
	Dir      Directory
	Links    *Links

	change sync.Mutex                        // one fault is set at a time
	wrong  map[protocol.ID]map[string]string // with nodes, in words, by the kind of fault

	feed    *api.Feed[*cirandav1.Event]
	reached reached
	follow  sync.Once
	running sync.WaitGroup
	ctx     context.Context
	cancel  context.CancelFunc
}

// NewGroup makes a group of the nodes in a directory. Close ends it.
func NewGroup(cluster, stack string, dir Directory, links *Links) *Group {
	g := &Group{Cluster: cluster, Stack: stack, Dir: dir, Links: links,
		wrong: map[protocol.ID]map[string]string{}, feed: api.NewFeed[*cirandav1.Event](mergedKept),
		reached: reached{cursors: map[protocol.ID]string{}, moved: make(chan struct{})}}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// Close stops following the nodes, and ends the streams of those who watch.
func (g *Group) Close() {
	g.follow.Do(func() {}) // it will not begin any more
	g.cancel()
	g.running.Wait()
	g.feed.Close()
}

// Status says who is alive, who leads, and why nobody does.
func (g *Group) Status(ctx context.Context, _ *cirandav1.StatusRequest) (*cirandav1.StatusResponse, error) {
	nodes := g.ask(ctx)
	leader, term, why := agree(nodes)
	var gateways []*cirandav1.GatewayStatus
	if g.Gateways != nil {
		gateways = g.Gateways()
	}
	return &cirandav1.StatusResponse{
		Cluster: g.Cluster, Insecure: g.Insecure, Leader: leader, Term: term, WhyNoLeader: why, Nodes: nodes,
		Faults: g.faults(), Stack: g.Stack, SupervisorPid: g.Process, Gateways: gateways,
	}, nil
}

// ask gives the status of every node, as far as it answers in time.
func (g *Group) ask(ctx context.Context) []*cirandav1.NodeStatus {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	members := g.Dir.Members()
	nodes := make([]*cirandav1.NodeStatus, len(members))
	var asked sync.WaitGroup
	for i, m := range members {
		nodes[i] = m.Known
		if m.up() {
			asked.Go(func() { nodes[i] = m.describe(ctx) })
		}
	}
	asked.Wait()
	return nodes
}

// describe asks the node, and adds to its answer what it cannot know.
func (m Member) describe(ctx context.Context) *cirandav1.NodeStatus {
	answer, err := m.Client.Node.Describe(ctx, &cirandav1.DescribeRequest{})
	if err != nil {
		silent := proto.CloneOf(m.Known)
		silent.Problem = "does not answer: " + status.Convert(err).Message()
		return silent
	}
	if s := answer.GetStatus(); s.GetId() == m.Known.Id {
		return s
	}
	stranger := proto.CloneOf(m.Known)
	stranger.Problem = "another node answers at its address"
	return stranger
}

func (g *Group) ids() []protocol.ID {
	var ids []protocol.ID
	for _, m := range g.Dir.Members() {
		ids = append(ids, m.id())
	}
	return ids
}

// Resolve gives the nodes that the words of a request stand for. field is where they are in the request.
func (g *Group) Resolve(ctx context.Context, field, text string) ([]protocol.ID, error) {
	return g.naming(ctx).resolve(field, text)
}

func (g *Group) naming(ctx context.Context) naming {
	return naming{group: g.ids(), last: g.Dir.Last(), leader: func() (protocol.ID, error) {
		leader, _, why := agree(g.ask(ctx))
		if leader == 0 {
			return protocol.None, api.Failed("name the node by its number, or wait", "there is no leader: %s", why)
		}
		return protocol.ID(leader), nil
	}}
}

func (g *Group) member(id protocol.ID) (Member, error) {
	for _, m := range g.Dir.Members() {
		if m.id() == id && m.up() {
			return m, nil
		}
	}
	return Member{}, api.Failed("status says which nodes are up", "node %d is not up", id)
}

// Elect makes a node begin an election.
func (g *Group) Elect(ctx context.Context, r *cirandav1.ElectRequest) (*cirandav1.ElectResponse, error) {
	m, err := g.candidate(ctx, r.GetNode())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	answer, err := m.Client.Node.BeginElection(ctx, &cirandav1.BeginElectionRequest{})
	if err != nil {
		return nil, relay(ctx, m, err)
	}
	return &cirandav1.ElectResponse{Node: m.Known.Id, Counter: answer.GetCounter()}, nil
}

func (g *Group) candidate(ctx context.Context, text string) (Member, error) {
	if text != "" {
		id, err := g.naming(ctx).one("node", text)
		if err != nil {
			return Member{}, err
		}
		return g.member(id)
	}
	members := g.Dir.Members()
	if i := slices.IndexFunc(members, Member.up); i >= 0 {
		return members[i], nil
	}
	return Member{}, api.Failed("", "no node is up")
}

// relay passes on what a node answered to a part of a request, with its number. A call that is cancelled though nobody
// cancelled the request is one whose connection was given up, since the node has ended or lives anew.
func relay(ctx context.Context, m Member, err error) error {
	if e := api.AsError(err); e != nil {
		if e.Code == codes.Canceled && ctx.Err() == nil {
			e.Code, e.Text = codes.Unavailable, "it ended before it had answered"
		}
		if e.Code == codes.DeadlineExceeded && e.Text == context.DeadlineExceeded.Error() {
			e.Text = "it has not answered in time"
		}
		e.Text = fmt.Sprintf("node %d: %s", m.Known.Id, e.Text)
		return e
	}
	return err
}

// SetFault disturbs the network or disks.
func (g *Group) SetFault(ctx context.Context, r *cirandav1.SetFaultRequest) (*cirandav1.SetFaultResponse, error) {
	d, err := g.naming(ctx).plan(r.GetFault())
	if err != nil {
		return nil, err
	}
	g.change.Lock()
	defer g.change.Unlock()
	if err := g.carryOut(ctx, d); err != nil {
		return nil, err
	}
	g.Note(trace.Event{Kind: trace.Fault, Data: trace.FaultNote{Text: d.text}})
	return &cirandav1.SetFaultResponse{Text: d.text}, nil
}

func (g *Group) carryOut(ctx context.Context, d disturbance) error {
	switch {
	case d.change != nil:
		return g.relink(ctx, func() { g.Links.Change(d.pairs, d.change) })
	case d.tell != nil:
		return g.tell(ctx, d)
	default:
		return g.breakLinks(ctx, d.pairs)
	}
}

// relink changes links and tells all nodes. If one does not answer, all is as before, as far as can be: that one keeps
// what it has.
func (g *Group) relink(ctx context.Context, change func()) error {
	before := g.Links.Get()
	change()
	err := g.pushAll(ctx)
	if err != nil {
		g.Links.Set(before)
		err = errors.Join(err, g.pushAll(ctx))
	}
	return err
}

// SetLinks makes links exactly what is said; the zero Link is perfect. Text is the fault in words. Nodes are not told
// of an order or a log-normal delay: the API has no words for them.
func (g *Group) SetLinks(ctx context.Context, text string, links map[Pair]network.Link) error {
	g.change.Lock()
	defer g.change.Unlock()
	err := g.relink(ctx, func() {
		for p, l := range links {
			g.Links.Change([]Pair{p}, func(to *network.Link) { *to = l })
		}
	})
	if err == nil {
		g.Note(trace.Event{Kind: trace.Fault, Data: trace.FaultNote{Text: text}})
	}
	return err
}

// MendDisk ends what SetFault made wrong with the disk of a node.
func (g *Group) MendDisk(ctx context.Context, id protocol.ID) error {
	g.change.Lock()
	defer g.change.Unlock()
	err := g.tell(ctx, disturbance{nodes: []protocol.ID{id}, lasts: "disk", tell: func(ctx context.Context, m Member) error {
		_, err := m.Client.Node.SetDisk(ctx, &cirandav1.SetDiskRequest{})
		return err
	}})
	if err == nil {
		g.Note(trace.Event{Kind: trace.Fault, Data: trace.FaultNote{Text: "disk of " + id.String() + " is well"}})
	}
	return err
}

// each calls do for some of the members that are up, at once, and gives the first error in their order.
func (g *Group) each(ctx context.Context, which func(protocol.ID) bool, do func(context.Context, Member) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	members := slices.DeleteFunc(g.Dir.Members(), func(m Member) bool { return !m.up() || which != nil && !which(m.id()) })
	errs := make([]error, len(members))
	var called sync.WaitGroup
	for i, m := range members {
		called.Go(func() {
			if err := do(ctx, m); err != nil {
				errs[i] = relay(ctx, m, err)
			}
		})
	}
	called.Wait()
	i := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	if i < 0 {
		return nil
	}
	return errs[i]
}

// pushAll tells every node that is up what happens to messages on each link.
func (g *Group) pushAll(ctx context.Context) error {
	links := encodeLinks(g.Links.Get())
	return g.each(ctx, nil, func(ctx context.Context, m Member) error {
		_, err := m.Client.Node.SetLinks(ctx, &cirandav1.SetLinksRequest{Links: links})
		return err
	})
}

// CatchUp tells a node that came back what the others were told meanwhile.
func (g *Group) CatchUp(ctx context.Context, m Member) error {
	g.change.Lock()
	defer g.change.Unlock()
	_, err := m.Client.Node.SetLinks(ctx, &cirandav1.SetLinksRequest{Links: encodeLinks(g.Links.Get())})
	return err
}

// Forget drops what a node that ended takes with it: all faults but those of links.
func (g *Group) Forget(id protocol.ID) {
	g.change.Lock()
	defer g.change.Unlock()
	delete(g.wrong, id)
}

// tell tells nodes what is wrong with them.
func (g *Group) tell(ctx context.Context, d disturbance) error {
	for _, id := range d.nodes {
		if _, err := g.member(id); err != nil {
			return err
		}
	}
	err := g.each(ctx, func(id protocol.ID) bool { return slices.Contains(d.nodes, id) }, d.tell)
	if err != nil || d.lasts == "" {
		return err
	}
	for _, id := range d.nodes {
		if g.wrong[id] == nil {
			g.wrong[id] = map[string]string{}
		}
		g.wrong[id][d.lasts] = d.what
	}
	return nil
}

func (g *Group) breakLinks(ctx context.Context, pairs []Pair) error {
	peers := map[protocol.ID][]uint32{}
	for _, p := range pairs {
		peers[p.From] = append(peers[p.From], uint32(p.To))
	}
	return g.each(ctx, func(id protocol.ID) bool { return peers[id] != nil }, func(ctx context.Context, m Member) error {
		_, err := m.Client.Node.BreakLinks(ctx, &cirandav1.BreakLinksRequest{Peers: peers[m.id()]})
		return err
	})
}

// faults says in words what is set.
func (g *Group) faults() []string {
	g.change.Lock()
	defer g.change.Unlock()
	return g.faultsLocked()
}

func (g *Group) faultsLocked() []string {
	said := describe(g.Links.Get(), g.ids())
	for _, id := range g.ids() {
		for _, kind := range slices.Sorted(maps.Keys(g.wrong[id])) {
			if what := g.wrong[id][kind]; what != "" {
				said = append(said, kind+" of "+id.String()+" "+what)
			}
		}
	}
	return said
}

// Heal makes the network and the nodes whole.
func (g *Group) Heal(ctx context.Context, _ *cirandav1.HealRequest) (*cirandav1.HealResponse, error) {
	g.change.Lock()
	defer g.change.Unlock()
	ended := g.faultsLocked()
	g.Links.Set(nil)
	err := g.each(ctx, nil, func(ctx context.Context, m Member) error {
		_, err := m.Client.Node.MakeWell(ctx, &cirandav1.MakeWellRequest{})
		return err
	})
	if err != nil {
		return nil, err
	}
	clear(g.wrong)
	g.Note(trace.Event{Kind: trace.Fault, Data: trace.FaultNote{Text: "heal all"}})
	return &cirandav1.HealResponse{Ended: ended}, nil
}

// Note adds an event that no node tells of itself to the stream. Its time, if it has none, is now.
func (g *Group) Note(e trace.Event) {
	if e.T == 0 {
		e.T = Monotonic()
	}
	header := trace.Header{}
	text, _ := trace.NewTeller(&header).Tell(&e)
	g.append(encode(trace.NewEncoder(&header), &e, text))
}

func (g *Group) append(e *cirandav1.Event) {
	g.feed.Append(api.Many(e.GetKind()), func(position uint64) *cirandav1.Event {
		e.Position = position
		return e
	})
}

// Watch streams the events of all nodes, in the order in which they arrive here. What is at hand is all that the nodes
// have recorded by now, as far as they answer in time.
func (g *Group) Watch(ctx context.Context, r *cirandav1.WatchRequest, send func(*cirandav1.WatchResponse) error) error {
	g.Follow()
	if r.GetAtHand() {
		inTime, cancel := context.WithTimeout(ctx, answerTime)
		_ = g.Gather(inTime) // who does not answer is left out
		cancel()
	}
	first := true
	return g.feed.Read(ctx, r.GetCursor(), r.GetAtHand(), func(_ uint64, events []*cirandav1.Event, cursor string, lost uint64) error {
		if events = without(events, r.GetWithout()); len(events) == 0 && lost == 0 && !first {
			return ctx.Err()
		}
		first = false
		return send(&cirandav1.WatchResponse{Events: events, Cursor: cursor, Lost: lost})
	})
}

// without leaves out the events whose kinds begin in one of some ways.
func without(events []*cirandav1.Event, beginnings []string) []*cirandav1.Event {
	if len(beginnings) == 0 {
		return events
	}
	return slices.DeleteFunc(events, func(e *cirandav1.Event) bool {
		return slices.ContainsFunc(beginnings, func(b string) bool { return strings.HasPrefix(e.GetKind(), b) })
	})
}
