package rmi

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"

	"ciranda.dev/protocol/invocation"
)

// Leases are a node's objects that others refer to, and the references that it has. Objects are shown as hashes.
type Leases struct {
	Node     ID         `json:"node"`
	Life     uint64     `json:"life"`
	Exported []Exported `json:"exported"` // at most MostLeases, by hash
	Held     []Held     `json:"held"`     // the same
	Exports  int        `json:"exports"`  // how many objects are exported
	Holds    int        `json:"holds"`    // how many references there are
}

// MostLeases is how many objects, and how many references, [Leases] lists.
const MostLeases = 1000

// An Exported object is one that others may refer to.
type Exported struct {
	Object     string `json:"object"`
	Interface  string `json:"interface"`
	Strong     bool   `json:"strong"`     // it stays, whoever refers to it
	Holders    []ID   `json:"holders"`    // who refers to it
	Travelling int    `json:"travelling"` // references to it that are on their way
}

// A Held reference is one to an object elsewhere.
type Held struct {
	Owner     ID     `json:"owner"`
	Object    string `json:"object"`
	Interface string `json:"interface"`
	State     string `json:"state"` // registering, usable or unregistering
}

// Leases lists what others refer to here, and what this node refers to.
func (n *Node) Leases() Leases {
	l := Leases{Node: n.id, Life: n.life, Exported: []Exported{}, Held: []Held{}}
	n.listExports(&l)
	n.mu.Lock()
	peers := slices.SortedFunc(maps.Values(n.peers), func(a, b *Peer) int { return bytes.Compare(a.id[:], b.id[:]) })
	n.mu.Unlock()
	for _, p := range peers {
		p.listHeld(&l)
	}
	slices.SortFunc(l.Held, func(a, b Held) int { return cmp.Compare(a.Object, b.Object) })
	l.Held = l.Held[:min(len(l.Held), MostLeases)]
	return l
}

func (n *Node) listExports(l *Leases) {
	n.exports.mu.RLock()
	defer n.exports.mu.RUnlock()
	for id, o := range n.exports.objects {
		if id == (invocation.ObjectID{}) {
			continue
		}
		l.Exports++
		holders, pins := n.exports.owner.Holders(id)
		e := Exported{Object: id.String(), Interface: o.core.name, Strong: n.exports.owner.Strong(id), Holders: []ID{}, Travelling: pins}
		for _, h := range holders {
			e.Holders = append(e.Holders, h.ID)
		}
		l.Exported = append(l.Exported, e)
	}
	slices.SortFunc(l.Exported, func(a, b Exported) int { return cmp.Compare(a.Object, b.Object) })
	l.Exported = l.Exported[:min(len(l.Exported), MostLeases)]
}

func (p *Peer) listHeld(l *Leases) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, h := range p.holds {
		l.Holds++
		l.Held = append(l.Held, Held{p.id, id.String(), h.iface, p.holder.State(id).String()})
	}
}

// LeasesOf asks another node for its leases.
func (n *Node) LeasesOf(ctx context.Context, id ID) (Leases, error) { return n.rootOf(id).Leases(ctx) }
