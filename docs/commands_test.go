package docs_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"ciranda.dev/cli"
)

// program is what a command line of the program begins with, behind the prompt.
var program = regexp.MustCompile(`^(\$ )?(\./|go run \./cmd/)?ciranda( |$)`)

// Command lines name commands and flags that exist, and as many arguments as those take. They are not run.
func TestCommandLines(t *testing.T) {
	found := 0
	for _, p := range append(pages(t), front(t)...) {
		for _, b := range p.blocks {
			for i, line := range b.lines() {
				if b.info == "" && strings.HasPrefix(line, "ciranda default") { // a picture of the screen
					continue
				}
				if prompt := program.FindString(line); prompt != "" {
					found++
					if err := try(strings.TrimPrefix(line, prompt)); err != nil {
						t.Errorf("%s:%d: %s: %v", p.name, b.line+i, line, err)
					}
				}
			}
		}
	}
	if found < 50 {
		t.Errorf("found %d command lines; the pages have more", found)
	}
}

// try says why the program would refuse a command line.
func try(line string) error {
	words, err := split(line)
	if err != nil {
		return err
	}
	root := cli.New()
	root.InitDefaultHelpCmd()
	cmd, rest, err := root.Find(words)
	if err != nil {
		return err
	}
	cmd.InitDefaultHelpFlag()
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

func TestTry(t *testing.T) {
	for line, ok := range map[string]bool{
		"status -o json | jq .leader":      true,
		`fault cut "1->5" # one direction`: true,
		"up -d --name a &":                 true,
		"export a b > both.log":            true,
		"":                                 true,
		"stauts":                           false,
		"status --nmae a":                  false,
		"status more":                      false,
		"fault kil 3":                      false,
		"fault cut 1->5":                   false, // the shell would write to a file 5
		`fault cut "1->5`:                  false,
	} {
		if err := try(line); (err == nil) != ok {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// split takes a line apart as a shell does, up to a pipe, a comment or another command. What is written to goes too.
func split(line string) (words []string, err error) {
	var word strings.Builder
	quote, begun := rune(0), false
	end := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	for i, c := range line {
		switch {
		case c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '"' || c == '\'':
			quote, begun = c, true
		case c == '|' || c == '&' || c == ';' || c == '>' || c == '#' && !begun:
			if c == '>' && begun && i > 0 && line[i-1] != ' ' {
				return nil, errors.New("the shell takes > for itself; expected quotes")
			}
			end()
			return words, nil
		case c == ' ':
			end()
		default:
			word.WriteRune(c)
			begun = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("the quote %c has no end", quote)
	}
	end()
	return words, nil
}

// commands.md has a section for each command, and names those below it.
func TestEveryCommandIsDescribed(t *testing.T) {
	p := named(t, "commands.md")
	headings := anchorsOf(p)
	for _, c := range cli.New().Commands() {
		if c.IsAvailableCommand() && c.Name() != "help" && !headings[c.Name()] {
			t.Errorf("%s has no section on %s", p.name, c.Name())
		}
		for _, sub := range c.Commands() {
			text := p.text + p.code()
			if sub.IsAvailableCommand() && !strings.Contains(text, c.Name()+" "+sub.Name()) {
				t.Errorf("%s does not name %s %s", p.name, c.Name(), sub.Name())
			}
		}
	}
}

// named gives a page.
func named(t *testing.T, name string) page {
	t.Helper()
	for _, p := range pages(t) {
		if p.name == name {
			return p
		}
	}
	t.Fatalf("there is no page %s", name)
	return page{}
}

// code is what stands in a page's blocks.
func (p page) code() string {
	var all []string
	for _, b := range p.blocks {
		all = append(all, b.text)
	}
	return strings.Join(all, "\n")
}
