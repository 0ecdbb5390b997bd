// Package node assembles one node of a cluster from its parts: a stack of protocols, the engine that runs it in real
// time, a disk, a transport over TCP, and the ports of the API.
//
// [Open] starts one. A node keeps its last events for those who follow it, and writes its trace to its directory up
// to a limited size. A [Group] is the cluster as a whole: it asks all nodes and puts their answers together; every
// node serves one, and so does a supervisor.
//
// It does not promise that a node comes back when it has ended: package cluster restarts nodes when it is asked to.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ciranda.dev/api"
	"ciranda.dev/api/accounts"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/engine/live"
	"ciranda.dev/engine/live/disk"
	"ciranda.dev/node/member"
	"ciranda.dev/node/names"
	"ciranda.dev/pki"
	"ciranda.dev/protocol"
	"ciranda.dev/rmi"
	"ciranda.dev/stacks"
	"ciranda.dev/trace"
	"ciranda.dev/transport"
	"ciranda.dev/transport/grpc"
	"ciranda.dev/transport/tcp"
	"ciranda.dev/transport/udp"
)

// A Config says what a node is. Cluster, ID, Peers and Dir are needed.
type Config struct {
	Cluster string
	ID      protocol.ID
	Peers   map[protocol.ID]string // the peer addresses of all nodes, this one too
	Dir     string                 // what the node keeps; made if there is none
	Forget  bool                   // begins as if the disk were empty
	Spec    stacks.Spec
	Access  api.Access // to the cluster; also what its nodes know each other by
	Listen  string     // where to listen for peers; empty means the node's own address among Peers
	GRPC    string     // where to serve gRPC; empty: not at all
	HTTP    string     // where to serve HTTP; empty: not at all
	Socket  string     // where to serve plain sockets; empty: not at all
	Hosts   []string   // names, beside those of the loopback interface, by which the HTTP port may be called
	Level   trace.Level
	Log     *slog.Logger // nil: nothing is logged

	// Transport is what carries messages between nodes, one of Transports; the same at all of them. Empty means the first.
	Transport string
	// UDP is an IP multicast group and its port, such as "239.7.7.7:7946", over which the members of the nodes' group send what
	// fits into a datagram; the same at all nodes. Empty: all goes over Transport. It needs a Spec with Orders.
	UDP string
	// UDPInterface is the network interface for that. Empty means the only one that can.
	UDPInterface string
}

// Transports are what can carry messages between nodes.
var Transports = []string{"tcp", "grpc"}

// eventsKept is how many events a node keeps for those who follow it.
const eventsKept = 1 << 14

// A Node is a running node.
type Node struct {
	cfg     Config
	group   []protocol.ID
	live    *live.Node
	store   *disk.Store
	record  *recorder
	server  *api.Server
	links   *Links
	peers   *directory
	whole   *Group
	member  *member.Group
	objects *rmi.Node
	account *accounts.Local // as a remote object; nil without a bank
	binding sync.WaitGroup  // what binds names
	ending  context.Context // ends when the node is closed
	end     context.CancelFunc
	names   *names.Names   // of remote objects
	air     *udp.Transport // nil without Config.UDP
	log     *slog.Logger
}

// Open starts a node.
func Open(c Config) (*Node, error) {
	n := &Node{cfg: c, group: slices.Sorted(maps.Keys(c.Peers)), links: new(Links), member: member.New(member.Options{}), names: names.New(), log: c.Log}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	n.log = api.Calm(n.log)
	if err := n.validate(); err != nil {
		return nil, err
	}
	n.ending, n.end = context.WithCancel(context.Background())
	bank := n.bank()
	if bank != nil {
		n.account = accounts.NewAccount(bank, uint32(c.ID))
	}
	ports, err := listenAll(n.cfg.Listen, c.GRPC, c.HTTP, c.Socket)
	if err != nil {
		return nil, err
	}
	if err := n.open(ports, bank); err != nil {
		n.end()
		return nil, errors.Join(err, closeAll(ports))
	}
	return n, nil
}

