package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"ciranda.dev/bench"
	"ciranda.dev/protocol/multicast"
)

// The bounds of a measurement of multicasts.
const (
	maxBenchMembers = 16
	maxBenchSize    = 1 << 20
	maxBenchCasts   = 8 * time.Second // all of it then takes less than 25 s
)

func newBenchMulticast() *cobra.Command {
	o := bench.MulticastOptions{Order: multicast.Total}
	order := ""
	cmd := &cobra.Command{
		Use:   "multicast",
		Short: "How fast a group delivers what all its members send",
		Long: "Multicast starts five processes on this machine, which form a group. All of them send at once, as fast as they can;\n" +
			"then each in turn sends one message at a time, and waits until it is delivered. The same processes then carry bytes\n" +
			"over bare TCP, a full mesh with writes of 64 KiB, and make bare round trips, from one processor to another and\n" +
			"where the system places them, which is often one processor for both. Only ratios mean something on a busy\n" +
			"machine. What was delivered is compared: if members differ, or one is out of order, that is an error.",
		Example: "  ciranda bench multicast\n  ciranda bench multicast --order fifo --insecure\n  ciranda bench multicast --uniform --size 100",
		Args:    arguments(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Order, err = multicast.ParseOrder(order); err != nil {
				return mistake{"--order: " + err.Error(), ""}
			}
			if err := checkMulticastOptions(o); err != nil {
				return err
			}
			progress := newProgress(cmd.ErrOrStderr())
			o.Progress = progress.show
			r, err := bench.Multicast(cmd.Context(), o)
			progress.clear()
			if err != nil {
				return err
			}
			return show(cmd, r, func(w io.Writer) { writeMulticast(w, r) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&order, "order", multicast.Total.String(), "the order of the messages")
	flags.BoolVar(&o.Uniform, "uniform", false, "deliver only what most members hold")
	flags.IntVar(&o.Members, "members", 5, "how many processes, 2 to 16")
	flags.IntVar(&o.Size, "size", 1024, "bytes of a message, 16 to 1 MiB")
	flags.BoolVar(&o.Insecure, "insecure", false, "without TLS between the members")
	flags.DurationVar(&o.For, "for", 4*time.Second, "how long all of them send")
	return cmd
}

func checkMulticastOptions(o bench.MulticastOptions) error {
	switch {
	case o.Members < 2 || o.Members > maxBenchMembers:
		return mistake{fmt.Sprintf("found --members %d; expected 2 to %d", o.Members, maxBenchMembers), ""}
	case o.Size < bench.LeastMessage || o.Size > maxBenchSize:
		return mistake{fmt.Sprintf("found --size %d; expected %d to %d", o.Size, bench.LeastMessage, maxBenchSize), ""}
	case o.For < 100*time.Millisecond || o.For > maxBenchCasts:
		return mistake{fmt.Sprintf("found --for %s; expected 100ms to %s", o.For, maxBenchCasts), ""}
	}
	return nil
}

func writeMulticast(w io.Writer, r bench.MulticastResult) {
	how, by := r.Order, "TLS 1.3"
	if r.Uniform {
		how += ", uniform"
	}
	if !r.TLS {
		by = "plain TCP"
	}
	fmt.Fprintf(w, "%d members, messages of %d bytes, %s order, over %s\n\n", r.Members, r.Size, how, by)
	fmt.Fprintf(w, "  %9.0f deliveries a second and member, %.2f of bare TCP; in the first second %.0f%% of that\n", r.Delivered, r.Ratio, 100*r.FirstSecond)
	fmt.Fprintf(w, "  %9.0f a second and member over bare TCP, writes of 64 KiB\n", r.Raw)
	fmt.Fprintf(w, "  %9.2f µs of the processors a delivery, %.2f µs over bare TCP\n", r.CPU, r.RawCPU)
	fmt.Fprintf(w, "  %9.3f ms until a lone message is delivered at its sender (p99 %.3f ms), %.1f bare round trips\n", r.P50, r.P99, r.LatencyRatio)
	fmt.Fprintf(w, "  %9.1f µs a round trip over bare TCP, from one processor to another; %.1f µs as the system places the two\n",
		r.RawRTT, r.RawRTTFree)
}

// newMulticastMember is a member that bench multicast starts.
func newMulticastMember() *cobra.Command {
	return &cobra.Command{
		Use: "multicast-member", Hidden: true, Short: "A member of bench multicast, which starts it",
		Args: arguments(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			relieveCollector() // as in every node
			return bench.ServeMulticast(cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}
