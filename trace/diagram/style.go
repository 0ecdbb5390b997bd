package diagram

import (
	"fmt"
	"strings"
)

// A shade is a colour on a light and on a dark page.
type shade struct{ light, dark string }

// The colours of messages and of reigns. They come from the palette of Okabe and Ito, darker where text has them, so
// that those who see few colours can tell them apart; nothing is told by colour alone.
var (
	messageShades = []shade{
		{"#0072b2", "#6bbcf0"}, {"#00785a", "#3fd0a4"}, {"#a04a86", "#ea9fcd"}, {"#8a6500", "#e8c23a"},
		{"#4b5563", "#b6bfca"}, {"#5b3fa8", "#b3a1f0"}, {"#7a4b1e", "#d9a878"},
	}
	cutShades   = []shade{{"#7b1fa2", "#d59bf0"}, {"#b34a00", "#ffab66"}, {"#00695c", "#4fd6c4"}, {"#283593", "#97a6ff"}, {"#ad1457", "#ff8ab8"}, {"#6d6000", "#d8cb4a"}}
	reignShades = []shade{{"#f2b84b", "#8f6514"}, {"#7cc4ee", "#1f5f88"}, {"#86d3b0", "#1f6b4d"}, {"#d8a6c8", "#7a4168"}}
)

// rules are the style: a selector, what is the same on both pages, and a property whose value differs.
var rules = []struct {
	selector, always, property string
	shade                      shade
}{
	{".page", "", "fill", shade{"#ffffff", "#15181d"}},
	{"text", "font-family:Inter,'Segoe UI',Roboto,Helvetica,Arial,'DejaVu Sans',sans-serif;font-size:11px", "fill", shade{"#1f2328", "#e6e8eb"}},
	{".title", "font-size:20px;font-weight:600", "", shade{}},
	{".caption", "font-size:14px", "", shade{}},
	{".name", "font-size:14px;font-weight:600;text-anchor:middle", "", shade{}},
	{".chip", "stroke-width:1.2", "fill", shade{"#eef1f4", "#262b33"}},
	{".muted,.x,.ls,.la2", "", "fill", shade{"#5f6873", "#9aa4b0"}},
	{".x", "font-size:10px;text-anchor:middle", "", shade{}},
	{".stamp", "font-size:9px;text-anchor:middle;stroke-width:3px;paint-order:stroke;stroke-linejoin:round", "fill", shade{"#5f6873", "#9aa4b0"}},
	{".la,.lq", "font-weight:600", "fill", shade{"#b3261e", "#ff8a7a"}},
	{".lk,.lb", "font-weight:600", "", shade{}},
	{".lt", "", "fill", shade{"#00785a", "#3fd0a4"}},
	{".halo", "stroke-width:4px;paint-order:stroke;stroke-linejoin:round", "", shade{}},
	{".halo,.stamp,.crown", "", "stroke", shade{"#ffffff", "#15181d"}},
	{".lane", "stroke-width:1.6", "stroke", shade{"#8b949e", "#6b7480"}},
	{".gone", "stroke-width:1.6;stroke-dasharray:1.5 6;stroke-linecap:round", "stroke", shade{"#b8bfc7", "#4b535d"}},
	{".dot", "stroke-width:1.4", "fill", shade{"#1f2328", "#e6e8eb"}},
	{".dot,.tear", "", "stroke", shade{"#ffffff", "#15181d"}},
	{".lead", "stroke-width:0.8", "stroke", shade{"#c3c9d0", "#454d57"}},
	{".tear", "stroke-width:5", "", shade{}},
	{".dead", "fill:none;stroke-width:3;stroke-linecap:round", "stroke", shade{"#b3261e", "#ff8a7a"}},
	{".lost", "fill:none;stroke-width:2;stroke-linecap:round", "stroke", shade{"#b3261e", "#ff8a7a"}},
	{".eye", "", "fill", shade{"#b3261e", "#ff8a7a"}},
	{".pause", "stroke-width:1", "stroke", shade{"#8b949e", "#6b7480"}},
	{".hatch", "stroke-width:2", "stroke", shade{"#9aa3ad", "#68727e"}},
	{".cut", "", "fill", shade{"#b3261e0f", "#ff8a7a17"}},
	{".wall", "stroke-width:2;stroke-dasharray:7 5", "stroke", shade{"#b3261e", "#ff8a7a"}},
	{".flag", "stroke-width:1;stroke-dasharray:3 4", "stroke", shade{"#b3261e", "#ff8a7a"}},
	{".calmline", "stroke-width:1;stroke-dasharray:3 4", "stroke", shade{"#00785a", "#3fd0a4"}},
	{".fault", "font-weight:600", "fill", shade{"#b3261e", "#ff8a7a"}},
	{".calm", "font-weight:600", "fill", shade{"#00785a", "#3fd0a4"}},
	{".crown", "stroke-width:3px;paint-order:stroke;stroke-linejoin:round", "fill", shade{"#c98500", "#f2b84b"}},
	{".arrow", "fill:none;stroke-width:1.5", "", shade{}},
	{".tip", "stroke:none", "", shade{}},
	{".copy", "stroke-dasharray:6 4", "", shade{}},
	{".faint", "stroke-width:0.7", "stroke", shade{"#d5d9de", "#333941"}},
	{".pin", "fill:none;stroke-width:2.5", "stroke", shade{"#d4006a", "#ff6fb1"}},
	{".badge", "", "fill", shade{"#d4006a", "#ff6fb1"}},
	{".number", "font-weight:700;text-anchor:middle", "fill", shade{"#ffffff", "#15181d"}},
	{".shot", "fill:none;stroke-width:2.6", "", shade{}},
	{".band0,.band1,.band2", "stroke-opacity:.35;stroke-linecap:round", "", shade{}},
	{".band0", "stroke-width:7", "", shade{}},
	{".band1", "stroke-width:12", "", shade{}},
	{".band2", "stroke-width:17", "", shade{}},
	{".early", "", "stroke", shade{"#d00000", "#ff5a4a"}},
	{".dim", "opacity:.22", "", shade{}},
}