func (n *Node) validate() error {
	c := &n.cfg
	if c.Peers[c.ID] == "" {
		return api.Wrong("peers", "node %d is not among the peers %s", c.ID, ranges(n.group))
	}
	if c.Listen == "" {
		c.Listen = c.Peers[c.ID]
	}
	if c.Dir == "" {
		return api.Wrong("dir", "a node needs a directory")
	}
	if c.Transport != "" && !slices.Contains(Transports, c.Transport) {
		return api.Wrong("transport", "found the transport %.40q; expected %s", c.Transport, strings.Join(Transports, " or "))
	}
	if err := errors.Join(c.checkUDP(), c.checkAccess()); err != nil {
		return err
	}
	return c.Spec.Validate()
}

// listenAll opens ports; an empty address gives none.
func listenAll(addresses ...string) ([]net.Listener, error) {
	ports := make([]net.Listener, len(addresses))
	for i, a := range addresses {
		if a == "" {
			continue
		}
		l, err := net.Listen("tcp", a)
		if err != nil {
			return nil, errors.Join(busy(a, err), closeAll(ports))
		}
		ports[i] = l
	}
	return ports, nil
}

// busy says in words that a port is in use, if that is why it could not be opened.
func busy(address string, err error) error {
	if _, port, e := net.SplitHostPort(address); e == nil && PortTaken(err) {
		return api.Failed("another node or program has it; choose another", "port %s is in use", port)
	}
	return fmt.Errorf("node: %w", err)
}

func closeAll(ports []net.Listener) error {
	var errs []error
	for _, l := range ports {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}

func (n *Node) open(ports []net.Listener, bank api.Bank) (err error) {
	c := n.cfg
	if err = os.MkdirAll(c.Dir, 0o700); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	n.store, err = disk.Open(filepath.Join(c.Dir, "store"), disk.Options{Cluster: c.Cluster, Node: c.ID, Shape: n.shape(), Forget: c.Forget})
	if err != nil {
		return err
	}
	if n.record, err = n.openRecorder(); err != nil {
		return errors.Join(err, n.store.Close(context.Background()))
	}
	n.live, err = live.Open(live.Config{
		Cluster: c.Cluster, Stack: n.agreed(), ID: c.ID, Group: n.group, API: n.advertised(), Build: c.Spec.Build,
		Transport: n.transport(ports[0]), Disk: n.store, Sink: n.record, Level: c.Level, Leave: n.leave, Log: n.log,
		Seed: uint64(time.Now().UnixNano()),
	})
	if err != nil {
		return errors.Join(err, n.record.Close(), n.store.Close(context.Background()))
	}
	n.member.Attach(n.live)
	if err = n.openObjects(); err == nil {
		err = n.serveAccount(bank)
	}
	if err != nil {
		return errors.Join(err, n.live.Close(context.Background()), n.record.Close(), n.store.Close(context.Background()))
	}
	n.serve(ports[1], ports[2], ports[3], bank)
	return nil
}

func (n *Node) self() protocol.Self {
	return protocol.Self{ID: n.cfg.ID, Incarnation: n.store.Incarnation(), Group: n.group}
}

// shape is what must not change from one life to the next.
func (n *Node) shape() string {
	stored := n.cfg.Spec
	stored.Registry = false // names are in memory only
	return fmt.Sprintf("%s, nodes %s", stored.Text(), ranges(n.group))
}

// advertised is where others find the gRPC port.
func (n *Node) advertised() string { return n.reachable(n.cfg.GRPC) }

// reachable is where others find a port: if it is open to all addresses, at the host where they find this node.
func (n *Node) reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host, _, _ = net.SplitHostPort(n.cfg.Peers[n.cfg.ID])
	}
	return net.JoinHostPort(host, port)
}

func (n *Node) transport(l net.Listener) func(transport.Handler, func() transport.Hello) (transport.Transport, error) {
	return func(h transport.Handler, hello func() transport.Hello) (transport.Transport, error) {
		others := maps.Clone(n.cfg.Peers)
		delete(others, n.cfg.ID)
		c := tcp.Config{Hello: hello, Handler: h, Listener: l, Peers: others}
		if access := n.cfg.Access; access.Insecure() {
			c.Secret = access.Token.Secret("peer")
		} else {
			c.TLS, c.Identify = access.Credentials.Peer(), pki.PeerID
		}
		if n.cfg.UDP != "" {
			return n.openAir(c, h)
		}
		return n.connect(c)
	}
}

