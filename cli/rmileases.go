package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/protocol/invocation"
	"ciranda.dev/rmi"
)

func newRMILeases() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "leases",
		Short: "Which objects of the nodes are referred to, and by whom",
		Long: "Leases lists the objects that each node has exported, who refers to them, and how many references to them are on\n" +
			"their way. One that is kept stays; others are collected when nobody refers to them. Objects are shown as hashes.\n" +
			"Nodes that refer to objects of one another are named: if those objects refer to one another, too, they are never\n" +
			"collected.",
		Example: "  ciranda rmi leases\n  ciranda rmi leases -o json",
		Args:    arguments(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.withObjectsOfAll(cmd.Context(), func(ctx context.Context, n *rmi.Node, nodes []rmi.ID) error {
				all := leasesJSON{Nodes: []rmi.Leases{}, Unknown: []rmi.ID{}}
				for _, id := range nodes {
					l, err := n.LeasesOf(ctx, id)
					if err != nil {
						all.Unknown = append(all.Unknown, id)
						continue
					}
					all.Nodes = append(all.Nodes, l)
				}
				all.Mutual = mutual(all.Nodes)
				return show(cmd, all, func(w io.Writer) { writeLeases(w, all) })
			})
		},
	}
	t.flags(cmd)
	return cmd
}

// leasesJSON is the object of rmi leases -o json.
type leasesJSON struct {
	Nodes   []rmi.Leases `json:"nodes"`
	Unknown []rmi.ID     `json:"unknown"` // nodes that did not answer
	Mutual  [][]rmi.ID   `json:"mutual"`  // parties that refer to objects of one another, perhaps by others
}

// withObjectsOfAll calls a function with a place among those who call objects, and the nodes that are up.
func (t *target) withObjectsOfAll(ctx context.Context, do func(context.Context, *rmi.Node, []rmi.ID) error) error {
	return t.with(ctx, func(ctx context.Context, c *api.Client) error {
		access, err := t.local(t.name)
		if err != nil {
			return err
		}
		status, err := c.Cluster.Status(ctx, &cirandav1.StatusRequest{})
		if err != nil {
			return err
		}
		n, err := t.dialObjects(ctx, c, access)
		if err != nil {
			return err
		}
		defer n.Close()
		var up []rmi.ID
		for _, s := range status.GetNodes() {
			if s.GetState() == cirandav1.NodeState_NODE_STATE_UP {
				up = append(up, invocation.NodeClient(uint16(s.GetId())))
			}
		}
		return do(ctx, n, up)
	})
}

// mutual finds the parties that refer to objects of one another: who has a way to itself from holder to owner.
func mutual(all []rmi.Leases) [][]rmi.ID {
	reach := map[rmi.ID]map[rmi.ID]bool{}
	link := func(holder, owner rmi.ID) {
		if reach[holder] == nil {
			reach[holder] = map[rmi.ID]bool{}
		}
		reach[holder][owner] = true
	}
	for _, l := range all {
		for _, e := range l.Exported {
			for _, h := range e.Holders {
				if !e.Strong {
					link(h, l.Node)
				}
			}
		}
	}
	for through := range reach {
		for from := range reach {
			for to := range reach[through] {
				if reach[from][through] {
					reach[from][to] = true
				}
			}
		}
	}
	return classes(reach)
}

// classes are the parties that reach one another, each class and all of them in order.
func classes(reach map[rmi.ID]map[rmi.ID]bool) [][]rmi.ID {
	found := [][]rmi.ID{}
	done := map[rmi.ID]bool{}
	for a := range reach {
		if done[a] {
			continue
		}
		var class []rmi.ID
		for b := range reach {
			if reach[a][b] && reach[b][a] {
				class, done[b] = append(class, b), true
			}
		}
		if len(class) > 1 {
			slices.SortFunc(class, compareIDs)
			found = append(found, class)
		}
	}
	slices.SortFunc(found, func(a, b []rmi.ID) int { return compareIDs(a[0], b[0]) })
	return found
}

func compareIDs(a, b rmi.ID) int { return strings.Compare(string(a[:]), string(b[:])) }

func writeLeases(w io.Writer, all leasesJSON) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if slices.ContainsFunc(all.Nodes, func(l rmi.Leases) bool { return l.Exports > 0 }) {
		fmt.Fprintln(t, "OWNER\tOBJECT\tINTERFACE\tKEPT\tREFERRED TO BY\tON THEIR WAY")
	} else {
		fmt.Fprintln(t, "no node has exported an object")
	}
	for _, l := range all.Nodes {
		for _, e := range l.Exported {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\n", l.Node, e.Object, e.Interface, yesNo(e.Strong), idWords(e.Holders), e.Travelling)
		}
		if more := l.Exports - len(l.Exported); more > 0 {
			fmt.Fprintf(t, "%s\tand %d more\n", l.Node, more)
		}
	}
	t.Flush()
	for _, id := range all.Unknown {
		fmt.Fprintf(w, "%s does not answer\n", id)
	}
	for _, m := range all.Mutual {
		fmt.Fprintf(w, "%s refer to objects of one another: if those refer to one another, they are never collected\n", idWords(m))
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func idWords(ids []rmi.ID) string {
	if len(ids) == 0 {
		return "-"
	}
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = id.String()
	}
	return strings.Join(words, ", ")
}
