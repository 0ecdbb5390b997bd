package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ciranda.dev/bench"
	"ciranda.dev/protocol/multicast"
)

func newBenchView() *cobra.Command {
	var o bench.ViewsOptions
	cmd := &cobra.Command{
		Use:   "view",
		Short: "What the death of a member under load costs the others",
		Long: "View starts five processes on this machine, which form a group. Clients keep all of them busy with multicasts of\n" +
			"1 KiB. It kills the coordinator and other members in turn, and takes the time until all others have the next view,\n" +
			"and for how long one of them got no message. It counts what was lost, doubled or out of order, and ends its cluster.",
		Example: "  ciranda bench view\n  ciranda bench view --order fifo --kills 100 --insecure",
		Args:    arguments(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := multicast.ParseOrder(o.Order); err != nil {
				return mistake{"--order: " + err.Error(), ""}
			}
			progress := newProgress(cmd.ErrOrStderr())
			o.Progress = progress.show
			r, err := bench.Views(cmd.Context(), o)
			progress.clear()
			if err != nil {
				return err
			}
			if err := show(cmd, r, func(w io.Writer) { writeViews(w, r) }); err != nil || r.Wrong == 0 {
				return err
			}
			return fmt.Errorf("%d messages were lost, doubled or out of order: %s", r.Wrong, r.First)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Order, "order", "total", "the order of the messages")
	flags.BoolVar(&o.Uniform, "uniform", false, "deliver only what most members hold")
	flags.IntVar(&o.Kills, "kills", 20, "how often a member is killed")
	flags.IntVar(&o.Size, "size", 1024, "bytes of a message")
	flags.BoolVar(&o.Shape.Insecure, "insecure", false, "without TLS")
	transportFlag(cmd, &o.Shape.Transport)
	stackFlags(cmd, &o.Shape)
	return cmd
}

func writeViews(w io.Writer, r bench.ViewsResult) {
	fmt.Fprintf(w, "killed %d times under %.0f messages a second and member: the others had the next view after p50 %.0f ms, p99 %.0f ms, at most %.0f ms\n",
		r.Kills, r.Rate, r.P50, r.P99, r.Max)
	fmt.Fprintf(w, "longest time without a delivery: p50 %.0f ms, p99 %.0f ms, at most %.0f ms\n", r.PauseP50, r.PauseP99, r.PauseMax)
	fmt.Fprintf(w, "%d deliveries; of %d ends of views that two members saw, %d things were wrong\n", r.Delivered, r.Compared, r.Wrong)
}
