package sim

import (
	"fmt"
	"slices"
	"time"

	"ciranda.dev/engine/network"
	"ciranda.dev/engine/world"
	"ciranda.dev/protocol"
)

// The faults that a script can bring about. Each may be used at any time; what makes no sense, such as to crash a
// node that is down, has no effect.

// Crash ends a node's life at once or, if inside, in the middle of its next step. What its disk has not synced is
// lost; lostDisk loses all of it.
func (s *Sim) Crash(id protocol.ID, inside, lostDisk bool) {
	if !s.w.Up(id) {
		return
	}
	if inside && !s.w.Paused(id) {
		s.w.Crash(id, s.faults.Intn(4))
	} else {
		s.w.Crash(id, -1)
	}
	if lostDisk {
		s.w.WipeDisk(id)
	}
	s.forgetQueued(id)
}

// Stop ends a node's life in good order.
func (s *Sim) Stop(id protocol.ID) {
	if s.w.Up(id) && !s.w.Paused(id) {
		s.w.Stop(id)
		s.forgetQueued(id)
	}
}

// forgetQueued lets what a node had not handled yet be dropped, as it arrives at nobody.
func (s *Sim) forgetQueued(id protocol.ID) {
	n := &s.nodes[id-1]
	for _, e := range n.held {
		s.queue.push(s.now, e)
	}
	n.held, n.queue, n.busy, n.told = nil, 0, 0, false
}

// Recover begins the next life of a node that is down.
func (s *Sim) Recover(id protocol.ID) {
	if !s.w.Up(id) {
		s.w.Recover(id)
	}
}

// Pause lets a node stand still.
func (s *Sim) Pause(id protocol.ID) {
	if s.w.Up(id) && !s.w.Paused(id) {
		s.hindered++
		s.w.Pause(id)
	}
}

// Resume lets it go on. Messages and timers that came meanwhile are handled in a drawn order, messages among
// themselves and timers among themselves as they came.
func (s *Sim) Resume(id protocol.ID) {
	if !s.w.Paused(id) {
		return
	}
	s.w.Resume(id)
	n := &s.nodes[id-1]
	var messages, timers []entry
	for _, e := range n.held {
		if e.kind != deliver {
			timers = append(timers, e)
		} else {
			messages = append(messages, e)
		}
	}
	n.held = nil
	for len(messages)+len(timers) > 0 {
		from := &messages
		if s.faults.Intn(len(messages)+len(timers)) >= len(messages) {
			from = &timers
		}
		if (*from)[0].kind != sync {
			n.queue++
		}
		s.queue.push(s.now, (*from)[0])
		*from = (*from)[1:]
	}
}

// Slow makes every step of a node take that long; 0 makes it fast again.
func (s *Sim) Slow(id protocol.ID, cost time.Duration) {
	s.hindered++
	s.nodes[id-1].cost = cost
	s.w.Fault(fmt.Sprintf("node %d takes %s a step", id, cost), id, protocol.None)
}

// Cut lets nothing get through in one direction.
func (s *Sim) Cut(from, to protocol.ID) { s.w.Cut(from, to) }

// Mend undoes Cut.
func (s *Sim) Mend(from, to protocol.ID) { s.w.Mend(from, to) }

// Partition cuts all links between nodes of different sides, and mends those within a side. A node on no side is cut
// off from all.
func (s *Sim) Partition(sides [][]protocol.ID) {
	sides = slices.DeleteFunc(slices.Clone(sides), func(ids []protocol.ID) bool { return len(ids) == 0 })
	side := map[protocol.ID]int{}
	for i, ids := range sides {
		for _, id := range ids {
			side[id] = i
		}
	}
	for _, id := range s.w.Group() {
		if _, named := side[id]; !named {
			side[id] = len(sides)
			sides = append(sides, []protocol.ID{id})
		}
	}
	for _, c := range s.w.Cuts() {
		if side[c[0]] == side[c[1]] {
			s.w.Mend(c[0], c[1])
		}
	}
	if len(sides) > 1 {
		s.w.Partition(sides)
	}
}

// Isolate cuts all links to and from nodes.
func (s *Sim) Isolate(ids []protocol.ID) {
	if len(ids) > 0 {
		s.w.Isolate(ids)
	}
}

// Link is what happens to messages of a direction.
func (s *Sim) Link(from, to protocol.ID) network.Link { return *s.link(from, to) }

