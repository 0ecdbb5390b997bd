package protocoltest

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"ciranda.dev/protocol"
)

// A Kit says how a test's nodes are made, and which names its commands have.
type Kit struct {
	// Build makes a node's stack. The options are the words after the size in "nodes 5 stable quorum".
	Build func(self protocol.Self, options []string) (*protocol.Stack, error)
	// Calls are the bodies of clients' calls, by name. Events are those that an engine indicates at the bottom. Both
	// get the words after the name.
	Calls  map[string]func(args []string) (any, error)
	Events map[string]func(args []string) (protocol.Event, error)
	// Questions are what may be asked, by name.
	Questions map[string]any

	options []string
}

// New makes a bench of nodes 1 to size, all of them down.
func (k Kit) New(size int, options ...string) *Bench {
	k.options = options
	return newBench(k, size)
}

// Run runs the transcripts whose names match the pattern. Each begins with "nodes 5", followed by options for Build.
// A block holds a command or several, a line each; after "----" comes what they print. Run with -rewrite to write
// that anew.
func (k Kit) Run(t *testing.T, pattern string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts %s: %v", pattern, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { k.transcript(t, file) })
	}
}

func (k Kit) transcript(t *testing.T, file string) {
	var b *Bench
	datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
		if d.Cmd == "nodes" {
			var err error
			if b, err = k.open(d.CmdArgs); err != nil {
				d.Fatalf(t, "%v", err)
			}
			return b.block(d.Input)
		}
		if b == nil {
			d.Fatalf(t, "a transcript begins with: nodes SIZE")
		}
		return b.block(strings.Join(append([]string{d.Cmd}, wordsOf(d.CmdArgs)...), " ") + "\n" + d.Input)
	})
}

// open reads "nodes SIZE OPTIONS".
func (k Kit) open(args []datadriven.CmdArg) (*Bench, error) {
	words := wordsOf(args)
	if len(words) == 0 {
		return nil, fmt.Errorf("usage: nodes SIZE [OPTION …]")
	}
	size, err := strconv.Atoi(words[0])
	if err != nil || size < 1 || size > 1000 {
		return nil, fmt.Errorf("found %q; expected a number of nodes from 1 to 1000", words[0])
	}
	return k.New(size, words[1:]...), nil
}

// block carries out commands, a line each.
func (b *Bench) block(commands string) string {
	all := ""
	for line := range strings.Lines(commands) {
		text, err := b.Do(line)
		all += text
		if err != nil {
			return all + "error: " + err.Error() + "\n"
		}
	}
	if all == "" {
		return "ok\n"
	}
	return all
}

func wordsOf(args []datadriven.CmdArg) []string {
	words := []string{}
	for _, a := range args {
		word := a.Key
		if len(a.Vals) > 0 {
			word += "=" + strings.Join(a.Vals, ",")
		}
		words = append(words, word)
	}
	return words
}
