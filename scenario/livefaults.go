package scenario

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"ciranda.dev/app/bank"
	"ciranda.dev/engine/network"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// What a run does to real processes.

// do carries out the action of a line.
func (r *liveRun) do(ctx context.Context, a Action, line int) error {
	c := r.cluster
	switch a := a.(type) {
	case Crash:
		return r.kill(ctx, a)
	case Recover:
		return r.each(a.Nodes, func(id protocol.ID) error { return r.recoverNode(ctx, id) })
	case Pause:
		return r.each(a.Nodes, func(id protocol.ID) error { return r.pause(ctx, id) })
	case Resume:
		return r.each(a.Nodes, func(id protocol.ID) error { return r.resume(ctx, id) })
	case Reset:
		return r.reset(ctx, a.Links)
	case StallDisk:
		return r.each(a.Nodes, func(id protocol.ID) error { return r.stall(ctx, id, a.For) })
	case SlowDisk:
		return r.each(a.Nodes, func(id protocol.ID) error { return r.setDisk(ctx, id, false, a.Write) })
	case Slow:
		return r.each(a.Nodes, func(id protocol.ID) error { r.slow[id] = a.Step > 0; return c.SetSlow(ctx, id, a.Step) })
	case Jump:
		return r.each(a.Nodes, func(id protocol.ID) error { return c.JumpClock(ctx, id, a.By) })
	case Rate:
		return r.each(a.Nodes, func(id protocol.ID) error { r.rated[id] = a.Rate != 1; return c.SetRate(ctx, id, a.Rate) })
	case Elect:
		return r.each(a.Nodes, func(id protocol.ID) error { return r.elect(ctx, id) })
	case Transfer:
		client := r.clients.client(a.Client, line)
		return r.each(a.Nodes, func(id protocol.ID) error { r.pay(client, id, bank.Transfer{To: a.To, Amount: a.Amount}); return nil })
	case Load:
		r.clients.client(a.Client, line).load(r.asking, a.Every, a.For)
		return nil
	case Snapshot:
		r.ask(a.Nodes, c.Snapshot)
		return nil
	case HealAll:
		return r.healAll(ctx, r.base())
	}
	if r.doGroup(a) {
		return nil
	}
	return r.relink(ctx, a)
}

// relink carries out an action that changes links.
func (r *liveRun) relink(ctx context.Context, a Action) error {
	cut := func(l *network.Link) { l.Cut = true }
	everybody := Nodes{Who: All}
	switch a := a.(type) {
	case Partition:
		apart := r.apart(a.Groups)
		mend := r.cast.pairs(Links{From: everybody, To: everybody})
		mend = slices.DeleteFunc(mend, func(p Pair) bool { return slices.Contains(apart, p) || !r.links[p].Cut })
		if err := r.setLinks(ctx, "mend", mend, func(l *network.Link) { l.Cut = false }); err != nil {
			return err
		}
		return r.setLinks(ctx, a.String(), apart, cut)
	case Isolate:
		return r.setLinks(ctx, a.String(), r.cast.pairs(Links{From: a.Nodes, To: everybody, Both: true}), cut)
	case Cut:
		return r.setLinks(ctx, a.String(), r.cast.pairs(a.Links), cut)
	case Change:
		return r.setLinks(ctx, a.String(), r.cast.pairs(a.Links), func(l *network.Link) {
			wasCut := l.Cut
			*l = a.To.Apply(r.base())
			l.Cut = wasCut
		})
	case Heal:
		return r.setLinks(ctx, a.String(), r.cast.pairs(a.Links), func(l *network.Link) { *l = r.base() })
	}
	panic(fmt.Sprintf("scenario: real processes do not know how to do %q", a))
}

// base is what a link is at first.
func (r *liveRun) base() network.Link { return r.scenario.Own.Apply(network.Link{}) }

// apart are the directions between nodes of different groups.
func (r *liveRun) apart(groups [][]protocol.ID) []Pair {
	var pairs []Pair
	for i, g := range groups {
		for _, h := range groups[i+1:] {
			pairs = append(pairs, r.cast.pairs(Links{From: Nodes{Named, g}, To: Nodes{Named, h}, Both: true})...)
		}
	}
	return pairs
}

func (r *liveRun) setLinks(ctx context.Context, text string, pairs []Pair, change func(*network.Link)) error {
	var states []LinkState
	for _, p := range pairs {
		l, known := r.links[p]
		if !known {
			l = r.base()
		}
		change(&l)
		r.links[p] = l
		states = append(states, LinkState{p, l})
	}
	if states == nil {
		return nil
	}
	return r.cluster.SetLinks(ctx, text, states)
}

func (r *liveRun) each(n Nodes, do func(protocol.ID) error) error {
	ids, _ := r.cast.resolve(n)
	for _, id := range slices.Clone(ids) {
		if err := do(id); err != nil {
			return err
		}
	}
	return nil
}

