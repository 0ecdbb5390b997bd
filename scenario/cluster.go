package scenario

import (
	"strings"
	"time"

	"ciranda.dev/engine/network"
	"ciranda.dev/stacks"
	"github.com/goccy/go-yaml/ast"
)

func (r *reader) cluster(n ast.Node) Cluster {
	c := defaultCluster
	for _, f := range r.fields(n, "cluster", []string{"nodes", "detector", "election", "profile", "orders", "registry", "app"}) {
		switch f.name {
		case "nodes":
			c.Nodes = r.number(f.value, 1, maxNodes)
		case "detector":
			c.Detector = r.detector(f.value)
		case "election":
			c.Election = r.election(f.value)
		case "profile":
			c.Profile = r.choice(f.value, stacks.ProfileNames())
		case "orders":
			c.Orders = r.orders(f.value)
		case "registry":
			c.Registry = r.truth(f.value)
		case "app":
			c.App = r.choice(f.value, stacks.Apps)
		}
	}
	return c
}

func (r *reader) detector(n ast.Node) Detector {
	d := defaultCluster.Detector
	if isScalar(n) {
		d.Kind = r.choice(n, stacks.Detectors)
		return d
	}
	for _, f := range r.fields(n, "detector", []string{"kind", "interval", "timeout", "verify"}) {
		switch f.name {
		case "kind":
			d.Kind = r.choice(f.value, stacks.Detectors)
		case "interval":
			d.Interval = r.duration(f.value, time.Millisecond)
		case "timeout":
			d.Timeout = r.duration(f.value, time.Millisecond)
		case "verify":
			d.Verify = r.duration(f.value, time.Millisecond)
		}
	}
	return d
}

func (r *reader) election(n ast.Node) Election {
	if isScalar(n) {
		return r.variant(n)
	}
	e := Election{Kind: defaultCluster.Election.Kind}
	for _, f := range r.fields(n, "election", []string{"kind", "answer", "coordinator", "beat", "silence"}) {
		switch f.name {
		case "kind":
			e.Kind = r.variant(f.value).Kind
		case "answer":
			e.Answer = r.duration(f.value, time.Millisecond)
		case "coordinator":
			e.Coordinator = r.duration(f.value, time.Millisecond)
		case "beat":
			e.Beat = r.duration(f.value, time.Millisecond)
		case "silence":
			e.Silence = r.number(f.value, 2, 1000)
		}
	}
	return e
}

// variant reads bully with its options, in any order.
func (r *reader) variant(n ast.Node) Election {
	w := r.word(n, oneOf(stacks.Elections))
	if w == "bully+quorum+stable" {
		return Election{Kind: "bully+stable+quorum"}
	}
	return Election{Kind: r.choice(n, stacks.Elections)}
}

var qualities = []string{"delay", "loss", "duplicate", "fifo"}

// network reads what all links are like.
func (r *reader) network(n ast.Node) LinkChange {
	var own LinkChange
	for _, f := range r.fields(n, "network", qualities) {
		r.quality(&own, f)
	}
	return own
}

// quality reads one quality of links.
func (r *reader) quality(c *LinkChange, f field) {
	switch f.name {
	case "delay":
		d := r.delay(f.value)
		c.Delay = &d
	case "loss":
		p := r.percent(f.value)
		c.Loss = &p
	case "duplicate":
		p := r.percent(f.value)
		c.Duplicate = &p
	case "fifo":
		t := r.truth(f.value)
		c.FIFO = &t
	}
}

const aDelay = "a delay such as 5ms, 1ms..20ms, exp 5ms or {kind: lognormal, median: 5ms, p99: 80ms}"

// maxDelay is the longest that a message may be made to travel.
const maxDelay = time.Hour

func (r *reader) delay(n ast.Node) network.Delay {
	if !isScalar(n) {
		return r.law(n)
	}
	d, err := network.ParseDelay(text(n))
	if err != nil {
		r.wrong(n, quote(text(n)), aDelay)
	}
	return d
}

// law reads a delay as a map.
func (r *reader) law(n ast.Node) network.Delay {
	if _, isMap := n.(*ast.MappingNode); !isMap {
		r.wrong(n, describe(n), aDelay)
		return network.Delay{}
	}
	given := map[string]time.Duration{}
	kind := ""
	for _, f := range r.fields(n, "delay", []string{"kind", "min", "max", "mean", "median", "p99"}) {
		if f.name == "kind" {
			kind = r.choice(f.value, []string{"uniform", "exp", "lognormal"})
		} else {
			given[f.name] = r.shortDuration(f.value)
		}
	}
	if r.mistake != nil {
		return network.Delay{}
	}
	return r.lawOf(n, kind, given)
}

// What the laws of delay need to be told, in the order in which people are told of them.
var lawNeeds = map[string][]string{"uniform": {"min", "max"}, "exp": {"mean"}, "lognormal": {"median", "p99"}}

// lawOf makes a delay of the parameters of its kind.
func (r *reader) lawOf(n ast.Node, kind string, given map[string]time.Duration) network.Delay {
	needs := lawNeeds[kind]
	complete := len(given) == len(needs)
	for _, name := range needs {
		_, there := given[name]
		complete = complete && there
	}
	switch {
	case kind == "":
		r.wrong(n, "a delay without its kind", "kind: uniform, exp or lognormal")
	case !complete:
		r.wrong(n, "other parameters of a delay", "for "+kind+": "+strings.Join(needs, " and "))
	}
	d := network.Delay{Law: network.Law(kind), Min: given["min"], Max: given["max"], Mean: given["mean"]}
	if kind == "lognormal" {
		d.Mean, d.Max = given["median"], given["p99"]
	}
	if err := (network.Link{Delay: d}).Validate(); err != nil {
		r.refused(n, err)
	}
	return d
}

func (r *reader) shortDuration(n ast.Node) time.Duration {
	d := r.duration(n, 0)
	if d > maxDelay {
		r.wrong(n, describe(n), "at most 1h")
	}
	return d
}

// percent reads a share. A bare number is refused: nobody knows whether 1 is all or a hundredth.
func (r *reader) percent(n ast.Node) float64 {
	const expected = "a share from 0% to 100%, such as 1%"
	w := r.word(n, expected)
	p, err := network.ParsePercent(w)
	if r.mistake == nil && (err != nil || !strings.HasSuffix(w, "%") && w != "0") {
		r.wrong(n, quote(w), expected)
	}
	return p
}
