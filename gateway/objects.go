package gateway

import (
	"context"
	"math/rand/v2"

	"ciranda.dev/api"
	"ciranda.dev/api/accounts"
	"ciranda.dev/node"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/invocation"
	"ciranda.dev/rmi"
)

// openObjects gives the gateway a place among those who call remote objects. Names are those that the nodes keep.
func (g *Gateway) openObjects() (*rmi.Node, error) {
	o := rmi.Options{Resolve: g.whereObjects, Keeper: g.keeper, Log: g.cfg.Log}
	node.ObjectAccess(g.cfg.Access, &o)
	n, err := rmi.New(o)
	if err != nil {
		return nil, err
	}
	return n, accounts.Serve(n, g.bank, func(ctx context.Context, number uint32) (accounts.Account, error) {
		a, err := g.bank.find("number", number)
		if err != nil {
			return nil, err
		}
		return node.AccountAt(ctx, n, a.id)
	})
}

// whereObjects gives the address of a node.
func (g *Gateway) whereObjects(_ context.Context, id rmi.ID) (string, error) {
	return g.cfg.Nodes[protocol.ID(id.Node())], nil
}

// keeper is some node that is up: all keep the same names.
func (g *Gateway) keeper() (rmi.ID, error) {
	up := g.nodes.Up()
	if len(up) == 0 {
		return rmi.ID{}, api.Failed("ciranda status shows the nodes", "no node is up, and nodes keep the names")
	}
	return invocation.NodeClient(uint16(up[rand.IntN(len(up))])), nil
}

// Objects is the gateway's place among those who call remote objects.
func (g *Gateway) Objects() *rmi.Node { return g.objects }
