package docs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"google.golang.org/protobuf/reflect/protoreflect"

	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/bench"
	"ciranda.dev/check"
	"ciranda.dev/scenario"
	"ciranda.dev/scenarios"
	"ciranda.dev/stacks"
	"ciranda.dev/trace"
)

var span = regexp.MustCompile("`([^`\n]+)`")

// names fails unless each word stands in the page as code.
func (p page) names(t *testing.T, words ...string) {
	t.Helper()
	known := map[string]bool{}
	for _, s := range span.FindAllStringSubmatch(p.text, -1) {
		known[s[1]] = true
		for _, w := range regexp.MustCompile(`[^A-Za-z0-9_+-]+`).Split(s[1], -1) {
			known[w] = true
		}
	}
	for _, w := range words {
		if w != "" && !known[w] {
			t.Errorf("%s does not name %s", p.name, w)
		}
	}
}

// firstCells are the words of code in the first column of a page's tables.
func (p page) firstCells() []string {
	var words []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(p.text, -1) {
		words = append(words, m[1])
	}
	return words
}

// fields are the names of a struct's fields in JSON.
func fields(v any) []string {
	var names []string
	for f := range reflect.TypeOf(v).Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "-" {
			names = append(names, name)
		}
	}
	return names
}

func TestEveryPropertyIsNamed(t *testing.T) {
	p := named(t, "properties.md")
	for _, s := range check.Properties {
		row := regexp.MustCompile("(?m)^\\| `" + s.Name + "` \\|.*$").FindString(p.text)
		if row == "" {
			t.Errorf("%s has no row on %s", p.name, s.Name)
		}
		basis := []string{"order", "global", "local"}[s.Basis]
		if !strings.Contains(row, "| "+basis+" | "+s.Level.String()+" |") {
			t.Errorf("%s: the row on %s should have basis %s and level %s", p.name, s.Name, basis, s.Level)
		}
		for _, param := range s.Params {
			if !strings.Contains(row, "| `"+param.Name+"`: ") {
				t.Errorf("%s: the row on %s does not name its parameter %s", p.name, s.Name, param.Name)
			}
		}
	}
	for _, word := range p.firstCells() {
		if check.Lookup(word) == nil {
			t.Errorf("%s has a row on %s, which is no property", p.name, word)
		}
	}
}

func TestEveryScenarioIsNamed(t *testing.T) {
	p := named(t, "scenarios.md")
	for _, name := range scenarios.List() {
		s, err := scenarios.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		row := regexp.MustCompile("(?m)^\\| `" + name + "` \\|.*$").FindString(p.text)
		if row == "" {
			t.Errorf("%s has no row on %s", p.name, name)
		} else if strings.HasSuffix(row, "| yes |") == s.Allows(scenario.Local) {
			t.Errorf("%s: the row on %s is wrong about real processes", p.name, name)
		}
	}
}

// The keys of a scenario are learned from what the parser expects in place of one that there is not.
func TestEveryKeyIsNamed(t *testing.T) {
	p := named(t, "scenarios.md")
	for _, text := range []string{
		"{bogus: 1}", "explore: {bogus: 1}", "on: [bogus]",
		"cluster: {bogus: 1}", "cluster: {detector: {bogus: 1}}", "cluster: {election: {bogus: 1}}",
		"cluster: {detector: bogus}", "cluster: {election: bogus}", "cluster: {profile: bogus}", "cluster: {app: bogus}",
		"network: {bogus: 1}", "network: {delay: {bogus: 1}}",
		"steps: [{bogus: 1}]", "steps: [{when: {bogus: 1}, crash: 1}]", "steps: [{at: 1s, crash: {bogus: 1}}]",
		"steps: [{at: 1s, link: {bogus: 1}}]", "steps: [{at: 1s, disk: {bogus: 1}}]",
		"steps: [{at: 1s, slow: {bogus: 1}}]", "steps: [{at: 1s, clock: {bogus: 1}}]",
		"cluster: {orders: bogus}", "steps: [{when: bogus, crash: 1}]",
		"steps: [{at: 1s, multicast: {bogus: 1}}]", "steps: [{at: 1s, multicasts: {bogus: 1}}]",
		"steps: [{at: 1s, request: {bogus: 1}}]", "steps: [{at: 1s, request: {node: 1, transfer: {bogus: 1}}}]",
		"steps: [{at: 1s, load: {bogus: 1}}]", "steps: [{at: 1s, snapshot: {bogus: 1}}]",
	} {
		p.names(t, expected(t, text)...)
	}
}

// expected are the words that the parser expects in place of a bogus one.
func expected(t *testing.T, text string) []string {
	t.Helper()
	_, err := scenario.Parse("bogus.yaml", []byte(text))
	var m *scenario.Mistake
	if !errors.As(err, &m) || !strings.Contains(m.Found, "bogus") {
		t.Fatalf("%s: got %v; expected it to be refused for the bogus word", text, err)
	}
	return regexp.MustCompile(`, | or `).Split(m.Expected, -1)
}

