package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ciranda.dev/gateway"
)

// The bounds of a load.
const (
	mostLoadRate    = 1e6
	mostLoadClients = 1000
)

// loadFlags are the flags of bank load.
type loadFlags struct {
	tier tier
	load gateway.Load
}

func newLoad() *cobra.Command {
	var f loadFlags
	cmd := &cobra.Command{
		Use: "load", Short: "Move much money, and check that none is lost",
		Long: "Load makes small transfers between accounts through all gateways. At the end it asks again for what is not known,\n" +
			"waits until nothing is on its way, and checks: all money is there, and each transfer that was acknowledged was\n" +
			"applied once. Ctrl-C ends the load early, and then it checks; a second one ends it at once.",
		Example: "  ciranda bank load --for 30s\n  ciranda bank load --for 10m --rate 500 --clients 32 -o json",
		Args:    arguments(0, 0, "none"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.tier.flags(cmd)
	flags := cmd.Flags()
	flags.DurationVar(&f.load.For, "for", 30*time.Second, "how long; 0: until Ctrl-C")
	flags.Float64Var(&f.load.Rate, "rate", 0, "transfers a second; 0: as fast as they go")
	flags.IntVar(&f.load.Clients, "clients", 16, "how many clients, each of which makes one transfer at a time")
	return cmd
}

func (f *loadFlags) run(cmd *cobra.Command) error {
	switch l := f.load; {
	case l.For < 0:
		return mistake{fmt.Sprintf("found --for %s; expected 0 or more", l.For), ""}
	case !(l.Rate >= 0 && l.Rate <= mostLoadRate):
		return mistake{fmt.Sprintf("found --rate %v; expected 0 to %d", l.Rate, int(mostLoadRate)), ""}
	case l.Clients < 1 || l.Clients > mostLoadClients:
		return mistake{fmt.Sprintf("found --clients %d; expected 1 to %d", l.Clients, mostLoadClients), ""}
	}
	all, end, err := f.tier.banks()
	if err != nil {
		return err
	}
	defer end()
	f.load.Banks = all
	notes := cmd.ErrOrStderr()
	terminal := term.IsTerminal(int(os.Stderr.Fd()))
	if terminal {
		f.load.Progress = func(p gateway.Progress) { writeProgress(notes, p) }
	}
	r, err := f.load.Run(cmd.Context())
	if terminal {
		fmt.Fprint(notes, "\r\x1b[K")
	}
	if err != nil {
		return f.tier.explain(err)
	}
	if err := show(cmd, r, func(w io.Writer) { io.WriteString(w, r.String()) }); err != nil {
		return err
	}
	switch {
	case r.Conserved == nil || !*r.Conserved:
		return errShown
	case interrupted(cmd.Context()):
		return errInterrupted
	}
	return nil
}

func writeProgress(w io.Writer, p gateway.Progress) {
	what := "moving money"
	if p.Checking {
		what = "checking"
	}
	fmt.Fprintf(w, "\r\x1b[K%.0fs  %s: %d acknowledged, %d failed, %d unknown", p.Since.Seconds(), what, p.Acknowledged, p.Failed, p.Unknown)
}
