package group

import (
	"slices"

	"ciranda.dev/protocol"
)

// An answering is this node's part in a change that another, or itself, proposes.
type answering struct {
	to      protocol.ID // who asked for the promise
	nudging bool        // the timer runs

	held Cut // what the layer above said that it holds when it was stopped

	gathering bool // the layer above fetches what the cut needs
	done      bool // it has it
	decided   bool // and the change is decided
	voter     protocol.ID
	commit    Commit
}

// prepare promises, and has the layer above stop and say what it holds.
func (l *Layer) prepare(from protocol.ID, m Prepare, o *protocol.Out) {
	if !l.current(from, m.View, o) || l.refuses(from, m.Ballot, o) {
		return
	}
	again := m.Ballot == l.promised
	l.promised = m.Ballot
	if !again {
		l.storeVote(o)
	}
	l.answer.to = from
	if l.phase == out {
		l.vow(nil, o)
		return
	}
	l.phase = flush
	if l.answer.decided {
		return // it knows the outcome already, and fetches what that needs
	}
	l.answer.gathering, l.answer.done = false, false
	if !l.opts.Traffic {
		l.vow(nil, o)
		return
	}
	o.Indicate(Flush{l.view.ID, m.Ballot})
}

// current says whether a message is about the change of the last view known here. Else one end has something to learn.
func (l *Layer) current(from protocol.ID, view uint64, o *protocol.Out) bool {
	switch {
	case view < l.view.ID:
		l.help(from, view, o)
	case view > l.view.ID:
		l.post(from, Behind{l.view.ID}, o)
	}
	return view == l.view.ID
}

// refuses says whether a later ballot was promised.
func (l *Layer) refuses(from protocol.ID, b Ballot, o *protocol.Out) bool {
	if b.Less(l.promised) {
		l.post(from, Nack{l.view.ID, b, l.promised}, o)
		return true
	}
	return false
}

// holds takes what the layer above holds.
func (l *Layer) holds(r Held, o *protocol.Out) {
	if l.phase == flush && r.View == l.view.ID && r.Ballot == l.promised && !l.answer.decided {
		l.answer.held = r.Upto
		l.vow(r.Upto, o)
	}
}

// vow answers Prepare.
func (l *Layer) vow(held Cut, o *protocol.Out) {
	p := Promise{View: l.view.ID, Ballot: l.promised, Votes: l.votes, Held: held, Last: l.accepted.Ballot, Accepted: l.accepted.Content}
	switch {
	case l.phase != out:
		p.Life, p.Ready = l.life, l.ready
	case !l.away:
		p.Wants = l.life
	}
	l.post(l.answer.to, p, o)
}

// proposed accepts a change, once the layer above has what it needs.
func (l *Layer) proposed(from protocol.ID, m Propose, o *protocol.Out) {
	if !l.current(from, m.View, o) || l.refuses(from, m.Ballot, o) || l.answer.decided || m.Content.View.ID != m.View+1 {
		return
	}
	l.promised = m.Ballot
	if l.phase == out || !slices.Contains(m.Content.View.Members, l.me(o)) || !l.fetchable(m.Content.Upto, m.From) {
		l.accept(from, m.Ballot, m.Content, o)
		return
	}
	l.phase = flush
	l.answer.voter, l.answer.commit = from, Commit{m.Ballot, m.Content, m.From}
	l.gather(o)
}

// fetchable says whether there is something to fetch, and everything of it can be.
func (l *Layer) fetchable(upto Cut, from []protocol.ID) bool {
	return l.opts.Traffic && len(upto) == len(l.view.Members) && len(from) == len(upto) && !slices.Contains(from, protocol.None)
}

func (l *Layer) gather(o *protocol.Out) {
	c := &l.answer.commit
	l.answer.gathering, l.answer.done = true, false
	o.Indicate(Gather{l.view.ID, c.Ballot, c.Content.Upto, c.From})
}

// gathered goes on: it votes, or installs what is decided.
func (l *Layer) gathered(r Gathered, o *protocol.Out) {
	a := &l.answer
	if r.View != l.view.ID || !a.gathering || a.done || r.Ballot != a.commit.Ballot {
		return
	}
	a.done = true
	if a.decided {
		l.install(a.commit, o)
	} else if a.commit.Ballot == l.promised {
		l.accept(a.voter, a.commit.Ballot, a.commit.Content, o)
	}
}

// accept votes. Who has lost its disk may have voted otherwise.
func (l *Layer) accept(to protocol.ID, b Ballot, c Content, o *protocol.Out) {
	if !l.votes {
		return
	}
	l.accepted = vote{b, c}
	l.storeVote(o)
	l.post(to, Accept{l.view.ID, b}, o)
}