// style is the style sheet for a theme.
func (p *picture) style() string {
	var always, light, dark strings.Builder
	for _, r := range rules {
		selector := scoped(r.selector)
		if r.always != "" {
			fmt.Fprintf(&always, "%s{%s}\n", selector, r.always)
		}
		if r.property != "" {
			fmt.Fprintf(&light, "%s{%s:%s}\n", selector, r.property, r.shade.light)
			fmt.Fprintf(&dark, "%s{%s:%s}\n", selector, r.property, r.shade.dark)
		}
	}
	for i, s := range messageShades {
		for _, use := range []string{"text.m%d{fill:%s}", "path.m%d.tip{fill:%s}", "line.m%d{stroke:%s}"} {
			fmt.Fprintf(&light, ".ciranda "+use+"\n", i, s.light)
			fmt.Fprintf(&dark, ".ciranda "+use+"\n", i, s.dark)
		}
	}
	for i, s := range cutShades {
		for _, use := range []string{".k%d{stroke:%s}", "text.c%d{font-weight:600;fill:%s}"} {
			fmt.Fprintf(&light, ".ciranda "+use+"\n", i, s.light)
			fmt.Fprintf(&dark, ".ciranda "+use+"\n", i, s.dark)
		}
	}
	for i, s := range reignShades {
		fmt.Fprintf(&light, ".ciranda .r%d{fill:%s}\n", i, s.light)
		fmt.Fprintf(&dark, ".ciranda .r%d{fill:%s}\n", i, s.dark)
	}
	switch p.options.Theme {
	case "light":
		return always.String() + light.String()
	case "dark":
		return always.String() + dark.String()
	default:
		return always.String() + light.String() + "@media(prefers-color-scheme:dark){\n" + dark.String() + "}\n"
	}
}

// scoped keeps a rule inside the picture, which may stand in a page with a style of its own.
func scoped(selectors string) string {
	return ".ciranda " + strings.ReplaceAll(selectors, ",", ",.ciranda ")
}

// iconWidth is how much room a label's picture takes before its text.
func iconWidth(class string) int {
	switch class {
	case "lk":
		return 19
	case "lq":
		return 14
	}
	return 0
}
