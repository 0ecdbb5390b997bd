package dgc

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/invocation"
)

// A Layer is one node's part where all nodes own objects, refer to those of others, and give references to one another, also to those
// of third nodes. The layer above asks with [Export], [Give] and [Drop], and hears [Exported], [Held], [Lost] and [Collected].
//
// It needs nothing of the layers below: messages may be lost, doubled and late. A session of client and owner opens with the client's
// first message and is renewed by each that it sends; it sends one each half lease while it refers to something there.
type Layer struct {
	protocol.Base
	opts  LayerOptions `layer:"const"`
	self  protocol.ID
	life  protocol.Incarnation
	made  uint64 // objects exported in this life
	owner *Owner
	pins  *Pins[travel]
	refs  map[ObjectID]*held // to objects of others
	peers []peer             // the other nodes, ascending
	ticks bool               // the timer for sending again is set
}

// LayerOptions are the figures of a [Layer]. Zeros stand for the defaults.
type LayerOptions struct {
	Options
	Lease  time.Duration // of a session: 10 s
	Grace  time.Duration // added to it at the owner, for clocks of unequal rates: a tenth of the lease
	Resend time.Duration // until an unanswered message is sent again: 200 ms
}

// WithDefaults fills in what is zero.
func (o LayerOptions) WithDefaults() LayerOptions {
	o.Lease = cmp.Or(o.Lease, 10*time.Second)
	o.Grace = cmp.Or(o.Grace, o.Lease/10)
	o.Resend = cmp.Or(o.Resend, 200*time.Millisecond)
	o.Pin = cmp.Or(o.Pin, 2*o.Lease)
	o.Options = o.Options.WithDefaults()
	return o
}

// Validate says which figure makes no sense.
func (o LayerOptions) Validate() error {
	if o.Lease < 0 || o.Grace < 0 || o.Resend < 0 {
		return fmt.Errorf("dgc: lease %v, grace %v and resend %v must not be below 0", o.Lease, o.Grace, o.Resend)
	}
	return o.Options.Validate()
}

// A travel is a reference on its way to another node.
type travel struct {
	ref Ref
	to  protocol.ID
}

// A held reference is one to an object of another node, which the layer above has, or which travels.
type held struct {
	ref   Ref
	has   bool      // the layer above
	pins  int       // it is on its way to so many others
	waits []arrival // it came so often, and is not registered yet
}

// An arrival is a reference that came from another node.
type arrival struct {
	giver    protocol.ID
	life     protocol.Incarnation
	transfer uint64
}

// A peer is another node: an owner, a client and a giver.
type peer struct {
	id protocol.ID

	life    protocol.Incarnation // as an owner: to which this node refers
	holder  *Holder              // nil if there was never a reference
	session uint64               // the number of this node's session there
	until   time.Duration        // this node counts on it
	waiting bool                 // for an answer

	newest uint64 // as a client: the number of its newest session
	open   bool

	giver protocol.Incarnation // as a giver
	below uint64               // it waits for no transfers below
	taken map[uint64]bool      // the others that came, and whether they are answered
}

// The timers.
const (
	resendTimer uint32 = iota
	renewTimer         // of an owner
	leaseTimer         // of a client
)

// New makes a node's layer. Options that [LayerOptions.Validate] refuses make one that does not keep the package's promises.
func New(opts LayerOptions) *Layer { return &Layer{opts: opts.WithDefaults()} }

// Traits say what the layer is.
func (l *Layer) Traits() protocol.Traits {
	return protocol.Traits{Channel: "dgc", Messages: []protocol.Message{Hand{}, Registered{}, Renew{}, Renewed{}, Expired{}},
		Timers: []string{"resend", "renew", "lease"}, Requests: []any{Export{}, Give{}, Drop{}}, UsesNow: true}
}

// Start begins without objects and references.
func (l *Layer) Start(o *protocol.Out) {
	l.self, l.life = o.Self().ID, o.Self().Incarnation
	l.owner, l.pins, l.refs = NewOwner(l.opts.Options), NewPins[travel](l.opts.Options), map[ObjectID]*held{}
	for _, id := range o.Self().Group {
		if id != l.self {
			l.peers = append(l.peers, peer{id: id, session: uint64(l.life) << 20, taken: map[uint64]bool{}})
		}
	}
}

// peer is another node; nil if it is none of the group.
func (l *Layer) peer(id protocol.ID) *peer {
	i, found := slices.BinarySearchFunc(l.peers, id, func(p peer, id protocol.ID) int { return protocol.ByID(p.id, id) })
	if !found {
		return nil
	}
	return &l.peers[i]
}

// Receive takes what owners, clients and givers send.
func (l *Layer) Receive(from protocol.ID, m protocol.Message, o *protocol.Out) {
	p := l.peer(from)
	if p == nil {
		return
	}
	switch m := m.(type) {
	case Hand:
		l.arrive(p, m, o)
	case Registered:
		l.registered(p, m, o)
	case Renew:
		l.renew(p, m, o)
	case Renewed:
		l.renewed(p, m, o)
	case Expired:
		l.expired(p, m, o)
	default:
		panic(fmt.Sprintf("dgc: node %d: unknown message %T", l.self, m))
	}
}

// Request takes what the layer above asks for.
func (l *Layer) Request(r any, o *protocol.Out) (taken bool) {
	switch r := r.(type) {
	case Export:
		l.export(o)
	case Give:
		l.give(r, o)
	case Drop:
		l.drop(r.Ref, o)
	default:
		return false
	}
	return true
}

// Expire does what the time has come for.
func (l *Layer) Expire(t protocol.Timer, o *protocol.Out) {
	if t.Kind == resendTimer {
		l.ticks = false
		l.again(o)
		return
	}
	p := l.peer(protocol.ID(t.Arg))
	if t.Kind == renewTimer {
		l.keepLease(p, o)
		return
	}
	l.end(p, o)
}

// tick has what is not answered sent again.
func (l *Layer) tick(o *protocol.Out) {
	if !l.ticks {
		l.ticks = true
		o.Set(protocol.Timer{Kind: resendTimer}, l.opts.Resend)
	}
}

// again sends once more what is not answered, and gives up references that have travelled for too long.
func (l *Layer) again(o *protocol.Out) {
	for _, t := range l.pins.Expire(o.Now()) {
		l.unpin(t.ref, o)
	}
	for n, t := range l.pins.All() {
		l.hand(n, t, o)
	}
	for i := range l.peers {
		if p := &l.peers[i]; p.waiting {
			u, _ := p.holder.Next(true)
			l.tell(p, u, o)
		}
	}
}

// String says for people how many objects and references there are.
func (l *Layer) String() string {
	return fmt.Sprintf("%d objects, %d references, %d travel", len(l.owner.objects), len(l.refs), l.pins.Len())
}

func clientOf(id protocol.ID) invocation.ClientID { return invocation.NodeClient(uint16(id)) }
