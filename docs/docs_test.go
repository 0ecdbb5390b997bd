// Package docs_test keeps the handbook true: its links resolve, its command lines are ones that the program takes, its
// scenarios can be read, its Go is that of the examples, and it names all there is to name.
package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A page is a Markdown file.
type page struct {
	name   string // as seen from this folder
	text   string // outside of blocks, line by line, so that line numbers stay
	blocks []block
}

// A block is what stands between fences.
type block struct {
	info string // behind the opening fence
	line int    // of its first line, from 1
	text string
}

func (b block) lines() []string { return strings.Split(b.text, "\n") }

// pages are those of the handbook.
func pages(t *testing.T) []page { return read(t, "*.md") }

// front are the pages outside of the handbook that it is reached from.
func front(t *testing.T) []page { return read(t, "../*.md") }

func read(t *testing.T, pattern string) []page {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: no pages (%v)", pattern, err)
	}
	var all []page
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := parse(filepath.ToSlash(name), string(text))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// parse takes a page apart.
func parse(name, text string) (page, error) {
	p := page{name: name}
	var outside, inside []string
	open := -1 // the line of the fence that is open
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		info, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && open < 0:
			open, inside = i, nil
			p.blocks = append(p.blocks, block{info: info, line: i + 2})
		case fence:
			open = -1
			p.blocks[len(p.blocks)-1].text = strings.Join(inside, "\n")
		case open >= 0:
			inside = append(inside, line)
		default:
			outside = append(outside, line)
			continue
		}
		outside = append(outside, "")
	}
	p.text = strings.Join(outside, "\n")
	if open >= 0 {
		return p, fmt.Errorf("%s:%d: the block has no end", name, open+1)
	}
	return p, nil
}

func TestParse(t *testing.T) {
	p, err := parse("p.md", "one\n```yaml scenario\na: 1\nb: 2\n```\ntwo")
	if err != nil || p.text != "one\n\n\n\n\ntwo" {
		t.Errorf("got %q, %v", p.text, err)
	}
	want := block{"yaml scenario", 3, "a: 1\nb: 2"}
	if len(p.blocks) != 1 || p.blocks[0] != want {
		t.Errorf("got %+v, want %+v", p.blocks, want)
	}
	if _, err := parse("p.md", "```\nno end"); err == nil {
		t.Error("a block without an end is taken")
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	code    = regexp.MustCompile("`[^`]*`")
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
)

func TestLinks(t *testing.T) {
	anchors := map[string]map[string]bool{}
	all := append(pages(t), front(t)...)
	for _, p := range all {
		anchors[filepath.Clean(p.name)] = anchorsOf(p)
	}
	links := 0
	for _, p := range all {
		for i, line := range strings.Split(p.text, "\n") {
			for _, l := range link.FindAllStringSubmatch(code.ReplaceAllString(line, ""), -1) {
				links++
				if err := resolve(p, l[1], anchors); err != nil {
					t.Errorf("%s:%d: %v", p.name, i+1, err)
				}
			}
		}
	}
	if links < 50 {
		t.Errorf("found %d links; the pages have more", links)
	}
}

// resolve says what is wrong with a link, if it is one to a file.
func resolve(p page, target string, anchors map[string]map[string]bool) error {
	if strings.Contains(target, "://") {
		return nil
	}
	path, anchor, _ := strings.Cut(target, "#")
	file := filepath.Clean(p.name)
	if path != "" {
		file = filepath.Join(filepath.Dir(p.name), filepath.FromSlash(path))
	}
	if _, err := os.Stat(file); err != nil {
		return fmt.Errorf("the link %s leads nowhere", target)
	}
	if anchor != "" && !anchors[file][anchor] {
		return fmt.Errorf("the link %s: there is no such heading", target)
	}
	return nil
}

// anchorsOf are the names under which headings are found.
func anchorsOf(p page) map[string]bool {
	names := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(p.text, -1) {
		names[slug(h[1])] = true
	}
	return names
}

var notInSlugs = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

func slug(title string) string {
	return strings.ReplaceAll(notInSlugs.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
}

func TestEveryPageIsInTheIndex(t *testing.T) {
	index, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages(t) {
		if p.name != "README.md" && !strings.Contains(string(index), "]("+p.name+")") {
			t.Errorf("README.md does not lead to %s", p.name)
		}
	}
}
