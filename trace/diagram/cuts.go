package diagram

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// A cutSet is the directed pairs between which nothing gets through.
type cutSet map[[2]protocol.ID]bool

// readFault takes in a fault: of cuts it keeps the stretches, of others the moment.
func (p *picture) readFault(i int) {
	e := &p.events[i]
	d, _ := trace.DataOf[trace.FaultNote](e)
	before := len(p.cuts)
	if !p.cuts.change(d.Text, e, p.trace.Header.Members) {
		p.moment(i, d.Text, "fault")
		return
	}
	if before == 0 && len(p.cuts) == 0 {
		return
	}
	if n := len(p.spans); n > 0 && p.spans[n-1].open && p.spans[n-1].from == e.T {
		p.spans = p.spans[:n-1] // more of the same fault
	} else {
		closeLast(&p.spans, e.T)
	}
	if len(p.cuts) > 0 {
		s := &span{from: e.T}
		s.text, s.walls = p.describe()
		open(&p.spans, s)
	}
	p.moment(i, "", "cut")
}

// change applies a fault in words. It is false if that is none that cuts or heals.
func (c cutSet) change(text string, e *trace.Event, members []protocol.ID) bool {
	verb, rest, _ := strings.Cut(text, " ")
	pair := [2]protocol.ID{e.Node, e.Peer}
	switch strings.TrimSuffix(verb, ":") {
	case "cut":
		if pair[0] == protocol.None || pair[1] == protocol.None {
			return false
		}
		c[pair] = true
	case "mend":
		delete(c, pair)
	case "heal":
		clear(c)
	case "isolate":
		sides, ok := parseSides(rest)
		if !ok || len(sides) != 1 {
			return false
		}
		apart := [][]protocol.ID{without(members, sides[0])}
		for _, id := range sides[0] {
			apart = append(apart, []protocol.ID{id})
		}
		c.part(apart)
	case "partition":
		sides, ok := parseSides(rest)
		if !ok || len(sides) < 2 {
			return false
		}
		c.part(sides)
	default:
		return false
	}
	return true
}

// part cuts all pairs of nodes of different sides.
func (c cutSet) part(sides [][]protocol.ID) {
	for i, side := range sides {
		for _, other := range slices.Concat(sides[:i]...) {
			for _, id := range side {
				c[[2]protocol.ID{id, other}], c[[2]protocol.ID{other, id}] = true, true
			}
		}
	}
}

// parseSides reads nodes like 1,2/3,4,5 or [[1, 2], [3, 4, 5]].
func parseSides(text string) ([][]protocol.ID, bool) {
	text = strings.ReplaceAll(text, "],", "/")
	var sides [][]protocol.ID
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '/' || r == '|' }) {
		var side []protocol.ID
		for word := range strings.FieldsFuncSeq(part, func(r rune) bool { return strings.ContainsRune(" ,[]", r) }) {
			n, err := strconv.ParseUint(word, 10, 16)
			if err != nil {
				return nil, false
			}
			side = append(side, protocol.ID(n))
		}
		sides = append(sides, side)
	}
	return sides, true
}

func without(all, some []protocol.ID) []protocol.ID {
	return slices.DeleteFunc(slices.Clone(all), func(id protocol.ID) bool { return slices.Contains(some, id) })
}

// describe says in words what is cut. Of a partition it also gives the nodes after which a side ends, where sides are
// neighbours on the page.
func (p *picture) describe() (text string, walls []protocol.ID) {
	nodes := p.members()
	side := p.sides(nodes)
	if side == nil {
		return p.cuts.String(), nil
	}
	var parts []string
	for s := 0; ; s++ {
		var names []string
		for i, id := range nodes {
			if side[i] == s {
				names = append(names, id.String())
			}
		}
		if names == nil {
			break
		}
		parts = append(parts, strings.Join(names, " "))
	}
	for i := 0; i+1 < len(p.lanes); i++ {
		a, b := slices.Index(nodes, p.lanes[i].id), slices.Index(nodes, p.lanes[i+1].id)
		if a >= 0 && b >= 0 && side[a] != side[b] {
			walls = append(walls, p.lanes[i].id)
		}
	}
	return "partition: " + strings.Join(parts, " | "), walls
}

// sides numbers the sides of a partition by node: nodes of one side hear each other, those of two do not. It is nil
// if the cuts are no partition.
func (p *picture) sides(nodes []protocol.ID) []int {
	side := make([]int, len(nodes))
	next := 0
	for i, a := range nodes {
		side[i] = -1
		for j, b := range nodes[:i] {
			if !p.cuts[[2]protocol.ID{a, b}] {
				side[i] = side[j]
				break
			}
		}
		if side[i] < 0 {
			side[i] = next
			next++
		}
	}
	for i, a := range nodes {
		for j, b := range nodes {
			if i != j && p.cuts[[2]protocol.ID{a, b}] != (side[i] != side[j]) {
				return nil
			}
		}
	}
	if next < 2 {
		return nil
	}
	return side
}

func (p *picture) members() []protocol.ID {
	if len(p.trace.Header.Members) > 0 {
		return p.trace.Header.Members
	}
	var nodes []protocol.ID
	for _, l := range p.lanes {
		nodes = append(nodes, l.id)
	}
	return nodes
}

// String lists the cuts, no more than three.
func (c cutSet) String() string {
	var pairs [][2]protocol.ID
	for pair := range c {
		pairs = append(pairs, pair)
	}
	slices.SortFunc(pairs, func(a, b [2]protocol.ID) int { return slices.Compare(a[:], b[:]) })
	var parts []string
	for i := 0; i < len(pairs) && i < 3; i++ {
		parts = append(parts, fmt.Sprintf("%d → %d", pairs[i][0], pairs[i][1]))
	}
	text := "cut: " + strings.Join(parts, ", ")
	if len(pairs) > 3 {
		text += fmt.Sprintf(" and %d more", len(pairs)-3)
	}
	return text
}
