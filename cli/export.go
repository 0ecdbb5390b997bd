package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"ciranda.dev/trace"
)

func newExport() *cobra.Command {
	var kind, out string
	var all, lives bool
	cmd := &cobra.Command{
		Use:   "export TRACE...",
		Short: "Write a trace in another tool's format",
		Long: "Export writes traces for ShiViz, with the vector stamps that it needs. Several traces become several executions.\n" +
			"Timers and heartbeats are left out unless --all is given; order passes through them all the same.\n" +
			"In ShiViz, the parser expression is\n\n  " + trace.ShiVizParser + "\n\nand the delimiter of several executions is\n\n  " + trace.ShiVizDelimiter,
		Example: "  ciranda export crash.jsonl --format shiviz -w crash.log\n  ciranda export seed7.jsonl seed8.jsonl > both.log",
		Args:    arguments(1, -1, "traces"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if kind != "shiviz" {
				return mistake{fmt.Sprintf("found --format %q; expected shiviz", kind), ""}
			}
			runs, err := executions(args)
			if err != nil {
				return err
			}
			o := trace.ShiVizOptions{Lives: lives}
			if !all {
				o.Keep = worthListing
			}
			write := func(w io.Writer) error { return asMistake(trace.WriteShiViz(w, runs, o)) }
			if out == "" || out == "-" {
				return write(cmd.OutOrStdout())
			}
			return writeFile(out, write)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&kind, "format", "shiviz", "the format: shiviz")
	flags.StringVarP(&out, "write", "w", "", "the file to write (default: standard output)")
	flags.BoolVar(&all, "all", false, "list timers, stored records and heartbeats too")
	flags.BoolVar(&lives, "lives", false, "give each life of a node a lane of its own")
	return cmd
}

// executions reads traces, each under its file's name.
func executions(paths []string) ([]trace.Execution, error) {
	var runs []trace.Execution
	for _, path := range paths {
		t, err := readTrace(path)
		if err != nil {
			return nil, err
		}
		run := trace.Execution{Header: t.Header, Events: t.Events}
		if len(paths) > 1 {
			run.Label = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		}
		runs = append(runs, run)
	}
	return runs, nil
}

// worthListing says whether an event is more than timekeeping.
func worthListing(e *trace.Event) bool {
	switch e.Kind {
	case trace.TimerSet, trace.TimerCancel, trace.TimerFire, trace.Persisted:
		return false
	case trace.Send, trace.Receive:
		return !strings.HasSuffix(e.Name(), ".Beat")
	}
	return true
}
