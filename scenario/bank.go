package scenario

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"ciranda.dev/app/bank"
	"ciranda.dev/engine/sim"
	"ciranda.dev/protocol"
	"ciranda.dev/stacks"
	"github.com/goccy/go-yaml/ast"
)

// Bounds of amounts.
const (
	maxAmount = 1_000_000 // of a transfer that a file asks for: no bank has more
	maxLoad   = 20        // of a transfer that a load draws: some are more than a balance
)

// transfer reads `{to: 3, amount: 10}`, which is asked of nodes.
func (r *reader) transfer(n ast.Node, nodes Nodes) Action {
	t := Transfer{Nodes: nodes}
	for _, f := range r.fields(n, "transfer", []string{"to", "amount"}) {
		switch f.name {
		case "to":
			t.To = protocol.ID(r.number(f.value, 1, r.size))
		case "amount":
			t.Amount = int64(r.number(f.value, 1, maxAmount))
		}
	}
	switch {
	case t.To == protocol.None || t.Amount == 0:
		r.wrong(n, "a transfer that does not say all", "to: 3 and amount: 10")
	case slices.Contains(nodes.IDs, t.To):
		r.wrong(n, fmt.Sprintf("a transfer from node %d to itself", t.To), "another node")
	}
	return t
}

// load reads `{every: 50ms, for: 8s}`.
func (r *reader) load(n ast.Node) Action {
	var l Load
	for _, f := range r.fields(n, "load", []string{"every", "for"}) {
		switch f.name {
		case "every":
			l.Every = r.duration(f.value, time.Millisecond)
		case "for":
			l.For = r.duration(f.value, time.Millisecond)
		}
	}
	if l.Every == 0 || l.For == 0 {
		r.wrong(n, "a load that does not say all", "every: 50ms and for: 8s")
	}
	return l
}

// checkBank refuses what needs a bank where there is none, and a load that nobody can carry.
func (r *reader) checkBank(s *Scenario, step Step, n ast.Node) {
	l, isLoad := step.Do.(Load)
	_, isTransfer := step.Do.(Transfer)
	switch {
	case (isLoad || isTransfer) && s.Cluster.App != "bank":
		r.wrong(n, fmt.Sprintf("%s, and no bank", step.Do), "cluster: {app: bank}")
	case isLoad && s.Cluster.Nodes < 2:
		r.wrong(n, "a load on one node", "at least two nodes: one pays another")
	case isLoad && step.When.Kind == "" && step.At+l.For > s.Duration:
		r.wrong(n, fmt.Sprintf("a load until %s, after the end", step.At+l.For), fmt.Sprintf("it over by then, %s", s.Duration))
	}
}

// requests are all that the scenario's clients can ask, by name. A load may draw any receiver and amount.
func (s *Scenario) requests() map[string]any {
	if s.Cluster.App == "" {
		return stacks.Requests
	}
	all := maps.Clone(stacks.Requests)
	add := func(to protocol.ID, amount int64) {
		all[transferName(to, amount)] = bank.Transfer{To: to, Amount: amount}
	}
	loaded := false
	for _, step := range s.Steps {
		switch a := step.Do.(type) {
		case Transfer:
			add(a.To, a.Amount)
		case Load:
			loaded = true
		}
	}
	for to := 1; loaded && to <= s.Cluster.Nodes; to++ {
		for amount := range int64(maxLoad) {
			add(protocol.ID(to), 1+amount)
		}
	}
	return all
}

// transferName is what steps of a run call a transfer.
func transferName(to protocol.ID, amount int64) string {
	return fmt.Sprintf("transfer %d to %d", amount, to)
}

// load lets nodes pay one another until a moment: who, whom and how much are drawn from the run's stream of faults, and
// as many numbers whoever is up.
func (p *player) load(every, until time.Duration) {
	f, nodes := p.sim.Faults(), p.scenario.Cluster.Nodes
	from := f.Intn(nodes)
	to := (from + 1 + f.Intn(nodes-1)) % nodes
	p.sim.Request(protocol.ID(from+1), transferName(protocol.ID(to+1), int64(1+f.Intn(maxLoad))))
	if next := p.sim.Now() + every; next < until {
		p.sim.Plan(sim.Action{At: next, Do: func(*sim.Sim) { p.load(every, until) }})
	}
}
