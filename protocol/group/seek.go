package group

import (
	"slices"
	"time"

	"ciranda.dev/protocol"
)

// A seek is the search for members, or for enough nodes of the last view to found the next.
type seek struct {
	answers []found // by node
	round   uint64
	waited  bool // long enough for the last nodes of the view
	joining bool // an Enter is on its way
	turn    int  // which member is asked next
}

// A found is what a node answered, and in which round.
type found struct {
	id    protocol.ID
	view  uint64
	in    bool
	away  bool
	round uint64
}

// look begins to seek after d.
func (l *Layer) look(d time.Duration, o *protocol.Out) {
	l.seek = seek{}
	o.Set(protocol.Timer{Kind: seekTimer}, d)
	o.Set(protocol.Timer{Kind: foundTimer}, d+l.opts.Found)
}

// hasty is how many rounds are shorter: nodes that start together find each other as soon as they can.
const hasty = 4

// seekAgain asks all nodes, and forgets who has not answered for two rounds.
func (l *Layer) seekAgain(o *protocol.Out) {
	if l.phase != out || l.away {
		return
	}
	if l.seek.round > hasty {
		l.seek.answers = slices.DeleteFunc(l.seek.answers, func(f found) bool { return f.round+2 <= l.seek.round })
	}
	l.seek.round++
	o.SendAll(Who{l.view.ID, l.life})
	o.Set(protocol.Timer{Kind: seekTimer}, l.opts.Seek>>max(0, hasty-int(l.seek.round)))
	l.consider(o)
}

// whoAsks answers a node that seeks, and takes note that it is there.
func (l *Layer) whoAsks(from *peer, m Who, o *protocol.Out) {
	from.life = max(from.life, m.Life)
	l.help(from.id, m.View, o)
	o.Send(from.id, Here{l.view.ID, l.phase != out, l.away})
	l.isHere(from, Here{View: m.View}, o)
}

// help tells a node of the last view, if it knows less.
func (l *Layer) help(to protocol.ID, theirs uint64, o *protocol.Out) {
	if l.view.ID > theirs {
		l.post(to, l.last(), o)
	}
}

// isHere takes the answer of a node.
func (l *Layer) isHere(from *peer, m Here, o *protocol.Out) {
	if l.phase != out {
		return
	}
	i, there := slices.BinarySearchFunc(l.seek.answers, from.id, func(f found, id protocol.ID) int { return protocol.ByID(f.id, id) })
	f := found{from.id, m.View, m.In, m.Away, l.seek.round}
	if there {
		l.seek.answers[i] = f
	} else {
		l.seek.answers = slices.Insert(l.seek.answers, i, f)
	}
	l.consider(o)
}

// consider asks a member to let this node join, or founds the next view with the rest of the last one if none of it is a
// member any more.
func (l *Layer) consider(o *protocol.Out) {
	if l.phase != out || l.away || l.try.active {
		return
	}
	if hosts := l.hosts(); len(hosts) > 0 {
		l.knock(hosts, o)
		return
	}
	rest, founder := l.rest()
	enough := len(rest) == len(l.view.Members) || l.seek.waited && len(rest) >= l.view.Majority()
	if l.opts.Mistake == FoundsAmongFound {
		enough = l.seek.waited
	}
	if enough && founder == l.self {
		l.attempt(rest, o)
	}
}

// hosts are the members that answered.
func (l *Layer) hosts() (hosts []protocol.ID) {
	for _, f := range l.seek.answers {
		if f.in && f.view >= l.view.ID && f.view > 0 {
			hosts = append(hosts, f.id)
		}
	}
	return hosts
}

// rest are the nodes of the last view that answered and know of no later one, this node too, by rank. The founder is the
// first of them that wants to be a member.
func (l *Layer) rest() (rest []protocol.ID, founder protocol.ID) {
	for _, m := range l.view.Members {
		i := slices.IndexFunc(l.seek.answers, func(f found) bool { return f.id == m.Node && f.view == l.view.ID })
		if i < 0 && m.Node != l.self {
			continue
		}
		rest = append(rest, m.Node)
		if founder == protocol.None && (i < 0 || !l.seek.answers[i].away) {
			founder = m.Node
		}
	}
	return rest, founder
}

