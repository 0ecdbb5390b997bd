package node

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/engine/network"
	"ciranda.dev/protocol"
)

// A Fixed directory knows nodes by their gRPC addresses and nothing else. It finds out who is up by asking.
type Fixed struct {
	cluster string
	links   *Links
	members []Member // ascending; what is Known of each changes as a whole

	mu    sync.Mutex
	stack string
}

// NewFixed makes a directory of nodes at addresses, of a cluster of that name. Until they are asked all count as down.
// What nodes were told of links is put into links by Refresh.
func NewFixed(cluster string, addresses map[protocol.ID]string, links *Links, dial func(address string) (*api.Client, error)) (*Fixed, error) {
	f := &Fixed{cluster: cluster, links: links}
	for _, id := range slices.Sorted(maps.Keys(addresses)) {
		c, err := dial(addresses[id])
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		f.members = append(f.members, Member{Client: c, Known: &cirandav1.NodeStatus{Id: uint32(id),
			State: cirandav1.NodeState_NODE_STATE_DOWN, GrpcAddress: addresses[id], Problem: "it has not been asked yet"}})
	}
	return f, nil
}

// Close ends the connections to the nodes.
func (f *Fixed) Close() error {
	var errs []error
	for _, m := range f.members {
		errs = append(errs, m.Client.Close())
	}
	return errors.Join(errs...)
}

// Members are the nodes as they were when they were last asked.
func (f *Fixed) Members() []Member {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.members)
}

// Last is none: nobody here kills nodes.
func (f *Fixed) Last() protocol.ID { return protocol.None }

// Stack is what the nodes run, in words, as the last one that answered said; empty if none has.
func (f *Fixed) Stack() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stack
}

// Up are the nodes that answered when they were last asked, ascending.
func (f *Fixed) Up() []protocol.ID {
	var up []protocol.ID
	for _, m := range f.Members() {
		if m.Known.State != cirandav1.NodeState_NODE_STATE_DOWN {
			up = append(up, m.id())
		}
	}
	return up
}

// Run finds out every now and then who is up, until ctx ends.
func (f *Fixed) Run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ctx.Err() == nil {
		f.refresh(ctx, false)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// Refresh asks all nodes at once what they are and what they were told of links, and returns when each has answered or
// had the time to. While it runs nobody else may change links.
func (f *Fixed) Refresh(ctx context.Context) { f.refresh(ctx, true) }

func (f *Fixed) refresh(ctx context.Context, links bool) {
	inTime, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	members := f.Members()
	answers := make([]*cirandav1.DescribeResponse, len(members))
	var asked sync.WaitGroup
	for i, m := range members {
		asked.Go(func() { answers[i], members[i].Known = f.ask(inTime, m) })
	}
	asked.Wait()
	if ctx.Err() == nil { // else that a node did not answer says nothing
		f.learn(members, answers)
		if links {
			f.learnLinks(answers)
		}
	}
}

// ask asks a node, and gives its answer, if it is of use, with what is known of it now.
func (f *Fixed) ask(ctx context.Context, m Member) (*cirandav1.DescribeResponse, *cirandav1.NodeStatus) {
	down := &cirandav1.NodeStatus{Id: m.Known.Id, State: cirandav1.NodeState_NODE_STATE_DOWN, GrpcAddress: m.Known.GrpcAddress}
	a, err := m.Client.Node.Describe(ctx, &cirandav1.DescribeRequest{})
	switch s := a.GetStatus(); {
	case err != nil:
		down.Problem = "does not answer: " + status.Convert(err).Message()
	case a.GetCluster() != f.cluster:
		down.Problem = "a node of the cluster " + a.GetCluster() + " answers at its address"
	case s.GetId() != m.Known.Id:
		down.Problem = "another node answers at its address"
	default:
		known := proto.CloneOf(s)
		known.GrpcAddress = m.Known.GrpcAddress
		return a, known
	}
	return nil, down
}

func (f *Fixed) learn(members []Member, answers []*cirandav1.DescribeResponse) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, a := range answers {
		f.members[i] = members[i]
		if a != nil {
			f.stack = a.GetStack()
		}
	}
}

// learnLinks takes over what any node was told: one that came back was told nothing, and none is told half.
func (f *Fixed) learnLinks(answers []*cirandav1.DescribeResponse) {
	var group []protocol.ID
	for _, m := range f.Members() {
		group = append(group, m.id())
	}
	links, answered := map[Pair]network.Link{}, false
	for _, a := range answers {
		if told, err := decodeLinks(a.GetLinks(), group); a != nil && err == nil {
			maps.Copy(links, told)
			answered = true
		}
	}
	if answered {
		f.links.Set(links)
	}
}
