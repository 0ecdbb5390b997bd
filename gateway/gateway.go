// Package gateway is the application tier: a server between clients and the nodes that keep the accounts. It serves the
// whole bank, the group, the cluster and its events; clients need not know which node does what, nor which of them are up.
//
// [Open] starts one. It keeps nothing that matters: all that must last is on the nodes, so gateways come and go, several
// run side by side without knowing of each other, and a client that loses one goes on with another. [NewTeller] makes
// the client's side of that: it makes each transfer once, over whatever gateway answers. [Load] moves much money through
// gateways and then checks that none was lost.
//
// What it promises of a transfer: it is done at most once, also if the client asks again with the same id, through
// another gateway too, as long as the node remembers; an answer that says that nothing happened is true; where that is
// not known the answer says so. It asks nodes again by itself until the caller's deadline.
//
// What it promises of messages to the group: they are sent at most once, by one member, the same one as long as that
// answers; where it is not known whether they were, the answer says so.
//
// What it does not promise: an answer while the account's node is down; that money has arrived when a transfer is done,
// unless it was asked to wait; a total of all balances while a node is down.
//
// Asking again with an id that the server remembers is at-most-once invocation: A. Birrell, B. Nelson, Implementing
// Remote Procedure Calls, ACM TOCS 2(1), 1984.
package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/node"
	"ciranda.dev/pki"
	"ciranda.dev/protocol"
	"ciranda.dev/rmi"
)

// A Config says what a gateway is. Name, Cluster, Nodes and Access are needed.
type Config struct {
	Name    string                 // among the gateways of the cluster
	Cluster string                 // its name; nodes of others are not spoken to
	Nodes   map[protocol.ID]string // the gRPC addresses of all nodes
	Access  api.Access             // what the gateway shows to nodes and demands of clients
	GRPC    string                 // where to serve gRPC; empty: not at all
	HTTP    string                 // where to serve HTTP; empty: not at all
	Socket  string                 // where to serve plain sockets; empty: not at all
	Hosts   []string               // names, beside those of the loopback interface, by which the HTTP port may be called
	Log     *slog.Logger
}

// A Gateway is a running gateway.
type Gateway struct {
	cfg     Config
	nodes   *node.Fixed
	links   node.Links
	group   *node.Group
	bank    *bankService
	router  *Router
	server  *api.Server
	objects *rmi.Node
	asking  sync.WaitGroup
	cancel  context.CancelFunc
}

// watchEvery is how long the gateway goes without asking who is up.
const watchEvery = 500 * time.Millisecond

// Open starts a gateway. It need not reach a node yet.
func Open(c Config) (*Gateway, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	ports, err := listen(c.GRPC, c.HTTP, c.Socket)
	if err != nil {
		return nil, err
	}
	g := &Gateway{cfg: c}
	if err := g.open(ports); err != nil {
		for _, p := range ports {
			if p != nil {
				p.Close()
			}
		}
		return nil, err
	}
	return g, nil
}

func (c Config) validate() error {
	switch {
	case c.Name == "":
		return api.Wrong("name", "a gateway needs a name")
	case c.Cluster == "":
		return api.Wrong("cluster", "a gateway needs the name of its cluster")
	case len(c.Nodes) == 0:
		return api.Wrong("nodes", "a gateway needs the addresses of the nodes")
	}
	return c.checkAccess()
}

// checkAccess says whether nodes will let the gateway act for others.
func (c Config) checkAccess() error {
	if err := c.Access.Validate(); err != nil || c.Access.Insecure() {
		return err
	}
	if is := c.Access.Credentials.Identity(); is.Cluster != c.Cluster || is.Role != pki.Gateway {
		e := api.Wrong("credentials", "the credentials are those of %s; expected those of a gateway of %s", is, c.Cluster)
		e.Hint = "ciranda pki issue --role gateway " + c.Name + " makes them"
		return e
	}
	return nil
}

// listen opens ports; an empty address gives none.
func listen(addresses ...string) ([]net.Listener, error) {
	ports := make([]net.Listener, len(addresses))
	for i, a := range addresses {
		if a == "" {
			continue
		}
		l, err := net.Listen("tcp", a)
		if err != nil {
			for _, p := range ports[:i] {
				if p != nil {
					p.Close()
				}
			}
			if _, port, e := net.SplitHostPort(a); e == nil && node.PortTaken(err) {
				return nil, api.Failed("another program has it; choose another", "port %s is in use", port)
			}
			return nil, fmt.Errorf("gateway: %w", err)
		}
		ports[i] = l
	}
	return ports, nil
}

