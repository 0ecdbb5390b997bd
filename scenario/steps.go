package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ciranda.dev/protocol"
	"github.com/goccy/go-yaml/ast"
)

// verbs are what a step can do, by the word with which the file says so.
var verbs = map[string]func(*reader, ast.Node) Action{
	"crash":     (*reader).crash,
	"recover":   func(r *reader, n ast.Node) Action { return Recover{r.nodes(n)} },
	"pause":     func(r *reader, n ast.Node) Action { return Pause{r.nodes(n)} },
	"resume":    func(r *reader, n ast.Node) Action { return Resume{r.nodes(n)} },
	"partition": (*reader).partition,
	"isolate":   func(r *reader, n ast.Node) Action { return Isolate{r.nodes(n)} },
	"cut":       func(r *reader, n ast.Node) Action { return Cut{r.links(n)} },
	"reset":     func(r *reader, n ast.Node) Action { return Reset{r.links(n)} },
	"link":      (*reader).link,
	"heal":      (*reader).heal,
	"disk":      (*reader).disk,
	"slow":      (*reader).slow,
	"clock":     (*reader).clock,
	"request":   (*reader).request,
	"load":      (*reader).load,
	"snapshot":  (*reader).snapshot,

	"names":      (*reader).names,
	"multicast":  (*reader).multicast,
	"multicasts": (*reader).multicasts,
	"leave":      func(r *reader, n ast.Node) Action { return Leave{r.nodes(n)} },
	"join":       func(r *reader, n ast.Node) Action { return Join{r.nodes(n)} },
}

// verbNames are the verbs in the order in which people are told of them.
var verbNames = []string{
	"crash", "recover", "pause", "resume", "partition", "isolate", "cut", "heal", "link", "reset", "disk", "slow",
	"clock", "request", "load", "snapshot", "multicast", "multicasts", "leave", "join", "names",
}

func (r *reader) steps(n ast.Node, s *Scenario) ([]Step, []ast.Node) {
	entries := r.list(n, "steps, such as {at: 2s, crash: leader}")
	if len(entries) > maxSteps {
		r.wrong(entries[maxSteps], fmt.Sprintf("%d steps", len(entries)), fmt.Sprintf("at most %d", maxSteps))
		return nil, nil
	}
	r.size = s.Cluster.Nodes
	if s.Cluster.Nodes == 0 {
		r.size = defaultCluster.Nodes
	}
	steps := make([]Step, 0, len(entries))
	for _, e := range entries {
		steps = append(steps, r.step(e))
		if r.mistake != nil {
			return nil, nil
		}
	}
	return steps, entries
}

// step reads a step: when, and what. What is written in the step itself or under `do`.
func (r *reader) step(n ast.Node) Step {
	s := Step{Line: lineOf(n)}
	var at, when, after, do ast.Node
	for _, f := range r.fields(n, "a step", append([]string{"at", "when", "after", "do"}, verbNames...)) {
		switch f.name {
		case "at":
			at, s.At = f.value, r.duration(f.value, 0)
		case "when":
			when, s.When = f.value, r.condition(f.value)
		case "after":
			after = f.value
		default:
			if do != nil {
				r.wrong(f.key, "a second thing to do", "one thing a step")
			}
			do, s.Do = f.key, r.do(f)
		}
	}
	switch {
	case at == nil && when == nil:
		r.wrong(n, "a step without its time", "at: 2s or when: elected")
	case at != nil && when != nil:
		r.wrong(at, "a step with a time and a condition", "at or when, not both")
	case after != nil && when == nil:
		r.wrong(after, "after without a condition", "it beside when: the time to wait once that is true")
	case do == nil:
		r.wrong(n, "a step that does nothing", oneOf(verbNames))
	case after != nil:
		s.When.After = r.duration(after, 0)
	}
	return s
}

// do reads what is done: the verb of a field, or the only verb of the map under `do`.
func (r *reader) do(f field) Action {
	if f.name != "do" {
		return verbs[f.name](r, f.value)
	}
	fields := r.fields(f.value, "do", verbNames)
	if len(fields) != 1 {
		r.wrong(f.value, fmt.Sprintf("%d things to do", len(fields)), "one thing a step")
		return nil
	}
	return r.do(fields[0])
}

// condition reads `elected`, `grouped` or `{suspected: 5}`.
func (r *reader) condition(n ast.Node) Condition {
	if isScalar(n) {
		w := r.choice(n, []string{string(Elected), string(Grouped)})
		return Condition{Kind: ConditionKind(w)}
	}
	fields := r.fields(n, "a condition", []string{string(Suspected)})
	if len(fields) != 1 {
		r.wrong(n, describe(n), "elected, grouped or {suspected: 5}")
		return Condition{}
	}
	return Condition{Kind: Suspected, Nodes: r.nodes(fields[0].value)}
}

