package cli

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ciranda.dev/api"
	"ciranda.dev/bench"
	"ciranda.dev/pki"
)

// maxBenchRPC is the longest measurement of calls.
const maxBenchRPC = 10 * time.Minute

func newBenchRPC() *cobra.Command {
	var o bench.RPCOptions
	cmd := &cobra.Command{
		Use:   "rpc",
		Short: "What a call costs over different middlewares",
		Long: "Rpc calls a server, another process of this machine, that gives back 64 bytes: by a bare round trip over TCP and\n" +
			"by each middleware, in turns. Latencies are of one call after the other; calls a second and the processor's\n" +
			"time, of both processes, of 64 callers at a time. Only ratios mean something on a busy machine.\n\n" +
			"While there is one caller, it and the server keep to a processor each (on Linux), as on two machines. Systems like\n" +
			"to place two processes that take turns on one processor, where none has to be woken: bare TCP gains by that, what\n" +
			"does more does not.",
		Example: "  ciranda bench rpc\n  ciranda bench rpc --insecure --for 5s",
		Args:    arguments(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.For < 100*time.Millisecond || o.For > maxBenchRPC {
				return mistake{fmt.Sprintf("found --for %s; expected 100ms to %s", o.For, maxBenchRPC), ""}
			}
			progress := newProgress(cmd.ErrOrStderr())
			o.Progress = progress.show
			r, err := bench.RPC(cmd.Context(), o)
			progress.clear()
			if err != nil {
				return err
			}
			return show(cmd, r, func(w io.Writer) { writeRPC(w, r) })
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&o.For, "for", 20*time.Second, "about how long to measure")
	flags.BoolVar(&o.Insecure, "insecure", false, "without TLS")
	return cmd
}

func writeRPC(w io.Writer, r bench.RPCResult) {
	by := "TLS 1.3"
	if !r.TLS {
		by = "plain TCP"
	}
	fmt.Fprintf(w, "%d bytes there and back over %s, two processes, %d rounds\n\n", r.Size, by, r.Rounds)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tp50 µs\tp99 µs\ttimes raw\tcalls/s, 64 callers\tcpu µs a call\t")
	for _, c := range r.Results {
		fmt.Fprintf(table, "%s\t%.1f\t%.1f\t%.2f\t%.0f\t%.1f\t\n", c.Name, c.P50, c.P99, c.TimesRaw, c.PerSecond, c.CPU)
	}
	table.Flush()
	fmt.Fprintf(w, "\none caller: client and server on a processor each; raw where the system places them as it likes: %.1f µs\n", r.RawFree)
}

// newRPCServer is the server that bench rpc calls.
func newRPCServer() *cobra.Command {
	var credentials, token string
	cmd := &cobra.Command{
		Use: "rpc-server", Hidden: true, Short: "The server of bench rpc, which starts it",
		Args: arguments(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			var a api.Access
			if credentials != "" {
				a.Credentials, err = pki.Load(credentials)
			} else {
				a.Token, err = api.ReadToken(token)
			}
			if err != nil {
				return err
			}
			return bench.ServeRPC(a, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&credentials, "credentials", "", "the directory of the server's credentials")
	cmd.Flags().StringVar(&token, "token-file", "", "in place of credentials: the token that callers show")
	return cmd
}
