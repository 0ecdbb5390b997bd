package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ciranda.dev/rmi"
)

func newRMILs() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "ls [PREFIX]",
		Short: "The names of objects",
		Long: "Ls shows what has a name that begins so, or all. The names are the same at all nodes. An owner is a node, or the id of a\n" +
			"program; an object's id is shown as a hash, for who knows it may call the object.",
		Example: "  ciranda rmi ls\n  ciranda rmi ls bank/ -o json",
		Args:    arguments(0, 1, "with what the names begin"),
		RunE: func(cmd *cobra.Command, args []string) error {
			prefix, err := prefixOf(args)
			if err != nil {
				return err
			}
			return t.withObjects(cmd.Context(), func(ctx context.Context, n *rmi.Node) error {
				entries, revision, err := n.Names().List(ctx, prefix)
				if err != nil {
					return err
				}
				shown := named{Names: make([]nameShown, len(entries)), Revision: revision}
				for i, e := range entries {
					shown.Names[i] = showName(e)
				}
				return show(cmd, shown, func(w io.Writer) { writeNames(w, entries) })
			})
		},
	}
	t.flags(cmd)
	return cmd
}

// prefixOf is with what names are to begin, if that is said.
func prefixOf(args []string) (string, error) {
	if len(args) == 0 || args[0] == "" {
		return "", nil
	}
	if err := rmi.CheckName(args[0]); err != nil {
		return "", mistake{strings.TrimPrefix(err.Error(), "rmi: "), ""}
	}
	return args[0], nil
}

// named is what ls prints as JSON.
type named struct {
	Names    []nameShown `json:"names"`
	Revision uint64      `json:"revision"`
}

// A nameShown is a name and what has it, as JSON.
type nameShown struct {
	Name        string            `json:"name"`
	Interface   string            `json:"interface"`
	Owner       string            `json:"owner"`
	Incarnation uint64            `json:"inc"`
	Object      string            `json:"object"`
	Fingerprint string            `json:"fingerprint"`
	Tags        map[string]string `json:"tags"`
}

func showName(e rmi.Entry) nameShown {
	tags := e.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return nameShown{e.Name, e.Ref.Interface, e.Ref.Owner.String(), e.Ref.Incarnation, e.Ref.Object.String(), e.Ref.Fingerprint, tags}
}

func writeNames(w io.Writer, entries []rmi.Entry) {
	if len(entries) == 0 {
		fmt.Fprintln(w, "no names")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	fmt.Fprintln(t, "NAME\tINTERFACE\tOWNER\tOBJECT\tTAGS")
	for _, e := range entries {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", e.Name, e.Ref.Interface, e.Ref.Owner, e.Ref.Object, cmp.Or(tagWords(e.Tags), "-"))
	}
}

func tagWords(tags map[string]string) string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		words = append(words, key+"="+tags[key])
	}
	return strings.Join(words, " ")
}

func newRMIWatch() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "watch [PREFIX]",
		Short: "The names of objects, and how they change",
		Long: "Watch prints the names that begin so, or all, and then each change, until it is interrupted. With -o json each is a line with\n" +
			"the revision of all names with it; names without an object are gone.",
		Example: "  ciranda rmi watch\n  ciranda rmi watch bank/ -o json",
		Args:    arguments(0, 1, "with what the names begin"),
		RunE: func(cmd *cobra.Command, args []string) error {
			prefix, err := prefixOf(args)
			if err != nil {
				return err
			}
			return t.withObjects(cmd.Context(), func(ctx context.Context, n *rmi.Node) error {
				return watchNames(ctx, n.Names(), prefix, cmd.OutOrStdout(), wantsJSON(cmd))
			})
		},
	}
	t.flags(cmd)
	return cmd
}

// A nameWatcher hands changes to the command.
type nameWatcher struct {
	ctx     context.Context
	changes chan []rmi.Change
}

// Changed is called by the node.
func (w nameWatcher) Changed(ctx context.Context, changes []rmi.Change) error {
	select {
	case w.changes <- changes:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}

// lookEvery is how often the node is asked whether it is still there. If it is not, no changes would come.
const lookEvery = 2 * time.Second

func watchNames(ctx context.Context, names rmi.Names, prefix string, w io.Writer, asJSON bool) error {
	watcher := nameWatcher{ctx, make(chan []rmi.Change)}
	entries, revision, err := names.Watch(ctx, prefix, watcher)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := writeChange(w, rmi.Change{Revision: revision, Entry: e}, asJSON); err != nil {
			return err
		}
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case changes := <-watcher.changes:
			for _, c := range changes {
				if err := writeChange(w, c, asJSON); err != nil {
					return err
				}
			}
		case <-look.C:
			if _, _, err := names.List(ctx, prefix); err != nil && ctx.Err() == nil {
				return fmt.Errorf("the node that told of changes does not answer: %w", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func writeChange(w io.Writer, c rmi.Change, asJSON bool) error {
	if asJSON {
		line := struct {
			Revision uint64     `json:"revision"`
			Name     string     `json:"name"`
			Is       *nameShown `json:"is"`
		}{c.Revision, c.Name, nil}
		if is := showName(c.Entry); !c.Ref.IsZero() {
			line.Is = &is
		}
		return printJSON(w, line)
	}
	text := "gone"
	if !c.Ref.IsZero() {
		text = fmt.Sprintf("%s %s of %s", c.Ref.Interface, c.Ref.Object, c.Ref.Owner)
		if tags := tagWords(c.Tags); tags != "" {
			text += ", " + tags
		}
	}
	_, err := fmt.Fprintf(w, "%d %s: %s\n", c.Revision, c.Name, text)
	return err
}
