package rmi

import (
	"context"
	"runtime"
	"slices"
	"time"
	"weak"

	"ciranda.dev/protocol/dgc"
	"ciranda.dev/protocol/invocation"
)

// An Unreferenced object is told when nobody elsewhere refers to it any more, though somebody did. If it was exported by being passed,
// it is exported no more then.
type Unreferenced interface {
	Unreferenced(ctx context.Context)
}

// A pinned is what a reference that travels refers to: an object of this node, or one that it holds.
type pinned struct {
	own   invocation.ObjectID
	other *Remote
}

// pin keeps what a reference refers to until the peer that it is sent to has registered it, and numbers the transfer.
func (n *Node) pin(to *Peer, ref Ref, other *Remote) Ref {
	n.exports.mu.Lock()
	defer n.exports.mu.Unlock()
	what := pinned{own: ref.Object, other: other}
	if other == nil {
		n.exports.owner.Pin(ref.Object)
	}
	now := n.now()
	ref.Transfer = n.exports.pins.Add(now, what, to.id)
	n.exports.alarm.set(now, n.exports.pins.Next())
	return ref
}

// unpin lets go of what has arrived, or will not. The caller holds the lock of exports.
func (n *Node) unpin(all []pinned) {
	for _, is := range all {
		if is.other == nil {
			n.free(n.exports.owner.Unpin(is.own))
		}
		runtime.KeepAlive(is.other)
	}
}

// free tells objects that nobody refers to them any more, and takes out those that need not stay. The caller holds the lock of exports.
func (n *Node) free(ids []invocation.ObjectID) {
	for _, id := range ids {
		o := n.exports.objects[id]
		if o == nil {
			continue
		}
		if !n.exports.owner.Knows(id) {
			n.exports.remove(o)
		}
		if hook, ok := o.value.(Unreferenced); ok {
			n.goes(func() { n.protect(o.core.name+".Unreferenced", func() { hook.Unreferenced(n.ctx) }) })
		}
	}
}

// expirePins gives up references that have travelled for too long.
func (n *Node) expirePins() {
	n.exports.mu.Lock()
	defer n.exports.mu.Unlock()
	n.exports.alarm.rung()
	now := n.now()
	n.unpin(n.exports.pins.Expire(now))
	n.exports.alarm.set(now, n.exports.pins.Next())
}

// forgets takes a client whose session is over from the holders of all objects.
func (n *Node) forgets(c dgc.Client) {
	n.exports.mu.Lock()
	defer n.exports.mu.Unlock()
	n.free(n.exports.owner.Gone(c))
}

// A hold is a reference to an object of a peer, as this node has it.
type hold struct {
	iface    string
	remote   weak.Pointer[Remote] // nil once no stub has it
	number   uint64               // of that Remote: each that there ever was has another
	uses     int                  // how often it was given out, less how often it was released
	awaiting int                  // calls that wait for the owner's word
	done     chan struct{}        // closed when that has come
}

// hold registers a reference with the owner of the object, if that is not done yet, and gives what calls it. All stubs of one
// object share it.
func (n *Node) hold(ctx context.Context, ref Ref) (*Remote, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, n.opts.Timeout)
		defer cancel()
	}
	p := n.locked(ref.Owner)
	defer p.mu.Unlock()
	gone := &Error{Kind: NoObject, Happened: No, Where: p.id.String(), Method: short(ref.Interface)}
	if ref.Incarnation < p.heldLife {
		return nil, gone
	}
	p.turnTo(ref.Incarnation)
	h := p.holds[ref.Object]
	if h == nil {
		h = &hold{iface: ref.Interface}
		p.holds[ref.Object] = h
	}
	for p.holder.Want(ref.Object) != dgc.Usable {
		if err := p.awaitWord(ctx, h); err != nil {
			p.giveUp(ref.Object, h)
			gone.Kind, gone.cause = NoReach, err
			return nil, gone
		}
		if p.holds[ref.Object] != h { // the owner does not know it
			return nil, gone
		}
	}
	return p.given(ref, h), nil
}

// turnTo begins to refer to objects of a life of the peer. Those of former lives are gone. The caller holds the lock.
func (p *Peer) turnTo(life uint64) {
	if p.holder != nil && p.heldLife == life {
		return
	}
	for _, h := range p.holds {
		h.tell()
	}
	p.heldLife, p.holder, p.holds = life, dgc.NewHolder(dgc.Options{}), map[invocation.ObjectID]*hold{}
}

// awaitWord waits until the owner has answered. The caller holds the lock, which is free meanwhile.
func (p *Peer) awaitWord(ctx context.Context, h *hold) error {
	if h.done == nil {
		h.done = make(chan struct{})
	}
	done := h.done
	h.awaiting++
	p.tidy()
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		h.awaiting--
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.node.ctx.Done():
		return errClosed
	}
}

