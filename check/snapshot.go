package check

import (
	"encoding/json"
	"fmt"
	"slices"

	"ciranda.dev/app/bank"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/snapshot"
	"ciranda.dev/trace"
)

func init() {
	decode[snapshot.Started]()
	decode[snapshot.Cut]()
	decode[snapshot.Recorded]()
	decoders[snapshot.Done{}.Kind()] = readDone
}

// readDone gives the end of a snapshot that was read from a file its type, and the states of banks theirs.
func readDone(e *trace.Event) (any, bool) {
	d, ok := trace.DataOf[snapshot.Done](e)
	raw, isRaw := e.Data.(trace.Raw)
	if !ok || !isRaw {
		return d, ok
	}
	var states struct {
		Nodes []struct {
			State struct {
				Body json.RawMessage `json:"body"`
			} `json:"state"`
		} `json:"nodes"`
	}
	if json.Unmarshal(raw.JSON, &states) != nil {
		return nil, false
	}
	for i := range d.Nodes {
		var a bank.Account
		if s := &d.Nodes[i].State; s.Type == protocol.Name(a) && s.Body != nil && json.Unmarshal(states.Nodes[i].State.Body, &a) == nil {
			s.Body = a
		}
	}
	return d, true
}

// taken is the snapshot whose end an event tells.
func taken(e *trace.Event) (snapshot.Taken, bool) {
	d, ok := told[snapshot.Done](e)
	return d.Taken, ok
}

// missed is why no snapshot could be judged.
type missed struct{ why string }

// complete says whether a snapshot is to be judged, and remembers why not.
func (m *missed) complete(t snapshot.Taken) bool {
	if !t.Complete && len(t.Missing) > 0 {
		m.why = fmt.Sprintf("no snapshot is complete: of %s node %d is missing, %s", t.ID, t.Missing[0].Node, t.Missing[0].Why)
	}
	return t.Complete
}

func (m *missed) reason() string {
	if m.why == "" {
		return "no snapshot was taken"
	}
	return m.why
}

// snapshotConsistent is SNAP-1.
type snapshotConsistent struct {
	base
	snapshots
	missed
}

func (p *snapshotConsistent) Kinds() Kinds { return linkKinds }

func (p *snapshotConsistent) Step(e *trace.Event) {
	if twice := p.snapshots.step(e); twice != nil {
		p.violate(fmt.Sprintf("node %d records its state a second time for snapshot %s", e.Node, e.Data.(snapshot.Recorded).ID), twice.event, e)
	}
	t, ok := taken(e)
	if !ok {
		return
	}
	switch {
	case !p.setup.Link:
		p.recount(e, t)
	case p.complete(t) && !p.odd:
		p.judge(e, t)
	}
	p.dismiss(t.ID)
}

// recount judges by the counters of the nodes, where links note nothing.
func (p *snapshotConsistent) recount(e *trace.Event, t snapshot.Taken) {
	p.complete(t)
	p.examined += t.Counted
	if !t.Consistent {
		p.violate(fmt.Sprintf("snapshot %s is not consistent: %s", t.ID, t.Wrong), e)
	}
}

func (p *snapshotConsistent) judge(e *trace.Event, t snapshot.Taken) {
	parts, lie := p.parts(t, p.setup.Nodes)
	if lie != "" {
		p.violate(lie, e)
		return
	}
	p.examined++
	for _, to := range p.setup.Nodes {
		receiver := p.pieces[parts[to]]
		for _, from := range p.setup.Nodes {
			sender := p.pieces[parts[from]]
			if l, ok := receiver.got[stream{from, to, sender.channel}]; ok && !sender.has(l.inc, l.nth, parts[from].inc, to) {
				p.violate(fmt.Sprintf("in snapshot %s node %d has received a packet that node %d has not sent", t.ID, to, from),
					sender.event, l.event, receiver.event)
			}
		}
	}
}

func (p *snapshotConsistent) Result(int64) Result {
	if p.odd && !p.failed {
		return p.unexercised("the links delivered what was not sent")
	}
	return p.result(p.reason())
}

// snapshotChannels is SNAP-2.
type snapshotChannels struct {
	base
	snapshots
	missed
}

func (p *snapshotChannels) Kinds() Kinds { return linkKinds }

func (p *snapshotChannels) Step(e *trace.Event) {
	p.snapshots.step(e)
	t, ok := taken(e)
	if !ok {
		return
	}
	switch {
	case !p.setup.Link:
		p.recount(e, t)
	case p.complete(t) && !p.odd:
		p.judge(e, t)
	}
	p.dismiss(t.ID)
}

