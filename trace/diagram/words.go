package diagram

import (
	"fmt"
	"strings"

	"ciranda.dev/app/bank"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/detector"
	"ciranda.dev/protocol/election"
	"ciranda.dev/protocol/link"
	"ciranda.dev/protocol/snapshot"
	"ciranda.dev/trace"
)

// How much an event is worth showing.
const (
	some    = 1 // it was told to the layers above
	much    = 2 // it changes who leads, lives, or is suspected
	highest = 3 // it was asked for
)

// weigh says how much an event is worth showing.
func weigh(e *trace.Event) int {
	switch e.Kind {
	case trace.Recover, trace.Crash, trace.Stop, trace.Pause, trace.Resume:
		return much
	case trace.Call:
		return some
	case trace.Told:
		switch e.Name() {
		case "fd.suspect", "el.stepdown", "group.view", "group.excluded", "group.blocked", "snap.local", "snap.done":
			return much
		case "el.leader":
			if d, ok := trace.DataOf[election.Elected](e); ok && d.Leader == e.Node {
				return much
			}
		}
		return some
	case trace.Noted:
		if noteText(e) != "" || e.Name() == "mc.bcast" || e.Name() == "mc.deliver" {
			return some
		}
	}
	return 0
}

// read takes from an event what it means for its lane and for the picture.
func (p *picture) read(i int) {
	e := &p.events[i]
	if l := p.laneOf[e.Node]; l != nil && e.OfNode() {
		p.readLane(l, e)
	}
	if s := p.stepOf[i]; s != nil {
		s.weight = max(s.weight, weigh(e))
		if text, class := p.labelOf(s, e); text != "" {
			s.labels = append(s.labels, label{text, class})
		}
		s.end = s.end || e.Kind == trace.Crash || e.Kind == trace.Stop
		return
	}
	switch e.Kind {
	case trace.Fault:
		p.readFault(i)
	case trace.Calm:
		p.moment(i, "no fault from here on", "calm")
	}
}

// labelOf is what is written above a step because of an event.
func (p *picture) labelOf(s *step, e *trace.Event) (text, class string) {
	switch e.Kind {
	case trace.Recover:
		d, _ := trace.DataOf[trace.Life](e)
		if !d.Stored {
			return fmt.Sprintf("back, disk empty (life %d)", e.Inc), "lb"
		}
		return fmt.Sprintf("back (life %d)", e.Inc), "lb"
	case trace.Crash:
		return "crashes", "la"
	case trace.Stop:
		return "stops", "la"
	case trace.Pause:
		return "stands still", "ls"
	case trace.Resume:
		return "goes on", "ls"
	case trace.TimerFire:
		if !s.periodic {
			return "timer: " + p.trace.Header.TimerName(e.Layer, e.Timer), "ls"
		}
	case trace.Call:
		return "asked: " + shortName(e.MessageName()), "lb"
	case trace.Told:
		if d, ok := trace.DataOf[snapshot.Recorded](e); ok {
			return fmt.Sprintf("cut %s", d.ID), fmt.Sprintf("c%d", p.shotOf[d.ID].tint%len(cutShades))
		}
		return toldText(e)
	case trace.Noted:
		if text := p.castText(s.lane, e); text != "" {
			return text, "l"
		}
		return noteText(e), "ls"
	}
	return "", ""
}

