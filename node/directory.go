package node

import (
	"slices"
	"sync"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/protocol"
)

// A directory is what one node knows of all: their gRPC ports, as the handshakes of their connections told.
type directory struct {
	node *Node

	mu      sync.Mutex
	clients map[string]*api.Client // by address
}

func newDirectory(n *Node) *directory { return &directory{node: n, clients: map[string]*api.Client{}} }

// Members are the nodes. One that no connection leads to counts as down.
func (d *directory) Members() []Member {
	known := map[protocol.ID]*cirandav1.NodeStatus{}
	if is, err := d.node.live.Status(); err == nil {
		known[d.node.cfg.ID] = d.node.status(is)
		for _, p := range is.Peers {
			known[p.ID] = &cirandav1.NodeStatus{Incarnation: uint32(p.Incarnation), GrpcAddress: p.API, State: stateOf(p.Connected)}
		}
	}
	var members []Member
	for _, id := range d.node.group {
		k := known[id]
		if k == nil {
			k = &cirandav1.NodeStatus{State: cirandav1.NodeState_NODE_STATE_DOWN}
		}
		k.Id, k.PeerAddress = uint32(id), d.node.cfg.Peers[id]
		members = append(members, Member{Known: k, Client: d.client(k.GrpcAddress)})
	}
	return members
}

func stateOf(connected bool) cirandav1.NodeState {
	if connected {
		return cirandav1.NodeState_NODE_STATE_UP
	}
	return cirandav1.NodeState_NODE_STATE_DOWN
}

// Last is none: a node does not know who was killed by whom.
func (d *directory) Last() protocol.ID { return protocol.None }

// client gives the client of an address, the same one each time.
func (d *directory) client(address string) *api.Client {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.clients[address]; c != nil || address == "" {
		return c
	}
	c, err := api.Dial(address, d.node.cfg.Access)
	if err != nil {
		d.node.log.Warn("a peer told an address of no use", "address", address, "error", err)
		return nil
	}
	d.clients[address] = c
	return c
}

func (d *directory) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.clients {
		c.Close()
	}
}

// known says whether a node is another one of the group.
func (n *Node) known(id protocol.ID) bool { return id != n.cfg.ID && slices.Contains(n.group, id) }
