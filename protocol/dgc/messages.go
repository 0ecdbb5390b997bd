package dgc

import (
	"time"

	"ciranda.dev/protocol"
)

// A Ref refers to an object of one life of a node.
type Ref struct {
	Owner protocol.ID
	Life  protocol.Incarnation // of the owner
	ID    ObjectID
}

// Messages of a [Layer], beside those of the values, which they carry.
type (
	// A Hand gives a reference to another node. It is sent again until its [RefAck] arrives, or it has travelled for too long.
	Hand struct {
		Ref      Ref
		Life     protocol.Incarnation // of the giver
		Transfer uint64
		Below    uint64 // the giver waits for no transfer below it
	}
	// A Registered answers hands: the references are registered, or their objects are gone.
	Registered struct {
		Life protocol.Incarnation // of the giver
		RefAck
	}
	// A Renew renews a client's lease at an owner, and brings it an update if there is one.
	Renew struct {
		Session uint64
		Life    protocol.Incarnation // of the owner
		Stamp   time.Duration        // the client's clock
		Update  Update               // Seq 0: none
	}
	// A Renewed answers it.
	Renewed struct {
		Session uint64
		Stamp   time.Duration // of the request
		Ack     Ack           // Seq 0: of none
	}
	// An Expired answers a client whose session is over.
	Expired struct {
		Session uint64
		Life    protocol.Incarnation // of the owner: of another one all references are dead
	}
)

// What a layer above asks for.
type (
	// Export makes a new object, which the layer above refers to itself at first. It hears [Exported].
	Export struct{}
	// Give hands a reference that the layer above has to another node. A reference that is being registered anew is not given.
	Give struct {
		Ref Ref
		To  protocol.ID
	}
	// Drop says that the layer above has no use for a reference any more.
	Drop struct{ Ref Ref }
)

// What a layer above hears. Objects are named by the hashes of their ids.
type (
	// Exported tells of a new object.
	Exported struct {
		Object string `json:"object"`
		Ref    Ref    `json:"-"`
	}
	// Held tells that a reference may be used from now on: it has arrived and is registered, or is registered again in a new session.
	Held struct {
		Object   string               `json:"object"`
		Giver    protocol.ID          `json:"giver,omitempty"` // 0: nobody, it is registered again
		Life     protocol.Incarnation `json:"life,omitempty"`  // the giver's
		Transfer uint64               `json:"transfer,omitempty"`
		Ref      Ref                  `json:"-"`
	}
	// Lost tells that an object is gone to which a reference was had, or arrived.
	Lost struct {
		Object   string               `json:"object"`
		Giver    protocol.ID          `json:"giver,omitempty"` // 0: it was had
		Life     protocol.Incarnation `json:"life,omitempty"`
		Transfer uint64               `json:"transfer,omitempty"`
		Ref      Ref                  `json:"-"`
	}
	// Collected tells an owner that nobody refers to an object any more. It is gone.
	Collected struct {
		Object string `json:"object"`
		Ref    Ref    `json:"-"`
	}
)

// Notes for the trace alone.
type (
	// Given notes that a reference begins to travel.
	Given struct {
		Object   string      `json:"object"`
		To       protocol.ID `json:"to"`
		Transfer uint64      `json:"transfer"`
	}
	// Dropped notes that a reference is not used any more.
	Dropped struct {
		Object string `json:"object"`
	}
	// Leased notes for how long a client counts on its session at an owner, by its own clock.
	Leased struct {
		Owner protocol.ID   `json:"owner"`
		For   time.Duration `json:"for"`
	}
	// Unleased notes that a client learns that its session is over: what it refers to is not registered any more.
	Unleased struct {
		Owner protocol.ID `json:"owner"`
	}
	// Applied notes that an owner applies an update.
	Applied struct {
		Client  protocol.ID `json:"client"`
		Session uint64      `json:"session"`
		Seq     uint64      `json:"seq"`
	}
	// Ended notes that an owner ends a client's session: it was silent for a lease, or has a new one.
	Ended struct {
		Client  protocol.ID `json:"client"`
		Session uint64      `json:"session"`
	}
)

// Kind is the event's name in traces.
func (Exported) Kind() string { return "dgc.export" }

// Kind is the event's name in traces.
func (Held) Kind() string { return "dgc.hold" }

// Kind is the event's name in traces.
func (Lost) Kind() string { return "dgc.lost" }

// Kind is the event's name in traces.
func (Collected) Kind() string { return "dgc.collect" }

// Kind is the event's name in traces.
func (Given) Kind() string { return "dgc.give" }

// Kind is the event's name in traces.
func (Dropped) Kind() string { return "dgc.drop" }

// Kind is the event's name in traces.
func (Leased) Kind() string { return "dgc.lease" }

// Kind is the event's name in traces.
func (Unleased) Kind() string { return "dgc.unlease" }

// Kind is the event's name in traces.
func (Applied) Kind() string { return "dgc.apply" }

// Kind is the event's name in traces.
func (Ended) Kind() string { return "dgc.end" }
