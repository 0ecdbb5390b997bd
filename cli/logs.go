package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"ciranda.dev/cluster"
	"ciranda.dev/protocol"
)

func newLogs() *cobra.Command {
	var t target
	var lines int
	var follow bool
	cmd := &cobra.Command{
		Use:     "logs [NODES]",
		Short:   "What the processes of a cluster have logged",
		Long:    "Logs prints the last lines that the nodes, the gateways and the supervisor of a cluster have logged, whether it is up or not.",
		Example: "  ciranda logs 3\n  ciranda logs --follow",
		Args:    arguments(0, 1, "nodes such as 1,2, gateway-1, or none"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if lines < 0 {
				return mistake{fmt.Sprintf("found --lines %d; expected 0 or more", lines), ""}
			}
			words := ""
			if len(args) == 1 {
				words = args[0]
			}
			return cluster.Logs(cmd.Context(), t.name, words, lines, follow, func(l cluster.LogLine) {
				if wantsJSON(cmd) {
					printJSON(cmd.OutOrStdout(), l)
				} else {
					fmt.Fprintf(cmd.OutOrStdout(), "%s  %s\n", logOwner(l), l.Line)
				}
			})
		},
	}
	t.nameFlag(cmd)
	cmd.Flags().IntVarP(&lines, "lines", "n", 20, "how many lines of each")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is added, until Ctrl-C")
	return cmd
}

func logOwner(l cluster.LogLine) string {
	switch {
	case l.Gateway != "":
		return fmt.Sprintf("%-10s", l.Gateway)
	case l.Node == protocol.None:
		return "supervisor"
	}
	return fmt.Sprintf("node %-5d", l.Node)
}
