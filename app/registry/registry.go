// Package registry is a table of names: what is bound at one member of a group can be looked up at all of them.
//
// Make a layer with [New] and put it right above a layer that multicasts (package multicast) whose Options.Inner is on. Clients
// call [Bind], [Rebind], [Unbind], [Lookup] and [List]. Each call is cast to the group in the inner lane, total and uniform, and done by
// every member at its place in that order; the node that was called answers when it has done it. So all members have the same table
// after the same calls, and a lookup gives what the last bind, rebind or unbind left, wherever that was made: the registry is
// linearizable. Changes are numbered without gaps ([Changed]).
//
// An entry lasts as long as its owner. That of a node's object leaves when a view excludes the node, or the node restarts; that of
// a client's, who is no member, when the node that keeps its session says that the session ended ([Expire]), or is gone itself.
//
// The table is in memory, at all members. When a view has members that joined, its eldest casts the table as it was at the beginning
// of the view, in pieces, in the same lane. Until the last piece is delivered all members hold the commands of the view back, those that have
// the table too. So nobody is told anything that rests on a table which could still be lost with all who have it: were they lost, every
// entry would have to leave with them anyway, and the eldest of those who are left begins with an empty one.
//
// A call that changes something has the id of the client's request. The last [Options.Remember] answers are part of the table, so the
// same request made again, at any member, has no second effect and gets the same answer. A table that begins anew has forgotten them.
//
// What it does not promise: an answer. A node that is in no view, or that the rest of its view is out of reach of, refuses calls; one
// whose place in the order does not come in time is answered by [Unknown]. Nor does it look at what a name refers to: that an object is
// there, or who may bind, is the affair of those above. References hold ids that are permissions; they travel between members as they
// are, and in traces as hashes.
package registry

import (
	"fmt"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/invocation"
	"ciranda.dev/protocol/multicast"
)

// A Registry is one node's.
type Registry struct {
	protocol.Base
	opts Options `layer:"const"`

	self    group.Member // this node, as a member of the view
	view    group.View   // number 0 while it is in none
	blocked string       // why the group stands still

	loaded bool // it has the table
	whole  bool // all members of the view do
	have   []group.Member
	table  table

	waiting []held // commands until all have the table
	old     int    // those of them that came in views before
	coming  []byte // what came of the table, for a member that joined
	going   []byte // what is still to be sent of it, by the eldest
	sent    int    // bytes of that which are on their way

	tickets uint64
	calls   map[uint64]asked // that wait for their place, by ticket
}

// A held command waits.
type held struct {
	from    group.Member
	command command
}

// An asked command is a call that is to be answered.
type asked struct {
	call    uint64
	changes bool
}

// The timers.
const (
	patienceTimer uint32 = iota // of a call, by its ticket
	pieceTimer                  // a piece of the table was not taken
)

// New makes a node's registry. Options that [Options.Validate] refuses are not usable.
func New(opts Options) *Registry {
	return &Registry{opts: opts.WithDefaults(), calls: map[uint64]asked{}}
}

// Traits say what the layer is.
func (l *Registry) Traits() protocol.Traits {
	return protocol.Traits{Channel: "registry", Needs: protocol.Multicast | protocol.Views, Timers: []string{"patience", "piece"},
		Requests: []any{Bind{}, Rebind{}, Unbind{}, Lookup{}, List{}, Expire{}}}
}

// Request takes clients' calls.
func (l *Registry) Request(r any, o *protocol.Out) (taken bool) {
	call, is := r.(protocol.Call)
	if !is {
		return false
	}
	c, err := commandOf(call.Body)
	switch {
	case c.op == 0:
		return false
	case err != nil:
		l.refuse(call.ID, err.Error(), o)
	case l.view.ID == 0:
		l.refuse(call.ID, "this node is in no view of the group", o)
	case l.blocked != "":
		l.refuse(call.ID, "the group stands still here: "+l.blocked, o)
	case c.op == opLookup && l.opts.Mistake == LooksHere:
		l.reply(call.ID, &c, answer{revision: l.table.revision}, o)
	default:
		l.cast(c, call.ID, o)
	}
	return true
}

