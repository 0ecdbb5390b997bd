package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"ciranda.dev/cluster"
	"ciranda.dev/node"
	"ciranda.dev/stacks"
)

// transportFlag lets a command say what carries messages between nodes.
func transportFlag(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "transport", "", "what carries messages between nodes: "+strings.Join(node.Transports, " or ")+" (default "+node.Transports[0]+")")
	cmd.RegisterFlagCompletionFunc("transport", cobra.FixedCompletions(node.Transports, cobra.ShellCompDirectiveNoFileComp))
}

// stackFlags let a command say what nodes run.
func stackFlags(cmd *cobra.Command, s *cluster.Shape) {
	cmd.Flags().StringVar(&s.Election, "election", "", "one of "+strings.Join(stacks.Elections, ", ")+" (default "+stacks.Elections[0]+")")
	cmd.Flags().StringVar(&s.Detector, "detector", "", "one of "+strings.Join(stacks.Detectors, ", ")+" (default "+stacks.Detectors[0]+")")
	cmd.Flags().StringVar(&s.Profile, "profile", "", "a set of timeouts: "+strings.Join(stacks.ProfileNames(), ", ")+" (default "+stacks.Local.Name+"); "+stacks.Local.Name+",timeout=2s overrides a part")
	cmd.Flags().StringVar(&s.App, "app", "", "the application: "+strings.Join(cluster.Apps, ", ")+" (default "+cluster.Apps[0]+")")
	cmd.Flags().StringVar(&s.Orders, "orders", "", "the orders of the group's multicasts: "+stacks.AllOrders+", some of "+strings.Join(stacks.OrderNames, ", ")+" joined by +, or none (default "+stacks.AllOrders+")")
	complete := func(name string, words []string) {
		cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
	complete("election", stacks.Elections)
	complete("detector", stacks.Detectors)
	complete("app", cluster.Apps)
	complete("orders", append([]string{stacks.AllOrders, "none"}, stacks.OrderNames...))
	complete("profile", stacks.ProfileNames())
}
