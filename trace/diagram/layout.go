package diagram

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
)

// Measures, in pixels.
const (
	margin     = 24
	chip       = 84  // a lane's name
	dotGap     = 17  // between dots of a lane, at least
	hopGap     = 20  // from a sending to the receipt, at least
	hopLeast   = 16  // of half of the messages, even where the picture becomes too wide by that
	hopMost    = 120 // of half of the messages, even where there is room
	breakWidth = 56
	narrowest  = 720 // the legend needs it
	lineHeight = 13
	labelRows  = 4 // of text above a lane
	momentRows = 2
	labelLift  = 16 // from a lane to its lowest text
	labelSize  = 11
)

// A layout is where things are.
type layout struct {
	items   []*item // by x
	breaks  []gap
	scale   int64 // ns a pixel
	longest int64 // in pixels: a longer stretch without anything is cut short
	start   int   // where the lanes begin
	right   int   // and end
	top     int   // the first lane
	pitch   int   // from a lane to the next
	width   int
	height  int
	boxes   []box    // what the names of messages must not cover
	palette []string // the names of messages, by colour
}

// A gap is a stretch of time that was cut short.
type gap struct {
	x, width int
	duration int64
}

// arrange gives everything its place. It looks for the scale that makes the picture as wide as is wanted.
func (p *picture) arrange() {
	p.collect()
	p.stack()
	delay := p.usualDelay()
	wanted := min(p.options.Width, 2*(p.bottom()+120))
	for hop := int64(hopMost); ; hop = hop * 7 / 8 {
		p.scale, p.longest = max(delay/hop, 1), max(60, 2*hop)
		if p.place(); p.width <= wanted || hop <= hopLeast {
			break
		}
	}
	p.stack()
}

// collect lists what needs a place, in the order of time.
func (p *picture) collect() {
	first, last := p.steps[0], p.steps[len(p.steps)-1]
	p.items = append(slices.Clone(p.moments), &item{t: first.t, order: -1}, &item{t: last.t, order: len(p.events)})
	for _, s := range p.steps {
		if s.shown {
			s.labels = shorten(s.labels)
			p.items = append(p.items, &s.item)
		}
	}
	for _, it := range p.items {
		for _, l := range it.labels {
			it.wide = max(it.wide, textWidth(l.text, labelSize)+iconWidth(l.class))
		}
	}
	slices.SortStableFunc(p.items, func(a, b *item) int {
		return cmp.Or(cmp.Compare(a.t, b.t), cmp.Compare(a.order, b.order))
	})
}

// shorten says of labels for which there is no room how many they are.
func shorten(labels []label) []label {
	if len(labels) <= labelRows {
		return labels
	}
	more := len(labels) - labelRows + 1
	return append(labels[:labelRows-1:labelRows-1], label{fmt.Sprintf("and %d more", more), "ls"})
}

// usualDelay is how long half of the messages take at most; where there are none, what is between two items.
func (p *picture) usualDelay() int64 {
	var delays []int64
	for _, a := range p.arrows {
		if a.shown && a.to != nil {
			delays = append(delays, a.to.t-a.from.t)
		}
	}
	if len(delays) == 0 {
		first, last := p.items[0].t, p.items[len(p.items)-1].t
		return (last - first) / int64(len(p.items))
	}
	slices.Sort(delays)
	return delays[len(delays)/2]
}

// place gives every item its x: time moves it to the right, and so do a text that needs room, the dot before it on
// its lane, and the sending of a message that it receives.
func (p *picture) place() {
	p.start = margin + chip
	p.breaks = nil
	earliest := p.arrivals()
	ends := map[*lane][]int{nil: make([]int, momentRows)}
	dots := map[*lane]int{}
	for _, l := range p.lanes {
		ends[l], dots[l] = make([]int, labelRows), p.start-dotGap/2
	}
	x, t := p.start+12, p.items[0].t
	for _, it := range p.items {
		x += p.stretch(x, it.t-t)
		t = it.t
		if it.lane != nil {
			x = max(x, dots[it.lane]+dotGap)
			for _, send := range earliest[it] {
				x = max(x, send.x+hopGap)
			}
		}
		x, it.row = fit(ends[it.lane], x, len(it.labels), it.wide)
		it.x = x
		dots[it.lane] = x
	}
	p.right = max(x+36, narrowest-margin)
	p.width = p.right + margin
	for _, it := range p.items {
		p.width = max(p.width, it.x+it.wide+margin)
	}
}

