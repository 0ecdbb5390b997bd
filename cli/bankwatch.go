package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"ciranda.dev/api/accounts"
	"ciranda.dev/node"
	"ciranda.dev/protocol"
	"ciranda.dev/rmi"
)

// watchFlags are the flags of bank watch.
type watchFlags struct {
	target target
	count  int
}

func newBankWatch() *cobra.Command {
	var f watchFlags
	cmd := &cobra.Command{
		Use:   "watch ACCOUNT",
		Short: "Print an account's balance whenever it changes",
		Long: "Watch calls the account as a remote object, and the account calls back: over the same connection, though this program\n" +
			"listens nowhere. Of changes that come faster than they are told the last is told. While the account's node is down\n" +
			"it waits for it.",
		Example: "  ciranda bank watch 2\n  ciranda bank watch 2 --count 10 -o json",
		Args:    arguments(1, 1, "the number of an account"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseUint(args[0], 10, 16)
			if err != nil || id == 0 {
				return mistake{fmt.Sprintf("ACCOUNT: found %.40q; expected the number of an account", args[0]), ""}
			}
			return f.target.withObjects(cmd.Context(), func(ctx context.Context, n *rmi.Node) error {
				return f.follow(cmd, ctx, n, node.AccountName(protocol.ID(id)))
			})
		},
	}
	f.target.flags(cmd)
	cmd.Flags().IntVar(&f.count, "count", 0, "end after so many lines; 0: never")
	return cmd
}

// balanceLine is a line of bank watch -o json.
type balanceLine struct {
	Account uint32 `json:"account"`
	Balance int64  `json:"balance"`
}

// A listening is told of balances.
type listening chan balanceLine

// Changed takes a balance.
func (l listening) Changed(ctx context.Context, account uint32, balance int64) error {
	select {
	case l <- balanceLine{account, balance}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// follow prints balances.
func (f *watchFlags) follow(cmd *cobra.Command, ctx context.Context, n *rmi.Node, name string) error {
	w := &accountWatch{node: n, name: name, told: make(listening), notes: cmd.ErrOrStderr()}
	last, err := w.begin(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w.notes, "ciranda: listening at %s\n", name)
	alive := time.NewTicker(time.Second)
	defer alive.Stop()
	for lines := 0; ; {
		if err := show(cmd, last, func(out io.Writer) { fmt.Fprintf(out, "account %d: %d\n", last.Account, last.Balance) }); err != nil {
			return err
		}
		if lines++; lines == f.count {
			return nil
		}
		for before := last; last == before; {
			select {
			case last = <-w.told:
			case <-alive.C:
				last = w.check(ctx, last)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// An accountWatch is told of an account's balance, as long as its node lives, and by its next life again.
type accountWatch struct {
	node    *rmi.Node
	name    string
	told    listening
	notes   io.Writer
	account accounts.Account // nil: it is not there
}

// begin begins to watch.
func (w *accountWatch) begin(ctx context.Context) (balanceLine, error) {
	a, err := accounts.AccountRemote.Lookup(ctx, w.node, w.name)
	if err != nil {
		return balanceLine{}, err
	}
	number, err := a.Number(ctx)
	if err != nil {
		return balanceLine{}, err
	}
	balance, err := a.Watch(ctx, w.told)
	if err == nil {
		w.account = a
	}
	return balanceLine{number, balance}, err
}

// check looks whether the account is still there, and begins anew when it is back.
func (w *accountWatch) check(ctx context.Context, last balanceLine) balanceLine {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if w.account == nil {
		is, err := w.begin(ctx)
		if err != nil {
			return last
		}
		fmt.Fprintf(w.notes, "ciranda: %s answers again\n", w.name)
		return is
	}
	if _, err := w.account.Number(ctx); err != nil {
		fmt.Fprintf(w.notes, "ciranda: %s does not answer: %v\n", w.name, err)
		w.account = nil
	}
	return last
}
