package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/cluster"
)

// endTime is how long a cluster is given to end.
const endTime = 15 * time.Second

func newDown() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:     "down",
		Short:   "Stop a cluster of this machine",
		Long:    "Down stops all nodes in good order, then their supervisor. What the nodes have stored stays.",
		Example: "  ciranda down\n  ciranda down --name lesson-3",
		Args:    arguments(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := t.with(cmd.Context(), func(ctx context.Context, c *api.Client) error {
				_, err := c.Supervisor.Down(ctx, &cirandav1.DownRequest{})
				return err
			})
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), endTime)
			defer cancel()
			if err := cluster.AwaitEnd(ctx, t.name); err != nil {
				return fmt.Errorf("the supervisor of %s has not ended in %s", t.name, endTime)
			}
			return show(cmd, map[string]string{"cluster": t.name}, func(w io.Writer) { fmt.Fprintf(w, "%s is down\n", t.name) })
		},
	}
	t.nameFlag(cmd)
	return cmd
}
