package scenario

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"ciranda.dev/check"
	"ciranda.dev/engine/network"
	"github.com/goccy/go-yaml/ast"
)

// DefaultRuns is how many seeds the simulator runs if the file does not say.
const DefaultRuns = 1000

// Bounds of what a file may ask for.
const (
	maxNodes = 10_000
	maxRuns  = 10_000_000
	maxSteps = 4096
	maxText  = 4096 // bytes of name and about
)

var topKeys = []string{
	"name", "about", "cluster", "network", "steps", "calm", "duration", "expect", "violates", "runs", "on", "explore",
}

// Parse reads a scenario. The name is that of the file: for messages, and for the title if there is none. The error
// is a *Mistake.
func Parse(name string, data []byte) (*Scenario, error) {
	r := &reader{file: name}
	s := &Scenario{File: name, Text: string(data)}
	at := r.scenario(s, data)
	if r.mistake == nil {
		s.fill(at)
		r.validate(s, at)
	}
	if r.mistake != nil {
		return nil, r.mistake
	}
	return s, nil
}

// places are the nodes of the tree at which a mistake that concerns the whole is shown.
type places struct {
	root     ast.Node
	fields   map[string]ast.Node // of the whole file
	steps    []ast.Node
	expect   []ast.Node
	violates []ast.Node
}

// of is where a field is written, or where the file begins.
func (p *places) of(name string) ast.Node {
	if n := p.fields[name]; n != nil {
		return n
	}
	return p.root
}

// scenario reads the whole file into s. What others depend on is read first, wherever it is written.
func (r *reader) scenario(s *Scenario, data []byte) *places {
	at := &places{root: r.read(data), fields: map[string]ast.Node{}}
	if r.mistake != nil {
		return at
	}
	for _, f := range r.fields(at.root, "a scenario", topKeys) {
		at.fields[f.name] = f.value
	}
	s.Network = defaultNetwork
	for _, name := range []string{"cluster", "network"} {
		r.top(s, at, name)
	}
	for _, name := range topKeys {
		if name != "cluster" && name != "network" {
			r.top(s, at, name)
		}
	}
	return at
}

// top reads a field of the whole file, if it is there.
func (r *reader) top(s *Scenario, at *places, name string) {
	n, there := at.fields[name]
	if !there || r.mistake != nil {
		return
	}
	switch name {
	case "name":
		s.Name = r.prose(n)
	case "about":
		s.About = r.prose(n)
	case "cluster":
		s.Cluster = r.cluster(n)
	case "network":
		s.Own = r.network(n)
		s.Network = s.Own.Apply(defaultNetwork)
	case "steps":
		s.Steps, at.steps = r.steps(n, s)
	case "calm":
		s.Calm = r.duration(n, time.Millisecond)
	case "duration":
		s.Duration = r.duration(n, time.Millisecond)
	case "expect":
		s.Expect, at.expect = r.expectations(n)
	case "violates":
		s.Violates, at.violates = r.expectations(n)
	case "runs":
		s.Runs = r.number(n, 1, maxRuns)
	case "on":
		s.On = r.engines(n)
	case "explore":
		s.Bounds = r.bounds(n)
	}
}

func (r *reader) prose(n ast.Node) string {
	text := strings.TrimSpace(r.word(n, "a text"))
	if len(text) > maxText {
		r.wrong(n, fmt.Sprintf("a text of %d bytes", len(text)), fmt.Sprintf("at most %d", maxText))
	}
	return text
}

func (r *reader) engines(n ast.Node) []Engine {
	known := make([]string, len(Engines))
	for i, e := range Engines {
		known[i] = string(e)
	}
	var on []Engine
	for _, v := range r.list(n, "engines: "+oneOf(known)) {
		e := Engine(r.choice(v, known))
		for _, before := range on {
			if before == e {
				r.wrong(v, quote(string(e))+" again", "each engine once")
			}
		}
		on = append(on, e)
	}
	if len(on) == 0 {
		r.wrong(n, "no engine", oneOf(known))
	}
	return on
}

func (r *reader) bounds(n ast.Node) Bounds {
	b := defaultBounds
	known := []string{"crashes", "losses", "duplicates", "hints", "suspicions", "depth", "mode"}
	for _, f := range r.fields(n, "explore", known) {
		switch f.name {
		case "crashes":
			b.Crashes = r.number(f.value, 0, 100)
		case "losses":
			b.Losses = r.number(f.value, 0, 100)
		case "duplicates":
			b.Duplicates = r.number(f.value, 0, 100)
		case "hints":
			b.Hints = r.number(f.value, 0, 100)
		case "suspicions":
			b.Suspicions = r.number(f.value, 0, 100)
		case "depth":
			b.Depth = r.number(f.value, 1, 100_000)
		case "mode":
			b.Mode = r.choice(f.value, []string{"timed", "untimed"})
		}
	}
	return b
}