const someNodes = "nodes: a number, a list such as 1,2, all, leader, coordinator or last"

// nodes reads which nodes are meant.
func (r *reader) nodes(n ast.Node) Nodes {
	if s, isList := n.(*ast.SequenceNode); isList {
		return Nodes{Who: Named, IDs: r.ids(s)}
	}
	return r.nodesIn(n, r.word(n, someNodes))
}

// nodesIn reads which nodes a text means, which is all or part of n.
func (r *reader) nodesIn(n ast.Node, text string) Nodes {
	text = strings.TrimSpace(text)
	switch w := Who(text); w {
	case All, Leader, Coordinator, Last:
		return Nodes{Who: w}
	}
	var ids []protocol.ID
	for part := range strings.SplitSeq(text, ",") {
		ids = append(ids, r.id(n, strings.TrimSpace(part)))
		if r.mistake != nil {
			r.advise(text, []string{string(All), string(Leader), string(Coordinator), string(Last)})
			return Nodes{}
		}
	}
	return Nodes{Who: Named, IDs: r.ascending(n, ids)}
}

// ids reads a list of numbers.
func (r *reader) ids(list *ast.SequenceNode) []protocol.ID {
	var ids []protocol.ID
	for _, v := range list.Values {
		ids = append(ids, r.id(v, r.word(v, "the number of a node")))
	}
	if len(ids) == 0 {
		r.wrong(list, "no node", someNodes)
	}
	return r.ascending(list, ids)
}

// id reads the number of a node that there is.
func (r *reader) id(n ast.Node, text string) protocol.ID {
	v, err := strconv.Atoi(text)
	switch {
	case err != nil:
		r.wrong(n, quote(text), someNodes)
	case v < 1 || v > r.size:
		r.wrong(n, "node "+text, fmt.Sprintf("one of the cluster's nodes, 1 to %d", r.size))
	default:
		return protocol.ID(v)
	}
	return protocol.None
}

// ascending sorts nodes and refuses to have one twice.
func (r *reader) ascending(n ast.Node, ids []protocol.ID) []protocol.ID {
	slices.Sort(ids)
	for i := 1; i < len(ids); i++ {
		if ids[i] == ids[i-1] {
			r.wrong(n, "node "+ids[i].String()+" twice", "each node once")
		}
	}
	return ids
}

const someLinks = "links, such as 1 -> 5 (one direction) or 1 <-> 5 (both)"

// links reads "1 -> 5", "leader -> all" or "1 <-> 2,3".
func (r *reader) links(n ast.Node) Links {
	w := r.word(n, someLinks)
	from, to, both := strings.Cut(w, "<->")
	if !both {
		var one bool
		if from, to, one = strings.Cut(w, "->"); !one {
			r.wrong(n, describe(n), someLinks)
			return Links{}
		}
	}
	return r.between(n, Links{From: r.nodesIn(n, from), To: r.nodesIn(n, to), Both: both})
}

// between refuses links of a node to itself.
func (r *reader) between(n ast.Node, l Links) Links {
	same := l.From.Who == l.To.Who && l.From.Who != All && slices.Equal(l.From.IDs, l.To.IDs)
	if same && (l.From.Who != Named || len(l.From.IDs) == 1) && r.mistake == nil {
		r.wrong(n, "a link from "+l.From.String()+" to itself", "links between different nodes")
	}
	return l
}

func (r *reader) crash(n ast.Node) Action {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
	default:
		return Crash{Nodes: r.nodes(n)}
	}
	var c Crash
	for _, f := range r.withNode(n, "crash", &c.Nodes, "disk") {
		c.DiskLost = r.choice(f.value, []string{"lost", "kept"}) == "lost"
	}
	return c
}

// withNode reads a map in which `node` says who is meant, and gives its other fields.
func (r *reader) withNode(n ast.Node, what string, nodes *Nodes, others ...string) []field {
	var rest []field
	named := false
	for _, f := range r.fields(n, what, append([]string{"node"}, others...)) {
		if f.name == "node" {
			*nodes, named = r.nodes(f.value), true
		} else {
			rest = append(rest, f)
		}
	}
	if !named {
		r.wrong(n, what+" without its node", "node: 3 beside "+oneOf(others))
	}
	return rest
}

