// Package dgc finds out when nobody elsewhere refers to an object any more: distributed garbage collection by reference lists
// and leases.
//
// It is three values without input or output, which a [Layer] drives in stacks, and package rmi between programs. An [Owner] knows for each of its
// objects which clients hold a reference. A [Holder] is a client's side towards one owner: it registers references before they
// are used, and says when they are dropped. [Pins] keep objects alive while references to them travel: the sender of a reference
// keeps what it refers to until the receiver has registered it. So at no time is an object without an entry or a pin while somebody
// can call it.
//
// Leases are those of the session between client and owner (package invocation), not of objects: who is silent for a lease loses all
// its entries at once, and a renewal costs the same for one reference and for ten thousand.
//
// What is not promised. A client that is cut off for longer than a lease may find its objects collected: that is the price of
// collecting those of clients that died. Cycles of references between nodes are never collected.
//
// A. Birrell, D. Evers, G. Nelson, S. Owicki, E. Wobber, Distributed Garbage Collection for Network Objects, 1993. There each object's
// entry has a sequence number; here a client's updates are numbered as a whole, and one at a time is on its way to an owner, which
// bundles them and orders them alike.
package dgc

import (
	"cmp"
	"fmt"
	"time"

	"ciranda.dev/protocol/invocation"
)

// ObjectID names an object of an owner.
type ObjectID = invocation.ObjectID

// A Client is one life of a holder, as an owner knows it: of one session.
type Client struct {
	ID          invocation.ClientID
	Incarnation uint64
}

// Messages between a holder and an owner.
type (
	// An Update says which objects the client refers to from now on, and to which no more. Updates of a session are numbered from 1. The
	// next one is sent when the last was acknowledged; until then that is sent again.
	Update struct {
		Seq   uint64     `json:"seq"`
		Dirty []ObjectID `json:"dirty,omitempty"`
		Clean []ObjectID `json:"clean,omitempty"`
	}
	// An Ack says that an update was taken. Unknown are those of its objects that are not there, or one too many.
	Ack struct {
		Seq     uint64     `json:"seq"`
		Unknown []ObjectID `json:"unknown,omitempty"`
	}
	// A RefAck tells the sender of references that they have been registered, by the numbers of their transfers.
	RefAck struct {
		Transfers []uint64 `json:"transfers"`
	}
)

// Options are the figures of both sides. Zeros stand for the defaults.
type Options struct {
	Batch   int           // the most objects of an update: 4096
	Held    int           // the most objects that one client may refer to: 131,072
	Pin     time.Duration // how long a reference may travel: 20 s, two leases
	Mistake Mistake       // for the tests of checks only
}

// WithDefaults fills in what is zero.
func (o Options) WithDefaults() Options {
	o.Batch = cmp.Or(o.Batch, 4096)
	o.Held = cmp.Or(o.Held, 1<<17)
	o.Pin = cmp.Or(o.Pin, 20*time.Second)
	return o
}

// Validate says which figure makes no sense.
func (o Options) Validate() error {
	if o = o.WithDefaults(); o.Batch < 0 || o.Held < 0 || o.Pin < 0 {
		return fmt.Errorf("dgc: batch %d, held %d and pin %v must be above 0", o.Batch, o.Held, o.Pin)
	}
	return nil
}

// A Mistake is a deliberate error for the tests of the checks.
type Mistake uint8

// The mistakes.
const (
	NoMistake     Mistake = iota
	IgnoresSeq            // a late copy of an update is applied again
	Counts                // the owner counts references, in place of knowing who has them
	Unpinned              // the sender of a reference does not keep what it refers to
	AcksEarly             // the receiver of a reference says that it is registered before it is
	TrustsTraffic         // while references travel to an owner, a client takes its lease there for renewed
	FromArrival           // a client counts its lease from the arrival of the answer
	KeepsDead             // an owner never ends a lease
)
