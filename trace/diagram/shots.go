package diagram

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/snapshot"
	"ciranda.dev/trace"
)

// A shot is a snapshot: its cut goes through the events by which the nodes recorded their states.
type shot struct {
	id      snapshot.ID
	tint    int
	channel uint8               // the application's
	events  map[protocol.ID]int // by which each node recorded its state
	marks   map[route]uint64    // the numbers of the markers
	end     string              // how it ended, in words
}

// A crossing is a message that goes from one side of a cut to the other.
type crossing struct {
	shot  *shot
	early bool // it was received before the cut and sent after it
}

// readShots finds the snapshots and the messages that cross their cuts.
func (p *picture) readShots() {
	p.shotOf = map[snapshot.ID]*shot{}
	for i := range p.events {
		e := &p.events[i]
		if d, ok := trace.DataOf[snapshot.Recorded](e); ok {
			s := p.shot(d.ID)
			s.channel = d.Channel
			if _, again := s.events[e.Node]; !again {
				s.events[e.Node] = i
			}
		}
		if d, ok := trace.DataOf[snapshot.Done](e); ok {
			p.shot(d.ID).ends(d.Taken)
		}
		if d, ok := trace.DataOf[snapshot.Aborted](e); ok && p.shotOf[d.ID] != nil && p.shotOf[d.ID].end == "" {
			p.shotOf[d.ID].end = "given up"
		}
	}
}

func (p *picture) shot(id snapshot.ID) *shot {
	s := p.shotOf[id]
	if s == nil {
		s = &shot{id: id, tint: len(p.shots), events: map[protocol.ID]int{}, marks: map[route]uint64{}}
		p.shotOf[id] = s
		p.shots = append(p.shots, s)
	}
	return s
}

// ends notes how a snapshot ended.
func (s *shot) ends(t snapshot.Taken) {
	words := []string{"incomplete"}
	if t.Complete {
		words[0] = "complete"
	}
	for i, m := range t.Missing {
		if i == 2 {
			words = append(words, fmt.Sprintf("%d more missing", len(t.Missing)-i))
			break
		}
		words = append(words, fmt.Sprintf("node %d is missing", m.Node))
	}
	switch {
	case !t.Consistent:
		words = append(words, "not consistent")
	case t.Complete:
		words = append(words, "consistent", counted(t.Channels))
	}
	s.end = strings.Join(words, ", ")
}

func counted(channels []snapshot.ChannelPart) string {
	n := 0
	for _, c := range channels {
		n += c.Count
	}
	if n == 1 {
		return "1 message on the way"
	}
	return fmt.Sprintf("%d messages on the way", n)
}

// readMarker notes the number of a marker. Later messages with the same ID ask for more of what was recorded.
func (p *picture) readMarker(l load) {
	if s := p.shotOf[l.id]; s != nil && l.channel != s.channel {
		if m, there := s.marks[l.route]; !there || l.seq < m {
			s.marks[l.route] = l.seq
		}
	}
}

// findCrossings notes which cuts each message of the application crosses.
func (p *picture) findCrossings() {
	for _, a := range p.arrows {
		e := &p.events[a.event]
		l, ok := p.loads[e.Message()]
		if !ok || p.flows[l.route].blind {
			continue
		}
		f := p.flows[l.route]
		if came, there := f.came[l.seq]; !there || a.event > came || a.to != nil && a.receipt != came {
			continue // another copy had come already
		}
		for _, s := range p.shots {
			if across, early := p.crosses(s, l, f); across {
				a.crossings = append(a.crossings, crossing{s, early})
			}
		}
	}
}

// crosses says whether a message crosses a cut, and if so, whether it goes from the future to the past.
func (p *picture) crosses(s *shot, l load, f *flow) (across, early bool) {
	from, here := s.events[l.route.from]
	to, there := s.events[l.route.to]
	given, known := f.givenBy(l.seq)
	if !here || !there || !known || l.channel != s.channel ||
		p.events[from].Inc != l.route.fromInc || p.events[to].Inc != l.route.toInc {
		return false, false
	}
	mark, marked := s.marks[l.route]
	after := f.sent[l.seq] > from && (!marked || l.seq > mark) // it may have waited for the link's window
	before := given < to
	if p.sameStep(given, to) { // in which the marker came, and what had to wait for it
		before = l.seq < mark
	}
	return after == before, after
}

// sameStep says whether two events of a node came of the same input.
func (p *picture) sameStep(a, b int) bool {
	x, y := &p.events[a], &p.events[b]
	return cmp.Or(x.Cause, x.N) == cmp.Or(y.Cause, y.N)
}

