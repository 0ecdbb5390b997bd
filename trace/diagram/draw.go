package diagram

import (
	"fmt"
	"slices"
	"strings"

	"ciranda.dev/trace"
)

// svg draws the picture, from the back to the front.
func (p *picture) svg() string {
	var body canvas
	p.drawCuts(&body)
	p.drawReigns(&body)
	p.drawLanes(&body)
	p.drawGroups(&body)
	p.drawBreaks(&body)
	p.drawShots(&body)
	p.drawBackground(&body)
	p.drawArrows(&body)
	p.drawDots(&body)
	p.drawNames(&body)
	p.drawAxis(&body)
	p.drawHead(&body)
	p.height = p.drawLegend(&body, p.bottom()+78)

	var c canvas
	fmt.Fprintf(&c, "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"ciranda\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">\n",
		p.width, p.height, p.width, p.height)
	fmt.Fprintf(&c, "<title>%s</title>\n<style>\n%s</style>\n", escape(p.title()), p.style())
	c.WriteString("<defs><pattern id=\"ciranda-hatch\" width=\"7\" height=\"7\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">" +
		"<line x1=\"0\" y1=\"0\" x2=\"0\" y2=\"7\" class=\"hatch\"/></pattern></defs>\n")
	c.rect(0, 0, p.width, p.height, 0, "page")
	c.WriteString(body.String())
	c.WriteString("</svg>\n")
	return c.String()
}

func (p *picture) title() string {
	switch {
	case p.options.Title != "":
		return p.options.Title
	case p.trace.Header.Scenario != "":
		return p.trace.Header.Scenario
	default:
		return "Space-time diagram"
	}
}

func (p *picture) drawHead(c *canvas) {
	c.text(margin, 36, "title", p.title())
	y := 58
	if p.options.Caption != "" {
		c.text(margin, y, "caption", p.options.Caption)
		y += 20
	}
	for _, m := range p.moments {
		for _, l := range m.labels {
			base := y + 14 + (momentRows-1-m.row)*lineHeight
			line := "flag"
			if l.class == "calm" {
				line = "calmline"
			}
			c.line(m.x, base+3, m.x, p.bottom()+26, line)
			c.text(m.x-2, base, l.class+" halo", l.text)
		}
	}
}

// drawCuts shades the time in which messages are cut off, and draws the walls between the sides of a partition.
func (p *picture) drawCuts(c *canvas) {
	for _, s := range p.spans {
		from, to := p.ends(nil, s)
		if to <= p.start || from >= p.right {
			continue
		}
		top := p.top - labelLift - p.rowsOf(p.lanes[0])*lineHeight - 2
		c.open("", s.text)
		c.rect(from, top, to-from, p.bottom()+30-top, 4, "cut")
		c.text(from+4, top-3, "fault", s.text)
		for _, id := range s.walls {
			y := p.laneOf[id].y + 30
			c.line(from, y, to, y, "wall")
		}
		c.close()
	}
}

// ends are the places at which a stretch of time begins and ends. If it is not in the picture, it ends no later than
// it begins.
func (p *picture) ends(l *lane, s *span) (from, to int) {
	from, to = p.on(l, s.from), p.right
	if !s.open {
		to = p.on(l, s.to)
	}
	return max(from, p.start), to
}

func (p *picture) drawReigns(c *canvas) {
	for _, l := range p.lanes {
		for _, s := range l.view {
			p.drawReign(c, l, s, 3, 0)
		}
		for _, s := range l.reign {
			p.drawReign(c, l, s, 12, 4)
		}
	}
}

func (p *picture) drawReign(c *canvas, l *lane, s *span, half, round int) {
	if from, to := p.ends(l, s); to > from {
		c.rect(from, l.y-half, to-from, 2*half, round, fmt.Sprintf("r%d", s.tint%len(reignShades)))
	}
}

// drawLanes draws each node's name and line: dotted where it is down, hatched where it stands still.
func (p *picture) drawLanes(c *canvas) {
	for _, l := range p.lanes {
		c.rect(margin, l.y-14, chip-18, 28, 6, "chip")
		c.text(margin+(chip-18)/2, l.y+5, "name", "node "+l.id.String())
		at := p.start
		for _, s := range l.down {
			from, to := p.ends(l, s)
			c.line(at, l.y, from, l.y, "lane")
			c.line(from+14, l.y, to, l.y, "gone")
			at = to
		}
		if at < p.right {
			c.line(at, l.y, p.right, l.y, "lane")
		}
		for _, s := range l.pause {
			from, to := p.ends(l, s)
			if to <= from {
				continue
			}
			fmt.Fprintf(c, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"22\" rx=\"3\" fill=\"url(#ciranda-hatch)\" class=\"pause\"/>\n",
				from, l.y-11, to-from)
		}
	}
}

// drawBreaks tears the lanes where a stretch of time is cut short.
func (p *picture) drawBreaks(c *canvas) {
	for _, g := range p.breaks {
		x := g.x + g.width/2
		for _, l := range p.lanes {
			c.path(fmt.Sprintf("M%d %dl8 -28l6 0l-8 28z", x-7, l.y+14), "page")
			c.path(fmt.Sprintf("M%d %dl6 -20M%d %dl6 -20", x-6, l.y+10, x, l.y+10), "arrow lane")
		}
		c.text(x, p.bottom()+46, "x", durationText(g.duration))
		c.text(x, p.bottom()+57, "x", "nothing new")
	}
}

