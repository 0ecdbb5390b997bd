package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"ciranda.dev/bench"
)

// The bounds of what bench snapshot measures.
const (
	mostPairs      = 1000
	longestStretch = time.Minute
)

func newBenchSnapshot() *cobra.Command {
	var o bench.SnapshotOptions
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "What snapshots cost a bank under load",
		Long: "Snapshot starts five processes and a gateway on this machine and moves money through it at full speed: in stretches\n" +
			"of time without snapshots, and beside each one with snapshots back to back, in which every complete one is checked.\n" +
			"It compares the two of each pair, and ends its cluster.",
		Example: "  ciranda bench snapshot\n  ciranda bench snapshot --pairs 60 --stretch 2s -o json",
		Args:    arguments(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.Pairs < 1 || o.Pairs > mostPairs:
				return mistake{fmt.Sprintf("found --pairs %d; expected 1 to %d", o.Pairs, mostPairs), ""}
			case o.Stretch < 100*time.Millisecond || o.Stretch > longestStretch:
				return mistake{fmt.Sprintf("found --stretch %s; expected 100ms to %s", o.Stretch, longestStretch), ""}
			case o.Clients < 1 || o.Clients > 1024:
				return mistake{fmt.Sprintf("found --clients %d; expected 1 to 1024", o.Clients), ""}
			}
			progress := newProgress(cmd.ErrOrStderr())
			o.Progress = progress.show
			r, err := bench.Snapshot(cmd.Context(), o)
			progress.clear()
			if err != nil {
				return err
			}
			if err := show(cmd, r, func(w io.Writer) { writeBenchSnapshot(w, r) }); err != nil || r.Violated == 0 {
				return err
			}
			return fmt.Errorf("%d snapshots are wrong; the first: %s", r.Violated, r.First)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&o.Pairs, "pairs", 12, "how many pairs of stretches")
	flags.DurationVar(&o.Stretch, "stretch", time.Second, "how long each is")
	flags.IntVar(&o.Clients, "clients", 32, "how many make transfers, each one at a time")
	flags.BoolVar(&o.Shape.Insecure, "insecure", false, "without TLS")
	transportFlag(cmd, &o.Shape.Transport)
	stackFlags(cmd, &o.Shape)
	return cmd
}

func writeBenchSnapshot(w io.Writer, r bench.SnapshotResult) {
	fmt.Fprintf(w, "%.0f transfers a second without snapshots, %.0f with %.0f snapshots a second: medians of %d pairs\n",
		r.Without, r.With, r.PerSecond, r.Pairs)
	fmt.Fprintf(w, "with snapshots %.3f of without (%.3f to %.3f)\n", r.Ratio, r.RatioLow, r.RatioHigh)
	if r.CPURatio != nil {
		fmt.Fprintf(w, "by the processor time of a transfer, at the nodes and the gateway: %.3f\n", *r.CPURatio)
	}
	fmt.Fprintf(w, "%d snapshots, %d complete, %d wrong; p50 %.1f ms, p99 %.1f ms\n", r.Snapshots, r.Complete, r.Violated, r.P50, r.P99)
}
