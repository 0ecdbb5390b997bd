package diagram

import (
	"fmt"
	"math"
	"strings"
)

// A canvas collects SVG. Places are whole pixels, so that the same picture has the same bytes on every machine.
type canvas struct{ strings.Builder }

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "\n", "&#10;")

// escape makes a text fit for SVG, which allows no control characters.
func escape(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r == 0xfffe || r == 0xffff {
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
	return escaper.Replace(text)
}

func (c *canvas) line(x1, y1, x2, y2 int, class string) {
	fmt.Fprintf(c, "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" class=\"%s\"/>\n", x1, y1, x2, y2, class)
}

func (c *canvas) rect(x, y, w, h, round int, class string) {
	fmt.Fprintf(c, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"%d\" class=\"%s\"/>\n", x, y, max(w, 1), h, round, class)
}

func (c *canvas) circle(x, y, r int, class string) {
	fmt.Fprintf(c, "<circle cx=\"%d\" cy=\"%d\" r=\"%d\" class=\"%s\"/>\n", x, y, r, class)
}

func (c *canvas) path(d, class string) {
	fmt.Fprintf(c, "<path d=\"%s\" class=\"%s\"/>\n", d, class)
}

func (c *canvas) text(x, y int, class, text string) {
	fmt.Fprintf(c, "<text x=\"%d\" y=\"%d\" class=\"%s\">%s</text>\n", x, y, class, escape(text))
}

// open begins a group with a text that appears where the pointer rests.
func (c *canvas) open(class, title string) {
	fmt.Fprintf(c, "<g class=\"%s\">", class)
	if title != "" {
		fmt.Fprintf(c, "<title>%s</title>", escape(title))
	}
	c.WriteByte('\n')
}

func (c *canvas) close() { c.WriteString("</g>\n") }

// cross draws an x.
func (c *canvas) cross(x, y, r int, class string) {
	c.path(fmt.Sprintf("M%d %dL%d %dM%d %dL%d %d", x-r, y-r, x+r, y+r, x-r, y+r, x+r, y-r), class)
}

// crown draws a crown with its lower left corner at x, y.
func (c *canvas) crown(x, y int, class string) {
	c.path(fmt.Sprintf("M%d %dl-1 -8l4 3l3 -5l3 5l4 -3l-1 8z", x+1, y), class)
}

// head draws the head of an arrow that comes from x1, y1 and ends at x2, y2.
func (c *canvas) head(x1, y1, x2, y2 int, class string) {
	ux, uy := unit(x1, y1, x2, y2)
	// Products are rounded one by one: a machine that fuses them would draw other bytes.
	bx, by := float64(x2)-float64(9*ux), float64(y2)-float64(9*uy)
	fmt.Fprintf(c, "<path d=\"M%d %dL%.1f %.1fL%.1f %.1fz\" class=\"%s\"/>\n", x2, y2,
		bx-float64(3.6*uy), by+float64(3.6*ux), bx+float64(3.6*uy), by-float64(3.6*ux), class)
}

// toward is the point r pixels before x2, y2 on the way from x1, y1.
func toward(x1, y1, x2, y2, r int) (x, y int) {
	ux, uy := unit(x1, y1, x2, y2)
	return x2 - int(math.Round(float64(float64(r)*ux))), y2 - int(math.Round(float64(float64(r)*uy)))
}

func unit(x1, y1, x2, y2 int) (ux, uy float64) {
	dx, dy := x2-x1, y2-y1
	length := math.Sqrt(float64(dx*dx + dy*dy))
	if length == 0 {
		return 1, 0
	}
	return float64(dx) / length, float64(dy) / length
}