// expectations reads a list of properties, each a name or a name with its parameters.
func (r *reader) expectations(n ast.Node) ([]Expectation, []ast.Node) {
	var all []Expectation
	var at []ast.Node
	for _, v := range r.list(n, "properties, such as [leader-agreed, one-leader-per-term]") {
		if r.mistake != nil {
			return nil, nil
		}
		all = append(all, r.expectation(v))
		at = append(at, v)
	}
	return all, at
}

func (r *reader) expectation(n ast.Node) Expectation {
	e := Expectation{Line: lineOf(n)}
	if isScalar(n) {
		e.Property = r.property(n)
		return e
	}
	pairs := r.pairs(n, "a property")
	if r.mistake == nil && len(pairs) != 1 {
		r.wrong(n, "a map with several keys", "one property, such as leader-agreed: {within: 3s}")
	}
	if r.mistake != nil {
		return e
	}
	e.Property = r.property(pairs[0].Key)
	if r.mistake == nil {
		e.Parameters = r.parameters(pairs[0].Value, e.Property)
	}
	return e
}

// property reads the name of a property. There are many: all are named only where none is near.
func (r *reader) property(n ast.Node) string {
	const expected = "a property, such as leader-agreed"
	w := r.word(n, expected)
	if r.mistake != nil || check.Lookup(w) != nil {
		return w
	}
	r.wrong(n, quote(w), expected)
	if r.advise(w, check.Names()); r.mistake.Advice == "" {
		r.mistake.Advice = "the properties are " + strings.Join(check.Names(), ", ")
	}
	return w
}

func (r *reader) parameters(n ast.Node, property string) check.Params {
	var known []string
	for _, p := range check.Lookup(property).Params {
		known = append(known, p.Name)
	}
	if len(known) == 0 {
		r.wrong(n, describe(n), fmt.Sprintf("no parameters: %s has none", property))
		return nil
	}
	given := check.Params{}
	for _, f := range r.fields(n, property, known) {
		given[f.name] = r.shortDuration(f.value)
	}
	return given
}

// fill puts defaults in place of what the file does not say.
func (s *Scenario) fill(at *places) {
	if s.Name == "" {
		s.Name = strings.TrimSuffix(filepath.Base(s.File), filepath.Ext(s.File))
	}
	if at.fields["cluster"] == nil {
		s.Cluster = defaultCluster
	}
	if s.Runs == 0 {
		s.Runs = DefaultRuns
	}
	if at.fields["on"] == nil {
		s.On = Engines
	}
	if at.fields["explore"] == nil {
		s.Bounds = defaultBounds
	}
	if s.Duration == 0 {
		s.Duration = s.enough()
	}
}

// enough is how long a run lasts by default: until liveness can be judged, however late the last step comes.
func (s *Scenario) enough() time.Duration {
	last, longest := s.Calm, s.Spec(Sim).Agreement()
	for _, step := range s.Steps {
		if step.When.Kind == "" {
			last = max(last, step.At+lasting(step.Do))
		} else if s.Calm == 0 {
			last += 5*time.Second + step.When.After + lasting(step.Do)
		}
	}
	for _, e := range s.Expect {
		for _, d := range e.Parameters {
			longest = max(longest, d)
		}
	}
	return min((last + longest + 5*time.Second).Round(time.Second), maxDuration)
}

// lasting is for how long a step goes on.
func lasting(a Action) time.Duration {
	switch a := a.(type) {
	case Load:
		return a.For
	case Multicast:
		return time.Duration(a.Count) * a.Every
	case Multicasts:
		return a.For
	case Names:
		return a.For
	}
	return 0
}

// defaultNetwork is the one for which the default timeouts are made.
var defaultNetwork = network.Link{Delay: network.Between(time.Millisecond, 10*time.Millisecond)}

var (
	defaultCluster = Cluster{Nodes: 5, Detector: Detector{Kind: "heartbeat"}, Election: Election{Kind: "bully"}}
	defaultBounds  = Bounds{Crashes: 1, Losses: 1, Suspicions: 2, Depth: 60, Mode: "untimed"}
)
