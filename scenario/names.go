package scenario

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/goccy/go-yaml/ast"

	"ciranda.dev/app/registry"
	"ciranda.dev/engine/sim"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/invocation"
)

// names reads `{every: 10ms, for: 8s}`.
func (r *reader) names(n ast.Node) Action {
	var a Names
	for _, f := range r.fields(n, "names", []string{"every", "for"}) {
		switch f.name {
		case "every":
			a.Every = r.duration(f.value, time.Millisecond)
		case "for":
			a.For = r.duration(f.value, time.Millisecond)
		}
	}
	if a.Every == 0 || a.For == 0 {
		r.wrong(n, "names that do not say all", "every: 10ms and for: 8s")
	}
	return a
}

// checkNames refuses names where nobody keeps them, and what would come too late.
func (r *reader) checkNames(s *Scenario, step Step, n ast.Node) {
	a, is := step.Do.(Names)
	switch {
	case !is:
	case !s.Cluster.Registry:
		r.wrong(n, fmt.Sprintf("%s, and no registry", a), "cluster: {orders: all, registry: true}")
	case step.When.Kind == "" && step.At+a.For > s.Duration:
		r.wrong(n, fmt.Sprintf("names until %s, after the end", step.At+a.For), fmt.Sprintf("them over by then, %s", s.Duration))
	}
}

// fitsNames refuses names on real processes.
func fitsNames(a Action) error {
	if _, is := a.(Names); is {
		return errors.New("found names; expected them with on: [sim], for only the simulator asks for them")
	}
	return nil
}

// What a client asks of a registry.
var nameVerbs = []string{"bind", "bind", "rebind", "unbind", "lookup", "lookup"}

// fewNames is how many names there are, so that clients meet.
const fewNames = 6

// A naming is what a client asks of a registry, by the parts that its name has.
type naming struct {
	verb   string
	name   int
	owner  protocol.ID
	inc    protocol.Incarnation // of the owner's
	number uint64               // of the request
}

const namingForm = "names %s object/%d of %d#%d request %d"

func (n naming) String() string {
	return fmt.Sprintf(namingForm, n.verb, n.name, n.owner, n.inc, n.number)
}

// nameCall makes what a client asks of a registry from its name; nil if it is nothing of the kind.
func nameCall(text string) any {
	var n naming
	if count, err := fmt.Sscanf(text, namingForm, &n.verb, &n.name, &n.owner, &n.inc, &n.number); count != 5 || err != nil || n.String() != text {
		return nil
	}
	name := fmt.Sprintf("object/%d", n.name)
	owner := invocation.NodeClient(uint16(n.owner))
	request := invocation.RID{Client: owner, Incarnation: uint64(n.inc), Seq: n.number}
	ref := invocation.Ref{Owner: owner, Incarnation: uint64(n.inc), Interface: "Object"}
	binary.BigEndian.PutUint64(ref.Object[:], n.number)
	switch n.verb {
	case "bind":
		return registry.Bind{Request: request, Entry: registry.Entry{Name: name, Ref: ref}}
	case "rebind":
		return registry.Rebind{Request: request, Entry: registry.Entry{Name: name, Ref: ref}}
	case "unbind":
		return registry.Unbind{Request: request, Name: name}
	case "lookup":
		return registry.Lookup{Name: name}
	}
	return nil
}

// names asks nodes of names until a moment: whom and what is drawn from the run's stream of faults, and as many numbers whoever is up.
func (p *player) names(a Names, number uint64, until time.Duration) {
	f := p.sim.Faults()
	n := naming{verb: nameVerbs[f.Intn(len(nameVerbs))], name: f.Intn(fewNames), owner: protocol.ID(1 + f.Intn(p.scenario.Cluster.Nodes)), number: number}
	if p.sim.World().Up(n.owner) {
		n.inc = p.sim.World().Incarnation(n.owner)
		p.sim.Request(n.owner, n.String())
	}
	if next := p.sim.Now() + a.Every; next < until {
		p.sim.Plan(sim.Action{At: next, Do: func(*sim.Sim) { p.names(a, number+1, until) }})
	}
}