// only gives the only field of rest.
func (r *reader) only(n ast.Node, rest []field, what string, choices ...string) field {
	if len(rest) != 1 {
		r.wrong(n, fmt.Sprintf("%s with %d things to do", what, len(rest)), "one: "+oneOf(choices))
		return field{}
	}
	return rest[0]
}

func (r *reader) partition(n ast.Node) Action {
	var groups [][]protocol.ID
	seen := make(map[protocol.ID]bool)
	for _, g := range r.list(n, "groups, such as [[1, 2], [3, 4, 5]]") {
		list, isList := g.(*ast.SequenceNode)
		if !isList {
			r.wrong(g, describe(g), "a group of nodes, such as [1, 2]")
			return nil
		}
		group := r.ids(list)
		for _, id := range group {
			if seen[id] {
				r.wrong(g, "node "+id.String()+" in two groups", "each node in one group")
			}
			seen[id] = true
		}
		groups = append(groups, group)
	}
	r.wholePartition(n, groups, seen)
	return Partition{groups}
}

func (r *reader) wholePartition(n ast.Node, groups [][]protocol.ID, seen map[protocol.ID]bool) {
	if len(groups) < 2 {
		r.wrong(n, fmt.Sprintf("%d groups", len(groups)), "at least two")
	}
	for id := 1; id <= r.size && r.mistake == nil; id++ {
		if !seen[protocol.ID(id)] {
			r.wrong(n, fmt.Sprintf("a partition without node %d", id), "every node in a group")
		}
	}
}

func (r *reader) link(n ast.Node) Action {
	var c Change
	var from, to bool
	changes := 0
	for _, f := range r.fields(n, "link", append([]string{"from", "to"}, qualities...)) {
		switch f.name {
		case "from":
			c.Links.From, from = r.nodes(f.value), true
		case "to":
			c.Links.To, to = r.nodes(f.value), true
		default:
			r.quality(&c.To, f)
			changes++
		}
	}
	switch {
	case !from || !to:
		r.wrong(n, "a link without its ends", "from: 1 and to: 2")
	case changes == 0:
		r.wrong(n, "a link that does not change", oneOf(qualities))
	}
	c.Links = r.between(n, c.Links)
	return c
}

func (r *reader) heal(n ast.Node) Action {
	w := r.word(n, "all or "+someLinks)
	if Who(w) == All {
		return HealAll{}
	}
	if r.mistake == nil && !strings.Contains(w, "->") {
		r.wrong(n, quote(w), "all or "+someLinks)
	}
	return Heal{r.links(n)}
}

func (r *reader) disk(n ast.Node) Action {
	var who Nodes
	rest := r.withNode(n, "disk", &who, "stall", "slow")
	f := r.only(n, rest, "disk", "stall: 2s", "slow: 50ms")
	switch f.name {
	case "stall":
		return StallDisk{who, r.duration(f.value, time.Millisecond)}
	case "slow":
		return SlowDisk{who, r.duration(f.value, 0)}
	}
	return nil
}

func (r *reader) slow(n ast.Node) Action {
	var who Nodes
	rest := r.withNode(n, "slow", &who, "step")
	f := r.only(n, rest, "slow", "step: 20ms")
	if f.value == nil {
		return nil
	}
	return Slow{who, r.duration(f.value, 0)}
}

func (r *reader) clock(n ast.Node) Action {
	var who Nodes
	rest := r.withNode(n, "clock", &who, "jump", "rate")
	f := r.only(n, rest, "clock", "jump: 5s", "rate: 1.05")
	switch f.name {
	case "jump":
		return Jump{who, r.duration(f.value, -maxDuration)}
	case "rate":
		return Rate{who, r.rate(f.value)}
	}
	return nil
}

func (r *reader) rate(n ast.Node) float64 {
	const expected = "a rate from 0.5 to 2, such as 1.05"
	v, err := strconv.ParseFloat(r.word(n, expected), 64)
	if err != nil || !(v >= 0.5 && v <= 2) {
		r.wrong(n, describe(n), expected)
		return 1
	}
	return v
}

func (r *reader) request(n ast.Node) Action {
	var who Nodes
	rest := r.withNode(n, "request", &who, "elect", "transfer")
	f := r.only(n, rest, "request", "elect: {}", "transfer: {to: 3, amount: 10}")
	switch f.name {
	case "elect":
		return r.elect(f.value, who)
	case "transfer":
		return r.transfer(f.value, who)
	}
	return nil
}

func (r *reader) elect(n ast.Node, who Nodes) Action {
	if m, isMap := n.(*ast.MappingNode); !isMap || len(m.Values) > 0 {
		r.wrong(n, describe(n), "elect: {}, which has no parameters")
	}
	return Elect{who}
}
