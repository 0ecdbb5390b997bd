package rmi

import (
	"context"
	"sync"

	"ciranda.dev/protocol/invocation"
)

// The root is the one object of a node that needs no reference: its id is zero. It leads to all others.
type root interface {
	// Where gives the address of a node; empty if it is not known.
	Where(ctx context.Context, id ID) (address string, err error)
	// Names gives where names are kept.
	Names(ctx context.Context) (Ref, error)
}

// Its descriptors are written by hand, as anybody may who does not want the generator.
type (
	whereIn struct {
		ID ID `cbor:"id"`
	}
	whereOut struct {
		Address string `cbor:"address"`
	}
	namesOut struct {
		Names Ref `cbor:"names"`
	}
)

var rootInterface = NewInterface("ciranda.dev/rmi.Root", func(r *Remote) root { return rootStub{r} })

var rootWhere = NewMethod(rootInterface, "Where", AtLeastOnce,
	func(ctx context.Context, object root, in *whereIn, out *whereOut) (err error) {
		out.Address, err = object.Where(ctx, in.ID)
		return err
	})

var rootNames = NewMethod(rootInterface, "Names", AtLeastOnce,
	func(ctx context.Context, object root, _ *struct{}, out *namesOut) (err error) {
		out.Names, err = object.Names(ctx)
		return err
	})

type rootStub struct{ *Remote }

func (stub rootStub) Where(ctx context.Context, id ID) (string, error) {
	out, err := rootWhere.Invoke(ctx, stub.Remote, &whereIn{id})
	return out.Address, err
}

func (stub rootStub) Names(ctx context.Context) (Ref, error) {
	out, err := rootNames.Invoke(ctx, stub.Remote, &struct{}{})
	return out.Names, err
}

// rootOf is the root of another node.
func (n *Node) rootOf(id ID) root {
	return rootStub{n.remoteAt(Ref{Ref: invocation.Ref{Owner: id, Interface: rootInterface.core.name}})}
}

// A rootObject is the root of this node.
type rootObject struct {
	node  *Node
	names func() Names // that others are given: always the same, so that it is exported once
}

func newRoot(n *Node) *rootObject {
	return &rootObject{n, sync.OnceValue(func() Names {
		if n.opts.Names != nil || n.opts.Keeper != nil {
			return &guarded{n.Names()}
		}
		return n.Names()
	})}
}

// Where knows whom this node has dialed, or can resolve.
func (r *rootObject) Where(ctx context.Context, id ID) (string, error) {
	n := r.node
	n.mu.Lock()
	p := n.peers[id]
	n.mu.Unlock()
	if p != nil {
		p.mu.Lock()
		address := p.address
		p.mu.Unlock()
		if address != "" {
			return address, nil
		}
	}
	if n.opts.Resolve == nil {
		return "", nil
	}
	return n.opts.Resolve(ctx, id)
}

func (r *rootObject) Names(context.Context) (Ref, error) {
	return NamesRemote.Export(r.node, r.names())
}