// stretch is how wide a stretch of time is at x.
func (p *picture) stretch(x int, d int64) int {
	w := d / p.scale
	if w <= p.longest {
		return int(w)
	}
	p.breaks = append(p.breaks, gap{x, breakWidth, d})
	return breakWidth
}

// arrivals lists for each receipt the sendings of what arrives.
func (p *picture) arrivals() map[*item][]*item {
	m := map[*item][]*item{}
	for _, a := range p.arrows {
		if a.shown && a.to != nil {
			m[&a.to.item] = append(m[&a.to.item], &a.from.item)
		}
	}
	return m
}

// fit finds room for a text of some lines at x or to the right of it: rows are free from their ends on.
func fit(ends []int, x, lines, width int) (at, row int) {
	if lines == 0 {
		return x, 0
	}
	best, bestRow := 1<<30, 0
	for r := 0; r+lines <= len(ends); r++ {
		if free := max(slices.Max(ends[r:r+lines]), x); free < best {
			best, bestRow = free, r
		}
	}
	for r := bestRow; r < bestRow+lines; r++ {
		ends[r] = best + width + 8
	}
	return best, bestRow
}

// stack gives the lanes their places from the top down.
func (p *picture) stack() {
	p.top = 50 + labelLift + p.rowsOf(p.lanes[0])*lineHeight
	if p.options.Caption != "" {
		p.top += 20
	}
	if slices.ContainsFunc(p.moments, func(m *item) bool { return len(m.labels) > 0 }) {
		p.top += momentRows*lineHeight + 12
	}
	if len(p.spans) > 0 {
		p.top += lineHeight
	}
	p.pitch = 104
	if len(p.lanes) > 6 {
		p.pitch = 92
	}
	for i, l := range p.lanes {
		l.y = p.top + i*p.pitch
	}
}

// rowsOf is how many rows of text there are above a lane.
func (p *picture) rowsOf(l *lane) int {
	rows := 1
	for _, it := range p.items {
		if it.lane == l {
			rows = max(rows, it.row+len(it.labels))
		}
	}
	return rows
}

func (p *picture) bottom() int { return p.lanes[len(p.lanes)-1].y }

// at is the place of a moment in time that need not be that of an item.
func (p *picture) at(t int64) int {
	i := sort.Search(len(p.items), func(i int) bool { return p.items[i].t > t })
	if i == 0 {
		return p.start
	}
	a := p.items[i-1]
	if a.t == t || i == len(p.items) {
		for i >= 2 && p.items[i-2].t == t {
			i--
		}
		if a.t == t {
			return p.items[i-1].x
		}
		return p.right
	}
	b := p.items[i]
	return a.x + int(int64(b.x-a.x)*(t-a.t)/(b.t-a.t))
}

// on is the place of a moment on a lane: that of the lane's dot, if there is one.
func (p *picture) on(l *lane, t int64) int {
	i := sort.Search(len(p.items), func(i int) bool { return p.items[i].t >= t })
	for ; i < len(p.items) && p.items[i].t == t; i++ {
		if p.items[i].lane == l {
			return p.items[i].x
		}
	}
	return p.at(t)
}

// A box is a place that is taken.
type box struct{ x, y, w, h int }

func (b box) meets(c box) bool {
	return b.x < c.x+c.w && c.x < b.x+b.w && b.y < c.y+c.h && c.y < b.y+b.h
}

// textWidth is about how wide a text is, of a size in pixels. Fonts differ, so it is rather too much.
func textWidth(text string, size int) int {
	w := 0 // in hundredths of the size
	for _, r := range text {
		switch {
		case r == 'm' || r == 'w' || r == 'M' || r == 'W':
			w += 88
		case r == 'i' || r == 'l' || r == 'j' || r == 't' || r == 'f' || r == 'r' || r == ' ' || r == '.' || r == ',' ||
			r == ':' || r == '(' || r == ')' || r == '|' || r == '\'':
			w += 36
		case r >= 'A' && r <= 'Z':
			w += 70
		default:
			w += 60
		}
	}
	return w * size / 100
}