// A point is where a cut crosses a lane.
type point struct{ x, y int }

// cutPoints are where a cut crosses the lanes, by lane: nil where the node recorded nothing. There are none if nothing
// of it is in the window.
func (p *picture) cutPoints(s *shot) []*point {
	points := make([]*point, len(p.lanes))
	seen := false
	for i, l := range p.lanes {
		event, ok := s.events[l.id]
		if !ok {
			continue
		}
		t := p.events[event].T
		at := &point{p.on(l, t), l.y}
		switch step := p.stepOf[event]; {
		case t < int64(p.options.From):
			at.x = p.start
		case t > int64(p.options.To):
			at.x = p.right
		default:
			seen = true
			if step != nil && step.shown {
				at.x = step.x
			}
		}
		points[i] = at
	}
	if !seen {
		return nil
	}
	return points
}

// drawShots draws the cut of each snapshot as a line from lane to lane. It is dashed past nodes that recorded nothing.
func (p *picture) drawShots(c *canvas) {
	for _, s := range p.shots {
		points := p.cutPoints(s)
		if points == nil {
			continue
		}
		class := fmt.Sprintf("shot k%d", s.tint%len(cutShades))
		c.open("", p.shotText(s))
		var last *point
		for i, at := range points {
			if at == nil {
				continue
			}
			if last == nil {
				c.path(fmt.Sprintf("M%d %dl0 22", at.x, at.y-22), class)
			} else {
				c.path(curve(*last, *at), class+skipped(points[i-1] == nil))
			}
			last = at
		}
		c.path(fmt.Sprintf("M%d %dl0 30", last.x, last.y), class)
		c.close()
	}
}

func skipped(is bool) string {
	if is {
		return " copy"
	}
	return ""
}

// curve is a line that crosses both lanes at right angles, so that it is not taken for a message.
func curve(a, b point) string {
	bend := (b.y - a.y) / 2
	return fmt.Sprintf("M%d %dC%d %d %d %d %d %d", a.x, a.y, a.x, a.y+bend, b.x, b.y-bend, b.x, b.y)
}

func (p *picture) shotText(s *shot) string {
	if s.end == "" {
		return fmt.Sprintf("cut %s: its end is not in the trace", s.id)
	}
	return fmt.Sprintf("cut %s: %s", s.id, s.end)
}

// drawCrossings draws broad bands below an arrow, in the colours of the cuts that it crosses.
func (p *picture) drawCrossings(c *canvas, a *arrow) {
	x1, y1, x2, y2 := p.course(a)
	for i, x := range slices.Backward(a.crossings[:min(len(a.crossings), 3)]) {
		class := fmt.Sprintf("band%d k%d", i, x.shot.tint%len(cutShades))
		if x.early {
			class = fmt.Sprintf("band%d early", i)
		}
		c.line(x1, y1, x2, y2, class)
	}
}

// crossingText says which cuts a message crosses.
func (a *arrow) crossingText() (text string) {
	for _, x := range a.crossings {
		if x.early {
			text += fmt.Sprintf("\nreceived before the cut %s, sent after it: not consistent", x.shot.id)
		} else {
			text += fmt.Sprintf("\non the way in the cut %s: sent before it, received after it", x.shot.id)
		}
	}
	return text
}

const mostShots = 12 // that the legend explains

// shotSigns explain the cuts and the messages that cross them.
func (p *picture) shotSigns() []sign {
	var signs []sign
	more := 0
	for _, s := range p.shots {
		if p.cutPoints(s) == nil {
			continue
		}
		if len(signs) == mostShots {
			more++
			continue
		}
		signs = append(signs, sign{true, entry{func(c *canvas, x, y int) {
			c.path(curve(point{x + 10, y - 7}, point{x + 18, y + 7}), fmt.Sprintf("shot k%d", s.tint%len(cutShades)))
		}, p.shotText(s)}})
	}
	if more > 0 {
		signs = append(signs, sign{true, entry{func(*canvas, int, int) {}, fmt.Sprintf("and %d more cuts", more)}})
	}
	band := func(early bool, class, text string) sign {
		used := slices.ContainsFunc(p.arrows, func(a *arrow) bool {
			return a.shown && slices.ContainsFunc(a.crossings, func(x crossing) bool { return x.early == early })
		})
		return sign{used, entry{func(c *canvas, x, y int) {
			c.line(x, y, x+28, y, class)
			c.line(x, y, x+28, y, "lane")
		}, text}}
	}
	return append(signs,
		band(false, "band0 k0", "on the way across the cut of that colour: part of the snapshot"),
		band(true, "band0 early", "received before the cut, sent after it: not consistent"))
}
