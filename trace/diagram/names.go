package diagram

import (
	"cmp"
	"fmt"
	"slices"
)

// A bundle is the arrows of one name that leave one step upwards, or downwards. One name is enough for them.
type bundle struct {
	arrows []*arrow
}

// drawNames writes the messages' names on their arrows, where there is room.
func (p *picture) drawNames(c *canvas) {
	for _, b := range p.bundles() {
		text := shortName(b.arrows[0].name)
		w := textWidth(text, labelSize)
		if at, ok := p.room(b, w); ok {
			p.boxes = append(p.boxes, at)
			class := fmt.Sprintf("halo m%d", p.color(b.arrows[0].name))
			c.open(p.dimmed(slices.ContainsFunc(b.arrows, func(a *arrow) bool { return a.lit })), "")
			c.text(at.x+2, at.y+10, class, text)
			c.close()
		}
	}
}

// bundles gathers the arrows, the nearest addressee first.
func (p *picture) bundles() []*bundle {
	type key struct {
		from *step
		name string
		down bool
	}
	byKey := map[key]*bundle{}
	var all []*bundle
	for _, a := range p.arrows {
		if !a.shown || a.copy > 0 {
			continue
		}
		k := key{a.from, a.name, a.target.y > a.from.lane.y}
		b := byKey[k]
		if b == nil {
			b = &bundle{}
			byKey[k] = b
			all = append(all, b)
		}
		b.arrows = append(b.arrows, a)
	}
	for _, b := range all {
		slices.SortStableFunc(b.arrows, func(a, c *arrow) int {
			return cmp.Compare(distance(a.target.y, a.from.lane.y), distance(c.target.y, c.from.lane.y))
		})
	}
	return all
}

func distance(a, b int) int { return max(a-b, b-a) }

// room finds a place for a text of a width on one of the arrows that covers nothing else.
func (p *picture) room(b *bundle, w int) (box, bool) {
	for _, a := range b.arrows {
		x1, y1, x2, y2 := p.course(a)
		for _, share := range []int{50, 40, 60, 32, 68, 25, 75, 18, 82} {
			x, y := x1+(x2-x1)*share/100, y1+(y2-y1)*share/100
			at := box{x - w/2 - 2, y - 7, w + 4, 13}
			if at.x > p.start && !slices.ContainsFunc(p.boxes, at.meets) {
				return at, true
			}
		}
	}
	return box{}, false
}