// tell wakes those who wait for the owner's word.
func (h *hold) tell() {
	if h.done != nil {
		close(h.done)
		h.done = nil
	}
}

// giveUp drops a reference that nobody waits for any more. The caller holds the lock.
func (p *Peer) giveUp(id invocation.ObjectID, h *hold) {
	if p.holds[id] == h && h.awaiting == 0 && h.remote.Value() == nil {
		delete(p.holds, id)
		p.holder.Drop(id)
		p.tidy()
	}
}

// given gives out a reference that may be used. The caller holds the lock.
func (p *Peer) given(ref Ref, h *hold) *Remote {
	r := h.remote.Value()
	if r == nil {
		p.remotes++
		h.number, h.uses = p.remotes, 0
		ref.Transfer = 0
		r = &Remote{peer: p, ref: ref, number: h.number}
		h.remote = weak.Make(r)
		if !p.node.manual {
			runtime.AddCleanup(r, p.dropped, lastUse{ref.Object, h.number})
		}
	}
	h.uses++
	return r
}

// A lastUse says that the garbage collector has found a Remote unused.
type lastUse struct {
	object invocation.ObjectID
	number uint64
}

func (p *Peer) dropped(u lastUse) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.holds[u.object]; h != nil && h.number == u.number && h.awaiting == 0 {
		p.letGo(u.object)
	}
}

// letGo tells the owner that a reference is not used any more. The caller holds the lock.
func (p *Peer) letGo(id invocation.ObjectID) {
	delete(p.holds, id)
	p.holder.Drop(id)
	p.tidy()
}

// Release says that a stub is not used any more, so that its object can be collected at once; else the garbage collector finds that out.
// What was given out several times, is released as often. Calls of a released stub fail. Other values are left alone.
func Release(v any) {
	s, ok := v.(stub)
	if !ok || s.remote() == nil {
		return
	}
	r := s.remote()
	p := r.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.holds[r.ref.Object]
	if h == nil || h.number != r.number {
		return
	}
	if h.uses--; h.uses <= 0 {
		r.released.Store(true)
		p.letGo(r.ref.Object)
	}
}

// thanks tells a peer that a reference that it sent was registered. The caller does not hold the lock.
func (p *Peer) thanks(transfer uint64) {
	if transfer == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.arrived = append(p.arrived, transfer)
	p.tidy()
}

// tidy has the peer told what it must know of references. The caller holds the lock.
func (p *Peer) tidy() {
	if !p.tidying {
		p.tidying = p.node.goes(p.tidyUp)
	}
}

const tidyBatch = 4096 // transfers that are acknowledged at a time

// tidyUp tells the peer what it must know, one message after the other. What happens meanwhile goes with the next.
func (p *Peer) tidyUp() {
	for wait := firstWait; ; {
		u, arrived, more := p.news()
		if !more {
			return
		}
		ack, err := p.node.rootOf(p.id).Refs(p.node.ctx, u, arrived)
		switch {
		case p.told(u, arrived, ack, err):
			wait = firstWait
			continue
		case p.rests():
			return
		}
		select {
		case <-time.After(wait):
			wait = min(2*wait, mostWait)
		case <-p.node.ctx.Done():
			return
		}
	}
}

// news is what there is to tell. If there is nothing, or nobody to tell it, it says so.
func (p *Peer) news() (u dgc.Update, arrived []uint64, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	update := false
	if p.holder != nil {
		u, update = p.holder.Next(true)
	}
	arrived = p.arrived[:min(len(p.arrived), tidyBatch)]
	p.tidying = update || len(arrived) > 0
	return u, slices.Clone(arrived), p.tidying
}

// rests stops telling the peer anything if only it can make a connection. It is told when it has.
func (p *Peer) rests() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tidying = p.current() != nil || !p.nowhere
	return !p.tidying
}

// told takes the answer to what was told. It says whether there was one.
func (p *Peer) told(u dgc.Update, arrived []uint64, ack dgc.Ack, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		return false
	}
	p.arrived = p.arrived[len(arrived):]
	if p.holder == nil || u.Seq == 0 {
		return true
	}
	usable, lost := p.holder.Acked(ack)
	for _, id := range usable {
		if h := p.holds[id]; h != nil {
			h.tell()
		}
	}
	for _, id := range lost {
		if h := p.holds[id]; h != nil {
			delete(p.holds, id)
			h.tell()
		}
	}
	return true
}

// needed says whether a connection to the peer is needed: calls wait, or its session must be kept for the references held. The caller
// holds the lock.
func (p *Peer) needed() bool { return len(p.waiting) > 0 || p.holder != nil && p.holder.Len() > 0 }