func toldText(e *trace.Event) (text, class string) {
	switch e.Name() {
	case "fd.suspect":
		d, _ := trace.DataOf[detector.Suspect](e)
		return fmt.Sprintf("suspects %d", d.Node), "lq"
	case "fd.restore":
		d, _ := trace.DataOf[detector.Restore](e)
		return fmt.Sprintf("trusts %d", d.Node), "lt"
	case "fd.stalled":
		d, _ := trace.DataOf[detector.Stalled](e)
		if d.On {
			return fmt.Sprintf("disk of %d stalls", d.Node), "lq"
		}
		return fmt.Sprintf("disk of %d answers", d.Node), "lt"
	case "el.start":
		d, _ := trace.DataOf[election.Begun](e)
		if d.Counter == 0 {
			return "stands", "l"
		}
		return fmt.Sprintf("stands (%d)", d.Counter), "l"
	case "el.leader":
		return electedText(e)
	case "el.stepdown":
		return "steps down", "la"
	case "el.grant":
		d, _ := trace.DataOf[election.Granted](e)
		if d.To == e.Node {
			return "votes for itself", "ls"
		}
		return fmt.Sprintf("votes for %d", d.To), "ls"
	case "reply", "bank.settled":
		return "", ""
	case "bank.open":
		d, _ := trace.DataOf[bank.Opened](e)
		return fmt.Sprintf("has %d", d.Account.Balance), "ls"
	case "bank.debit":
		d, _ := trace.DataOf[bank.Debited](e)
		return fmt.Sprintf("pays %d to %d, has %d", d.Amount, d.To, d.Balance), "l"
	case "bank.apply":
		d, _ := trace.DataOf[bank.Credited](e)
		return fmt.Sprintf("gets %d of %d, has %d", d.Amount, d.TID.Node, d.Balance), "l"
	case "snap.cut", "snap.chan":
		return "", ""
	case "snap.start":
		return "is asked for a snapshot", "l"
	case "snap.done":
		d, _ := trace.DataOf[snapshot.Done](e)
		if !d.Complete {
			return fmt.Sprintf("snapshot %s incomplete", d.ID), "la"
		}
		return fmt.Sprintf("snapshot %s complete", d.ID), "lb"
	case "snap.abort":
		d, _ := trace.DataOf[snapshot.Aborted](e)
		return fmt.Sprintf("drops snapshot %s", d.ID), "la"
	case "link.failed":
		d, _ := trace.DataOf[link.Failed](e)
		return fmt.Sprintf("%d packets to %d fail", d.Packets, d.Node), "ls"
	}
	if text, class, known := groupText(e); known {
		return text, class
	}
	return e.Name(), "l"
}

func electedText(e *trace.Event) (text, class string) {
	d, _ := trace.DataOf[election.Elected](e)
	switch d.Leader {
	case protocol.None:
		return "no leader", "ls"
	case e.Node:
		if d.Term == (election.Term{}) {
			return "leads", "lk"
		}
		return fmt.Sprintf("leads, term %s", d.Term), "lk"
	default:
		return fmt.Sprintf("follows %d", d.Leader), "l"
	}
}

func noteText(e *trace.Event) string {
	switch e.Name() {
	case "net.down":
		d, _ := trace.DataOf[protocol.LinkDown](e)
		return fmt.Sprintf("link to %d closes", d.Node)
	case "disk":
		if d, _ := trace.DataOf[protocol.Disk](e); d.Stalled {
			return "disk stalls"
		}
		return "disk answers"
	case "clk.reject":
		return "refuses a stamp"
	}
	return ""
}

// shortName is a message's name without its package.
func shortName(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// readLane notes the stretches of a node's life, and of whom it follows.
func (p *picture) readLane(l *lane, e *trace.Event) {
	p.readGroup(l, e)
	switch e.Kind {
	case trace.Crash, trace.Stop:
		closeLast(&l.pause, e.T)
		p.follow(l, e.T, protocol.None, "")
		open(&l.down, &span{from: e.T})
	case trace.Start, trace.Recover:
		closeLast(&l.down, e.T)
	case trace.Pause:
		open(&l.pause, &span{from: e.T})
	case trace.Resume:
		closeLast(&l.pause, e.T)
	case trace.Told:
		if d, ok := trace.DataOf[election.Elected](e); ok {
			p.follow(l, e.T, d.Leader, d.Term.String())
		} else if e.Name() == "el.stepdown" {
			p.follow(l, e.T, protocol.None, "")
		}
	}
}

// follow ends what a lane showed of a leader and begins anew.
func (p *picture) follow(l *lane, t int64, leader protocol.ID, term string) {
	closeLast(&l.reign, t)
	closeLast(&l.view, t)
	if leader == protocol.None {
		return
	}
	tint := p.tint(term + " " + leader.String())
	open(&l.view, &span{from: t, tint: tint})
	if leader == l.id {
		open(&l.reign, &span{from: t, tint: tint})
	}
}

// tint is the colour of a reign: reigns get them in the order in which they appear.
func (p *picture) tint(reign string) int {
	for i, r := range p.terms {
		if r == reign {
			return i
		}
	}
	p.terms = append(p.terms, reign)
	return len(p.terms) - 1
}

func open(spans *[]*span, s *span) {
	s.open = true
	*spans = append(*spans, s)
}

func closeLast(spans *[]*span, t int64) {
	if n := len(*spans); n > 0 && (*spans)[n-1].open {
		(*spans)[n-1].to, (*spans)[n-1].open = t, false
	}
}