// drawBackground draws, faintly, the messages that are left out.
func (p *picture) drawBackground(c *canvas) {
	if !p.options.Background {
		return
	}
	for _, a := range p.arrows {
		if a.shown || a.to == nil || p.at(a.to.t) <= p.start {
			continue
		}
		c.line(p.on(a.from.lane, a.from.t), a.from.lane.y, p.on(a.target, a.to.t), a.target.y, "faint")
	}
}

func (p *picture) drawArrows(c *canvas) {
	for _, a := range p.arrows {
		if a.shown {
			p.drawArrow(c, a)
		}
	}
}

func (p *picture) drawArrow(c *canvas, a *arrow) {
	e := &p.events[a.event]
	title := fmt.Sprintf("node %d %s [%s lam %d]", e.Node, trace.Text(e, &p.trace.Header), e.Message(), e.Lamport)
	if a.lost != "" {
		title += "\nlost: " + a.lost
	}
	c.open(p.dimmed(a.lit), title+a.crossingText())
	p.drawCrossings(c, a)
	line := fmt.Sprintf("arrow m%d", p.color(a.name))
	tip := fmt.Sprintf("tip m%d", p.color(a.name))
	if a.copy > 0 {
		line += " copy"
	}
	x1, y1, x2, y2 := p.course(a)
	switch {
	case a.to != nil:
		x, y := toward(x1, y1, x2, y2, 5)
		c.line(x1, y1, x, y, line)
		c.head(x1, y1, x, y, tip)
	case a.lost != "":
		c.line(x1, y1, x2, y2, line)
		c.cross(x2, y2, 5, "lost")
	default:
		c.line(x1, y1, x2, y2, line+" copy")
		c.head(x1, y1, x2, y2, tip)
	}
	c.close()
}

// course is where an arrow begins and ends.
func (p *picture) course(a *arrow) (x1, y1, x2, y2 int) {
	x1, y1 = a.from.x, a.from.lane.y
	if a.to != nil {
		return x1, y1, a.to.x, a.to.lane.y
	}
	dy := a.target.y - y1
	if a.lost == "" {
		far := min(max(p.right, x1+hopGap), x1+hopMost)
		return x1, y1, (x1 + far) / 2, y1 + dy/2
	}
	x2 = max(p.at(a.lostAt), x1+hopGap)
	share := min(50*100/distance(dy, 0), 60) // in hundredths: it is lost on its way, near the sender for want of room
	switch a.lost {
	case "down": // it comes to where nobody is
		share = 100
	case "not-me":
		share = 88
	default:
		x2 = min(x2, x1+hopMost)
	}
	return x1, y1, x1 + (x2-x1)*share/100, y1 + dy*share/100
}

// color is that of a message: names get them in the order in which they appear.
func (p *picture) color(name string) int {
	i := slices.Index(p.palette, name)
	if i < 0 {
		i = len(p.palette)
		p.palette = append(p.palette, name)
	}
	return i % len(messageShades)
}

func (p *picture) dimmed(lit bool) string {
	if len(p.options.Highlight) > 0 && !lit {
		return "dim"
	}
	return ""
}

// drawDots draws the steps with their texts and stamps.
func (p *picture) drawDots(c *canvas) {
	for _, s := range p.steps {
		if !s.shown {
			continue
		}
		c.open(p.dimmed(s.lit), p.stepTitle(s))
		p.drawLabels(c, s)
		switch {
		case s.end:
			c.cross(s.x, s.lane.y, 8, "dead")
		default:
			c.circle(s.x, s.lane.y, 4, "dot")
		}
		p.boxes = append(p.boxes, box{s.x - 6, s.lane.y - 7, 12, 14})
		if !p.options.NoStamps && s.lamport != 0 && !s.end {
			text := fmt.Sprint(s.lamport)
			c.text(s.x, s.lane.y+16, "stamp", text)
			w := textWidth(text, 9)
			p.boxes = append(p.boxes, box{s.x - w/2 - 1, s.lane.y + 8, w + 2, 10})
		}
		if s.pin > 0 {
			p.drawPin(c, s)
		}
		c.close()
	}
}

func (p *picture) drawLabels(c *canvas, s *step) {
	if len(s.labels) == 0 {
		return
	}
	base := s.lane.y - labelLift - s.row*lineHeight
	if s.row > 0 {
		c.line(s.x, s.lane.y-6, s.x, base+3, "lead")
	}
	for i, l := range s.labels {
		x, y := s.x-3, base-(len(s.labels)-1-i)*lineHeight
		switch l.class {
		case "lk":
			c.crown(x, y, "crown")
		case "lq":
			c.path(fmt.Sprintf("M%d %dl5 -5l5 5l-5 5z", x, y-4), "eye")
		}
		c.text(x+iconWidth(l.class), y, l.class+" halo", l.text)
	}
	height := len(s.labels) * lineHeight
	p.boxes = append(p.boxes, box{s.x - 3, base - height + 3, s.wide, height})
}

func (p *picture) drawPin(c *canvas, s *step) {
	c.circle(s.x, s.lane.y, 9, "pin")
	y := s.lane.y + 32
	c.path(fmt.Sprintf("M%d %dl-5 9l10 0z", s.x, s.lane.y+12), "badge")
	c.circle(s.x, y-4, 9, "badge")
	c.text(s.x, y, "number", fmt.Sprint(s.pin))
	p.boxes = append(p.boxes, box{s.x - 10, s.lane.y + 10, 20, 28})
}

// stepTitle tells all of a step, no more than a dozen lines.
func (p *picture) stepTitle(s *step) string {
	var lines []string
	for _, i := range s.events {
		if len(lines) == 12 {
			lines = append(lines, "…")
			break
		}
		lines = append(lines, trace.Line(&p.events[i], &p.trace.Header))
	}
	return strings.Join(lines, "\n")
}
