package node

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/engine/network"
	"ciranda.dev/protocol"
)

// A Pair is a direction between two nodes.
type Pair struct{ From, To protocol.ID }

func (p Pair) String() string { return p.From.String() + "->" + p.To.String() }

// Links are what happens to messages on each link of the cluster. What is not in it is perfect. Every node knows all of
// it, so that any of them can change a part.
type Links struct {
	mu    sync.Mutex
	links map[Pair]network.Link
}

// Get copies all that is not perfect.
func (l *Links) Get() map[Pair]network.Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := make(map[Pair]network.Link, len(l.links))
	for p, link := range l.links {
		m[p] = link
	}
	return m
}

// Set replaces everything.
func (l *Links) Set(links map[Pair]network.Link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.links = links
}

// Change alters some links.
func (l *Links) Change(pairs []Pair, change func(*network.Link)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.links == nil {
		l.links = map[Pair]network.Link{}
	}
	for _, p := range pairs {
		link := l.links[p]
		change(&link)
		if link == (network.Link{}) {
			delete(l.links, p)
		} else {
			l.links[p] = link
		}
	}
}

// sorted are the pairs of m in order.
func sorted(m map[Pair]network.Link) []Pair {
	pairs := make([]Pair, 0, len(m))
	for p := range m {
		pairs = append(pairs, p)
	}
	sort.Slice(pairs, func(i, j int) bool {
		a, b := pairs[i], pairs[j]
		return a.From < b.From || a.From == b.From && a.To < b.To
	})
	return pairs
}

// encodeLinks writes links as the API carries them.
func encodeLinks(m map[Pair]network.Link) []*cirandav1.LinkFault {
	var faults []*cirandav1.LinkFault
	for _, p := range sorted(m) {
		f := &cirandav1.LinkFault{From: uint32(p.From), To: uint32(p.To), Cut: m[p].Cut, Loss: m[p].Loss, Duplicate: m[p].Duplicate}
		if m[p].Delay != (network.Delay{}) {
			f.Delay = m[p].Delay.String()
		}
		faults = append(faults, f)
	}
	return faults
}

// decodeLinks reads what encodeLinks wrote, or says what is wrong with it.
func decodeLinks(faults []*cirandav1.LinkFault, group []protocol.ID) (map[Pair]network.Link, error) {
	m := map[Pair]network.Link{}
	for i, f := range faults {
		field := fmt.Sprintf("links[%d]", i)
		link := network.Link{Cut: f.Cut, Loss: f.Loss, Duplicate: f.Duplicate}
		if f.Delay != "" {
			d, err := network.ParseDelay(f.Delay)
			if err != nil {
				return nil, api.Wrong(field+".delay", "%v", err)
			}
			link.Delay = d
		}
		if err := link.Validate(); err != nil {
			return nil, api.Wrong(field, "%v", err)
		}
		from, to := protocol.ID(f.From), protocol.ID(f.To)
		if f.From > 65535 || f.To > 65535 || from == to || !slices.Contains(group, from) || !slices.Contains(group, to) {
			return nil, api.Wrong(field, "found the link %d->%d; expected two of the nodes %s", f.From, f.To, ranges(group))
		}
		m[Pair{from, to}] = link
	}
	return m, nil
}

// describe says in words what is not perfect: a partition where the cuts are one, else link by link.
func describe(m map[Pair]network.Link, group []protocol.ID) []string {
	var said []string
	if sides := partition(m, group); sides != nil {
		words := make([]string, len(sides))
		for i, s := range sides {
			words[i] = list(s)
		}
		said = append(said, "partition "+strings.Join(words, "/"))
		m = withoutCuts(m)
	}
	if link, same := uniform(m, group); same {
		return append(said, "all links: "+words(link))
	}
	for _, p := range sorted(m) {
		said = append(said, p.String()+": "+words(m[p]))
	}
	return said
}

// words describes a link by what is not perfect in it.
func words(l network.Link) string {
	if l.Cut {
		return "cut"
	}
	var parts []string
	if l.Delay != (network.Delay{}) {
		parts = append(parts, "delay "+l.Delay.String())
	}
	if l.Loss > 0 {
		parts = append(parts, "loss "+network.Percent(l.Loss))
	}
	if l.Duplicate > 0 {
		parts = append(parts, "duplicate "+network.Percent(l.Duplicate))
	}
	return strings.Join(parts, ", ")
}

// partition gives the sides if the links that are cut are exactly those between them, in both directions.
func partition(m map[Pair]network.Link, group []protocol.ID) [][]protocol.ID {
	var sides [][]protocol.ID
	for _, id := range group {
		i := slices.IndexFunc(sides, func(s []protocol.ID) bool { return !m[Pair{id, s[0]}].Cut })
		if i < 0 {
			sides = append(sides, []protocol.ID{id})
		} else {
			sides[i] = append(sides[i], id)
		}
	}
	between := pairsBetween(sides)
	cuts := 0
	for _, link := range m {
		if link.Cut {
			cuts++
		}
	}
	for _, p := range between {
		if !m[p].Cut {
			return nil
		}
	}
	if len(sides) < 2 || cuts != len(between) {
		return nil
	}
	return sides
}

// pairsBetween are all directions between nodes of different sides.
func pairsBetween(sides [][]protocol.ID) []Pair {
	var pairs []Pair
	for i, a := range sides {
		for j, b := range sides {
			if i != j {
				pairs = append(pairs, pairsFrom(a, b)...)
			}
		}
	}
	return pairs
}

// pairsFrom are all directions from some nodes to others.
func pairsFrom(from, to []protocol.ID) []Pair {
	var pairs []Pair
	for _, a := range from {
		for _, b := range to {
			if a != b {
				pairs = append(pairs, Pair{a, b})
			}
		}
	}
	return pairs
}

func withoutCuts(m map[Pair]network.Link) map[Pair]network.Link {
	rest := map[Pair]network.Link{}
	for p, link := range m {
		link.Cut = false
		if link != (network.Link{}) {
			rest[p] = link
		}
	}
	return rest
}

// uniform says whether all links are alike, and how.
func uniform(m map[Pair]network.Link, group []protocol.ID) (network.Link, bool) {
	n := len(group)
	if len(m) == 0 || len(m) != n*(n-1) {
		return network.Link{}, false
	}
	first := m[Pair{group[0], group[1]}]
	for _, link := range m {
		if link != first {
			return network.Link{}, false
		}
	}
	return first, true
}