// believe makes the view follow what was just done, before the event of it arrives.
func (r *liveRun) believe(k trace.Kind, id protocol.ID) {
	r.cast.Record(&trace.Event{Kind: k, Node: id})
}

func (r *liveRun) kill(ctx context.Context, a Crash) error {
	var killed []protocol.ID
	err := r.each(a.Nodes, func(id protocol.ID) error {
		if !r.cast.nodes[id-1].up {
			return nil
		}
		if err := r.cluster.Kill(ctx, id); err != nil {
			return err
		}
		killed = append(killed, id)
		r.lost[id] = a.DiskLost
		r.believe(trace.Crash, id)
		return nil
	})
	if len(killed) > 0 {
		r.cast.last = killed
	}
	return err
}

func (r *liveRun) recoverNode(ctx context.Context, id protocol.ID) error {
	if r.cast.nodes[id-1].up {
		return nil
	}
	return r.cluster.Recover(ctx, id, r.lost[id])
}

func (r *liveRun) pause(ctx context.Context, id protocol.ID) error {
	if !r.cast.nodes[id-1].acts() {
		return nil
	}
	defer r.believe(trace.Pause, id)
	return r.cluster.Pause(ctx, id)
}

func (r *liveRun) resume(ctx context.Context, id protocol.ID) error {
	if !r.cast.nodes[id-1].paused {
		return nil
	}
	defer r.believe(trace.Resume, id)
	return r.cluster.Resume(ctx, id)
}

func (r *liveRun) elect(ctx context.Context, id protocol.ID) error {
	if !r.cast.nodes[id-1].acts() {
		return nil
	}
	return r.cluster.Elect(ctx, id)
}

// pay lets a client ask a node, if it is up.
func (r *liveRun) pay(c *liveClient, id protocol.ID, t bank.Transfer) {
	if r.cast.nodes[id-1].acts() || c.Again > 0 {
		c.ask(r.asking, id, t)
	}
}

// reset closes the connections of pairs of nodes, each once.
func (r *liveRun) reset(ctx context.Context, l Links) error {
	done := map[Pair]bool{}
	for _, p := range r.cast.pairs(l) {
		ends := Pair{min(p.From, p.To), max(p.From, p.To)}
		if done[ends] {
			continue
		}
		done[ends] = true
		if err := r.cluster.Reset(ctx, ends.From, ends.To); err != nil {
			return err
		}
	}
	return nil
}

func (r *liveRun) stall(ctx context.Context, id protocol.ID, d time.Duration) error {
	r.stalls = append(r.stalls, stall{id, r.now() + d})
	slices.SortStableFunc(r.stalls, func(a, b stall) int { return cmp.Compare(a.end, b.end) })
	return r.setDisk(ctx, id, true, 0)
}

func (r *liveRun) setDisk(ctx context.Context, id protocol.ID, stalled bool, write time.Duration) error {
	r.disks[id] = stalled || write > 0
	if !r.cast.nodes[id-1].up {
		return nil // it begins its next life with a disk that is well
	}
	return r.cluster.SetDisk(ctx, id, stalled, write)
}

// healAll mends all there is to mend but crashes and pauses, and makes links what is said.
func (r *liveRun) healAll(ctx context.Context, link network.Link) error {
	odd := slices.SortedFunc(maps.Keys(r.links), func(a, b Pair) int {
		return slices.Compare([]protocol.ID{a.From, a.To}, []protocol.ID{b.From, b.To})
	})
	if err := r.setLinks(ctx, "heal all", odd, func(l *network.Link) { *l = link }); err != nil {
		return err
	}
	r.stalls = nil
	if err := r.ended(r.disks, func(id protocol.ID) error { return r.cluster.SetDisk(ctx, id, false, 0) }); err != nil {
		return err
	}
	if err := r.ended(r.slow, func(id protocol.ID) error { return r.cluster.SetSlow(ctx, id, 0) }); err != nil {
		return err
	}
	return r.ended(r.rated, func(id protocol.ID) error { return r.cluster.SetRate(ctx, id, 1) })
}

// ended undoes something for the nodes of a set that are up, and empties it.
func (r *liveRun) ended(set map[protocol.ID]bool, undo func(protocol.ID) error) error {
	for _, id := range slices.Sorted(maps.Keys(set)) {
		if set[id] && r.cast.nodes[id-1].up {
			if err := undo(id); err != nil {
				return err
			}
		}
	}
	clear(set)
	return nil
}

// calm ends all faults: nothing is lost or doubled any more, and who was paused goes on.
func (r *liveRun) calm(ctx context.Context) error {
	link := r.base()
	link.Loss, link.Duplicate = 0, 0
	if err := r.healAll(ctx, link); err != nil {
		return err
	}
	if err := r.each(Nodes{Who: All}, func(id protocol.ID) error { return r.resume(ctx, id) }); err != nil {
		return err
	}
	r.note(trace.Calm, nil)
	return nil
}
