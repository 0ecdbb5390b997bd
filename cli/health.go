package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"ciranda.dev/api"
)

func newHealth() *cobra.Command {
	var t target
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Say whether a server is ready: a probe for containers",
		Long: "Health asks the health service at a gRPC port. A node is ready while it takes part in its cluster, a gateway while\n" +
			"it reaches a node, a supervisor always. The exit status is 0 if it is ready and 1 if not.",
		Example: "  ciranda health --addr localhost:7001 --credentials /credentials",
		Args:    arguments(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if wait <= 0 {
				return mistake{fmt.Sprintf("found --wait %s; expected a time above 0", wait), ""}
			}
			return t.with(cmd.Context(), func(ctx context.Context, c *api.Client) error { return ask(ctx, cmd, c, wait) })
		},
	}
	t.flags(cmd)
	cmd.Flags().DurationVar(&wait, "wait", 2*time.Second, "how long it may take to answer")
	return cmd
}

// healthJSON is the object of health -o json.
type healthJSON struct {
	Ready bool `json:"ready"`
}

// ask asks one server.
func ask(ctx context.Context, cmd *cobra.Command, c *api.Client, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	answer, err := c.Health.Check(ctx, &healthv1.HealthCheckRequest{})
	if err != nil {
		return err
	}
	ready := answer.GetStatus() == healthv1.HealthCheckResponse_SERVING
	if err := show(cmd, healthJSON{ready}, func(w io.Writer) {
		if ready {
			fmt.Fprintln(w, "ready")
		} else {
			fmt.Fprintln(w, "not ready")
		}
	}); err != nil || ready {
		return err
	}
	return errShown
}