// recount judges by the counters of the nodes, where links note nothing: what was sent and had not come is on its way.
func (p *snapshotChannels) recount(e *trace.Event, t snapshot.Taken) {
	n := len(p.setup.Nodes)
	if !p.complete(t) {
		return
	}
	p.examined += t.Counted
	switch {
	case !t.Consistent:
		p.violate(fmt.Sprintf("snapshot %s is not consistent: %s", t.ID, t.Wrong), e)
	case t.Counted != n*(n-1):
		p.violate(fmt.Sprintf("snapshot %s is said to be complete, and %d channels of %d were counted at both ends", t.ID, t.Counted, n*(n-1)), e)
	}
}

func (p *snapshotChannels) judge(e *trace.Event, t snapshot.Taken) {
	parts, lie := p.parts(t, p.setup.Nodes)
	if lie != "" {
		return // snapshot-consistent says so
	}
	for _, to := range p.setup.Nodes {
		for _, from := range p.setup.Nodes {
			if from == to {
				continue
			}
			p.examined++
			recorded, expected := recordedOn(t, from, to), p.between(parts[from], parts[to])
			if !slices.Equal(recorded, expected) {
				p.violate(fmt.Sprintf("snapshot %s has %d messages on the way from node %d to node %d (%s), and %d were (%s)",
					t.ID, len(recorded), from, to, marksText(recorded), len(expected), marksText(expected)),
					p.pieces[parts[from]].event, p.pieces[parts[to]].event, e)
			}
		}
	}
}

// between are the packets that were sent before the one cut and came after the other, or are still on their way.
func (s *snapshots) between(from, to cutKey) []uint32 {
	var marks []uint32
	sender, receiver := s.pieces[from], s.pieces[to]
	for _, a := range receiver.after {
		if a.from == from.node && a.channel == sender.channel && sender.has(a.inc, a.nth, from.inc, to.node) {
			marks = append(marks, a.mark)
		}
	}
	for _, l := range s.on(way{from.node, from.inc, to.node}).owed(to.inc) {
		if l.channel == sender.channel && l.nth <= sender.sentTo(to.node) {
			marks = append(marks, l.mark)
		}
	}
	return marks
}

func recordedOn(t snapshot.Taken, from, to protocol.ID) []uint32 {
	var marks []uint32
	for _, c := range t.Channels {
		if c.From == from && c.To == to {
			for _, m := range c.Messages {
				marks = append(marks, m.Mark)
			}
		}
	}
	return marks
}

// marksText shows a few marks.
func marksText(marks []uint32) string {
	if len(marks) > 4 {
		return fmt.Sprintf("%x and more", marks[:4])
	}
	return fmt.Sprintf("%x", marks)
}

func (p *snapshotChannels) Result(int64) Result {
	if p.odd && !p.failed {
		return p.unexercised("the links delivered what was not sent")
	}
	return p.result(p.reason())
}

// snapshotConserved is SNAP-4 for the bank.
type snapshotConserved struct {
	base
	wiped
	missed
}

func (p *snapshotConserved) Kinds() Kinds { return toldKinds }

func (p *snapshotConserved) Step(e *trace.Event) {
	if !p.wiped.step(e) {
		return
	}
	t, ok := taken(e)
	if !ok || !p.complete(t) {
		return
	}
	accounts, balances, all := accountsOf(t)
	if !all {
		p.why = fmt.Sprintf("what snapshot %s found is too large for the trace", t.ID)
		return
	}
	p.examined++
	want, total := p.setup.Bank.Balance*int64(len(p.setup.Nodes)), bank.Total(accounts)
	if total != want {
		p.violate(fmt.Sprintf("all money is %d in snapshot %s, and should be %d: %d in %d accounts + %d on its way",
			total, t.ID, want, balances, len(accounts), total-balances), e)
	}
}

// accountsOf are the accounts in a snapshot, with the sum of their balances, and whether all are there.
func accountsOf(t snapshot.Taken) (accounts []bank.Account, balances int64, all bool) {
	for _, n := range t.Nodes {
		if a, ok := n.State.Body.(bank.Account); ok {
			accounts = append(accounts, a)
			balances += a.Balance
		}
	}
	return accounts, balances, len(accounts) == len(t.Nodes)
}

func (p *snapshotConserved) Result(int64) Result { return p.resultOf(&p.wiped, p.reason()) }
