package check

import (
	"fmt"
	"maps"
	"slices"

	"ciranda.dev/app/board"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/transfer"
	"ciranda.dev/trace"
)

func init() {
	decode[transfer.Keeping]()
	decode[transfer.Loaded]()
	decode[transfer.Ready]()
	decode[board.Added]()
	decode[board.Given]()
	decode[board.Spoilt]()
}

// sameState is ST-1: all that keep or load the state of one view have the same, and what is loaded was kept.
type sameState struct {
	base
	states map[uint64]rooted // by view
}

// A rooted state is what was first told of it.
type rooted struct {
	root  transfer.Root
	kept  []protocol.ID
	event *trace.Event `layer:"const"`
}

// stale is how many views a state may be old to be known still.
const stale = 64

func (p *sameState) Kinds() Kinds { return KindsOf(trace.Noted) }

func (p *sameState) Step(e *trace.Event) {
	switch d := e.Data.(type) {
	case transfer.Keeping:
		s := p.tell(e, d.View, d.Root, "keeps")
		s.kept = append(s.kept[:len(s.kept):len(s.kept)], e.Node)
		p.states[d.View] = s
	case transfer.Loaded:
		p.examined++
		s := p.tell(e, d.View, d.Root, "loads")
		if p.exact() && !slices.Contains(s.kept, d.From) {
			p.violate(fmt.Sprintf("node %d loads the state of view %d from node %d, which did not keep it", e.Node, d.View, d.From), e)
		}
	}
}

// tell compares a state with that which is known.
func (p *sameState) tell(e *trace.Event, view uint64, root transfer.Root, does string) rooted {
	s, known := p.states[view]
	switch {
	case known && s.root != root:
		p.violate(fmt.Sprintf("node %d %s the state %s of view %d, and node %d has %s", e.Node, does, root, view, s.event.Node, s.root), s.event, e)
	case !known:
		if p.states == nil {
			p.states = map[uint64]rooted{}
		}
		s = rooted{root: root, event: keep(e)}
		p.states[view] = s
		maps.DeleteFunc(p.states, func(v uint64, _ rooted) bool { return v+stale < view })
	}
	return s
}

func (p *sameState) Result(int64) Result { return p.result("no state was loaded") }

// oneHistory is ST-1 and ST-2: boards that began in one view have the same notices, as their hashes tell: a message that a member
// misses, or applies twice, or that its state does not fit, changes all hashes that follow. What a member has in a view counts
// when it goes on to the next: what only a majority had that is lost may be lost.
type oneHistory struct {
	base
	membership
	boards  []boardOf // by node
	history map[place]hashed
}

// A boardOf is the board of a node in its present life.
type boardOf struct {
	since  uint64
	recent []hashed // not yet in the history
}

// A place is one in the history of a board.
type place struct{ since, count uint64 }

// A hashed place is what a node had there.
type hashed struct {
	place
	hash  board.Hash
	event *trace.Event `layer:"const"`
}

// pages are how many places of a history are known. A board that is further behind is not judged.
const pages = 1 << 14

func (p *oneHistory) Kinds() Kinds { return groupKinds }

func (p *oneHistory) Step(e *trace.Event) {
	p.boards = reach(p.boards, e.Node)
	b := &p.boards[e.Node]
	if begins(e) || ends(e) {
		*b = boardOf{}
	}
	if !p.follow(e, true, nothing) {
		return
	}
	switch d := e.Data.(type) {
	case board.Added:
		p.examined++
		b.recent = append(b.recent, hashed{place{b.since, d.Count}, d.Hash, keep(e)})
	case board.Given:
		*b = boardOf{d.Since, []hashed{{place{d.Since, d.Count}, d.Hash, keep(e)}}}
	case board.Spoilt:
		p.violate(fmt.Sprintf("node %d cannot read the state that it loads: %s", e.Node, d.Why), e)
	case group.Excluded:
		b.recent = nil
	case group.Installed:
		if !d.First {
			p.settle(b)
		}
	}
}

