package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ciranda.dev/cluster"
	"ciranda.dev/scenario"
	"ciranda.dev/scenario/docker"
	"ciranda.dev/scenario/local"
	"ciranda.dev/scenarios"
	"ciranda.dev/trace"
)

// runFlags are those of run.
type runFlags struct {
	on       string
	image    string
	campaign scenario.Campaign
	trace    string
	replay   string
	full     bool
	shrink   bool
	list     bool
}

func newRun() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run SCENARIO",
		Short: "Run an experiment and judge it",
		Long: "Run runs a scenario, a file or one of those that come with ciranda, on an engine: in the simulator over many\n" +
			"seeds, or on real processes, of this machine or in containers. It says whether what the scenario expects holds, and what it teaches shows.\n" +
			"The exit status is 0 if so, 1 if something is violated or was never put to the test.",
		Example: "  ciranda run leader-crash\n  ciranda run --list\n  ciranda run partition --on local\n  ciranda run leader-crash --on docker\n" +
			"  ciranda run my-experiment.yaml --runs 10000 --trace failed.jsonl --full\n  ciranda run --replay failed.jsonl",
		Args: arguments(0, 1, "a scenario's file or name"),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.on, "on", string(scenario.Sim), "the engine: sim, local for real processes, or docker for containers")
	flags.StringVar(&f.image, "image", "", "with --on docker: what containers are made of (default: an image made of this very program)")
	flags.IntVar(&f.campaign.Runs, "runs", 0, "how many runs (default: what the scenario says; 1 on real processes)")
	flags.Uint64Var(&f.campaign.FirstSeed, "seed", 1, "the first seed")
	flags.BoolVar(&f.campaign.Twice, "twice", false, "do every step twice, to find protocols that cheat")
	flags.StringVar(&f.trace, "trace", "", "write the trace of the first violation, else of the last run, to this file")
	flags.BoolVar(&f.full, "full", false, "record every message in that trace, not only what protocols tell")
	flags.BoolVar(&f.shrink, "shrink", false, "make the first violation short, and write that to the trace")
	flags.StringVar(&f.replay, "replay", "", "do the run of a trace again, step by step, and judge it")
	flags.BoolVar(&f.list, "list", false, "list the scenarios that come with ciranda and can be run there")
	cmd.ValidArgsFunction = cobra.FixedCompletions(scenarios.List(), cobra.ShellCompDirectiveDefault)
	return cmd
}

func (f *runFlags) run(cmd *cobra.Command, args []string) error {
	engine := scenario.Engine(f.on)
	place := f.place()
	switch {
	case engine != scenario.Sim && place == nil:
		return mistake{fmt.Sprintf("found --on %q; expected sim, local or docker", f.on), didYouMean(f.on, []string{"sim", "local", "docker"}, "")}
	case f.image != "" && engine != scenario.Docker:
		return mistake{"--image goes only with --on docker", ""}
	case f.list:
		return listScenarios(cmd, engine, place)
	case f.replay != "":
		return replayRun(cmd, f.replay)
	case len(args) == 0:
		return mistake{"ciranda run: found no scenario; expected a file or a name", "ciranda run --list lists those that come with ciranda"}
	case cmd.Flags().Changed("runs") && f.campaign.Runs < 1:
		return mistake{fmt.Sprintf("found --runs %d; expected a number above 0", f.campaign.Runs), ""}
	}
	s, err := openScenario(args[0])
	if err == nil && f.trace != "" {
		err = writable(f.trace) // rather now than after all the runs
	}
	if err != nil {
		return err
	}
	if place != nil {
		return f.live(cmd, s, place)
	}
	if !s.Allows(engine) {
		return mistake{fmt.Sprintf("%s is not for %s; it says on: %v", args[0], engine, s.On), ""}
	}
	return f.simulate(cmd, s)
}

// place is where real processes run; nil for other engines.
func (f *runFlags) place() scenario.Place {
	switch scenario.Engine(f.on) {
	case scenario.Local:
		return local.Place{}
	case scenario.Docker:
		return docker.Place{Image: f.image}
	}
	return nil
}

