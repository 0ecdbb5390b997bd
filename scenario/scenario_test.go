package scenario

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// Each file of testdata is a story: what is typed, and what is said of it.
func TestParse(t *testing.T) {
	datadriven.Walk(t, "testdata/parse", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			input := d.Input
			if d.HasArg("steps") { // the rest of the file does not matter
				input = "cluster: {nodes: 5}\nexpect: [leader-agreed]\ncalm: 1m\nduration: 2m\nsteps:\n  - " + input
			}
			s, err := Parse("lab.yaml", []byte(input))
			if err != nil {
				return mistakeText(err.(*Mistake))
			}
			return describeScenario(s)
		})
	})
}

func mistakeText(m *Mistake) string {
	text := m.Error() + "\n"
	if m.Hint() != "" {
		text += "hint: " + m.Hint() + "\n"
	}
	return text
}

// describeScenario shows what was read.
func describeScenario(s *Scenario) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d nodes, %+v, %s, profile %q\n", s.Name, s.Cluster.Nodes, s.Cluster.Detector, s.Cluster.Election.Kind,
		s.Cluster.Profile)
	if s.Cluster.Orders != "" {
		fmt.Fprintf(&b, "group: %s\n", s.Cluster.Orders)
	}
	fmt.Fprintf(&b, "network: %s, of which said: %s\n", s.Network, s.Own)
	for _, step := range s.Steps {
		when := "at " + step.At.String()
		if step.When.Kind != "" {
			when = fmt.Sprintf("when %s %s after %s", step.When.Kind, step.When.Nodes, step.When.After)
		}
		fmt.Fprintf(&b, "line %d: %s: %s\n", step.Line, when, step.Do)
	}
	fmt.Fprintf(&b, "calm %s, duration %s, %d runs on %v, bounds %+v\n", s.Calm, s.Duration, s.Runs, s.On, s.Bounds)
	for _, e := range s.Expect {
		fmt.Fprintf(&b, "expect %s %v\n", e.Property, e.Parameters)
	}
	for _, e := range s.Violates {
		fmt.Fprintf(&b, "violates %s %v\n", e.Property, e.Parameters)
	}
	return b.String()
}

// What a hostile file may contain must cost neither much time nor much memory, and no panic.
func TestParseHostile(t *testing.T) {
	var manyKeys strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&manyKeys, "k%d: v\n", i)
	}
	staircase := ""
	for i := range 400 {
		staircase += strings.Repeat(" ", i) + "a:\n"
	}
	for name, data := range map[string]string{
		"large":      strings.Repeat("# a comment\n", 100_000),
		"many keys":  manyKeys.String(),
		"brackets":   strings.Repeat("[", 500_000),
		"braces":     "steps: " + strings.Repeat("{a: ", 100_000),
		"dashes":     strings.Repeat("- ", 500_000),
		"questions":  strings.Repeat("? ", 500_000),
		"staircase":  staircase,
		"bomb":       "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
		"merge":      "<<: {a: 1}\n",
		"tag":        "name: !!binary aGFsbG8=\n",
		"not UTF-8":  "name: \xff\xfe\n",
		"zero bytes": "name: \x00\x00\n",
		"documents":  "name: a\n---\nname: b\n",
		"empty":      "",
		"comment":    "# nothing\n",
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Parse("hostile.yaml", []byte(data))
			if err == nil {
				t.Fatalf("accepted: %v", s)
			}
			if text := err.Error(); strings.ContainsAny(text, "\n\r") || len(text) > 600 {
				t.Errorf("the error is no short line: %.700q", text)
			}
			t.Log(err)
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("cluster: {nodes: 3}\nsteps:\n  - {at: 1s, crash: leader}\nexpect: [leader-agreed: {within: 3s}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("fuzz.yaml", data)
		if err == nil {
			checkInvariants(t, s)
			return
		}
		m := err.(*Mistake)
		if m.Line < 1 || m.Column < 1 || m.Found == "" || m.Expected == "" || strings.ContainsAny(m.Error(), "\n\r") {
			t.Fatalf("a mistake that does not say where and what: %+v", m)
		}
	})
}

// checkInvariants are what an engine may rely on.
func checkInvariants(t *testing.T, s *Scenario) {
	if s.Cluster.Nodes < 1 || s.Duration <= 0 || s.Calm > s.Duration || s.Runs < 1 || len(s.On) == 0 {
		t.Fatalf("not complete: %+v", s)
	}
	if err := s.Network.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, step := range s.Steps {
		if step.Do == nil || step.Do.String() == "" {
			t.Fatalf("a step that does nothing: %+v", step)
		}
		for _, nodes := range meant(step.Do) {
			if nodes.Who == "" || nodes.Who == Named && len(nodes.IDs) == 0 {
				t.Fatalf("no nodes: %+v", step)
			}
			for _, id := range nodes.IDs {
				if id < 1 || int(id) > s.Cluster.Nodes {
					t.Fatalf("no such node: %+v", step)
				}
			}
		}
	}
}