// link is Link, lent.
func (s *Sim) link(from, to protocol.ID) *network.Link {
	if len(s.links) > 0 {
		if l, ok := s.links[link{from, to}]; ok {
			return l
		}
	}
	return &s.cfg.Network
}

// SetLink changes what happens to messages of a direction.
func (s *Sim) SetLink(from, to protocol.ID, l network.Link) {
	s.links[link{from, to}] = &l
	s.w.Fault(fmt.Sprintf("link %d -> %d: %s", from, to, l), from, to)
}

// Reset closes the connection of two nodes that live: each is told that the other closed it.
func (s *Sim) Reset(a, b protocol.ID) { s.w.Reset(a, b) }

// SlowDisk makes each sync of a node's disk take that long. StallDisk makes it take for ever; FastDisk ends both.
func (s *Sim) SlowDisk(id protocol.ID, delay time.Duration) { s.setDisk(id, delay) }

// StallDisk lets a node's disk answer no more.
func (s *Sim) StallDisk(id protocol.ID) { s.setDisk(id, stalled) }

func (s *Sim) setDisk(id protocol.ID, delay time.Duration) {
	s.nodes[id-1].disk = delay
	s.w.SlowDisk(id, true)
}

// FastDisk lets a node's disk answer at once.
func (s *Sim) FastDisk(id protocol.ID) {
	if !s.w.DiskSlow(id) {
		return
	}
	s.w.SlowDisk(id, false)
	s.nodes[id-1].disk = 0
	if s.w.Paused(id) {
		s.sync(id)
	} else {
		s.synced(id)
	}
}

// sync is the moment at which a slow disk answers. A node that stands still hears of it when it goes on.
func (s *Sim) sync(id protocol.ID) {
	since, waiting := s.w.Unsynced(id)
	if s.w.Paused(id) {
		s.nodes[id-1].held = append(s.nodes[id-1].held, entry{kind: sync, node: id, held: true})
		return
	}
	if d := s.nodes[id-1].disk; waiting && d != stalled && since+d <= s.now {
		s.synced(id)
	}
}

func (s *Sim) synced(id protocol.ID) {
	if _, waiting := s.w.Unsynced(id); waiting {
		s.w.Sync(id)
	}
	if n := &s.nodes[id-1]; n.told && s.w.Up(id) {
		n.told = false
		s.w.DiskStalled(id, false)
	}
}

// checkDisk tells a node of a disk that has owed an answer for too long.
func (s *Sim) checkDisk(id protocol.ID) {
	since, waiting := s.w.Unsynced(id)
	n := &s.nodes[id-1]
	if waiting && !n.told && since+s.cfg.DiskLimit <= s.now && s.w.Up(id) {
		if s.w.Paused(id) {
			s.queue.push(s.now+s.cfg.DiskLimit, entry{kind: watchDisk, node: id})
			return
		}
		n.told = true
		s.w.DiskStalled(id, true)
	}
}

// JumpClock sets a node's wall clock forward or back.
func (s *Sim) JumpClock(id protocol.ID, by time.Duration) { s.w.JumpClock(id, by) }

// SetRate lets a node's clocks run too fast by so many millionths.
func (s *Sim) SetRate(id protocol.ID, ppm int64) { s.w.SetRate(id, ppm) }

// Request lets a client ask something of a node that runs.
func (s *Sim) Request(id protocol.ID, name string) {
	if s.w.Up(id) && !s.w.Paused(id) {
		s.w.Request(id, name)
	}
}

// Heal mends all cuts and links.
func (s *Sim) Heal() {
	if s.w.AnyCut() {
		s.w.Heal()
	}
	if len(s.links) > 0 {
		clear(s.links)
		s.w.Fault("all links are as at first", protocol.None, protocol.None)
	}
}

// Calm ends all faults but crashes: links are whole and lose nothing, nodes go on, disks and clocks are true.
func (s *Sim) Calm() {
	s.Heal()
	s.cfg.Network.Loss, s.cfg.Network.Duplicate = 0, 0
	for _, id := range s.w.Group() {
		s.Resume(id)
		s.FastDisk(id)
		s.nodes[id-1].cost = 0
		if s.w.Rated(id) {
			s.w.SetRate(id, 0)
		}
	}
	s.w.Calm()
}

var _ world.Policy = (*Sim)(nil)