// openScenario reads a file, or a shipped scenario by its name.
func openScenario(name string) (*scenario.Scenario, error) {
	data, err := readScenario(name)
	if errors.Is(err, os.ErrNotExist) && !strings.ContainsAny(name, `/\`) {
		s, err := scenarios.Open(name)
		if err != nil && !isMistake(err) {
			return nil, mistake{fmt.Sprintf("there is no file and no scenario %q", name),
				didYouMean(name, scenarios.List(), "ciranda run --list lists those that come with ciranda")}
		}
		return s, err
	}
	if err != nil {
		return nil, mistake{err.Error(), ""}
	}
	s, err := scenario.Parse(name, data)
	if err != nil {
		return nil, mistake{err.Error(), cmp.Or(adviceOf(err), "docs/scenarios.md describes the file")}
	}
	return s, nil
}

// adviceOf is what a mistake in a scenario says should be done about it; empty if nothing.
func adviceOf(err error) string {
	if m := (*scenario.Mistake)(nil); errors.As(err, &m) {
		return m.Hint()
	}
	return ""
}

func isMistake(err error) bool {
	var m *scenario.Mistake
	return errors.As(err, &m)
}

// simulate runs the scenario in the simulator.
func (f *runFlags) simulate(cmd *cobra.Command, s *scenario.Scenario) error {
	progress := newProgress(cmd.ErrOrStderr())
	f.campaign.Progress = progress.show
	report, err := s.Simulate(cmd.Context(), f.campaign)
	progress.clear()
	if err != nil {
		return err
	}
	return conclude(cmd, report, f.keep(cmd, s, report))
}

// conclude prints the report, whether a trace could be kept or not; the error says how the command ends.
func conclude(cmd *cobra.Command, r *scenario.Report, kept error) error {
	if err := show(cmd, r, func(w io.Writer) { writeReport(w, r) }); err != nil {
		return err
	}
	switch {
	case kept != nil:
		return kept
	case r.Interrupted:
		return errInterrupted
	case r.Verdict.Failed():
		return errShown
	}
	return nil
}

// keep writes the trace that was asked for. A run that violates what is expected is kept in any case: short, and with
// its steps.
func (f *runFlags) keep(cmd *cobra.Command, s *scenario.Scenario, r *scenario.Report) error {
	if r.Runs == 0 || r.Interrupted {
		return nil
	}
	path := f.trace
	if path == "" && r.Verdict == scenario.Violated {
		dir, err := cluster.RunsDir()
		if err != nil {
			return err
		}
		path = filepath.Join(dir, fmt.Sprintf("%s-%d.jsonl", strings.TrimSuffix(filepath.Base(s.File), ".yaml"), *r.Seed))
	}
	if path == "" && !f.shrink {
		return nil
	}
	if f.shrink || r.Verdict == scenario.Violated {
		err := f.keepShort(cmd, s, r, path)
		if !errors.Is(err, scenario.ErrNothing) {
			return err
		}
		fmt.Fprintln(cmd.ErrOrStderr(), "ciranda: there is no violation to shrink")
	}
	if path == "" {
		return nil
	}
	level := trace.Protocol
	if f.full {
		level = trace.Full
	}
	return keepAt(path, r, func(w io.Writer) error {
		return s.WriteRun(cmd.Context(), *r.Seed, level, w, trace.WriteOptions{Compress: compressed(path)})
	})
}

func (f *runFlags) keepShort(cmd *cobra.Command, s *scenario.Scenario, r *scenario.Report, path string) error {
	short, err := s.Shrink(cmd.Context(), *r.Seed)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "ciranda: seed %d: %d of %d faults and %d of %d steps are enough\n",
		*r.Seed, short.Faults, short.FaultsBefore, short.After, short.Before)
	if path == "" {
		writeSteps(cmd.ErrOrStderr(), short)
		return nil
	}
	if r.Verdict == scenario.Violated {
		writeSteps(cmd.ErrOrStderr(), short)
	}
	return keepAt(path, r, func(w io.Writer) error { return short.Write(w, trace.WriteOptions{Compress: compressed(path)}) })
}

// keepAt writes a trace, and names it in the report.
func keepAt(path string, r *scenario.Report, write func(io.Writer) error) error {
	if err := writeFile(path, write); err != nil {
		return err
	}
	r.Trace = &path
	return nil
}

// shownSteps is how many steps of a failed run are printed.
const shownSteps = 60

// writeSteps prints the last steps of a short run.
func writeSteps(w io.Writer, short *scenario.Shrunk) {
	steps := short.Steps
	if len(steps) > shownSteps {
		fmt.Fprintf(w, "  … %d steps before\n", len(steps)-shownSteps)
		steps = steps[len(steps)-shownSteps:]
	}
	for _, st := range steps {
		fmt.Fprintln(w, " ", st)
	}
}

// readTrace reads a trace, and says what is odd about it.
func readTrace(path string) (*trace.Trace, error) {
	t, err := trace.ReadFile(path, trace.ReadOptions{})
	if err != nil {
		m := mistake{strings.TrimPrefix(err.Error(), "trace: "), "a trace is written by ciranda run --trace FILE"}
		return nil, errors.Join(m, err)
	}
	if t.Cut != "" {
		fmt.Fprintf(os.Stderr, "ciranda: %s: %s\n", path, t.Cut)
	}
	return t, nil
}

func writeReport(w io.Writer, r *scenario.Report) {
	runs := "runs"
	if r.Runs == 1 {
		runs = "run"
	}
	fmt.Fprintf(w, "%s: %d %s on %s", r.Scenario, r.Runs, runs, r.Engine)
	if r.Engine == scenario.Sim {
		fmt.Fprintf(w, ", seeds from %d", r.FirstSeed)
	}
	fmt.Fprintf(w, ", %.1f s\n\n", r.Elapsed)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range r.Properties {
		runs := fmt.Sprintf("in %d", p.Held)
		if p.Violations > 0 {
			runs = fmt.Sprintf("in %d", p.Violations)
		}
		expected := ""
		if p.Role == scenario.ToViolate {
			expected = " (should be violated)"
		}
		fmt.Fprintf(table, "  %s\t%s\t%s%s\n", p.Verdict, runs, p.Demand, expected)
		if p.Why != "" {
			fmt.Fprintf(table, "  \t\t%s\n", p.Why)
		}
	}
	table.Flush()
	fmt.Fprintf(w, "\n%s: %s\n", r.Verdict, r.Reason)
	if r.Verdict == scenario.Violated && r.Repeat != "" {
		fmt.Fprintf(w, "repeat it: %s\n", r.Repeat)
	}
	if r.Trace != nil {
		fmt.Fprintf(w, "trace: %s (ciranda replay, diagram and export read it)\n", *r.Trace)
	}
}

// A progress shows on a terminal how far a campaign is.
type progress struct {
	out     io.Writer
	visible bool
}

func newProgress(out io.Writer) *progress {
	return &progress{out, term.IsTerminal(int(os.Stderr.Fd()))}
}

func (p *progress) show(done, of int) {
	if p.visible && (done%max(1, of/200) == 0 || done == of) {
		fmt.Fprintf(p.out, "\r%d of %d runs", done, of)
	}
}

func (p *progress) clear() {
	if p.visible {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
