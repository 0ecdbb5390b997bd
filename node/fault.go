package node

import (
	"context"
	"strconv"
	"strings"
	"time"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/engine/network"
	"ciranda.dev/protocol"
)

// A disturbance is a fault whose nodes are known.
type disturbance struct {
	text   string              // in words
	pairs  []Pair              // the links that it changes, or the connections that it breaks
	change func(*network.Link) // what becomes of those links; nil: none changes
	nodes  []protocol.ID       // the nodes that it concerns, if it is none of links
	tell   func(context.Context, Member) error
	lasts  string // the kind of fault of a node that lasts, of which there is one at a time; empty: it is over at once
	what   string // what is wrong with each of the nodes
}

// maxSlow is the longest that a sync or a step can be made to take; maxJump is the farthest that a clock can be set.
const (
	maxSlow = time.Minute
	maxJump = 24 * time.Hour
)

// plan finds out what a fault means.
func (n naming) plan(f *cirandav1.Fault) (disturbance, error) {
	switch k := f.GetKind().(type) {
	case *cirandav1.Fault_Partition_:
		return n.partition(k.Partition.GetSides())
	case *cirandav1.Fault_Isolate_:
		return n.isolate(k.Isolate.GetNodes())
	case *cirandav1.Fault_Cut_:
		return n.cut(k.Cut)
	case *cirandav1.Fault_Link_:
		return n.link(k.Link)
	case *cirandav1.Fault_ResetLinks:
		return n.reset(k.ResetLinks)
	case *cirandav1.Fault_Disk_:
		return n.disk(k.Disk)
	case *cirandav1.Fault_Slow_:
		return n.slow(k.Slow)
	case *cirandav1.Fault_Clock_:
		return n.clock(k.Clock)
	default:
		return disturbance{}, api.Wrong("fault", "no fault was named; expected partition, isolate, cut, link, reset, disk, slow or clock")
	}
}

func cut(l *network.Link) { l.Cut = true }

func (n naming) partition(texts []string) (disturbance, error) {
	const field = "fault.partition.sides"
	var sides [][]protocol.ID
	var rest []protocol.ID
	side := map[protocol.ID]bool{}
	for _, text := range texts {
		ids, err := n.resolve(field, text)
		if err != nil {
			return disturbance{}, err
		}
		for _, id := range ids {
			if side[id] {
				return disturbance{}, api.Wrong(field, "node %d is on two sides", id)
			}
			side[id] = true
		}
		sides = append(sides, ids)
	}
	for _, id := range n.group {
		if !side[id] {
			rest = append(rest, id)
		}
	}
	for _, id := range rest {
		sides = append(sides, []protocol.ID{id})
	}
	if len(sides) < 2 {
		return disturbance{}, api.Wrong(field, "found %d side; expected at least two, such as 1,2/3,4,5", len(sides))
	}
	texts = nil
	for _, s := range sides {
		texts = append(texts, list(s))
	}
	return disturbance{text: "partition " + strings.Join(texts, "/"), pairs: pairsBetween(sides), change: cut}, nil
}

func (n naming) isolate(text string) (disturbance, error) {
	ids, err := n.resolve("fault.isolate.nodes", text)
	pairs := append(pairsFrom(ids, n.group), pairsFrom(n.group, ids)...)
	return disturbance{text: "isolate " + list(ids), pairs: pairs, change: cut}, err
}

func (n naming) cut(c *cirandav1.Fault_Cut) (disturbance, error) {
	d, err := n.between("fault.cut", c.GetFrom(), c.GetTo())
	d.text, d.change = "cut "+d.text, cut
	return d, err
}

// between gives the links from some nodes to others, and their text.
func (n naming) between(field, from, to string) (disturbance, error) {
	a, err := n.resolve(field+".from", from)
	if err != nil {
		return disturbance{}, err
	}
	b, err := n.resolve(field+".to", to)
	if err != nil {
		return disturbance{}, err
	}
	d := disturbance{text: list(a) + "->" + list(b), pairs: pairsFrom(a, b)}
	if len(d.pairs) == 0 {
		return d, api.Wrong(field, "found %s->%s; expected two different nodes", from, to)
	}
	return d, nil
}

func (n naming) link(l *cirandav1.Fault_Link) (d disturbance, err error) {
	const field = "fault.link"
	if l.GetFrom() == "" && l.GetTo() == "" {
		d = disturbance{text: "all", pairs: pairsFrom(n.group, n.group)}
	} else if d, err = n.between(field, l.GetFrom(), l.GetTo()); err != nil {
		return d, err
	}
	var wanted network.Link
	if l.Delay != nil {
		if wanted.Delay, err = network.ParseDelay(l.GetDelay()); err != nil {
			return d, api.Wrong(field+".delay", "delay: %v", err)
		}
	}
	wanted.Loss, wanted.Duplicate = l.GetLoss(), l.GetDuplicate()
	if err := wanted.Validate(); err != nil {
		return d, api.Wrong(field, "%v", err)
	}
	if l.Delay == nil && l.Loss == nil && l.Duplicate == nil {
		return d, api.Wrong(field, "the link is to change in nothing; expected a delay, a loss or a duplication")
	}
	d.text = "link " + d.text + ": " + d.says(l, wanted)
	d.change = func(to *network.Link) { merge(to, l, wanted) }
	return d, nil
}

