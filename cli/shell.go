package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ciranda.dev/cli/shell"
	"ciranda.dev/cluster"
)

func newShell() *cobra.Command {
	var t target
	var via string
	cmd := &cobra.Command{
		Use:   "shell",
		Short: "An interactive client: a menu and a prompt",
		Long: "Shell asks what to do, does it by the cluster's gateways, and says in words what happened. In a pipe it reads a\n" +
			"command a line, and fails if one of them did. Its command help lists what there is.",
		Example: "  ciranda shell\n  printf 'transfer 1 2 5\\nbalances\\n' | ciranda shell --via socket",
		Args:    arguments(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains(shell.Middlewares, via) {
				return mistake{fmt.Sprintf("found --via %q; expected %s", via, strings.Join(shell.Middlewares, " or ")),
					didYouMean(via, shell.Middlewares, "")}
			}
			if wantsJSON(cmd) {
				return mistake{"a shell prints text", "status, bank and the other commands print JSON"}
			}
			c := shell.Config{Via: via, Connect: t.reach, In: cmd.InOrStdin(), Out: cmd.OutOrStdout(), Errors: cmd.ErrOrStderr()}
			return t.explain(runShell(cmd.Context(), c))
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&via, "via", shell.Middlewares[0], "how servers are called: "+strings.Join(shell.Middlewares, " or "))
	return cmd
}

func runShell(ctx context.Context, c shell.Config) error {
	var err error
	if onTerminal() {
		err = onRawTerminal(func(t *shell.Terminal) error {
			c.Terminal, c.History = t, historyFile()
			return shell.Run(ctx, c)
		})
	} else {
		err = shell.Run(ctx, c)
	}
	switch {
	case err != nil && interrupted(ctx):
		return errInterrupted
	case errors.Is(err, shell.ErrFailed):
		return errShown
	default:
		return err
	}
}

// onRawTerminal lets a function have the terminal, key by key, and puts it back however that ends.
func onRawTerminal(do func(*shell.Terminal) error) error {
	in, out := int(os.Stdin.Fd()), int(os.Stdout.Fd())
	before, err := term.MakeRaw(in)
	if err != nil {
		return fmt.Errorf("the terminal: %w", err)
	}
	defer term.Restore(in, before)
	resized, stop := resizes()
	defer stop()
	return do(&shell.Terminal{
		ReadWriter: struct {
			io.Reader
			io.Writer
		}{os.Stdin, os.Stdout},
		Size: func() (width, height int) {
			width, height, _ = term.GetSize(out)
			return width, height
		},
		Resized: resized,
		Colours: os.Getenv("NO_COLOR") == "", // https://no-color.org
	})
}

// historyFile is where shells remember what was typed: beside the clusters. No cluster can have such a name.
func historyFile() string {
	dir, err := cluster.Dir(cluster.DefaultName)
	if err != nil {
		return ""
	}
	root := filepath.Dir(dir)
	if os.MkdirAll(root, 0o700) != nil {
		return ""
	}
	return filepath.Join(root, "shell.history")
}
