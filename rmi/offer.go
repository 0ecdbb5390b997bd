package rmi

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Offer has peers find an object at this very node, under a name that is its own: what a node serves whoever it is. It is not among
// [Names]. The last offer of a name counts.
func (n *Node) Offer(name string, ref Ref) error {
	if err := CheckName(name); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.offers[name] = ref
	return nil
}

// offered is what this node offers.
func (n *Node) offered(name string) (Ref, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ref, ok := n.offers[name]; ok {
		return ref, nil
	}
	all := strings.Join(slices.Sorted(maps.Keys(n.offers)), ", ")
	if all == "" {
		all = "nothing"
	}
	return Ref{}, fmt.Errorf("%w: this node offers %s", ErrNoName, all)
}

// Offered gives an object that a peer offers. Each time, the peer is asked: it may have been restarted.
func (i *Interface[T]) Offered(ctx context.Context, p *Peer, name string) (T, error) {
	ref, err := p.node.rootOf(p.id).Offered(ctx, name)
	if err != nil {
		var none T
		return none, err
	}
	return i.At(ctx, p.node, ref)
}
