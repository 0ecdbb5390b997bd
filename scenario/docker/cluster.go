package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/node"
	"ciranda.dev/pki"
	"ciranda.dev/protocol"
	"ciranda.dev/scenario"
	"ciranda.dev/scenario/local"
	"ciranda.dev/trace"
)

// A running cluster is a [scenario.Live].
type running struct {
	*local.Nodes
	name  string
	image string
	dir   string // of the authority and of everybody's credentials
	spec  []string
	group *node.Group

	access     api.Access
	containers []*container // of all nodes, ascending
	links      map[scenario.Pair]scenario.LinkState
	heard      heard

	mu   sync.Mutex // what containers are, and the rest
	last protocol.ID
}

// prepare makes all that is not the engine's: whoever fails after it must close it.
func prepare(name, image string, s *scenario.Scenario, level trace.Level) (*running, error) {
	spec := s.Spec(scenario.Docker).Filled()
	r := &running{name: name, image: image, links: map[scenario.Pair]scenario.LinkState{}, heard: heard{nodes: map[protocol.ID]*last{}}}
	r.spec = []string{"--election", spec.Election, "--detector", spec.Detector, "--profile", spec.Profile.String(),
		"--app", cmp.Or(spec.App, "none"), "--orders", cmp.Or(spec.Orders, "none"), "--level", level.String()}
	for id := range s.Cluster.Nodes {
		r.containers = append(r.containers, &container{id: protocol.ID(id + 1), state: cirandav1.NodeState_NODE_STATE_DOWN})
	}
	r.group = node.NewGroup(name, spec.Text(), r, new(node.Links))
	var err error
	if r.Nodes, err = local.NewNodes(r.group, s); err == nil {
		err = r.issue()
	}
	return r, err
}

// issue makes an authority, and credentials for the nodes and for the run, which is an operator.
func (r *running) issue() (err error) {
	if r.dir, err = os.MkdirTemp("", "ciranda-"+r.name+"-"); err != nil {
		return err
	}
	authority, err := pki.Init(filepath.Join(r.dir, "authority"), r.name)
	if err != nil {
		return err
	}
	for _, c := range r.containers {
		if err := authority.Issue(r.credentials(c), pki.Request{Role: pki.Node, Name: c.id.String(), Hosts: []string{c.host()}}); err != nil {
			return err
		}
	}
	own := filepath.Join(r.dir, "operator")
	if err := authority.Issue(own, pki.Request{Role: pki.Operator, Name: "run"}); err != nil {
		return err
	}
	r.access.Credentials, err = pki.Load(own)
	return err
}

func (r *running) credentials(c *container) string { return filepath.Join(r.dir, c.host()) }

// startAll makes the networks, then all nodes at once. When it returns they answer.
func (r *running) startAll(ctx context.Context) error {
	if err := r.makeNetworks(ctx); err != nil {
		return err
	}
	if err := r.each(r.containers, func(c *container) error {
		if err := r.create(ctx, c, false); err != nil {
			return err
		}
		return r.start(ctx, c)
	}); err != nil {
		return err
	}
	r.group.Follow()
	return nil
}

// each does something to containers at once, and gives one error: they mostly fail for the same reason.
func (r *running) each(containers []*container, do func(*container) error) error {
	errs := make([]error, len(containers))
	var done sync.WaitGroup
	for i, c := range containers {
		done.Go(func() { errs[i] = do(c) })
	}
	done.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// The networks of a run. Nodes talk to each other over one that leads nowhere else, and are asked over the other, whose
// ports are published. So who is taken off the first can still be asked.
func (r *running) peersNetwork() string   { return r.name + "-peers" }
func (r *running) controlNetwork() string { return r.name + "-control" }

func (r *running) makeNetworks(ctx context.Context) error {
	if _, err := command(ctx, nil, "network", "create", r.peersNetwork(), "--internal", "--label", label+"="+r.name); err != nil {
		return err
	}
	_, err := command(ctx, nil, "network", "create", r.controlNetwork(), "--label", label+"="+r.name)
	return err
}

// Where things are in a container.
const (
	credentialsDir = "/credentials"
	dataDir        = "/data"
	peerPort       = "7000"
	grpcPort       = "7001"
)

// arguments are those of a node.
func (r *running) arguments(c *container, forget bool) []string {
	var peers []string
	for _, c := range r.containers {
		peers = append(peers, c.id.String()+"="+c.host()+":"+peerPort)
	}
	args := append([]string{"node", "--cluster", r.name, "--id", c.id.String(), "--peers", strings.Join(peers, ","),
		"--listen", ":" + peerPort, "--grpc", ":" + grpcPort, "--dir", dataDir, "--credentials", credentialsDir}, r.spec...)
	if forget {
		args = append(args, "--forget")
	}
	return args
}

// share gives each node its share of the cores, as scenario/local does.
func (r *running) share() string {
	return fmt.Sprintf("GOMAXPROCS=%d", max(1, runtime.NumCPU()/len(r.containers)))
}

// Members are the nodes as they are now.
func (r *running) Members() []node.Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	var members []node.Member
	for _, c := range r.containers {
		members = append(members, node.Member{Client: c.client, Known: &cirandav1.NodeStatus{
			Id: uint32(c.id), State: c.state, Incarnation: uint32(c.life), GrpcAddress: c.address}})
	}
	return members
}

// Last is the node that was killed last.
func (r *running) Last() protocol.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// Close removes all that the run has made.
func (r *running) Close() error {
	if r.group != nil {
		r.group.Close()
	}
	for _, c := range r.containers {
		r.become(c, cirandav1.NodeState_NODE_STATE_DOWN, nil)
	}
	ctx := context.Background()
	err := r.remove(ctx, []string{"ps", "--all"}, "rm", "--force", "--volumes")
	return errors.Join(err,
		r.remove(ctx, []string{"volume", "ls"}, "volume", "rm"),
		r.remove(ctx, []string{"network", "ls"}, "network", "rm"),
		os.RemoveAll(r.dir))
}

// remove removes everything of a kind that has the label of the run, at once.
func (r *running) remove(ctx context.Context, list []string, how ...string) error {
	names, err := labelled(ctx, r.name, list...)
	if err != nil {
		return err
	}
	errs := make([]error, len(names))
	var removed sync.WaitGroup
	for i, name := range names {
		removed.Go(func() { _, errs[i] = command(ctx, nil, append(how[:len(how):len(how)], name)...) })
	}
	removed.Wait()
	return errors.Join(errs...)
}
