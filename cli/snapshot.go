package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/cli/album"
)

// snapshotTime is how long one is waited for: it ends within ten seconds by itself.
const snapshotTime = 15 * time.Second

// snapshotFlags are the flags of snapshot.
type snapshotFlags struct {
	target
	node  string
	save  string
	count int
	every time.Duration
}

func newSnapshot() *cobra.Command {
	var f snapshotFlags
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Take a consistent picture of all nodes while they go on",
		Long: "Snapshot shows the state of every node's application and what was on its way between them, in one consistent cut:\n" +
			"nothing in it was received that had not been sent. Nothing stops for it. It ends within ten seconds; while a node is\n" +
			"down or restarts it is not complete and says so, and nothing is added up over it.\n" +
			"The exit status is 0 if it is complete and all that was checked holds.",
		Example: "  ciranda snapshot\n  ciranda snapshot --node 3 --save before.json\n  ciranda snapshot --every 1s --count 10\n  ciranda snapshot diff before.json after.json",
		Args:    arguments(0, 0, "none, or the command diff"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.validate(cmd); err != nil {
				return err
			}
			return f.with(cmd.Context(), func(ctx context.Context, c *api.Client) error {
				if f.count != 1 {
					return f.series(ctx, cmd, c)
				}
				return f.single(ctx, cmd, c)
			})
		},
	}
	f.flags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.node, "node", "", "the node that begins it: a number or leader (default: the lowest that is up)")
	flags.StringVar(&f.save, "save", "", "write it to a file, as JSON")
	flags.IntVar(&f.count, "count", 1, "how many, a line each; 0: until Ctrl-C")
	flags.DurationVar(&f.every, "every", 0, "how long from the begin of one to that of the next (default: back to back)")
	cmd.AddCommand(newSnapshotDiff())
	return cmd
}

func (f *snapshotFlags) validate(cmd *cobra.Command) error {
	switch {
	case f.count < 0:
		return mistake{fmt.Sprintf("found --count %d; expected 0 or more", f.count), ""}
	case f.every < 0:
		return mistake{fmt.Sprintf("found --every %s; expected 0s or more", f.every), ""}
	case f.save != "" && f.count != 1:
		return mistake{"--save writes one snapshot, and --count asks for others", "-o json prints one a line"}
	case f.every > 0 && !cmd.Flags().Changed("count"):
		f.count = 0
	}
	if f.save == "" {
		return nil
	}
	return writable(f.save)
}

// take takes one.
func (f *snapshotFlags) take(ctx context.Context, c *api.Client) (album.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshotTime)
	defer cancel()
	answer, err := c.Snapshots.Take(ctx, &cirandav1.TakeRequest{Node: f.node})
	if err != nil {
		return album.Snapshot{}, err
	}
	return album.Of(answer.GetSnapshot()), nil
}

// single takes one and shows all of it.
func (f *snapshotFlags) single(ctx context.Context, cmd *cobra.Command, c *api.Client) error {
	s, err := f.take(ctx, c)
	if err != nil {
		return err
	}
	if f.save != "" {
		if err := writeFile(f.save, func(w io.Writer) error { return printJSON(w, s) }); err != nil {
			return err
		}
	}
	if err := show(cmd, s, func(w io.Writer) { writeSnapshot(w, s) }); err != nil {
		return err
	}
	if !s.Holds() {
		return errShown
	}
	return nil
}

// series takes one after the other and shows a line of each. It fails if one is wrong, or none is complete.
func (f *snapshotFlags) series(ctx context.Context, cmd *cobra.Command, c *api.Client) error {
	complete, wrong := 0, 0
	for i := 0; f.count == 0 || i < f.count; i++ {
		next := time.After(f.every)
		s, err := f.take(ctx, c)
		if err != nil && interrupted(cmd.Context()) {
			break
		}
		if err != nil {
			return err
		}
		if err := show(cmd, s, func(w io.Writer) { fmt.Fprintln(w, s.Line()) }); err != nil {
			return err
		}
		if s.Complete {
			complete++
		}
		if s.Violated() {
			wrong++
		}
		select {
		case <-next:
		case <-ctx.Done():
		}
	}
	switch {
	case wrong > 0 || complete == 0:
		return errShown
	case interrupted(cmd.Context()):
		return errInterrupted
	}
	return nil
}

// writeSnapshot writes a snapshot for people.
func writeSnapshot(w io.Writer, s album.Snapshot) {
	fmt.Fprintf(w, "snapshot %s, begun by node %d: %s, %.1f ms\n\n", s.ID, s.Initiator, s.Quality(), s.ElapsedMs)
	for _, rows := range [][][]string{s.States(), s.OnTheWay()} {
		if rows != nil {
			writeRows(w, rows)
			fmt.Fprintln(w)
		}
	}
	for _, m := range s.Missing {
		fmt.Fprintf(w, "node %d is missing: %s\n", m.Node, m.Why)
	}
	for _, c := range s.Checks {
		fmt.Fprintf(w, "%s %s: %s\n", c.Name, c.Verdict, c.Detail)
	}
}

// writeRows writes a table.
func writeRows(w io.Writer, rows [][]string) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	table.Flush()
}

func newSnapshotDiff() *cobra.Command {
	return &cobra.Command{
		Use: "diff A B", Short: "Say what has changed from one saved snapshot to another",
		Long:    "Diff compares two files that snapshot --save has written: states by their fields, and how much was on its way.",
		Example: "  ciranda snapshot diff before.json after.json",
		Args:    arguments(2, 2, "two files"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var both [2]album.Snapshot
			for i, path := range args {
				var err error
				if both[i], err = album.Read(path); err != nil {
					return mistake{err.Error(), ""}
				}
			}
			d := album.Compare(both[0], both[1])
			return show(cmd, d, func(w io.Writer) {
				for _, line := range d.Lines() {
					fmt.Fprintln(w, line)
				}
			})
		},
	}
}
