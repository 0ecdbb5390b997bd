package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"ciranda.dev/bench"
	"ciranda.dev/stacks"
)

func newBench() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bench",
		Short:   "Measure on this machine",
		Example: "  ciranda bench sim\n  ciranda bench election\n  ciranda bench view\n  ciranda bench multicast\n  ciranda bench rpc",
		Args:    unknownCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBenchSim(), newBenchElection(), newBenchView(), newBenchMulticast(), newBenchSnapshot(), newBenchRPC(), newMulticastMember(), newRPCServer())
	return cmd
}

func newBenchSim() *cobra.Command {
	var o bench.SimOptions
	var detector, election string
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "How fast the simulator is, on one core",
		Long: "Sim simulates a quiet cluster without a trace and with the full trace in memory, in turns with a bare event loop\n" +
			"over container/heap, and prints medians. Only ratios mean something on a busy machine.",
		Example: "  ciranda bench sim\n  ciranda bench sim --nodes 1000 --detector ring --election none",
		Args:    arguments(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Spec = stacks.Spec{Detector: detector, Election: election, Profile: stacks.Lab}
			if err := o.Spec.Validate(); err != nil {
				return mistake{err.Error(), ""}
			}
			if o.Nodes < 1 || o.Nodes > 10_000 {
				return mistake{fmt.Sprintf("found --nodes %d; expected 1 to 10000", o.Nodes), ""}
			}
			r, err := bench.Sim(cmd.Context(), o)
			if err != nil {
				return err
			}
			return show(cmd, r, func(w io.Writer) { writeSim(w, r) })
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&o.Nodes, "nodes", 5, "how many, up to 10000")
	flags.StringVar(&detector, "detector", "heartbeat", "the detector")
	flags.StringVar(&election, "election", "bully", "the election")
	return cmd
}

func writeSim(w io.Writer, r bench.SimResult) {
	fmt.Fprintf(w, "%d nodes, %s + %s, one core, medians of %d rounds\n\n", r.Nodes, r.Detector, r.Election, r.Rounds)
	fmt.Fprintf(w, "  %11.0f messages a second without a trace (%.2f of the bare loop)\n", r.MessagesPerSecond, r.MessagesPerSecond/r.HeapLoopPerSecond)
	fmt.Fprintf(w, "  %11.0f messages a second with the full trace in memory\n", r.TracedPerSecond)
	fmt.Fprintf(w, "  %11.0f events a second of a bare loop over container/heap\n", r.HeapLoopPerSecond)
	fmt.Fprintf(w, "  %11.0f times real time\n", r.TimesRealTime)
	fmt.Fprintf(w, "  %11.2f allocations a message\n", r.AllocsPerMessage)
}

func newBenchElection() *cobra.Command {
	var o bench.ElectionOptions
	cmd := &cobra.Command{
		Use:   "election",
		Short: "How long a cluster of real processes is without a leader",
		Long: "Election starts five processes on this machine, kills the leader many times and pauses it some times, and takes\n" +
			"the time until all others agree on a new one. It ends its cluster afterwards.",
		Example: "  ciranda bench election\n  ciranda bench election --kills 200 --pauses 0 --election bully+stable+quorum",
		Args:    arguments(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			progress := newProgress(cmd.ErrOrStderr())
			o.Progress = progress.show
			r, err := bench.Election(cmd.Context(), o)
			progress.clear()
			if err != nil {
				return err
			}
			return show(cmd, r, func(w io.Writer) { writeElection(w, r) })
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&o.Kills, "kills", 50, "how often the leader is killed")
	flags.IntVar(&o.Pauses, "pauses", 20, "how often it is paused")
	flags.DurationVar(&o.Quiet, "quiet", 0, "then watch for false suspicions so long, with every core busy, such as 10m")
	flags.BoolVar(&o.Shape.Insecure, "insecure", false, "without TLS")
	transportFlag(cmd, &o.Shape.Transport)
	stackFlags(cmd, &o.Shape)
	return cmd
}

func writeElection(w io.Writer, r bench.ElectionResult) {
	fmt.Fprintf(w, "killed %d times: the others agreed after p50 %.0f ms, p99 %.0f ms, at most %.0f ms\n", r.Kills, r.P50, r.P99, r.Max)
	if r.Pauses > 0 {
		fmt.Fprintf(w, "paused %d times: the others agreed after p50 %.0f ms, p99 %.0f ms\n", r.Pauses, r.PausedP50, r.PausedP99)
	}
	fmt.Fprintf(w, "false suspicions: %d in %s\n", r.FalseSuspicions, time.Duration(r.Watched*float64(time.Second)).Round(time.Second))
}