func TestEveryFieldIsNamed(t *testing.T) {
	commands := named(t, "commands.md")
	for _, v := range []any{scenario.Report{}, scenario.Property{}, bench.SimResult{}, bench.ElectionResult{}} {
		commands.names(t, fields(v)...)
	}
	named(t, "scenarios.md").names(t, string(scenario.Holds), string(scenario.AsExpected), string(scenario.Violated),
		string(scenario.Unexercised), string(scenario.NoneFound))
	traces := named(t, "traces.md")
	traces.names(t, fields(trace.Header{})...)
	for k := trace.Start; k <= trace.End; k++ {
		traces.names(t, k.String())
	}
}

func TestEveryMethodIsNamed(t *testing.T) {
	p := named(t, "api.md")
	for _, file := range []protoreflect.FileDescriptor{
		cirandav1.File_ciranda_v1_cluster_proto, cirandav1.File_ciranda_v1_node_proto,
		cirandav1.File_ciranda_v1_supervisor_proto, cirandav1.File_ciranda_v1_group_proto,
	} {
		for i := range file.Services().Len() {
			s := file.Services().Get(i)
			p.names(t, string(s.FullName()))
			for j := range s.Methods().Len() {
				p.names(t, string(s.Methods().Get(j).Name()))
			}
		}
	}
}

// The table of profiles has their timeouts, and the page every bound that explain prints.
func TestTimeouts(t *testing.T) {
	p := named(t, "detectors.md")
	for _, name := range stacks.ProfileNames() {
		v, err := stacks.ParseProfile(name)
		if err != nil {
			t.Fatal(err)
		}
		cells := "|"
		for _, d := range []time.Duration{
			v.Delay, v.Interval, v.Timeout, v.Verify, v.Answer, v.Coordinator, v.Ask, v.Grant, v.Beat,
		} {
			cells += " " + d.String() + " |"
		}
		cells += fmt.Sprintf(" %d |", v.Silence)
		if !regexp.MustCompile("(?m)^\\| `" + name + "`[^|]*" + regexp.QuoteMeta(cells) + "$").MatchString(p.text) {
			t.Errorf("%s should have the row %s %s", p.name, name, cells)
		}
	}
	for _, b := range (stacks.Spec{Election: "bully+stable+quorum"}).Bounds() {
		line := fmt.Sprintf("%s: %s = %s\n    %s", b.Name, b.Value, b.Formula, b.Meaning)
		if !strings.Contains(p.code(), line) {
			t.Errorf("%s does not print the bound\n%s", p.name, line)
		}
	}
}

// Blocks marked as scenarios can be read.
func TestScenarios(t *testing.T) {
	found := 0
	for _, p := range append(pages(t), front(t)...) {
		for _, b := range p.blocks {
			if b.info != "yaml scenario" {
				continue
			}
			found++
			if _, err := scenario.Parse(p.name, []byte(b.text)); err != nil {
				t.Errorf("%s:%d: %v", p.name, b.line, err)
			}
		}
	}
	if found < 5 {
		t.Errorf("found %d scenarios; the pages have more", found)
	}
}

// Blocks of Go that name a file occur there, paragraph by paragraph, but for white space.
func TestGo(t *testing.T) {
	found := 0
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			file, marked := strings.CutPrefix(b.info, "go ")
			if !marked {
				continue
			}
			found++
			text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(file)))
			if err != nil {
				t.Errorf("%s:%d: %v", p.name, b.line, err)
			}
			for part := range strings.SplitSeq(b.text, "\n\n") {
				if !strings.Contains(dense(string(text)), dense(part)) {
					t.Errorf("%s:%d: this is not in %s any more:\n%s", p.name, b.line, file, part)
				}
			}
		}
	}
	if found < 5 {
		t.Errorf("found %d blocks of Go; the pages have more", found)
	}
}

// dense is a text without white space.
func dense(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
}

// Pictures are used by some page, and made small enough for one.
func TestImages(t *testing.T) {
	images, err := filepath.Glob("images/*")
	if err != nil || len(images) == 0 {
		t.Fatalf("no images (%v)", err)
	}
	all := pages(t)
	for _, image := range images {
		shown := "(" + filepath.ToSlash(image) + ")"
		if !slices.ContainsFunc(all, func(p page) bool { return strings.Contains(p.text, shown) }) {
			t.Errorf("no page shows %s", image)
		}
		if info, err := os.Stat(image); err != nil || info.Size() > 100<<10 {
			t.Errorf("%s: %v bytes, %v; expected at most 100 KiB", image, info.Size(), err)
		}
	}
}
