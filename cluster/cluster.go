// Package cluster runs the nodes of a cluster as processes of this machine, under one supervisor.
//
// [Open] starts them in a directory that keeps what they store from one time to the next. The supervisor serves the
// cluster's API: it kills, pauses and restarts nodes, tells every node which links are disturbed, and gathers the
// events of all into one stream. Programs find it by the cluster's name ([Connect]).
//
// No node outlives its supervisor, however that ends: a node ends when the pipe from its supervisor does, and where
// the system can do it the kernel kills it at once, even if it stands still.
//
// It does not promise that a node which ends by itself is started again: that is for whoever watches to decide.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/gateway"
	"ciranda.dev/node"
	"ciranda.dev/protocol"
	"ciranda.dev/stacks"
	"ciranda.dev/trace"
)

// A Config says which cluster is started.
type Config struct {
	Name  string // empty means DefaultName
	Shape Shape  // what it leaves open is as it was before, else as usual
	Fresh bool   // forgets what the nodes have stored
	Level string // how much nodes record: protocol or full; empty means protocol
	// Gateways is how many gateways there are beside the nodes, 0 to MaxGateways; as it is asked for each time.
	Gateways int
	// Sockets gives each node and gateway a port for plain sockets; as it is asked for each time.
	Sockets bool
	Log     *slog.Logger
}

// How long things may take.
const (
	startTime = 10 * time.Second // until a node answers
	stopTime  = 3 * time.Second  // until a node that was asked to stop is killed
)

// A Supervisor runs a cluster. Its methods may be called from any goroutine.
type Supervisor struct {
	cfg     Config
	dir     string
	shape   Shape
	spec    stacks.Spec
	access  api.Access
	program string // what nodes run from
	lock    *os.File
	spawner *spawner
	server  *api.Server
	group   *node.Group
	router  *gateway.Router // to the members of the group
	log     *slog.Logger
	asked   chan struct{} // closed when a client has asked for the end
	ask     sync.Once
	rest    context.CancelFunc // ends what is done now and then

	acting   sync.Mutex // one act on processes at a time
	mu       sync.Mutex // the rest
	slots    []*slot    // of all nodes, ascending
	gateways []*slot    // ascending
	last     protocol.ID
}

// A slot is a node or a gateway, with a process or without.
type slot struct {
	id      protocol.ID // of a gateway, where its ports are: behind those of the nodes
	gateway string      // its name; empty for a node
	process *process    // nil while it is down
	client  *api.Client // of that process
	state   cirandav1.NodeState
	life    protocol.Incarnation
	problem string
}

// Open starts a cluster and returns when all its nodes answer; whether they have a leader by then is another question.
func Open(ctx context.Context, c Config) (*Supervisor, error) {
	s, err := prepare(c)
	if err != nil {
		return nil, err
	}
	if err := s.serve(); err != nil {
		return nil, errors.Join(err, s.letGo())
	}
	if err := s.startAll(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	endpoint := Endpoint{Cluster: s.cfg.Name, PID: os.Getpid(), Insecure: s.shape.Insecure, Gateways: s.gatewayEndpoints(), GRPC: s.address(protocol.None, grpcPort), HTTP: s.address(protocol.None, httpPort)}
	if err := writeJSON(filepath.Join(s.dir, endpointFile), endpoint); err != nil {
		return nil, errors.Join(fmt.Errorf("cluster: %w", err), s.Close())
	}
	return s, nil
}

// prepare makes the directory ready: its lock, shape, ports, credentials and program.
func prepare(c Config) (*Supervisor, error) {
	if c.Name == "" {
		c.Name = DefaultName
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	var level trace.Level
	if err := level.UnmarshalText([]byte(c.Level)); c.Level != "" && (err != nil || level == trace.Off) {
		return nil, mistake("", "found the level %q; expected protocol or full", c.Level)
	}
	if c.Gateways < 0 || c.Gateways > MaxGateways {
		return nil, mistake("", "found %d gateways; expected 0 to %d", c.Gateways, MaxGateways)
	}
	dir, err := Dir(c.Name)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	if err := checkOwner(dir); err != nil {
		return nil, err
	}
	s := &Supervisor{cfg: c, dir: dir, log: api.Calm(c.Log), asked: make(chan struct{})}
	if s.lock, err = lockSoon(c.Name, dir); err != nil {
		return nil, err
	}
	if err := s.settle(); err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	return s, nil
}

func (s *Supervisor) settle() (err error) {
	os.Remove(filepath.Join(s.dir, endpointFile)) // of one that was killed
	if s.shape, err = settle(s.cfg.Name, s.dir, s.cfg.Shape, s.cfg.Fresh); err != nil {
		return err
	}
	if s.spec, err = s.shape.Spec(); err != nil {
		return err
	}
	if s.cfg.Fresh {
		if err := wipe(s.dir); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
	}
	if s.shape.Port, err = choosePorts(s.dir, s.shape.Nodes+s.cfg.Gateways, s.cfg.Shape.Port, s.shape.Port); err != nil {
		return err
	}
	if err = s.secure(); err != nil {
		return err
	}
	if s.program, err = keepBinary(s.dir); err != nil {
		return err
	}
	return writeJSON(filepath.Join(s.dir, shapeFile), s.shape)
}

func (s *Supervisor) address(id protocol.ID, which int) string {
	return address(s.shape.Port, id, which)
}

// serve opens the supervisor's own ports.
func (s *Supervisor) serve() error {
	s.makeSlots()
	s.spawner = newSpawner()
	s.group = node.NewGroup(s.cfg.Name, s.spec.Text(), s, new(node.Links))
	s.group.Process, s.group.Insecure, s.group.Gateways = uint32(os.Getpid()), s.access.Insecure(), s.gatewayStatus
	grpc, http, err := s.takePorts()
	if err != nil {
		return err
	}
	s.router = gateway.NewRouter(s, func(address string) (*api.Client, error) { return api.Dial(address, s.access) })
	s.server = api.New(api.Config{Services: api.Services{Cluster: s.group, Supervisor: s, Group: s.router, Snapshots: s.group.Snapshots()},
		Access: s.access, GRPC: grpc, HTTP: http, Log: s.log})
	s.server.Start()
	s.group.Follow()
	var ctx context.Context
	ctx, s.rest = context.WithCancel(context.Background())
	if !s.shape.Insecure {
		go s.renewDaily(ctx)
	}
	return nil
}

// takePorts opens the supervisor's ports. Whoever has those has all ports of the cluster: if another one took them since
// they were chosen, and nobody asked for these very ones, others are chosen.
func (s *Supervisor) takePorts() (grpc, http net.Listener, err error) {
	const tries = 5
	for n := 1; ; n++ {
		if grpc, err = listen(s.address(protocol.None, grpcPort)); err == nil {
			if http, err = listen(s.address(protocol.None, httpPort)); err == nil {
				return grpc, http, nil
			}
			grpc.Close()
		}
		if s.cfg.Shape.Port != 0 || n == tries {
			return nil, nil, err
		}
		if s.shape.Port, err = choosePorts(s.dir, s.shape.Nodes+s.cfg.Gateways, 0, 0); err != nil {
			return nil, nil, err
		}
		if err = writeJSON(filepath.Join(s.dir, shapeFile), s.shape); err != nil {
			return nil, nil, err
		}
	}
}

func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil && node.PortTaken(err) {
		_, port, _ := net.SplitHostPort(address)
		return nil, failure("choose others with --port", "port %s is in use", port)
	}
	return l, err
}

func (s *Supervisor) startAll(ctx context.Context) error {
	s.acting.Lock()
	defer s.acting.Unlock()
	all := s.all()
	errs := make([]error, len(all))
	var started sync.WaitGroup // all at once
	for i, slot := range all {
		started.Go(func() { errs[i] = s.start(ctx, slot, false) })
	}
	started.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("cluster: the start was given up: %w", ctx.Err())
	}
	for _, err := range errs {
		if err != nil {
			return err // one is enough: they mostly fail for the same reason
		}
	}
	return nil
}