// says is the part of a link's text that was asked for, zeros too.
func (disturbance) says(l *cirandav1.Fault_Link, wanted network.Link) string {
	var parts []string
	if l.Delay != nil {
		parts = append(parts, "delay "+wanted.Delay.String())
	}
	if l.Loss != nil {
		parts = append(parts, "loss "+network.Percent(wanted.Loss))
	}
	if l.Duplicate != nil {
		parts = append(parts, "duplicate "+network.Percent(wanted.Duplicate))
	}
	return strings.Join(parts, ", ")
}

// merge sets those fields of a link that were asked for.
func merge(to *network.Link, l *cirandav1.Fault_Link, wanted network.Link) {
	if l.Delay != nil {
		to.Delay = wanted.Delay
		if to.Delay.Bound() == 0 {
			to.Delay = network.Delay{} // none is a perfect link's
		}
	}
	if l.Loss != nil {
		to.Loss = wanted.Loss
	}
	if l.Duplicate != nil {
		to.Duplicate = wanted.Duplicate
	}
}

func (n naming) reset(r *cirandav1.Fault_Reset) (disturbance, error) {
	d, err := n.between("fault.reset_links", r.GetFrom(), r.GetTo())
	d.text = "reset " + strings.Replace(d.text, "->", "-", 1)
	return d, err
}

// at makes a disturbance of nodes.
func (n naming) at(field, text, kind, what string, tell func(context.Context, Member) error) (disturbance, error) {
	ids, err := n.resolve(field, text)
	return disturbance{text: kind + " of " + list(ids) + " " + what, nodes: ids, lasts: kind, what: what, tell: tell}, err
}

func (n naming) disk(k *cirandav1.Fault_Disk) (disturbance, error) {
	r := &cirandav1.SetDiskRequest{Stall: k.GetStall(), SlowMs: k.GetSlowMs()}
	what, err := diskWords(r)
	if err != nil {
		return disturbance{}, err
	}
	return n.at("fault.disk.nodes", k.GetNodes(), "disk", what, func(ctx context.Context, m Member) error {
		_, err := m.Client.Node.SetDisk(ctx, r)
		return err
	})
}

func (n naming) slow(k *cirandav1.Fault_Slow) (disturbance, error) {
	step := time.Duration(k.GetStepMs()) * time.Millisecond
	if step > maxSlow {
		return disturbance{}, api.Wrong("fault.slow.step_ms", "found %s; expected at most %s", step, maxSlow)
	}
	what := "takes " + step.String()
	if step == 0 {
		what = ""
	}
	d, err := n.at("fault.slow.nodes", k.GetNodes(), "each step", what, func(ctx context.Context, m Member) error {
		_, err := m.Client.Node.SetSlow(ctx, &cirandav1.SetSlowRequest{StepMs: k.GetStepMs()})
		return err
	})
	if step == 0 {
		d.text += "takes what it takes"
	}
	return d, err
}

func (n naming) clock(k *cirandav1.Fault_Clock) (disturbance, error) {
	r := &cirandav1.SetClockRequest{JumpMs: k.GetJumpMs(), Rate: k.GetRate()}
	jump, err := clockJump(r)
	if err != nil {
		return disturbance{}, err
	}
	var what []string
	if jump != 0 {
		what = append(what, "jumps "+jump.String())
	}
	if r.Rate != 0 {
		what = append(what, "runs at "+strconv.FormatFloat(r.Rate, 'g', 4, 64))
	}
	if what == nil {
		return disturbance{}, api.Wrong("fault.clock", "the clock is to change in nothing; expected jump_ms or rate")
	}
	d, err := n.at("fault.clock.nodes", k.GetNodes(), "clock", strings.Join(what, " and "), func(ctx context.Context, m Member) error {
		_, err := m.Client.Node.SetClock(ctx, r)
		return err
	})
	switch {
	case r.Rate == 0:
		d.lasts = ""
	case r.Rate == 1:
		d.what = ""
	default:
		d.what = what[len(what)-1]
	}
	return d, err
}

// clockJump is the jump of a clock, or what is wrong with the request.
func clockJump(r *cirandav1.SetClockRequest) (time.Duration, error) {
	if most := maxJump.Milliseconds(); r.GetJumpMs() > most || r.GetJumpMs() < -most {
		return 0, api.Wrong("fault.clock.jump_ms", "found a jump of %d ms; expected at most %d", r.GetJumpMs(), most)
	}
	if r.GetRate() != 0 && !(r.GetRate() >= 0.01 && r.GetRate() <= 100) {
		return 0, api.Wrong("fault.clock.rate", "found the rate %v; expected 0.01 to 100", r.GetRate())
	}
	return time.Duration(r.GetJumpMs()) * time.Millisecond, nil
}

// diskWords says what a disk is to do, or what is wrong with that.
func diskWords(d *cirandav1.SetDiskRequest) (string, error) {
	switch {
	case d.GetStall() && d.GetSlowMs() != 0:
		return "", api.Wrong("fault.disk", "a disk is stalled or slow, not both")
	case time.Duration(d.GetSlowMs())*time.Millisecond > maxSlow:
		return "", api.Wrong("fault.disk.slow_ms", "found %d ms; expected at most %d", d.GetSlowMs(), maxSlow.Milliseconds())
	case d.GetStall():
		return "stalls", nil
	case d.GetSlowMs() != 0:
		return "takes " + strconv.Itoa(int(d.GetSlowMs())) + "ms longer", nil
	default:
		return "", api.Wrong("fault.disk", "the disk is to change in nothing; expected stall or slow_ms")
	}
}
