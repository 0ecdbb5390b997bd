package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
)

func newElect() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:     "elect [NODE]",
		Short:   "Force an election",
		Long:    "Elect makes a node begin an election, whoever leads: NODE, or the lowest one that is up.",
		Example: "  ciranda elect 2",
		Args:    arguments(0, 1, "one node or none"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := &cirandav1.ElectRequest{}
			if len(args) == 1 {
				r.Node = args[0]
			}
			return t.with(cmd.Context(), func(ctx context.Context, c *api.Client) error {
				e, err := c.Cluster.Elect(ctx, r)
				if err != nil {
					return err
				}
				return show(cmd, electionJSON{e.GetNode(), orNull(e.GetCounter())}, func(w io.Writer) {
					fmt.Fprintf(w, "node %d has begun an election\n", e.GetNode())
				})
			})
		},
	}
	t.flags(cmd)
	return cmd
}

// electionJSON is the object of elect -o json.
type electionJSON struct {
	Node    uint32  `json:"node"`
	Counter *uint64 `json:"counter"`
}