// commandOf makes a command of a call's body; one without an op if it is none.
func commandOf(body any) (c command, err error) {
	switch b := body.(type) {
	case Bind:
		c = command{op: opBind, request: b.Request, entry: b.Entry}
		return c, c.entry.check()
	case Rebind:
		c = command{op: opRebind, request: b.Request, entry: b.Entry}
		return c, c.entry.check()
	case Unbind:
		c = command{op: opUnbind, request: b.Request, entry: Entry{Name: b.Name}}
		if b.Own {
			c.op = opUnbindOwn
		}
		return c, CheckName(b.Name)
	case Lookup:
		return command{op: opLookup, entry: Entry{Name: b.Name}}, CheckName(b.Name)
	case List:
		c = command{op: opList, entry: Entry{Name: b.Prefix}}
		if b.Prefix == "" {
			return c, nil
		}
		return c, CheckName(b.Prefix)
	case Expire:
		return command{op: opExpire, entry: Entry{Ref: invocation.Ref{Owner: b.Client, Incarnation: b.Incarnation}}}, nil
	}
	return command{}, nil
}

// cast sends a command to all members.
func (l *Registry) cast(c command, call uint64, o *protocol.Out) {
	l.tickets++
	c.ticket = l.tickets
	l.calls[c.ticket] = asked{call, c.op.changes()}
	o.Set(protocol.Timer{Kind: patienceTimer, Arg: uint32(c.ticket)}, l.opts.Patience)
	o.Request(multicast.Within{Payloads: [][]byte{c.encode()}, Tag: c.ticket})
}

func (l *Registry) refuse(call uint64, why string, o *protocol.Out) {
	o.Indicate(protocol.Reply{ID: call, Body: protocol.Refused{Why: "registry: " + why}})
}

// finish ends the waiting of a call, if it waits.
func (l *Registry) finish(ticket uint64, o *protocol.Out) (call uint64, waited bool) {
	a, waited := l.calls[ticket]
	if waited {
		delete(l.calls, ticket)
		o.Cancel(protocol.Timer{Kind: patienceTimer, Arg: uint32(ticket)})
	}
	return a.call, waited
}

// Indicate listens for the group's messages and views.
func (l *Registry) Indicate(e protocol.Event, o *protocol.Out) (taken bool) {
	switch e := e.(type) {
	case multicast.Delivery:
		if e.Lane != multicast.Inner {
			return false
		}
		l.deliver(e, o)
		return true
	case multicast.Untaken:
		l.untaken(e, o)
		return true
	case group.Installed:
		l.install(e, o)
	case group.Excluded:
		l.exclude(e, o)
	case group.Blocked:
		l.blocked = e.Why
	}
	return false
}

// deliver does what members say, or holds it.
func (l *Registry) deliver(d multicast.Delivery, o *protocol.Out) {
	o.Request(multicast.Consumed{Bytes: multicast.Weight(d.Payloads...)})
	rank := l.view.Rank(d.Sender)
	if rank < 0 {
		return
	}
	from := l.view.Members[rank]
	for _, p := range d.Payloads {
		switch {
		case len(p) > 0 && p[0] == aCommand:
			c, err := decodeCommand(p[1:])
			if err != nil {
				o.Note(Spoilt{err.Error()})
				continue
			}
			l.command(held{from, c}, o)
		case len(p) > 0 && p[0] == aPiece:
			l.piece(d.Sender, p[1:], o)
		default:
			o.Note(Spoilt{"registry: found neither a command nor a piece of a table"})
		}
	}
}

// command does a command, once all have the table.
func (l *Registry) command(h held, o *protocol.Out) {
	switch {
	case l.whole:
		l.do(h, o)
	case len(l.waiting) < mostHeld:
		l.waiting = append(l.waiting, h)
	default:
		l.drop(h, o)
	}
}

// drop leaves out a command for which there is no room while members get the table. All members leave out the same.
func (l *Registry) drop(h held, o *protocol.Out) {
	if !l.mine(h) {
		return
	}
	if call, waited := l.finish(h.command.ticket, o); waited {
		l.refuse(call, fmt.Sprintf("found %d commands that wait until all members have the table; expected fewer than %d", mostHeld, mostHeld), o)
	}
}

