package dgc

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
)

// An Owner knows who refers to the objects of one life of a process. Its methods give the objects that nobody elsewhere refers to any more,
// though somebody did. It forgets those of them that are not strong: they are to be collected ([Owner.Knows] tells which).
type Owner struct {
	opts    Options
	objects map[ObjectID]*owned
	clients map[Client]*client
}

// An owned object is one that others may refer to.
type owned struct {
	strong  bool // it is kept whoever refers to it
	pins    int  // references to it that travel
	holders map[Client]bool
	count   int  // for Counts
	used    bool // somebody referred to it once
}

// A client is what an owner knows of a holder.
type client struct {
	last uint64 // the last update that was applied
	held map[ObjectID]bool
}

// NewOwner makes an owner without objects.
func NewOwner(opts Options) *Owner {
	return &Owner{opts: opts.WithDefaults(), objects: map[ObjectID]*owned{}, clients: map[Client]*client{}}
}

// Export makes an object known. A strong one is kept until [Owner.Release].
func (o *Owner) Export(id ObjectID, strong bool) {
	is := o.objects[id]
	if is == nil {
		is = &owned{holders: map[Client]bool{}}
		o.objects[id] = is
	}
	is.strong = is.strong || strong
}

// Knows says whether an object is known.
func (o *Owner) Knows(id ObjectID) bool { return o.objects[id] != nil }

// Release says that an object need not be kept for its own sake any more.
func (o *Owner) Release(id ObjectID) (free []ObjectID) {
	is := o.objects[id]
	if is == nil {
		return nil
	}
	is.strong, is.used = false, true
	return o.settle(nil, id)
}

// Remove forgets an object, whoever refers to it.
func (o *Owner) Remove(id ObjectID) {
	is := o.objects[id]
	if is == nil {
		return
	}
	o.forget(id, is)
}

// forget takes an object out.
func (o *Owner) forget(id ObjectID, is *owned) {
	maps.DeleteFunc(is.holders, func(c Client, _ bool) bool {
		delete(o.clients[c].held, id)
		return true
	})
	delete(o.objects, id)
}

// Pin says that a reference to an object begins to travel. It says false if the object is not known.
func (o *Owner) Pin(id ObjectID) bool {
	is := o.objects[id]
	if is != nil {
		is.pins++
		is.used = true
	}
	return is != nil
}

// Unpin says that a reference has arrived, or never will.
func (o *Owner) Unpin(id ObjectID) (free []ObjectID) {
	is := o.objects[id]
	if is == nil || is.pins == 0 {
		return nil
	}
	is.pins--
	return o.settle(nil, id)
}

// Update takes an update of a client whose session is open. Objects beyond the limit of what one client may refer to are unknown to it.
func (o *Owner) Update(from Client, u *Update) (ack Ack, free []ObjectID) {
	c := o.clients[from]
	if c == nil {
		c = &client{held: map[ObjectID]bool{}}
		o.clients[from] = c
	}
	ack = Ack{Seq: u.Seq}
	apply := o.Applies(from, u)
	c.last = max(c.last, u.Seq)
	for _, id := range u.Dirty {
		if is := o.objects[id]; is == nil || len(c.held) >= o.opts.Held && !c.held[id] {
			ack.Unknown = append(ack.Unknown, id)
		} else if apply {
			is.holders[from], is.used, c.held[id] = true, true, true
			is.count++
		}
	}
	if !apply {
		return ack, nil
	}
	for _, id := range u.Clean {
		free = o.drop(free, from, c, id)
	}
	return ack, free
}

// Applies says whether an update of a client is new: whether [Owner.Update] changes anything.
func (o *Owner) Applies(from Client, u *Update) bool {
	c := o.clients[from]
	return c == nil || u.Seq > c.last || o.opts.Mistake == IgnoresSeq || o.opts.Mistake == Counts
}

// drop takes a client from the holders of an object.
func (o *Owner) drop(free []ObjectID, from Client, c *client, id ObjectID) []ObjectID {
	delete(c.held, id)
	is := o.objects[id]
	if is == nil {
		return free
	}
	delete(is.holders, from)
	is.count--
	return o.settle(free, id)
}

// Gone says that a client's session is over: it refers to nothing any more.
func (o *Owner) Gone(from Client) (free []ObjectID) {
	c := o.clients[from]
	if c == nil {
		return nil
	}
	delete(o.clients, from)
	for _, id := range slices.SortedFunc(maps.Keys(c.held), func(a, b ObjectID) int { return bytes.Compare(a[:], b[:]) }) {
		free = o.drop(free, from, c, id)
	}
	return free
}

// settle adds an object to those that nobody refers to, if it is so.
func (o *Owner) settle(free []ObjectID, id ObjectID) []ObjectID {
	is := o.objects[id]
	unheld := len(is.holders) == 0
	if o.opts.Mistake == Counts {
		unheld = is.count <= 0
	}
	if is.pins > 0 || !unheld || !is.used {
		return free
	}
	if is.used = false; !is.strong {
		o.forget(id, is)
	}
	return append(free, id)
}

// Strong says whether an object stays, whoever refers to it.
func (o *Owner) Strong(id ObjectID) bool {
	is := o.objects[id]
	return is != nil && is.strong
}

// Held says whether somebody elsewhere refers to an object, or a reference to it travels.
func (o *Owner) Held(id ObjectID) bool {
	is := o.objects[id]
	return is != nil && (len(is.holders) > 0 || is.pins > 0)
}

// Holders are the clients that refer to an object, and how many references to it travel.
func (o *Owner) Holders(id ObjectID) (holders []Client, pins int) {
	is := o.objects[id]
	if is == nil {
		return nil, 0
	}
	return slices.SortedFunc(maps.Keys(is.holders), compareClients), is.pins
}

func compareClients(a, b Client) int {
	if c := bytes.Compare(a.ID[:], b.ID[:]); c != 0 {
		return c
	}
	return cmp.Compare(a.Incarnation, b.Incarnation)
}