// settle has what a node has be history.
func (p *oneHistory) settle(b *boardOf) {
	if p.history == nil {
		p.history = map[place]hashed{}
	}
	for _, h := range b.recent {
		if f := differs(p.history, h); f != nil {
			p.violate(f.why, &f.events[0], &f.events[1])
		}
		p.history[h.place] = h
	}
	if n := len(b.recent); n > 0 && len(p.history) > 2*pages {
		last := b.recent[n-1].place
		maps.DeleteFunc(p.history, func(at place, _ hashed) bool { return at.since < last.since || at.count+pages < last.count })
	}
	b.recent = nil
}

// differs finds that a hash is not that of the history.
func differs(history map[place]hashed, h hashed) *finding {
	was, known := history[h.place]
	if !known || was.hash == h.hash {
		return nil
	}
	return newFinding(fmt.Sprintf("after %d notices since view %d node %d has the hash %s, and node %d has %s", h.count, h.since,
		h.event.Node, h.hash, was.event.Node, was.hash), []*trace.Event{was.event, h.event})
}

func (p *oneHistory) Result(int64) Result {
	if f := p.unlike(); f != nil && !p.failed {
		return p.violated(f)
	}
	return p.result("no notice was put on a board")
}

// unlike finds that boards of the last view differ where the run ends.
func (p *oneHistory) unlike() *finding {
	newest := uint64(0)
	for _, m := range p.members {
		newest = max(newest, m.view)
	}
	all := maps.Clone(p.history)
	if all == nil {
		all = map[place]hashed{}
	}
	for id := range p.boards {
		if id >= len(p.members) || p.members[id].view != newest || !p.live(protocol.ID(id)) {
			continue
		}
		for _, h := range p.boards[id].recent {
			if f := differs(all, h); f != nil {
				return f
			}
			all[h.place] = h
		}
	}
	return nil
}

// stateComes is ST-3: once it is calm, every member has the state in time after it joined.
type stateComes struct {
	base
	membership
	calm   calm
	delays delays
	within int64  `layer:"const"`
	wants  []want // by node
}

func (p *stateComes) Kinds() Kinds { return groupKinds | calmKinds }

func (p *stateComes) Step(e *trace.Event) {
	p.calm.step(e)
	p.delays.step(e)
	p.wants = reach(p.wants, e.Node)
	w := &p.wants[e.Node]
	if begins(e) || ends(e) {
		*w = want{}
	}
	if !p.follow(e, true, nothing) {
		return
	}
	switch d := e.Data.(type) {
	case group.Installed:
		if d.First {
			p.begin(w, e.T)
		}
	case group.Excluded: // maybe since it got no state: that is no end of its waiting
		w.open = false
	case protocol.Reply:
		if _, left := d.Body.(group.Out); left {
			*w = want{}
		}
	case transfer.Ready:
		p.examined++
		p.judge(e.Node, e.T)
		*w = want{}
	}
}

// begin has a node wait, if it does not yet.
func (p *stateComes) begin(w *want, now int64) {
	if w.since == 0 {
		w.since = now
	}
	w.open = true
}

// judge looks whether a node waited for too long. What happens to its group begins the time anew, as to all.
func (p *stateComes) judge(id protocol.ID, now int64) {
	w := p.wants[id]
	if !w.open || !p.calm.on || p.delays.odd(id) || !p.live(id) {
		return
	}
	if waited := now - max(w.since, p.calm.since); waited > p.within+p.setup.slack() {
		p.violate(fmt.Sprintf("node %d is a member since %s and has no state %s later, in calm; %s are allowed", id, at(w.since),
			span(waited), span(p.within)), p.members[id].event)
	}
}

func (p *stateComes) Result(end int64) Result {
	for id := range p.wants {
		p.judge(protocol.ID(id), end)
	}
	return p.result("no member got a state")
}
