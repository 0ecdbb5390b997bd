package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ciranda.dev/cluster"
	"ciranda.dev/scenario"
	"ciranda.dev/trace"
)

// simOnly are the flags of run that mean something in the simulator alone.
var simOnly = []string{"seed", "twice", "shrink"}

// live runs the scenario on real processes.
func (f *runFlags) live(cmd *cobra.Command, s *scenario.Scenario, p scenario.Place) error {
	for _, name := range simOnly {
		if cmd.Flags().Changed(name) {
			return mistake{fmt.Sprintf("--%s is for the simulator: real processes cannot be made to do the same again", name), ""}
		}
	}
	if err := s.Refuses(p); err != nil {
		return mistake{err.Error(), ""}
	}
	progress := newProgress(cmd.ErrOrStderr())
	runs := scenario.LiveRuns{Runs: max(1, f.campaign.Runs), Progress: progress.show}
	if f.full {
		runs.Level = trace.Full
	}
	progress.show(0, runs.Runs)
	report, err := s.RunLive(cmd.Context(), p, runs)
	progress.clear()
	if err != nil {
		return err
	}
	return conclude(cmd, report, f.keepTrail(s, report))
}

// keepTrail writes the trace that was asked for. A run that violates what is expected is kept in any case: it may not
// come again.
func (f *runFlags) keepTrail(s *scenario.Scenario, r *scenario.Report) error {
	path := f.trace
	if path == "" && r.Verdict == scenario.Violated {
		dir, err := cluster.RunsDir()
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(filepath.Base(s.File), ".yaml")
		path = filepath.Join(dir, fmt.Sprintf("%s-%s-%s.jsonl", name, r.Engine, time.Now().Format("20060102-150405")))
	}
	if path == "" || r.Trail == nil {
		return nil
	}
	return keepAt(path, r, func(w io.Writer) error { return r.WriteTrail(w, trace.WriteOptions{Compress: compressed(path)}) })
}