// connect opens the transport with the connections.
func (n *Node) connect(c tcp.Config) (transport.Transport, error) {
	if n.cfg.Transport == "grpc" {
		return grpc.Open(c)
	}
	return tcp.Open(c)
}

func (n *Node) serve(grpc, http, socket net.Listener, bank api.Bank) {
	n.peers = newDirectory(n)
	n.whole = NewGroup(n.cfg.Cluster, n.cfg.Spec.Text(), n.peers, n.links)
	n.whole.Insecure = n.cfg.Access.Insecure()
	n.server = api.New(api.Config{
		Services: api.Services{Node: service{n}, Cluster: n.whole, Bank: bank, Group: n.membership(), Snapshots: photographer{n}},
		Access:   n.cfg.Access, GRPC: grpc, HTTP: http, Socket: socket,
		Hosts: n.cfg.Hosts, Log: n.log, Ready: n.ready, Objects: n.objects, Metrics: []prometheus.Collector{metrics{n}},
	})
	n.server.Start()
}

// ready says whether the node takes part: it has ended neither by itself nor by request.
func (n *Node) ready() bool {
	select {
	case <-n.live.Done():
		return false
	default:
		return true
	}
}

// Group is the node's membership in the group, for code in this process.
func (n *Node) Group() *member.Group { return n.member }

// Objects is the node's place among those who call remote objects, for code in this process.
func (n *Node) Objects() *rmi.Node { return n.objects }

// Incarnation is the number of this life of the node.
func (n *Node) Incarnation() protocol.Incarnation { return n.store.Incarnation() }

// Done is closed when the node has ended, by itself or by Close.
func (n *Node) Done() <-chan struct{} { return n.live.Done() }

// Err is why the node ended by itself.
func (n *Node) Err() error { return n.live.Err() }

// Close ends the node in good order, as far as there is time until ctx ends: it gives up what it leads, tells the
// others, and stores what is to be stored.
func (n *Node) Close(ctx context.Context) error {
	err := n.live.Close(ctx)
	if ctx.Err() == nil {
		err = errors.Join(err, n.record.Close())
	}
	n.end()
	n.binding.Wait()
	n.whole.Close()
	if n.account != nil {
		n.account.Close()
	}
	n.objects.Close()
	n.names.Close()
	n.peers.close()
	n.server.Close(ctx)
	return errors.Join(err, n.store.Close(ctx))
}

// status is what the node says of itself.
func (n *Node) status(s live.Status) *cirandav1.NodeStatus {
	return &cirandav1.NodeStatus{
		Id: uint32(n.cfg.ID), State: cirandav1.NodeState_NODE_STATE_UP, Pid: uint32(os.Getpid()),
		PeerAddress: n.cfg.Peers[n.cfg.ID], GrpcAddress: n.advertised(), HttpAddress: n.reachable(n.cfg.HTTP), SocketAddress: n.cfg.Socket,
		Incarnation: uint32(s.Self.Incarnation), Lamport: s.Lamport, Refused: s.Stats.Refused + n.server.Refused(),
	}
}

// ParsePeers reads "1=host:port,2=host:port".
func ParsePeers(text string) (map[protocol.ID]string, error) {
	peers := map[protocol.ID]string{}
	for part := range strings.SplitSeq(text, ",") {
		number, address, ok := strings.Cut(strings.TrimSpace(part), "=")
		id, err := parseID(number)
		if err == nil && ok {
			_, _, err = net.SplitHostPort(address)
		}
		if err != nil || !ok {
			return nil, api.Wrong("peers", "found %.60q among the peers; expected NUMBER=HOST:PORT", part)
		}
		if peers[id] != "" {
			return nil, api.Wrong("peers", "node %d is among the peers twice", id)
		}
		peers[id] = address
	}
	return peers, nil
}
