package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ciranda.dev/protocol"
	"ciranda.dev/replay"
	"ciranda.dev/trace"
	"ciranda.dev/trace/diagram"
)

func newDiagram() *cobra.Command {
	var o diagram.Options
	var out, nodes string
	cmd := &cobra.Command{
		Use:   "diagram TRACE...",
		Short: "Draw a trace as a space-time diagram",
		Long: "Diagram draws a trace as a picture in SVG, for a slide: a lane for each node, arrows for messages, who leads\n" +
			"when, crashes, pauses, partitions. Heartbeats that tell nothing new are left out. If the trace violates what\n" +
			"its scenario expects, the events that show it are pinned. The files of the nodes of a living cluster can be\n" +
			"given together; they are merged.",
		Example: "  ciranda run leader-crash --trace crash.jsonl --full\n  ciranda diagram crash.jsonl -w crash.svg\n" +
			"  ciranda diagram crash.jsonl --from 1.9s --to 2.5s --nodes 3,4,5 > slide.svg",
		Args: arguments(1, -1, "traces"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := readTraces(args)
			if err != nil {
				return err
			}
			if nodes != "" {
				if o.Nodes, err = parseNodes(nodes); err != nil {
					return err
				}
			}
			pin(t, &o)
			draw := func(w io.Writer) error { return diagram.Write(w, t, o) }
			if out == "" || out == "-" {
				return asMistake(draw(cmd.OutOrStdout()))
			}
			return asMistake(writeFile(out, draw))
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&out, "write", "w", "", "the file to write (default: standard output)")
	flags.DurationVar(&o.From, "from", 0, "draw from this moment on, such as 1.9s")
	flags.DurationVar(&o.To, "to", 0, "draw up to this moment")
	flags.StringVar(&nodes, "nodes", "", "the lanes, from the top, such as 5,4,3 (default: all)")
	flags.BoolVar(&o.Background, "background", false, "draw heartbeats too, faintly")
	flags.BoolVar(&o.NoStamps, "no-stamps", false, "leave the Lamport stamps out")
	flags.StringVar(&o.Title, "title", "", "what stands above the picture (default: the scenario's name)")
	flags.StringVar(&o.Theme, "theme", "", "light or dark (default: what the reader's system prefers)")
	flags.IntVar(&o.Width, "width", 0, "in pixels (default 1600)")
	flags.IntVar(&o.MaxSteps, "max-steps", 0, "draw at most so many steps of nodes (default 200)")
	return cmd
}

// pin highlights what the trace shows to be violated.
func pin(t *trace.Trace, o *diagram.Options) {
	p, _ := replay.New(t) // that states cannot be shown is no matter here
	if p == nil || p.Violation == nil {
		return
	}
	for i := range t.Events {
		if p.Witness(i) {
			o.Highlight = append(o.Highlight, i)
		}
	}
	o.Caption = fmt.Sprintf("%s is violated: %s", p.Violation.Property, p.Violation.Why)
}

// readTraces reads one trace, or several of one run and merges them.
func readTraces(paths []string) (*trace.Trace, error) {
	var parts []*trace.Trace
	for _, path := range paths {
		t, err := readTrace(path)
		if errors.Is(err, trace.ErrEmpty) && len(paths) > 1 { // of a process that ended at once
			fmt.Fprintf(os.Stderr, "ciranda: %s is empty\n", path)
			continue
		}
		if err != nil {
			return nil, err
		}
		parts = append(parts, t)
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	merged, notes, err := trace.Merge(parts)
	if err != nil {
		return nil, mistake{strings.TrimPrefix(err.Error(), "trace: "), "the files of the nodes of one run can be given together"}
	}
	for _, note := range notes.Notes {
		fmt.Fprintln(os.Stderr, "ciranda:", note)
	}
	return merged, nil
}

// parseNodes reads a list of nodes such as 5,4,3.
func parseNodes(text string) ([]protocol.ID, error) {
	var ids []protocol.ID
	for _, word := range strings.Split(text, ",") {
		id, err := strconv.ParseUint(strings.TrimSpace(word), 10, 16)
		if err != nil || id == 0 {
			return nil, mistake{fmt.Sprintf("found --nodes %q; expected numbers such as 5,4,3", text), ""}
		}
		ids = append(ids, protocol.ID(id))
	}
	return ids, nil
}

// asMistake makes an error that the user's options led to one of exit status 2.
func asMistake(err error) error {
	if err == nil {
		return nil
	}
	return mistake{err.Error(), ""}
}
