package rmi

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"

	"ciranda.dev/protocol/invocation"
)

// A Ref refers to an object of some node, and travels. It has no address.
type Ref struct {
	invocation.Ref
	// Transfer is the number of this handing over, so that the sender knows when it has arrived. 0: nobody asks.
	Transfer uint64 `json:"transfer,omitempty"`
}

// A Remote is this program's hold on an object that is elsewhere. Stubs have one.
type Remote struct {
	peer     *Peer // who has the object
	ref      Ref
	number   uint64 // 0: it is not registered with the owner
	released atomic.Bool
}

// Peer is the node that has the object.
func (r *Remote) Peer() *Peer { return r.peer }

// Ref refers to the object.
func (r *Remote) Ref() Ref { return r.ref }

// String is like "Account 8c1f03… of node 3": the object's id is shown as a hash.
func (r *Remote) String() string {
	return fmt.Sprintf("%s %s of %s", short(r.ref.Interface), r.ref.Object, r.peer.id)
}

func (r *Remote) remote() *Remote { return r }

// stub is what generated stubs are: they have a Remote within.
type stub interface{ remote() *Remote }

// RefOf gives the reference of a stub.
func RefOf(v any) (ref Ref, ok bool) {
	s, ok := v.(stub)
	if !ok || s.remote() == nil {
		return Ref{}, false
	}
	return s.remote().ref, true
}

// Export lets other nodes call an object, and gives the reference that they need. An object that is exported twice has one
// reference. It is exported until the node is closed, or [Node.Unexport].
func (i *Interface[T]) Export(n *Node, object T, options ...ExportOption) (Ref, error) {
	return n.exportNew(&i.core, object, true, options)
}

// An ExportOption changes how an object is served.
type ExportOption func(*object)

// Serial has an object execute one call at a time, in the order of their arrival. A call that comes from within the one that is executed
// would wait for ever: it fails with [ErrDeadlock], and the error says by which way it came.
func Serial() ExportOption { return func(o *object) { o.turn = make(chan struct{}, 1) } }

// At gives what calls the object of a reference: the object itself if it is one of this node. Else its owner is told, so that it keeps the
// object as long as what At gives is used: see [Release].
func (i *Interface[T]) At(ctx context.Context, n *Node, ref Ref) (T, error) {
	var none T
	if err := i.core.fits(ref); err != nil {
		return none, err
	}
	if ref.Owner == n.id {
		o := n.object(ref.Object)
		if o == nil || ref.Incarnation != n.life {
			return none, &Error{Kind: NoObject, Happened: No, Where: n.id.String(), Method: short(i.core.name)}
		}
		return o.value.(T), nil
	}
	if i.stub == nil {
		return none, fmt.Errorf("rmi: %s has no stub; call it by its methods", i.core.name)
	}
	r, err := n.hold(ctx, ref)
	if err != nil {
		return none, err
	}
	return i.stub(r), nil
}

// fits says what is wrong with a reference to an object of the interface.
func (c *interfaceCore) fits(ref Ref) error {
	d := c.description()
	switch {
	case ref.IsZero():
		return errors.New("rmi: a reference to nothing")
	case ref.Interface != d.Name:
		return fmt.Errorf("rmi: found a reference to a %.200s; expected one to a %s", ref.Interface, d.Name)
	case ref.Fingerprint != d.Fingerprint:
		return fmt.Errorf("rmi: found a %s with the fingerprint %.16s; expected %s: the other program has another version of it",
			short(d.Name), ref.Fingerprint, d.Fingerprint)
	}
	return nil
}

// Lookup gives the object of a name, see [Node.Names].
func (i *Interface[T]) Lookup(ctx context.Context, n *Node, name string) (T, error) {
	e, err := n.Names().Lookup(ctx, name)
	if err != nil {
		var none T
		return none, err
	}
	return i.At(ctx, n, e.Ref)
}

// Remote gives a hold on the object of a reference, for those who call by methods or descriptions. Its owner is not told, and may collect
// the object.
func (n *Node) Remote(ref Ref) *Remote { return &Remote{peer: n.peer(ref.Owner), ref: ref} }

// Pass makes ready to send an object to a peer, as an argument or a result: it is exported if it is not yet. A stub goes as the
// reference that it has. Nil is a reference to nothing. Generated code uses it.
func (i *Interface[T]) Pass(to *Peer, value T) (Ref, error) {
	v := any(value)
	if v == nil {
		return Ref{}, nil
	}
	if to == nil {
		return Ref{}, errors.New("rmi: there is nobody to pass it to: the context is not that of a call")
	}
	if s, ok := v.(stub); ok && s.remote() != nil {
		return to.node.pin(to, s.remote().ref, s.remote()), nil
	}
	ref, err := to.node.exportNew(&i.core, v, false, nil)
	if err != nil {
		return Ref{}, err
	}
	return to.node.pin(to, ref, nil), nil
}

// Take gives what calls the object of a reference that a peer sent; nil for a reference to nothing. Generated code uses it.
func (i *Interface[T]) Take(ctx context.Context, from *Peer, ref Ref) (T, error) {
	var none T
	if ref.IsZero() {
		return none, nil
	}
	if from == nil {
		return none, errors.New("rmi: nobody sent it: the context is not that of a call")
	}
	v, err := i.At(ctx, from.node, ref)
	if err == nil {
		from.thanks(ref.Transfer)
	}
	return v, err
}

// short is a name without its path.
func short(name string) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' || name[i] == '/' {
			return name[i+1:]
		}
	}
	return name
}

// sameAgain says whether an object can be found again among those that are exported.
func sameAgain(v any) bool { return reflect.ValueOf(v).Comparable() }
