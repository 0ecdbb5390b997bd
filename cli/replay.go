package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"ciranda.dev/cli/player"
	"ciranda.dev/replay"
	"ciranda.dev/trace"
)

func newReplay() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "replay TRACE...",
		Short: "Go through a trace, forwards and backwards",
		Long: "Replay shows a trace on the terminal, event by event: what happens, and what every node knows and does at that\n" +
			"moment. Of a simulated run it also shows the whole state of each node's layers, for the run is done again.\n" +
			"Without a terminal it prints the story.",
		Example: "  ciranda replay failed.jsonl\n  ciranda replay failed.jsonl --all | less",
		Args:    arguments(1, -1, "traces"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := readTraces(args)
			if err != nil {
				return err
			}
			p, err := replay.New(t)
			if err != nil {
				fmt.Fprintln(os.Stderr, "ciranda:", oneLine(err.Error()))
			}
			if onTerminal() && !wantsJSON(cmd) && !all {
				return player.Run(cmd.Context(), p)
			}
			return show(cmd, storyOf(p), func(w io.Writer) { writeStory(w, p, all) })
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "print every event, not only the story")
	return cmd
}

// storyJSON is the object of replay -o json.
type storyJSON struct {
	Scenario  string     `json:"scenario"`
	Engine    string     `json:"engine"`
	Events    int        `json:"events"`
	Violated  *string    `json:"violated"`
	Why       *string    `json:"why"`
	Story     []sentence `json:"story"`
	EndsWhole bool       `json:"whole"` // the file was not cut
}

type sentence struct {
	Event int     `json:"event"` // from 1
	Time  float64 `json:"t_s"`
	Text  string  `json:"text"`
}

func storyOf(p *replay.Player) storyJSON {
	h := &p.Trace.Header
	s := storyJSON{Scenario: h.Scenario, Engine: h.Engine, Events: p.Len(), Story: []sentence{}, EndsWhole: p.Trace.Cut == ""}
	if p.Violation != nil {
		s.Violated, s.Why = &p.Violation.Property, &p.Violation.Why
	}
	teller := trace.NewTeller(h)
	for i := range p.Trace.Events {
		e := &p.Trace.Events[i]
		if text, ok := teller.Tell(e); ok {
			s.Story = append(s.Story, sentence{i + 1, float64(e.T) / 1e9, text})
		}
	}
	return s
}

func writeStory(w io.Writer, p *replay.Player, all bool) {
	if all {
		for i := range p.Trace.Events {
			fmt.Fprintf(w, "%s%s\n", mark(p, i), trace.Line(&p.Trace.Events[i], &p.Trace.Header))
		}
	} else {
		for _, s := range storyOf(p).Story {
			fmt.Fprintf(w, "%s%9.3fs  %s\n", mark(p, s.Event-1), s.Time, s.Text)
		}
	}
	if p.Violation != nil {
		fmt.Fprintf(w, "\n%s is violated: %s (marked *)\n", p.Violation.Property, p.Violation.Why)
	}
}

// mark shows whether an event is part of the violation.
func mark(p *replay.Player, i int) string {
	if p.Witness(i) {
		return "* "
	}
	return "  "
}
