package detector

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"ciranda.dev/protocol"
)

// The timers that the detectors share. Arg is the peer. A detector names them in its traits by [TimerNames].
const (
	TimerBeat   uint32 = iota // the node's own beat is due
	TimerDead                 // nothing was heard of the peer for too long
	TimerVerify               // a probe was not answered
)

// TimerNames are the names of the timers for people.
func TimerNames() []string { return []string{"beat", "dead", "verify"} }

// The messages that the detectors share.
type (
	// Beat says "this process runs", and whether its disk has stalled.
	Beat struct {
		Stalled bool
	}
	// Probe asks a life of a node for a Beat at once. Incarnation 0 asks whichever life there is.
	Probe struct {
		Incarnation protocol.Incarnation
	}
)

var healthy, stalled protocol.Message = Beat{}, Beat{Stalled: true}

// NewBeat gives a Beat as a message. It allocates nothing.
func NewBeat(isStalled bool) protocol.Message {
	if isStalled {
		return stalled
	}
	return healthy
}

// A Peer is what a detector knows of one node.
type Peer struct {
	ID        protocol.ID
	Suspected bool                 // the layers above were told so, if they watch it
	Verifying bool                 // a connection to it was closed, and it has not been heard of since
	Stalled   bool                 // its disk does not answer
	Life      protocol.Incarnation // the newest life heard of; 0 if none was
}

// Peers is the part that all detectors have in common: which nodes are watched, which life of each is the present one,
// and what the layers above were told. It tells only changes. It sets no timer but TimerVerify.
//
// Of a node never heard of, the life is 0: its suspicion names life 0, and so does the Restore that takes it back.
// A life that ended, or that follows a suspected one, is not restored: the new life is trusted without a word.
type Peers struct {
	// Verify is how long a node has to answer a probe after its connection was closed.
	Verify time.Duration `layer:"const"`
	// Mistake is a deliberate error for the tests of the checks.
	Mistake Mistake `layer:"const"`

	known   []Peer // those of which anything is known, ascending
	watched Set
}

// Find gives what is known of a node, or nil. It is good until At adds another.
func (p *Peers) Find(id protocol.ID) *Peer {
	if i, found := p.search(id); found {
		return &p.known[i]
	}
	return nil
}

// At gives what is known of a node, and makes room for it. It is good until At adds another.
func (p *Peers) At(id protocol.ID) *Peer {
	i, found := p.search(id)
	if !found {
		p.known = slices.Insert(p.known, i, Peer{ID: id})
	}
	return &p.known[i]
}

// search first looks where id is if no number is missing, as in most groups.
func (p *Peers) search(id protocol.ID) (int, bool) {
	if len(p.known) > 0 {
		if i := int(id) - int(p.known[0].ID); i >= 0 && i < len(p.known) && p.known[i].ID == id {
			return i, true
		}
	}
	return slices.BinarySearchFunc(p.known, id, func(q Peer, id protocol.ID) int { return cmp.Compare(q.ID, id) })
}

// All gives what is known of every node, ascending. It is not added to.
func (p *Peers) All() []Peer { return p.known }

// Watch begins to observe a node, and says whether that is new. Nobody watches itself.
func (p *Peers) Watch(id protocol.ID, o *protocol.Out) bool {
	self := o.Self()
	if !Member(self.Group, id) {
		panic(fmt.Sprintf("detector: node %d is asked to watch node %d, which is not in the group", self.ID, id))
	}
	if id == self.ID || p.watched.Has(id) {
		return false
	}
	p.watched.Add(id)
	return true
}

// Member says whether a node is in an ascending group. It first looks where the node is if no number is missing: in
// groups of thousands that is most of the cost of watching all.
func Member(group []protocol.ID, id protocol.ID) bool {
	if i := int(id) - int(group[0]); i >= 0 && i < len(group) && group[i] == id {
		return true
	}
	_, found := slices.BinarySearch(group, id)
	return found
}

// Watches says whether a node is observed.
func (p *Peers) Watches(id protocol.ID) bool { return p.watched.Has(id) }

// Hear takes the packet at hand as a sign of life of its sender. It gives nil if the packet is of an older life and
// must go no further. Fresh says that a newer life has begun, which was told upwards.
func (p *Peers) Hear(from protocol.ID, o *protocol.Out) (q *Peer, fresh bool) {
	q = p.At(from)
	life := o.SenderIncarnation()
	switch {
	case life > q.Life:
		p.Begin(q, life, o)
		return q, true
	case life < q.Life && p.Mistake == OldLife:
		q.Life = life
	case life < q.Life:
		o.Note(Dropped{from, life, "stale-inc"})
		return nil, false
	}
	if q.Verifying && p.Mistake != VerifyAnyway {
		p.void(q, o)
	}
	return q, false
}

