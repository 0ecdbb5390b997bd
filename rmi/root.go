package rmi

import (
	"context"
	"errors"
	"sync"

	"ciranda.dev/protocol/dgc"
	"ciranda.dev/protocol/invocation"
)

// The root is the one object of a node that needs no reference: its id is zero. It leads to all others.
type root interface {
	// Where gives the address of a node; empty if it is not known.
	Where(ctx context.Context, id ID) (address string, err error)
	// Names gives where names are kept.
	Names(ctx context.Context) (Ref, error)
	// Echo gives back what it is sent.
	Echo(ctx context.Context, payload []byte) ([]byte, error)
	// Offered gives what the node offers under a name.
	Offered(ctx context.Context, name string) (Ref, error)
	// Refs says which references the caller has and has not any more, and which ones that this node sent have arrived.
	Refs(ctx context.Context, update dgc.Update, arrived []uint64) (dgc.Ack, error)
	// Leases lists what others refer to here, and what the node refers to.
	Leases(ctx context.Context) (Leases, error)
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
	refsIn struct {
		Update  dgc.Update `cbor:"update"`
		Arrived []uint64   `cbor:"arrived"`
	}
	echo struct {
		Payload []byte `cbor:"payload"`
	}
	offeredOut struct {
		Ref Ref `cbor:"ref"`
	}
	leasesOut struct {
		Leases Leases `cbor:"leases"`
	}
	refsOut struct {
		Ack dgc.Ack `cbor:"ack"`
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

var rootRefs = NewMethod(rootInterface, "Refs", AtLeastOnce, // it makes no difference: updates have numbers
	func(ctx context.Context, object root, in *refsIn, out *refsOut) (err error) {
		out.Ack, err = object.Refs(ctx, in.Update, in.Arrived)
		return err
	})

var rootLeases = NewMethod(rootInterface, "Leases", AtLeastOnce,
	func(ctx context.Context, object root, _ *struct{}, out *leasesOut) (err error) {
		out.Leases, err = object.Leases(ctx)
		return err
	})

var rootOffered = NewMethod(rootInterface, "Offered", AtLeastOnce,
	func(ctx context.Context, object root, in *nameIn, out *offeredOut) (err error) {
		out.Ref, err = object.Offered(ctx, in.Name)
		return err
	})

var rootEcho = NewMethod(rootInterface, "Echo", AtLeastOnce,
	func(ctx context.Context, object root, in *echo, out *echo) (err error) {
		out.Payload, err = object.Echo(ctx, in.Payload)
		return err
	})

type rootStub struct{ *Remote }

func (stub rootStub) Echo(ctx context.Context, payload []byte) ([]byte, error) {
	out, err := rootEcho.Invoke(ctx, stub.Remote, &echo{payload})
	return out.Payload, err
}

func (stub rootStub) Offered(ctx context.Context, name string) (Ref, error) {
	out, err := rootOffered.Invoke(ctx, stub.Remote, &nameIn{name})
	return out.Ref, err
}

func (stub rootStub) Leases(ctx context.Context) (Leases, error) {
	out, err := rootLeases.Invoke(ctx, stub.Remote, &struct{}{})
	return out.Leases, err
}

func (stub rootStub) Refs(ctx context.Context, update dgc.Update, arrived []uint64) (dgc.Ack, error) {
	out, err := rootRefs.Invoke(ctx, stub.Remote, &refsIn{update, arrived})
	return out.Ack, err
}

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
	return rootStub{n.Remote(Ref{Ref: invocation.Ref{Owner: id, Interface: rootInterface.core.name}})}
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

// Refs takes what a client says of references. It is of the session that the call is of.
func (r *rootObject) Refs(ctx context.Context, update dgc.Update, arrived []uint64) (ack dgc.Ack, err error) {
	c := callOf(ctx)
	if c == nil {
		return ack, errors.New("rmi: there is no call")
	}
	n := r.node
	n.serving.Lock()
	defer n.serving.Unlock()
	if !n.server.Counts(c.rid) { // its session ended meanwhile, and with it all that it refers to
		return ack, errors.New("rmi: the session is over")
	}
	n.exports.mu.Lock()
	defer n.exports.mu.Unlock()
	n.unpin(n.exports.pins.Acked(c.rid.Client, arrived))
	if update.Seq == 0 {
		return ack, nil
	}
	ack, free := n.exports.owner.Update(dgc.Client{ID: c.rid.Client, Incarnation: c.rid.Incarnation}, &update)
	n.free(free)
	return ack, nil
}

func (r *rootObject) Leases(context.Context) (Leases, error) { return r.node.Leases(), nil }

func (r *rootObject) Offered(_ context.Context, name string) (Ref, error) {
	return r.node.offered(name)
}

func (r *rootObject) Echo(_ context.Context, payload []byte) ([]byte, error) { return payload, nil }
