package album

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// A Diff is what has changed from one snapshot to another, as JSON.
type Diff struct {
	From     string          `json:"from"` // the snapshots' names
	To       string          `json:"to"`
	Nodes    []NodeChange    `json:"nodes"`
	Channels []ChannelChange `json:"channels"`
	Checks   []CheckChange   `json:"checks"`
}

type (
	// A NodeChange is what has changed at a node. One that is in one snapshot only has In set.
	NodeChange struct {
		ID      uint32   `json:"id"`
		In      *string  `json:"only_in"` // the name of the one; null if it is in both
		Changes []Change `json:"changes"`
	}
	// A Change is that of a value in a state. What is not there is null.
	Change struct {
		Path string `json:"path"` // such as outgoing[0].amount
		From any    `json:"from"`
		To   any    `json:"to"`
	}
	// A ChannelChange is how many messages were on their way then, and now.
	ChannelChange struct {
		From   uint32 `json:"from"`
		To     uint32 `json:"to"`
		Before uint64 `json:"before"`
		After  uint64 `json:"after"`
	}
	// A CheckChange is that of a verdict or its detail.
	CheckChange struct {
		Name   string `json:"name"`
		Before string `json:"before"`
		After  string `json:"after"`
	}
)

// Compare says what has changed from one snapshot to another.
func Compare(a, b Snapshot) Diff {
	return Diff{From: a.ID, To: b.ID, Nodes: compareNodes(a, b), Channels: compareChannels(a, b), Checks: compareChecks(a, b)}
}

func compareNodes(a, b Snapshot) []NodeChange {
	changes := []NodeChange{}
	before, after := statesOf(a), statesOf(b)
	for _, id := range keys(before, after) {
		was, is := before[id], after[id]
		c := NodeChange{ID: id, Changes: []Change{}}
		switch {
		case is == nil:
			c.In = &a.ID
		case was == nil:
			c.In = &b.ID
		default:
			if was.Incarnation != is.Incarnation {
				c.Changes = append(c.Changes, Change{"(life)", was.Incarnation, is.Incarnation})
			}
			c.compare("", was.State, is.State)
		}
		if c.In != nil || len(c.Changes) > 0 {
			changes = append(changes, c)
		}
	}
	return changes
}

func statesOf(s Snapshot) map[uint32]*State {
	all := map[uint32]*State{}
	for i := range s.Nodes {
		all[s.Nodes[i].ID] = &s.Nodes[i]
	}
	return all
}

// keys are those of two maps, ascending.
func keys[V any](a, b map[uint32]V) []uint32 {
	var all []uint32
	for _, m := range []map[uint32]V{a, b} {
		for k := range m {
			all = append(all, k)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// compare compares two values that are at a path.
func (c *NodeChange) compare(path string, a, b any) {
	objectA, isA := a.(map[string]any)
	objectB, isB := b.(map[string]any)
	listA, areA := a.([]any)
	listB, areB := b.([]any)
	switch {
	case isA && isB:
		all := append(names(objectA), names(objectB)...)
		slices.Sort(all)
		for _, name := range slices.Compact(all) {
			c.compare(join(path, name), objectA[name], objectB[name])
		}
	case areA && areB:
		for i := range max(len(listA), len(listB)) {
			c.compare(path+"["+strconv.Itoa(i)+"]", element(listA, i), element(listB, i))
		}
	case !reflect.DeepEqual(a, b):
		c.Changes = append(c.Changes, Change{path, a, b})
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func element(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return nil
}

func compareChannels(a, b Snapshot) []ChannelChange {
	changes := []ChannelChange{}
	before, after := countsOf(a), countsOf(b)
	for _, way := range keys(before, after) {
		if before[way] != after[way] {
			changes = append(changes, ChannelChange{way >> 16, way & 0xffff, before[way], after[way]})
		}
	}
	return changes
}

// countsOf are how many messages are on their way, by sender and receiver: their numbers have 16 bits.
func countsOf(s Snapshot) map[uint32]uint64 {
	counts := map[uint32]uint64{}
	for _, c := range s.Channels {
		counts[c.From<<16|c.To&0xffff] += c.Count
	}
	return counts
}

func compareChecks(a, b Snapshot) []CheckChange {
	changes := []CheckChange{}
	for _, was := range a.Checks {
		i := slices.IndexFunc(b.Checks, func(c Check) bool { return c.Name == was.Name })
		if i >= 0 && b.Checks[i] != was {
			changes = append(changes, CheckChange{was.Name, was.words(), b.Checks[i].words()})
		}
	}
	return changes
}

func (c Check) words() string { return fmt.Sprintf("%s: %s", c.Verdict, c.Detail) }

// words are a node's changes in a line: those of values, then how many there are inside each list and object.
func (c *NodeChange) words() string {
	var words, long []string
	inside := map[string]int{}
	for _, change := range c.Changes {
		name := change.Path
		if i := strings.IndexAny(name, ".["); i > 0 {
			if name = name[:i]; inside[name] == 0 {
				long = append(long, name)
			}
			inside[name]++
			continue
		}
		words = append(words, fmt.Sprintf("%s %s -> %s", name, text(change.From), text(change.To)))
	}
	for _, name := range long {
		words = append(words, fmt.Sprintf("%s: %s", name, plural(inside[name], "change")))
	}
	return strings.Join(words, ", ")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Lines are the changes in words, a line each.
func (d *Diff) Lines() []string {
	lines := []string{fmt.Sprintf("from %s to %s", d.From, d.To)}
	for _, n := range d.Nodes {
		if n.In != nil {
			lines = append(lines, fmt.Sprintf("node %d  is in %s only", n.ID, *n.In))
		}
		if len(n.Changes) > 0 {
			lines = append(lines, fmt.Sprintf("node %d  %s", n.ID, n.words()))
		}
	}
	for _, c := range d.Channels {
		lines = append(lines, fmt.Sprintf("%d to %d  %s on the way before, %d after", c.From, c.To, plural(int(c.Before), "message"), c.After))
	}
	for _, c := range d.Checks {
		lines = append(lines, fmt.Sprintf("%s: %s -> %s", c.Name, c.Before, c.After))
	}
	if len(lines) == 1 {
		lines = append(lines, "nothing has changed")
	}
	return lines
}