// Begin makes a newer life of q the present one, and trusts it. The old one is over: that is told first.
func (p *Peers) Begin(q *Peer, life protocol.Incarnation, o *protocol.Out) {
	switch {
	case q.Life == 0:
		p.Restore(q, o) // it is the one that was not known
	default:
		p.Suspect(q, Restarted, o)
	}
	p.void(q, o)
	q.Life, q.Suspected, q.Stalled = life, false, false
}

// Suspect takes q's present life as over, unless it is suspected already.
func (p *Peers) Suspect(q *Peer, why Why, o *protocol.Out) {
	if q.Suspected {
		return
	}
	p.void(q, o)
	q.Suspected = true
	if p.Watches(q.ID) {
		o.Indicate(Suspect{q.ID, q.Life, why})
	}
}

// Restore takes a suspicion of q's present life back, if there is one.
func (p *Peers) Restore(q *Peer, o *protocol.Out) {
	if !q.Suspected {
		return
	}
	q.Suspected = false
	if p.Watches(q.ID) {
		o.Indicate(Restore{q.ID, q.Life})
	}
}

// Reset does what the request asks, but for the timeout: it gives the node that must get a fresh one, or nil. A node
// that was not watched is from now on.
func (p *Peers) Reset(r Reset, o *protocol.Out) *Peer {
	p.Watch(r.Node, o)
	if r.Node == o.Self().ID {
		return nil
	}
	q := p.At(r.Node)
	life := r.Incarnation
	if life == 0 {
		life = q.Life
	}
	switch {
	case life < q.Life:
		o.Indicate(Suspect{q.ID, life, Restarted})
		return nil
	case life > q.Life:
		p.Begin(q, life, o)
	default:
		p.Restore(q, o)
	}
	if p.Mistake == ResetWithoutTimer {
		return nil
	}
	return q
}

// Hint takes note of a closed connection. It gives nil if that says nothing of a present, trusted life. A life that was
// not known is now: there was a connection to it.
func (p *Peers) Hint(e protocol.LinkDown, o *protocol.Out) *Peer {
	q := p.At(e.Node)
	if q.Suspected || e.Incarnation == 0 {
		return nil
	}
	if q.Life == 0 {
		q.Life = e.Incarnation
	}
	if e.Incarnation != q.Life && p.Mistake != OldHint {
		return nil
	}
	o.Note(Hint(e))
	return q
}

// Doubt follows a hint at q: it probes q. If q is probed already, the redial was refused and q is suspected.
func (p *Peers) Doubt(q *Peer, o *protocol.Out) {
	if q.Verifying || p.Mistake == HintIsProof {
		p.Suspect(q, Link, o)
		return
	}
	q.Verifying = true
	o.Set(protocol.Timer{Kind: TimerVerify, Arg: uint32(q.ID)}, p.Verify)
	o.Ungate()
	o.Send(q.ID, Probe{q.Life})
}

// Unanswered handles TimerVerify of q: it did not answer the probe.
func (p *Peers) Unanswered(q *Peer, o *protocol.Out) {
	q.Verifying = false // the timer is not armed any more
	p.Suspect(q, Link, o)
}

// void drops a hint.
func (p *Peers) void(q *Peer, o *protocol.Out) {
	if q.Verifying {
		q.Verifying = false
		o.Cancel(protocol.Timer{Kind: TimerVerify, Arg: uint32(q.ID)})
	}
}

// Forget drops the hints at all nodes.
func (p *Peers) Forget(o *protocol.Out) {
	for i := range p.known {
		p.void(&p.known[i], o)
	}
}

// Stall tells whether q's disk has stalled, if that is new.
func (p *Peers) Stall(q *Peer, on bool, o *protocol.Out) {
	if q.Stalled == on {
		return
	}
	q.Stalled = on
	if p.Watches(q.ID) {
		o.Indicate(Stalled{q.ID, q.Life, on})
	}
}

// Opinion answers a [Query].
func (p *Peers) Opinion() Opinion {
	opinion := Opinion{}
	for _, q := range p.known {
		if q.Suspected && p.Watches(q.ID) {
			opinion.Suspects = append(opinion.Suspects, q.ID)
		}
	}
	return opinion
}

// String says for people whom the node watches and what it thinks of them.
func (p *Peers) String() string {
	b := strings.Builder{}
	fmt.Fprintf(&b, "watches %d nodes", len(p.watched.IDs()))
	for _, q := range p.known {
		switch {
		case q.Suspected:
			fmt.Fprintf(&b, ", suspects %d", q.ID)
		case q.Verifying:
			fmt.Fprintf(&b, ", probes %d", q.ID)
		case q.Stalled:
			fmt.Fprintf(&b, ", %d is stalled", q.ID)
		}
	}
	return b.String()
}
