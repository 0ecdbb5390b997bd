package diagram

import (
	"fmt"
	"slices"
	"strings"

	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/multicast"
	"ciranda.dev/trace"
)

// A grouping is what a lane shows of the node's group, in a strip below its line.
type grouping struct {
	views  []*span          // in force; tint is the view's
	still  []*span          // nothing is delivered: the view changes, or too few are there
	places map[track]uint64 // how many messages were delivered
}

// A track is a lane of messages in a view.
type track struct {
	view uint64
	lane multicast.Lane
}

// readGroup notes the stretches of a node's views, and what it delivers.
func (p *picture) readGroup(l *lane, e *trace.Event) {
	g := &l.group
	switch e.Kind {
	case trace.Crash, trace.Stop:
		closeLast(&g.views, e.T)
		closeLast(&g.still, e.T)
	case trace.Told:
		p.readChange(g, e)
	case trace.Noted:
		if d, ok := trace.DataOf[multicast.Delivered](e); ok {
			if g.places == nil {
				g.places = map[track]uint64{}
			}
			g.places[track{d.View, d.Lane}] += uint64(d.Count)
		}
	}
}

func (p *picture) readChange(g *grouping, e *trace.Event) {
	switch e.Name() {
	case "group.flush":
		stand(g, e.T)
	case "group.view":
		d, _ := trace.DataOf[group.Installed](e)
		closeLast(&g.views, e.T)
		closeLast(&g.still, e.T)
		open(&g.views, &span{from: e.T, tint: int(d.View.ID)})
	case "group.excluded":
		closeLast(&g.views, e.T)
		closeLast(&g.still, e.T)
	case "group.blocked":
		if d, _ := trace.DataOf[group.Blocked](e); d.Why != "" {
			stand(g, e.T)
		} else {
			closeLast(&g.still, e.T)
		}
	}
}

// stand begins a stretch in which nothing is delivered, unless there is one.
func stand(g *grouping, t int64) {
	if n := len(g.still); n == 0 || !g.still[n-1].open {
		open(&g.still, &span{from: t})
	}
}

// groupText is what is written of an indication of a group.
func groupText(e *trace.Event) (text, class string, known bool) {
	switch e.Name() {
	case "group.flush", "group.gather":
		return "", "", true
	case "group.view":
		d, _ := trace.DataOf[group.Installed](e)
		var members []string
		for _, m := range d.View.Members {
			members = append(members, m.Node.String())
		}
		return fmt.Sprintf("view %d: %s", d.View.ID, strings.Join(members, " ")), "lb", true
	case "group.excluded":
		if d, _ := trace.DataOf[group.Excluded](e); d.Why.Asked() {
			return "leaves the group", "la", true
		}
		return "out of the group", "la", true
	case "group.blocked":
		if d, _ := trace.DataOf[group.Blocked](e); d.Why != "" {
			return "group stands still", "la", true
		}
		return "group goes on", "lt", true
	}
	return "", "", false
}

// castText is what is written of messages to the group. Where order is total it gives their places.
func (p *picture) castText(l *lane, e *trace.Event) string {
	switch e.Name() {
	case "mc.bcast":
		d, _ := trace.DataOf[multicast.Began](e)
		return fmt.Sprintf("casts %s%s", rangeText(d.First, d.Count), p.laneText(d.Lane))
	case "mc.deliver":
		d, _ := trace.DataOf[multicast.Delivered](e)
		text := fmt.Sprintf("delivers %s of %d%s", rangeText(d.First, d.Count), d.Sender, p.laneText(d.Lane))
		if d.Order >= multicast.Total {
			last := l.group.places[track{d.View, d.Lane}]
			text += ", place " + rangeText(last-uint64(d.Count)+1, d.Count)
		}
		return text
	}
	return ""
}

// rangeText is a number, or the first and the last of several.
func rangeText(first uint64, count int) string {
	if count == 1 {
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d–%d", first, first+uint64(count)-1)
}

// laneText names a lane of messages where there are several.
func (p *picture) laneText(l multicast.Lane) string {
	if len(p.casts) < 2 {
		return ""
	}
	if l.Uniform {
		return " (uniform " + l.Order.String() + ")"
	}
	return " (" + l.Order.String() + ")"
}

// findCasts lists the lanes of messages that occur.
func (p *picture) findCasts() {
	for i := range p.events {
		e := &p.events[i]
		if d, ok := trace.DataOf[multicast.Began](e); ok && !slices.Contains(p.casts, d.Lane) {
			p.casts = append(p.casts, d.Lane)
		}
	}
}

// The strip of a node's views, in pixels below its line.
const (
	stripTop    = 20
	stripHeight = 7
)

// drawGroups draws which views are in force, a colour for each, and hatched where nothing is delivered.
func (p *picture) drawGroups(c *canvas) {
	for _, l := range p.lanes {
		for _, s := range l.group.views {
			if from, to := p.ends(l, s); to > from {
				c.rect(from, l.y+stripTop, to-from, stripHeight, 2, fmt.Sprintf("r%d", s.tint%len(reignShades)))
			}
		}
		for _, s := range l.group.still {
			if from, to := p.ends(l, s); to > from {
				drawStill(c, from, l.y+stripTop, to-from)
			}
		}
	}
}

func drawStill(c *canvas, x, y, width int) {
	fmt.Fprintf(c, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"2\" fill=\"url(#ciranda-hatch)\" class=\"pause\"/>\n", x, y, width, stripHeight)
}

// groupSigns explain the strip.
func (p *picture) groupSigns() []sign {
	return []sign{
		{p.seen(func(l *lane) []*span { return l.group.views }), entry{func(c *canvas, x, y int) {
			c.rect(x, y-3, 14, stripHeight, 2, "r1")
			c.rect(x+15, y-3, 13, stripHeight, 2, "r2")
		}, "view in force, a colour for each"}},
		{p.seen(func(l *lane) []*span { return l.group.still }), entry{func(c *canvas, x, y int) {
			drawStill(c, x, y-3, 28)
		}, "the group delivers nothing there"}},
	}
}
