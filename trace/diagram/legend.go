package diagram

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// drawAxis writes the time below the lanes.
func (p *picture) drawAxis(c *canvas) {
	y := p.bottom() + 34
	c.line(p.start, y, p.right, y, "lead")
	taken, last := -1000, ""
	for _, g := range p.breaks {
		p.boxes = append(p.boxes, box{g.x, y, g.width, 30})
	}
	for _, it := range p.items {
		text := p.timeText(it.t)
		w := textWidth(text, 10)
		at := box{it.x - w/2, y + 2, w, 12}
		if text == last || at.x < taken+14 || slices.ContainsFunc(p.boxes, at.meets) {
			continue
		}
		c.line(it.x, y-3, it.x, y+3, "lane")
		c.text(it.x, y+14, "x", text)
		taken, last = at.x+w, text
	}
}

// timeText is a time in the unit that suits the run.
func (p *picture) timeText(t int64) string {
	if p.scale >= 1_000_000 {
		return decimal(t, 1_000_000_000, 2) + " s"
	}
	if p.scale >= 10_000 {
		return decimal(t, 1_000_000, 0) + " ms"
	}
	return decimal(t, 1_000_000, 2) + " ms"
}

func durationText(d int64) string {
	switch {
	case d >= 10_000_000_000:
		return decimal(d, 1_000_000_000, 1) + " s"
	case d >= 1_000_000:
		return decimal(d, 1_000_000, 0) + " ms"
	default:
		return decimal(d, 1_000, 0) + " µs"
	}
}

// decimal writes a number of nanoseconds in a unit of so many, with some digits after the point.
func decimal(ns, unit int64, digits int) string {
	sign := ""
	if ns < 0 {
		sign, ns = "-", -ns
	}
	steps := int64(1)
	for range digits {
		steps *= 10
	}
	n := (ns + unit/steps/2) / (unit / steps)
	if digits == 0 {
		return sign + strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%s%d.%0*d", sign, n/steps, digits, n%steps)
}

// An entry of the legend is a small picture and a text.
type entry struct {
	draw func(c *canvas, x, y int) // in 30 pixels, around y
	text string
}

// drawLegend explains what is drawn, and says what is not. It gives the height of the whole.
func (p *picture) drawLegend(c *canvas, y int) int {
	x := margin
	for _, e := range p.legend() {
		w := 38 + textWidth(e.text, labelSize) + 22
		if x+w > p.width-margin/2 && x > margin {
			x, y = margin, y+20
		}
		e.draw(c, x, y)
		c.text(x+36, y+4, "muted", e.text)
		x += w
	}
	for _, line := range p.leftOut() {
		y += 20
		c.text(margin, y+4, "muted", line)
	}
	return y + margin
}

func (p *picture) legend() []entry {
	var all []entry
	for i, name := range p.palette {
		class := fmt.Sprintf("m%d", i%len(messageShades))
		all = append(all, entry{func(c *canvas, x, y int) {
			c.line(x, y, x+22, y, "arrow "+class)
			c.head(x, y, x+28, y, "tip "+class)
		}, shortName(name)})
	}
	if p.seen(func(l *lane) []*span { return l.view }) {
		all = append(all, entry{drawReignSign, "leads (broad), follows (narrow); a colour for each reign"})
	}
	for _, e := range slices.Concat(p.signs(), p.groupSigns(), p.shotSigns()) {
		if e.used {
			all = append(all, e.entry)
		}
	}
	return all
}

func drawReignSign(c *canvas, x, y int) {
	c.rect(x, y-6, 12, 12, 3, "r0")
	c.rect(x+14, y-3, 14, 6, 0, "r0")
}

type sign struct {
	used bool
	entry
}

// signs are the pictures that stand for something, and whether they occur.
func (p *picture) signs() []sign {
	arrows := func(has func(a *arrow) bool) bool {
		return slices.ContainsFunc(p.arrows, func(a *arrow) bool { return a.shown && has(a) })
	}
	return []sign{
		{p.labelled("lq"), entry{func(c *canvas, x, y int) {
			c.path(fmt.Sprintf("M%d %dl6 -6l6 6l-6 6z", x+8, y), "eye")
		}, "suspicion"}},
		{p.seen(func(l *lane) []*span { return l.down }), entry{func(c *canvas, x, y int) {
			c.cross(x+5, y, 5, "dead")
			c.line(x+14, y, x+30, y, "gone")
		}, "crash, then down"}},
		{p.seen(func(l *lane) []*span { return l.pause }), entry{func(c *canvas, x, y int) {
			fmt.Fprintf(c, "<rect x=\"%d\" y=\"%d\" width=\"28\" height=\"12\" rx=\"2\" fill=\"url(#ciranda-hatch)\" class=\"pause\"/>\n", x, y-6)
		}, "stands still"}},
		{arrows(func(a *arrow) bool { return a.lost != "" }), entry{func(c *canvas, x, y int) {
			c.line(x, y, x+20, y, "lane")
			c.cross(x+20, y, 4, "lost")
		}, "lost message"}},
		{arrows(func(a *arrow) bool { return a.copy > 0 || a.to == nil && a.lost == "" }), entry{func(c *canvas, x, y int) {
			c.line(x, y, x+28, y, "lane copy")
		}, "duplicate, or still on its way"}},
		{slices.ContainsFunc(p.spans, func(s *span) bool { from, to := p.ends(nil, s); return to > from }), entry{func(c *canvas, x, y int) {
			c.rect(x, y-6, 28, 12, 2, "cut")
			c.line(x, y, x+28, y, "wall")
		}, "cut"}},
		{!p.options.NoStamps, entry{func(c *canvas, x, y int) {
			c.circle(x+14, y-3, 3, "dot")
			c.text(x+14, y+8, "stamp", "17")
		}, "Lamport stamp"}},
	}
}

// seen says whether any of some stretches of the lanes is in the picture.
func (p *picture) seen(of func(l *lane) []*span) bool {
	return slices.ContainsFunc(p.lanes, func(l *lane) bool {
		return slices.ContainsFunc(of(l), func(s *span) bool {
			from, to := p.ends(l, s)
			return to > from
		})
	})
}

func (p *picture) labelled(class string) bool {
	return slices.ContainsFunc(p.items, func(it *item) bool {
		return slices.ContainsFunc(it.labels, func(l label) bool { return l.class == class })
	})
}

// leftOut says what is not drawn.
func (p *picture) leftOut() []string {
	var lines []string
	if total, names := p.countLeft(); total > 0 {
		verb := "Left out"
		if p.options.Background {
			verb = "Faint"
		}
		lines = append(lines, fmt.Sprintf("%s: %d messages that told nobody anything new (%s).", verb, total, names))
	}
	if p.leftSteps > 0 {
		lines = append(lines, fmt.Sprintf("Left out: %d steps far from anything that matters more; a narrower window shows them.", p.leftSteps))
	}
	if p.hidden > 0 {
		lines = append(lines, fmt.Sprintf("Left out: %d nodes in which less happens.", p.hidden))
	}
	return lines
}

// countLeft counts the messages that are left out, by name, the most frequent first.
func (p *picture) countLeft() (total int, names string) {
	type count struct {
		name string
		n    int
	}
	var counts []count
	for name, n := range p.left {
		counts = append(counts, count{shortName(name), n})
		total += n
	}
	slices.SortFunc(counts, func(a, b count) int { return cmp.Or(b.n-a.n, strings.Compare(a.name, b.name)) })
	var parts []string
	for _, c := range counts {
		parts = append(parts, fmt.Sprintf("%s %d", c.name, c.n))
	}
	return total, strings.Join(parts, ", ")
}