func (g *Gateway) open(ports []net.Listener) (err error) {
	c := g.cfg
	dial := func(address string) (*api.Client, error) { return api.Dial(address, c.Access) }
	if g.nodes, err = node.NewFixed(c.Cluster, c.Nodes, &g.links, dial); err != nil {
		return err
	}
	if g.bank, err = newBankService(c.Name, c.Nodes, dial); err != nil {
		return errors.Join(err, g.nodes.Close())
	}
	g.router = NewRouter(g.nodes, dial)
	g.group = node.NewGroup(c.Cluster, "", g.nodes, &g.links)
	g.group.Insecure = c.Access.Insecure()
	g.group.Gateways = func() []*cirandav1.GatewayStatus { return []*cirandav1.GatewayStatus{g.status()} }
	if g.objects, err = g.openObjects(); err != nil {
		return errors.Join(err, g.router.Close(), g.bank.close(), g.nodes.Close())
	}
	g.server = api.New(api.Config{
		Services: api.Services{Cluster: &cluster{Group: g.group, gateway: g}, Bank: g.bank, Group: g.router,
			Snapshots: g.group.Snapshots()},
		Access: c.Access, GRPC: ports[0], HTTP: ports[1], Socket: ports[2], Hosts: c.Hosts, Log: c.Log, Ready: g.Ready, Objects: g.objects,
		Metrics: []prometheus.Collector{metrics{g}},
	})
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	g.asking.Go(func() { g.nodes.Run(ctx, watchEvery) })
	g.server.Start()
	return nil
}

// Ready says whether the gateway reaches a node.
func (g *Gateway) Ready() bool { return len(g.nodes.Up()) > 0 }

// Stats are what the gateway counts of the bank.
func (g *Gateway) Stats() *Stats { return &g.bank.stats }

// Reaches says of each node whether it answered when it was last asked.
func (g *Gateway) Reaches() map[protocol.ID]bool {
	reached := map[protocol.ID]bool{}
	for id := range g.cfg.Nodes {
		reached[id] = false
	}
	for _, id := range g.nodes.Up() {
		reached[id] = true
	}
	return reached
}

// Close ends the gateway. Calls under way may end until ctx does.
func (g *Gateway) Close(ctx context.Context) error {
	g.cancel()
	g.group.Close()
	g.router.endStreams()
	g.objects.Close()
	g.server.Close(ctx)
	g.asking.Wait()
	return errors.Join(g.router.Close(), g.bank.close(), g.nodes.Close())
}

// status is what the gateway says of itself.
func (g *Gateway) status() *cirandav1.GatewayStatus {
	return &cirandav1.GatewayStatus{Name: g.cfg.Name, State: cirandav1.NodeState_NODE_STATE_UP, Pid: uint32(os.Getpid()),
		GrpcAddress: advertised(g.cfg.GRPC), HttpAddress: advertised(g.cfg.HTTP),
		SocketAddress: advertised(g.cfg.Socket)}
}

// advertised is where others find a port: one that is open to all addresses, under the name of this machine.
func advertised(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		name, _ := os.Hostname()
		host = cmp.Or(name, "localhost")
	}
	return net.JoinHostPort(host, port)
}

// cluster is the cluster as the gateway serves it: what it knows of links it asks the nodes for, since others may change
// them too.
type cluster struct {
	*node.Group
	gateway *Gateway
	change  sync.Mutex // of the links
}

func (c *cluster) refresh(ctx context.Context) {
	c.change.Lock()
	defer c.change.Unlock()
	c.gateway.nodes.Refresh(ctx)
}

// Status says who is alive, who leads, and why nobody does.
func (c *cluster) Status(ctx context.Context, r *cirandav1.StatusRequest) (*cirandav1.StatusResponse, error) {
	c.refresh(ctx)
	s, err := c.Group.Status(ctx, r)
	if err == nil {
		s.Stack = c.gateway.nodes.Stack()
	}
	return s, err
}

// Elect makes a node begin an election.
func (c *cluster) Elect(ctx context.Context, r *cirandav1.ElectRequest) (*cirandav1.ElectResponse, error) {
	c.refresh(ctx)
	return c.Group.Elect(ctx, r)
}

// SetFault disturbs the network or nodes.
func (c *cluster) SetFault(ctx context.Context, r *cirandav1.SetFaultRequest) (*cirandav1.SetFaultResponse, error) {
	c.change.Lock()
	defer c.change.Unlock()
	c.gateway.nodes.Refresh(ctx)
	return c.Group.SetFault(ctx, r)
}

// Heal makes the network and the nodes whole.
func (c *cluster) Heal(ctx context.Context, r *cirandav1.HealRequest) (*cirandav1.HealResponse, error) {
	c.change.Lock()
	defer c.change.Unlock()
	c.gateway.nodes.Refresh(ctx)
	return c.Group.Heal(ctx, r)
}

// ids are the numbers of nodes, ascending.
func ids[V any](m map[protocol.ID]V) []protocol.ID { return slices.Sorted(maps.Keys(m)) }
