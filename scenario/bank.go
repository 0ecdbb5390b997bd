package scenario

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ciranda.dev/app/bank"
	"ciranda.dev/engine/sim"
	"ciranda.dev/protocol"
	"github.com/goccy/go-yaml/ast"
)

// Bounds of amounts.
const (
	maxAmount = 1_000_000 // of a transfer that a file asks for: no bank has more
	maxLoad   = 20        // of a transfer that a load draws: some are more than a balance
)

// leastAgain is the least time after which a client asks again.
const leastAgain = 10 * time.Millisecond

// transfer reads `{to: 3, amount: 10}`, which is asked of nodes.
func (r *reader) transfer(n ast.Node, nodes Nodes) Action {
	t := Transfer{Nodes: nodes}
	for _, f := range r.fields(n, "transfer", append([]string{"to", "amount"}, clientKeys...)) {
		switch f.name {
		case "to":
			t.To = protocol.ID(r.number(f.value, 1, r.size))
		case "amount":
			t.Amount = int64(r.number(f.value, 1, maxAmount))
		default:
			r.client(&t.Client, f)
		}
	}
	switch {
	case t.To == protocol.None || t.Amount == 0:
		r.wrong(n, "a transfer that does not say all", "to: 3 and amount: 10")
	case slices.Contains(nodes.IDs, t.To):
		r.wrong(n, fmt.Sprintf("a transfer from node %d to itself", t.To), "another node")
	}
	r.checkClient(n, t.Client)
	return t
}

// load reads `{every: 50ms, for: 8s}`.
func (r *reader) load(n ast.Node) Action {
	var l Load
	for _, f := range r.fields(n, "load", append([]string{"every", "for"}, clientKeys...)) {
		switch f.name {
		case "every":
			l.Every = r.duration(f.value, time.Millisecond)
		case "for":
			l.For = r.duration(f.value, time.Millisecond)
		default:
			r.client(&l.Client, f)
		}
	}
	if l.Every == 0 || l.For == 0 {
		r.wrong(n, "a load that does not say all", "every: 50ms and for: 8s")
	}
	r.checkClient(n, l.Client)
	return l
}

// snapshot reads `{node: 1}`.
func (r *reader) snapshot(n ast.Node) Action {
	var s Snapshot
	for _, f := range r.fields(n, "snapshot", []string{"node"}) {
		s.Nodes = r.nodes(f.value)
	}
	if s.Nodes.Who == "" {
		r.wrong(n, "a snapshot that does not say whom to ask", "node: 1")
	}
	return s
}

var clientKeys = []string{"again", "lost"}

func (r *reader) client(c *Client, f field) {
	switch f.name {
	case "again":
		c.Again = r.duration(f.value, leastAgain)
	case "lost":
		c.Lost = r.percent(f.value)
	}
}

// checkClient refuses answers that nobody would miss.
func (r *reader) checkClient(n ast.Node, c Client) {
	if c.Lost > 0 && c.Again == 0 {
		r.wrong(n, "lost answers without again", "again: 500ms beside it")
	}
}

// checkBank refuses what needs a bank where there is none, and a load that nobody can carry.
func (r *reader) checkBank(s *Scenario, step Step, n ast.Node) {
	l, isLoad := step.Do.(Load)
	_, isTransfer := step.Do.(Transfer)
	_, isSnapshot := step.Do.(Snapshot)
	switch {
	case (isLoad || isTransfer || isSnapshot) && s.Cluster.App != "bank":
		r.wrong(n, fmt.Sprintf("%s, and no bank", step.Do), "cluster: {app: bank}")
	case isLoad && s.Cluster.Nodes < 2:
		r.wrong(n, "a load on one node", "at least two nodes: one pays another")
	case isLoad && step.When.Kind == "" && step.At+l.For > s.Duration:
		r.wrong(n, fmt.Sprintf("a load until %s, after the end", step.At+l.For), fmt.Sprintf("it over by then, %s", s.Duration))
	}
}

// named makes what a client asks from the name that a run's steps give it; nil if it is nothing.
func named(name string) any {
	if t := transferCall(name); t != nil {
		return t
	}
	if n := nameCall(name); n != nil {
		return n
	}
	return groupCall(name)
}

// transferCall makes a transfer from its name; nil if it is none.
func transferCall(name string) any {
	var t bank.Transfer
	text, id, _ := strings.Cut(name, " as ")
	if n, err := fmt.Sscanf(text, "transfer %d to %d", &t.Amount, &t.To); n != 2 || err != nil {
		return nil
	}
	if q := &t.Request; id != "" {
		if n, err := fmt.Sscanf(id, "%s %d above %d", &q.Client, &q.Number, &q.Below); n != 3 || err != nil {
			return nil
		}
	}
	if transferName(t) != name {
		return nil
	}
	return t
}

// transferName is what steps of a run call a transfer.
func transferName(t bank.Transfer) string {
	text := fmt.Sprintf("transfer %d to %d", t.Amount, t.To)
	if q := t.Request; q.Client != "" {
		text += fmt.Sprintf(" as %s %d above %d", q.Client, q.Number, q.Below)
	}
	return text
}

// load lets nodes pay one another until a moment: who, whom and how much are drawn from the run's stream of faults, and
// as many numbers whoever is up.
func (p *player) load(c *simClient, every, until time.Duration) {
	f, nodes := p.sim.Faults(), p.scenario.Cluster.Nodes
	from := f.Intn(nodes)
	to := (from + 1 + f.Intn(nodes-1)) % nodes
	c.ask(protocol.ID(from+1), bank.Transfer{To: protocol.ID(to + 1), Amount: int64(1 + f.Intn(maxLoad))})
	if next := p.sim.Now() + every; next < until {
		p.sim.Plan(sim.Action{At: next, Do: func(*sim.Sim) { p.load(c, every, until) }})
	}
}
