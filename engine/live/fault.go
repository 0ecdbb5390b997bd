package live

import (
	"fmt"
	"time"

	"ciranda.dev/engine/live/disk"
	"ciranda.dev/engine/network"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// Faults. Each is in the trace of one node: of a link, in that of the sending one. The error is ErrStopped, or says
// what was wrong with the arguments.

// SetLink makes a link of the group what l says. Both of its ends are told of it: the sender delays, loses and
// doubles; for a cut the receiver refuses too, so that nothing that was on its way gets through. Other nodes ignore it.
// The zero Link is as it was at first.
func (n *Node) SetLink(from, to protocol.ID, l network.Link) error {
	if err := l.Validate(); err != nil {
		return fmt.Errorf("live: the link %d -> %d has %w", from, to, err)
	}
	return n.inject(func() { n.setLink(from, to, l) })
}

// Isolate cuts all links of a node, both ways; the other ends are told by their own nodes' SetLink or Isolate.
func (n *Node) Isolate(id protocol.ID) error {
	return n.inject(func() {
		for _, other := range n.self.Group {
			if other != id {
				n.setLink(id, other, network.Link{Cut: true})
				n.setLink(other, id, network.Link{Cut: true})
			}
		}
	})
}

func (n *Node) setLink(from, to protocol.ID, l network.Link) {
	n.doubtful = true
	switch n.self.ID {
	case to:
		if p := n.shim.peers[from]; p != nil {
			p.cut = l.Cut
		}
	case from:
		p := n.shim.peers[to]
		if p == nil || p.link == l {
			return
		}
		p.link = l
		n.fault(linkText(from, to, l), to)
	}
}

func linkText(from, to protocol.ID, l network.Link) string {
	switch {
	case l.Cut:
		return fmt.Sprintf("cut %d -> %d", from, to)
	case l == network.Link{}:
		return fmt.Sprintf("mend %d -> %d", from, to)
	default:
		return fmt.Sprintf("link %d -> %d: %s", from, to, l)
	}
}

// Heal takes back all faults of the node: its links, its disk, a standstill, slowness, the rate of its clocks. A jump of
// the wall clock stays.
func (n *Node) Heal() error {
	return n.inject(func() {
		for _, id := range n.self.Group {
			n.setLink(n.self.ID, id, network.Link{})
			n.setLink(id, n.self.ID, network.Link{})
		}
		n.setDisk(disk.Fault{})
		n.setSlow(0)
		n.setRate(1)
		n.thaw()
	})
}

// Freeze lets the node stand still: no step, no heartbeat, no answer. Messages wait, and then their senders. What
// links have delayed still travels. It stands in for a stopped process where the system has none.
func (n *Node) Freeze() error {
	return n.inject(func() {
		if !n.frozen && n.ending == nil {
			n.tell(trace.Pause, 0, 0, nil)
			n.frozen = true
		}
	})
}

// Thaw lets the node go on. Its timers that are overdue expire then.
func (n *Node) Thaw() error { return n.inject(n.thaw) }

func (n *Node) thaw() {
	if n.frozen {
		n.frozen = false
		n.tell(trace.Resume, 0, 0, nil)
	}
}

// Reset breaks the connection to a peer as the network might: both ends take it as closed by the other, and both live.
func (n *Node) Reset(to protocol.ID) error {
	return n.inject(func() {
		if n.shim.peers[to] != nil {
			n.fault(fmt.Sprintf("reset %d - %d", n.self.ID, to), to)
			n.transport.Reset(to)
		}
	})
}

// SetDisk makes the disk slow, lets it stand still or fail. A node without a disk has no such fault.
func (n *Node) SetDisk(f disk.Fault) error {
	if n.cfg.Disk == nil {
		return fmt.Errorf("live: node %d has no disk", n.self.ID)
	}
	return n.inject(func() { n.setDisk(f) })
}

func (n *Node) setDisk(f disk.Fault) {
	if n.cfg.Disk != nil && f != n.disk {
		n.disk = f
		n.cfg.Disk.SetFault(f)
		n.fault(fmt.Sprintf("disk of %d %s", n.self.ID, f), protocol.None)
	}
}

// SetSlow lets each step of the node take so long. Zero: as long as it does.
func (n *Node) SetSlow(d time.Duration) error {
	if d < 0 || d > time.Minute {
		return fmt.Errorf("live: a step of %s; expected at most 1m", d)
	}
	return n.inject(func() { n.setSlow(d) })
}

func (n *Node) setSlow(d time.Duration) {
	if d != n.slow {
		n.slow, n.until = d, time.Time{}
		n.fault(fmt.Sprintf("each step of %d takes %s longer", n.self.ID, d), protocol.None)
	}
}

// JumpClock sets the node's wall clock forward or back.
func (n *Node) JumpClock(by time.Duration) error {
	return n.inject(func() {
		n.clock.jump += by
		n.fault(fmt.Sprintf("clock of %d jumps %s", n.self.ID, by), protocol.None)
	})
}

// SetRate lets the node's clocks run faster or slower than time, from a hundredth to a hundred times. Timers that are
// armed keep the reading at which they expire.
func (n *Node) SetRate(rate float64) error {
	if !(rate >= 0.01 && rate <= 100) {
		return fmt.Errorf("live: a clock rate of %v; expected 0.01 to 100", rate)
	}
	return n.inject(func() { n.setRate(rate) })
}

func (n *Node) setRate(rate float64) {
	if rate != n.clock.rate {
		n.clock.setRate(rate, time.Now())
		n.fault(fmt.Sprintf("clock of %d runs at %s a second", n.self.ID, time.Duration(rate*1e9)), protocol.None)
	}
}

func (n *Node) inject(f func()) error {
	ok := n.do(func() {
		n.now = n.clock.trace(time.Now())
		f()
	})
	if !ok {
		return ErrStopped
	}
	return nil
}

// fault records a fault in words.
func (n *Node) fault(text string, other protocol.ID) {
	n.log.Info("fault", "node", n.self.ID, "what", text)
	n.outside(&trace.Event{Kind: trace.Fault, Node: n.self.ID, Peer: other, Data: trace.FaultNote{Text: text}})
}