// knock asks one member after the other.
func (l *Layer) knock(hosts []protocol.ID, o *protocol.Out) {
	if l.seek.joining {
		return
	}
	l.seek.joining = true
	host := hosts[l.seek.turn%len(hosts)]
	l.seek.turn++
	o.Send(host, Enter{l.life})
	o.Set(protocol.Timer{Kind: joinTimer}, l.opts.Found)
}

// enter notes that a node wants to join, or passes that on.
func (l *Layer) enter(m Member, o *protocol.Out) {
	p := l.peer(m.Node)
	if l.phase == out || p == nil || m.Node == l.self || m.Incarnation < p.inc {
		return
	}
	if m.Incarnation == p.inc {
		p.life = max(p.life, m.Life)
	}
	if now, in := l.member(m.Node); in && !now.before(m) {
		l.help(m.Node, 0, o)
		return
	}
	switch to := l.proposer(); to {
	case protocol.None:
	case l.self:
		l.joiners = slices.DeleteFunc(l.joiners, func(j Member) bool { return j.Node == m.Node })
		if l.joiners = append(l.joiners, m); len(l.joiners) == 1 && !l.due {
			o.Set(protocol.Timer{Kind: gatherTimer}, l.opts.Gather)
		}
	default:
		if m.Node != to {
			o.Send(to, Sponsor{m})
		}
	}
}

// beacon tells those that are not members of the view: they may have been cut off.
func (l *Layer) beacon(o *protocol.Out) {
	if l.phase == out {
		return
	}
	o.Set(protocol.Timer{Kind: beaconTimer}, l.opts.Beacon)
	if l.proposer() != l.self || l.opts.Mistake == NoBeacon {
		return
	}
	for i := range l.peers {
		p := &l.peers[i]
		if m, in := l.member(p.id); p.id != l.self && (!in || p.away || l.over(m)) {
			o.Send(p.id, l.last())
		}
	}
}

// leave has this node leave in good order: what it sent is settled with the rest.
func (l *Layer) leave(call uint64, o *protocol.Out) {
	if call != 0 {
		l.calls = append(l.calls, call)
	}
	switch {
	case l.phase == out:
		l.away = true
		l.life++ // it may have been let in already
		l.answerLeave(o)
	case len(l.view.Members) == 1:
		l.exclude(Left, o)
	case !l.leaving:
		l.leaving, l.leaves = true, 0
		l.leavers = append(l.leavers, l.me(o))
		l.leaveAgain(o)
		if l.opts.Mistake == LeavesEarly {
			l.exclude(Left, o)
		}
	}
}

// leaveAgain asks the proposer for a view without this node; after a while it goes without.
func (l *Layer) leaveAgain(o *protocol.Out) {
	if !l.leaving {
		return
	}
	if time.Duration(l.leaves)*l.opts.Attempt >= l.opts.Leave {
		l.exclude(Abrupt, o)
		return
	}
	l.leaves++
	if to := l.proposer(); to != protocol.None {
		l.post(to, Quit{l.life}, o)
	}
	o.Set(protocol.Timer{Kind: leaveTimer}, l.opts.Attempt)
}

func (l *Layer) answerLeave(o *protocol.Out) {
	for _, id := range l.calls {
		o.Indicate(protocol.Reply{ID: id, Body: Out{l.view.ID}})
	}
	l.calls = nil
}

// quits notes that a member leaves. One that is out already hears of it.
func (l *Layer) quits(m Member, o *protocol.Out) {
	if now, in := l.member(m.Node); !in || now != m {
		l.help(m.Node, 0, o)
	} else if !slices.Contains(l.leavers, m) {
		l.leavers = append(l.leavers, m)
	}
}

// comeBack has a node that left seek again, or one that leaves do so when it is out.
func (l *Layer) comeBack(call uint64, o *protocol.Out) {
	if l.phase == out && l.away {
		l.away = false
		l.look(0, o)
	}
	l.returns = l.leaving
	if call != 0 {
		o.Indicate(protocol.Reply{ID: call, Body: Back{}})
	}
}

// complain has the next view be without a member.
func (l *Layer) complain(m Member, o *protocol.Out) {
	if now, in := l.member(m.Node); l.phase == out || !in || now != m || m.Node == l.self {
		return
	}
	l.expel(m)
	if to := l.proposer(); to != protocol.None && to != l.self {
		o.Send(to, Complain{m})
	}
}

func (l *Layer) expel(m Member) {
	if m.Node != l.self && !slices.Contains(l.misfits, m) {
		l.misfits = append(l.misfits, m)
	}
}
