package node

import (
	"context"
	"slices"

	"ciranda.dev/api"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/invocation"
	"ciranda.dev/rmi"
)

// openObjects gives the node a place among those who call remote objects: its number is its id, and its incarnation its life.
func (n *Node) openObjects() (err error) {
	o := rmi.Options{ID: invocation.NodeClient(uint16(n.cfg.ID)), Life: uint64(n.store.Incarnation()), Resolve: n.whereObjects, Log: n.log}
	if n.cfg.Spec.Registry {
		n.names.Attach(n.live, n.cfg.ID, n.store.Incarnation())
		o.Names, o.SessionOver = n.names, n.names.SessionOver
	}
	ObjectAccess(n.cfg.Access, &o)
	n.objects, err = rmi.New(o)
	return err
}

// ObjectAccess sets what shows a cluster that a party may call its objects, and them that they are the cluster's.
func ObjectAccess(a api.Access, o *rmi.Options) {
	if o.Credentials = a.Credentials; a.Insecure() {
		o.Secret = a.Token.Secret("objects")
	}
}

// whereObjects finds another node of the cluster: remote objects are spoken at gRPC ports, of which handshakes of connections tell.
func (n *Node) whereObjects(_ context.Context, id rmi.ID) (string, error) {
	node := protocol.ID(id.Node())
	if !slices.Contains(n.group, node) {
		return "", nil
	}
	if node == n.cfg.ID {
		return n.advertised(), nil
	}
	is, err := n.live.Status()
	if err != nil {
		return "", err
	}
	for _, p := range is.Peers {
		if p.ID == node {
			return p.API, nil
		}
	}
	return "", nil
}