// mine says whether this node cast a command, in this life.
func (l *Registry) mine(h held) bool {
	return h.from.Node == l.self.Node && h.from.Incarnation == l.self.Incarnation
}

// do does a command, and answers if it was asked here.
func (l *Registry) do(h held, o *protocol.Out) {
	c := &h.command
	var a answer
	if c.op.changes() {
		var changes []Change
		a, changes = l.table.do(c, h.from, l.view, &l.opts)
		l.tell(changes, goneWhy[c.op], o)
	} else {
		a.revision = l.table.revision
	}
	if !l.mine(h) {
		return
	}
	if call, waited := l.finish(c.ticket, o); waited {
		l.reply(call, c, a, o)
	}
}

// goneWhy is why a name is gone after a command.
var goneWhy = map[op]string{opUnbind: "unbound", opUnbindOwn: "unbound", opExpire: "expired"}

// reply answers a call for a command that was done.
func (l *Registry) reply(call uint64, c *command, a answer, o *protocol.Out) {
	r := protocol.Reply{ID: call}
	switch e, known := l.table.entries[c.entry.Name]; {
	case c.op == opList:
		r.Body = Listed{l.table.list(c.entry.Name), a.revision}
		o.Tell(r) // it may be large
		return
	case c.op == opLookup && known:
		r.Body = Found{e, a.revision}
	case c.op == opLookup:
		r.Body = l.failed(c, answer{NoName, a.revision})
	case a.reason != "":
		r.Body = l.failed(c, a)
	default:
		r.Body = Done{a.revision}
	}
	o.Indicate(r)
}

func (l *Registry) failed(c *command, a answer) Failed {
	return Failed{a.reason, l.table.why(c, a, &l.opts), a.revision}
}

// tell tells of changes of the table.
func (l *Registry) tell(changes []Change, why string, o *protocol.Out) {
	if len(changes) == 0 {
		return
	}
	for _, c := range changes {
		if e := c.Entry; e != nil {
			o.Note(Bound{c.Revision, e.Name, e.Ref.Owner, e.Ref.Incarnation, e.Ref.Object.String(), e.Ref.Interface, e.Home})
		} else {
			o.Note(Unbound{c.Revision, c.Name, c.was.String(), why})
		}
	}
	o.Note(l.stands(false))
	o.Tell(Changed{l.table.since, changes})
}

func (l *Registry) stands(loaded bool) Stands {
	return Stands{l.table.since, l.table.revision, l.table.hash, loaded, len(l.table.entries)}
}

// Expire handles a timer.
func (l *Registry) Expire(t protocol.Timer, o *protocol.Out) {
	if t.Kind == pieceTimer {
		l.send(o)
		return
	}
	ticket := l.tickets - uint64(uint32(l.tickets)-t.Arg) // the last one of that number
	if a, waits := l.calls[ticket]; waits {
		delete(l.calls, ticket)
		l.unknown(a, fmt.Sprintf("no answer of the group in %v", l.opts.Patience), o)
	}
}

// unknown answers a call whose end this node does not see.
func (l *Registry) unknown(a asked, why string, o *protocol.Out) {
	if a.changes {
		why += "; it may have happened"
	}
	o.Indicate(protocol.Reply{ID: a.call, Body: Unknown{"registry: " + why}})
}

// Answer answers a [Query].
func (l *Registry) Answer(question any) (any, bool) {
	if _, ok := question.(Query); !ok {
		return nil, false
	}
	t := &l.table
	return Status{t.since, t.revision, t.hash, len(t.entries), t.size, len(l.waiting)}, true
}

// String says for people what the table is.
func (l *Registry) String() string {
	text := fmt.Sprintf("%d names since view %d, revision %d, hash %s", len(l.table.entries), l.table.since, l.table.revision, l.table.hash)
	switch {
	case l.view.ID == 0:
		return "in no view"
	case !l.loaded:
		text = fmt.Sprintf("waits for the table, %d bytes came", len(l.coming))
	case !l.whole:
		text += ", others get it"
	}
	if len(l.waiting) > 0 {
		text += fmt.Sprintf(", %d commands wait", len(l.waiting))
	}
	return text
}
