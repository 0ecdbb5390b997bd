package scenario

import (
	"cmp"
	"fmt"
	"strings"

	"ciranda.dev/check"
	"ciranda.dev/trace"
)

// A Verdict is what is said of a scenario after its runs.
type Verdict string

// The verdicts.
const (
	Holds       Verdict = "holds"       // all that is expected held
	AsExpected  Verdict = "as-expected" // and all that is to be violated was
	Violated    Verdict = "violated"    // something that is expected was violated
	Unexercised Verdict = "unexercised" // nothing happened that could have shown it
	NoneFound   Verdict = "none-found"  // the explorer found nothing and did not see everything
)

// Failed says whether the command that ran the scenario exits with 1.
func (v Verdict) Failed() bool { return v == Violated || v == Unexercised }

// A Report is what came of running a scenario.
type Report struct {
	Scenario    string     `json:"scenario"`
	File        string     `json:"file"`
	Engine      Engine     `json:"engine"`
	Runs        int        `json:"runs"` // done
	FirstSeed   uint64     `json:"first_seed"`
	Events      uint64     `json:"events"`       // steps that nodes took; on live engines, events seen
	Messages    uint64     `json:"messages"`     // delivered; 0 on live engines that do not record them
	Elapsed     float64    `json:"elapsed_s"`    // real time
	Standstill  float64    `json:"standstill_s"` // of live engines: the longest time for which the machine let the run wait
	Verdict     Verdict    `json:"verdict"`
	Reason      string     `json:"reason"`      // why, in a sentence
	Trace       *string    `json:"trace"`       // the file of the run worth looking at, if it was written
	Seed        *uint64    `json:"seed"`        // of that run; null on live engines
	Repeat      string     `json:"repeat"`      // the command that does it again
	Interrupted bool       `json:"interrupted"` // not all runs were done
	Unfinished  int        `json:"unfinished"`  // runs in which not every step was done
	Properties  []Property `json:"properties"`

	Trail *trace.Trace `json:"-"` // of a live engine: the events of the run worth looking at
}

// A Property is what came of a property over all runs.
type Property struct {
	Name       string        `json:"name"`
	Demand     string        `json:"demand"` // with its parameters
	Role       Role          `json:"role"`
	Verdict    check.Verdict `json:"verdict"`
	Violations int           `json:"violations"` // runs that violate it
	Held       int           `json:"held"`       // runs in which it held
	Examined   int           `json:"examined"`   // instances judged, in all runs
	Seed       *uint64       `json:"seed"`       // the lowest that violates it
	Why        string        `json:"why"`        // of that run, or why it was not exercised
	Basis      string        `json:"basis"`      // on what the verdict rests
}

// A Role is where a scenario names a property.
type Role string

// The roles.
const (
	Expected  Role = "expect"
	ToViolate Role = "violates"
)

// newReport is a report of no run.
func newReport(s *Scenario, e Engine) *Report {
	r := &Report{Scenario: s.Name, File: s.File, Engine: e}
	for _, x := range s.Expect {
		r.Properties = append(r.Properties, Property{Name: x.Property, Demand: x.String(), Role: Expected})
	}
	for _, x := range s.Violates {
		r.Properties = append(r.Properties, Property{Name: x.Property, Demand: x.String(), Role: ToViolate})
	}
	return r
}

// An outcome is what came of a run.
type outcome struct {
	seed             uint64
	events, messages uint64
	results          []check.Result // of the expected properties, then of those to violate
	left             string         // the first step that was not done, and why
}

// add takes a run into account. Runs come in the order of their seeds.
func (r *Report) add(o outcome) {
	r.Runs++
	r.Events += o.events
	r.Messages += o.messages
	if o.left != "" {
		r.Unfinished++
		if r.Reason == "" {
			r.Reason = o.left
		}
	}
	for i, result := range o.results {
		r.Properties[i].add(result, o)
	}
}

func (p *Property) add(result check.Result, o outcome) {
	p.Basis = result.Basis
	p.Examined += result.Examined
	switch {
	case result.Verdict == check.Violated:
		p.Violations++
		if p.Seed == nil {
			seed := o.seed
			p.Seed, p.Why = &seed, result.Why
		}
	case result.Verdict == check.Holds && o.left == "":
		p.Held++
	case p.Why == "":
		p.Why = cmp.Or(o.left, result.Why) // what was to come of a step cannot come without it
	}
}

// conclude gives the verdicts, once all runs are taken into account.
func (r *Report) conclude() {
	left := r.Reason
	for i := range r.Properties {
		r.Properties[i].conclude(left)
	}
	r.Verdict, r.Reason = r.verdict()
}

func (p *Property) conclude(left string) {
	switch {
	case p.Violations > 0:
		p.Verdict = check.Violated
	case p.Held > 0:
		p.Verdict, p.Why = check.Holds, ""
	default:
		p.Verdict = check.Unexercised
		if p.Why == "" {
			p.Why = left
		}
	}
}

// verdict is that of the whole, and why: what is worst comes first.
func (r *Report) verdict() (Verdict, string) {
	if r.Runs == 0 {
		return Unexercised, "no run was done"
	}
	for _, p := range r.Properties {
		if p.Role == Expected && p.Verdict == check.Violated {
			return Violated, fmt.Sprintf("%s is violated in %s: %s", p.Demand, r.share(p.Violations), p.Why)
		}
	}
	for _, p := range r.Properties {
		switch {
		case p.Verdict == check.Unexercised:
			return Unexercised, p.Demand + ": " + p.Why
		case p.Role == ToViolate && p.Verdict == check.Holds:
			return Unexercised, fmt.Sprintf("%s should be violated, and holds in %s", p.Demand, r.share(p.Held))
		}
	}
	return r.good()
}

// good is the verdict where nothing went wrong.
func (r *Report) good() (Verdict, string) {
	var lessons []string
	for _, p := range r.Properties {
		if p.Role == ToViolate {
			lessons = append(lessons, fmt.Sprintf("%s is violated in %s, as it should be", p.Demand, r.share(p.Violations)))
		}
	}
	reason := "all that is expected holds in " + r.share(r.Runs-r.Unfinished)
	if r.Unfinished > 0 {
		reason += "; in the others not every step was done"
	}
	if lessons == nil {
		return Holds, reason
	}
	if len(lessons) < len(r.Properties) {
		lessons = append(lessons, reason)
	}
	return AsExpected, strings.Join(lessons, "; ")
}

// share is how many of the runs, in words.
func (r *Report) share(n int) string {
	switch {
	case r.Runs == 1:
		return "the run"
	case n == r.Runs:
		return fmt.Sprintf("all %d runs", n)
	}
	return fmt.Sprintf("%d of %d runs", n, r.Runs)
}

// violated says whether a run taken into account violates what is expected.
func (r *Report) violated() bool {
	for _, p := range r.Properties {
		if p.Role == Expected && p.Violations > 0 {
			return true
		}
	}
	return false
}

// violations counts the runs that violate something, for each property.
func (r *Report) violations() int {
	n := 0
	for _, p := range r.Properties {
		n += p.Violations
	}
	return n
}

// show chooses the run that is worth looking at: the first that violates what is expected, else the first that
// violates what should be, else the last.
func (r *Report) show() uint64 {
	for _, role := range []Role{Expected, ToViolate} {
		for _, p := range r.Properties {
			if p.Role == role && p.Seed != nil {
				return *p.Seed
			}
		}
	}
	return r.FirstSeed + uint64(max(r.Runs, 1)) - 1
}
