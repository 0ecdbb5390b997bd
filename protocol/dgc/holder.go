package dgc

import "slices"

// A State is that of a reference at a holder.
type State uint8

// The states.
const (
	None          State = iota // it has no such reference
	Registering                // the owner has not answered yet
	Usable                     // the owner knows of it
	Unregistering              // the owner is told that it is not used any more
)

func (s State) String() string {
	return [...]string{"none", "registering", "usable", "unregistering"}[s]
}

// A Holder is one session's references to the objects of one life of an owner.
type Holder struct {
	opts    Options
	refs    map[ObjectID]*ref
	waiting []ObjectID // of which the owner must be told something, in order
	sent    Update     // under way; Seq 0: none
	seq     uint64
}

// A ref is a reference.
type ref struct {
	state  State
	wanted bool // what the holder wants: to have it, or not
	queued bool // it is among those waiting
}

// NewHolder makes a holder without references.
func NewHolder(opts Options) *Holder {
	return &Holder{opts: opts.WithDefaults(), refs: map[ObjectID]*ref{}}
}

// State is that of a reference.
func (h *Holder) State(id ObjectID) State {
	if r := h.refs[id]; r != nil {
		return r.state
	}
	return None
}

// Len is how many references there are.
func (h *Holder) Len() int { return len(h.refs) }

// Want says that a reference has arrived. It may be used once it is [Usable]; until then [Holder.Next] has something to tell the owner.
func (h *Holder) Want(id ObjectID) State {
	r := h.refs[id]
	if r == nil {
		r = &ref{state: Registering}
		h.refs[id] = r
	}
	r.wanted = true
	h.queue(id, r)
	return r.state
}

// Drop says that a reference is not used any more.
func (h *Holder) Drop(id ObjectID) {
	if r := h.refs[id]; r != nil {
		r.wanted = false
		h.queue(id, r)
	}
}

// queue has the owner told of a reference if what it knows is not what the holder wants.
func (h *Holder) queue(id ObjectID, r *ref) {
	if r.queued || r.state == Usable && r.wanted {
		return
	}
	r.queued = true
	h.waiting = append(h.waiting, id)
}

// Next is the update to send: the one under way again, or a new one. It says false if there is nothing to tell, or nothing new while one is
// under way and again is false.
func (h *Holder) Next(again bool) (u Update, ok bool) {
	if h.sent.Seq != 0 {
		return h.sent, again
	}
	for len(h.waiting) > 0 && len(u.Dirty)+len(u.Clean) < h.opts.Batch {
		id := h.waiting[0]
		h.waiting = h.waiting[1:]
		r := h.refs[id]
		r.queued = false
		switch {
		case r.wanted && r.state != Usable:
			r.state = Registering
			u.Dirty = append(u.Dirty, id)
		case !r.wanted && r.state == Usable:
			r.state = Unregistering
			u.Clean = append(u.Clean, id)
		case !r.wanted: // the owner never heard of it
			delete(h.refs, id)
		}
	}
	if len(h.waiting) == 0 {
		h.waiting = nil
	}
	if len(u.Dirty)+len(u.Clean) == 0 {
		return u, false
	}
	h.seq++
	u.Seq = h.seq
	h.sent = u
	return u, true
}

// Told says whether an update is under way.
func (h *Holder) Told() bool { return h.sent.Seq != 0 }

// Acked takes the owner's answer. It gives the references that may be used from now on, and those whose objects are not there.
func (h *Holder) Acked(a Ack) (usable, lost []ObjectID) {
	if a.Seq != h.sent.Seq || a.Seq == 0 {
		return nil, nil
	}
	u := h.sent
	h.sent = Update{}
	unknown := map[ObjectID]bool{}
	for _, id := range a.Unknown {
		unknown[id] = true
	}
	for _, id := range u.Dirty {
		r := h.refs[id]
		if unknown[id] {
			lost = append(lost, id)
			h.forget(id, r)
			continue
		}
		if r.state = Usable; r.wanted {
			usable = append(usable, id)
		}
		h.queue(id, r)
	}
	for _, id := range u.Clean {
		r := h.refs[id]
		if r.state = None; r.wanted { // it came again meanwhile
			r.state = Registering
			h.queue(id, r)
			continue
		}
		h.forget(id, r)
	}
	return usable, lost
}

// forget takes a reference out.
func (h *Holder) forget(id ObjectID, r *ref) {
	if r.queued {
		h.waiting = slices.DeleteFunc(h.waiting, func(w ObjectID) bool { return w == id })
	}
	delete(h.refs, id)
}

// Anew says that a new session began: the owner knows of no references any more, and is told of all that are wanted. Updates count
// from 1 again.
func (h *Holder) Anew() {
	h.sent, h.seq, h.waiting = Update{}, 0, nil
	for _, id := range h.ids() {
		r := h.refs[id]
		if r.queued = false; !r.wanted {
			delete(h.refs, id)
			continue
		}
		r.state = Registering
		h.queue(id, r)
	}
}