// Done is closed when a client has asked for the end of the cluster.
func (s *Supervisor) Done() <-chan struct{} { return s.asked }

// Access is that of those who may act on the cluster.
func (s *Supervisor) Access() api.Access { return s.access }

// GRPC is the address of the supervisor's gRPC port.
func (s *Supervisor) GRPC() string { return s.address(protocol.None, grpcPort) }

// Group is the cluster as a whole, for programs that run it in their own process.
func (s *Supervisor) Group() *node.Group { return s.group }

// Close stops all nodes, then the supervisor.
func (s *Supervisor) Close() error {
	os.Remove(filepath.Join(s.dir, endpointFile))
	s.stopAll()
	return s.letGo()
}

// letGo gives up what a supervisor without nodes holds.
func (s *Supervisor) letGo() error {
	if s.rest != nil {
		s.rest()
	}
	if s.group != nil {
		s.group.Close()
	}
	if s.router != nil {
		s.router.Close()
	}
	if s.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.server.Close(ctx)
	}
	if s.spawner != nil {
		s.spawner.close()
	}
	return s.lock.Close()
}

func (s *Supervisor) stopAll() {
	s.acting.Lock()
	defer s.acting.Unlock()
	var stopped sync.WaitGroup
	for _, slot := range s.all() {
		stopped.Go(func() {
			if err := s.stop(slot); err != nil {
				s.log.Error("a process does not end", "of", slot.String(), "error", err)
			}
		})
	}
	stopped.Wait()
}

// Members are the nodes as they are now.
func (s *Supervisor) Members() []node.Member {
	s.mu.Lock()
	defer s.mu.Unlock()
	members := make([]node.Member, len(s.slots))
	for i, slot := range s.slots {
		members[i] = s.member(slot)
	}
	return members
}

// member is called with the lock held.
func (s *Supervisor) member(slot *slot) node.Member {
	known := &cirandav1.NodeStatus{
		Id: uint32(slot.id), State: slot.state, Incarnation: uint32(slot.life), Problem: slot.problem,
		PeerAddress: s.address(slot.id, peerPort), GrpcAddress: s.address(slot.id, grpcPort), HttpAddress: s.address(slot.id, httpPort),
		SocketAddress: s.socket(slot.id),
	}
	if slot.process != nil {
		known.Pid = uint32(slot.process.pid())
	}
	return node.Member{Known: known, Client: slot.client}
}

// Last is the node that was killed last.
func (s *Supervisor) Last() protocol.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// note tells the stream what happened to a node or gateway from without.
func (s *Supervisor) note(k trace.Kind, slot *slot, at int64) {
	if slot.gateway != "" {
		s.group.Note(gatewayNote(k, slot.gateway))
		return
	}
	s.group.Note(trace.Event{Kind: k, Node: slot.id, Inc: slot.life, T: at})
}
