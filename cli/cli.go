// Package cli is the command line: one file for each command, which reads its flags and arguments and calls the
// packages that do the work. Whatever concerns a running cluster goes through its API.
//
// Standard output holds what was asked for and nothing else; with -o json that is one documented object, or one a line
// for streams. Errors are one line on standard error, with a hint where there is one. The exit status is 0 if all is
// done and as expected, 1 if something failed, 2 for a mistake of the user, 130 after Ctrl-C.
//
// [Main] is the whole program. Who builds a binary with protocols of their own adds commands to [New].
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	"ciranda.dev/trace"
)

// Exit statuses.
const (
	exitDone        = 0
	exitFailed      = 1
	exitMistake     = 2
	exitInterrupted = 130
)

// New is the root command with all commands below it.
func New() *cobra.Command {
	root := &cobra.Command{
		Use:   "ciranda",
		Short: "A laboratory for distributed systems", Version: cmp.Or(trace.Version(), "unknown"),
		Long: "Ciranda runs the classical protocols of distributed systems on real processes and in a simulator,\n" +
			"lets you watch them, break them, and find out why they break.",
		Example:       "  ciranda up            # five processes elect a leader; keys break things\n  ciranda status        # in another terminal: who leads?",
		SilenceErrors: true, SilenceUsage: true, DisableSuggestions: true,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(unknownFlag)
	root.PersistentFlags().VarP(new(format), "output", "o", "how data is printed: text or json")
	for _, command := range commands {
		root.AddCommand(command())
	}
	return root
}

// commands are all commands. Each is made anew for each root.
var commands = []func() *cobra.Command{
	newUp, newSupervise, newDown, newLogs, newNode, newGateway,
	newHealth, newStatus, newWatch, newExplain, newElect, newFault, newGroup, newMulticast, newBank, newSnapshot, newRMI, newShell,
	newRun, newReplay, newDiagram, newExport, newBench,
	newPki,
}

// Main runs the program with the arguments of the process and gives its exit status.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	out := &output{Writer: os.Stdout}
	root := New()
	root.SetOut(out)
	root.SetArgs(behindFlags(root, os.Args[1:]))
	err := root.ExecuteContext(ctx)
	if out.failed != nil {
		err = out.failed
	}
	if err == nil {
		return exitDone
	}
	if interrupted(ctx) && (errors.Is(err, context.Canceled) || code(err) == codes.Canceled) {
		return exitInterrupted
	}
	report(os.Stderr, told(ctx, err))
	return status(err)
}

// told is the error that people are told of: that a command was cancelled because of a signal is not what they ask.
func told(ctx context.Context, err error) error {
	if ctx.Err() != nil && err.Error() == context.Canceled.Error() {
		return context.Cause(ctx) // "terminated signal received"
	}
	return err
}

// interrupted says whether Ctrl-C was pressed, and not some other signal given.
func interrupted(ctx context.Context) bool {
	cause := context.Cause(ctx)
	return cause != nil && strings.HasPrefix(cause.Error(), os.Interrupt.String())
}

// status is the exit status for an error.
func status(err error) int {
	var m mistake
	switch {
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.Is(err, errShown):
		return exitFailed
	case errors.As(err, &m), code(err) == codes.InvalidArgument:
		return exitMistake
	default:
		return exitFailed
	}
}

// errInterrupted ends a command that did all it should when it was interrupted.
var errInterrupted = errors.New("interrupted")

// errShown ends a command that has said itself what failed.
var errShown = errors.New("failed")

func code(err error) codes.Code {
	if e := api.AsError(err); e != nil {
		return e.Code
	}
	return codes.Unknown
}

// report says in a line what went wrong, and in another one what to do about it.
func report(w io.Writer, err error) {
	if errors.Is(err, errInterrupted) || errors.Is(err, errShown) {
		return
	}
	text, hint := err.Error(), ""
	var m mistake
	if errors.As(err, &m) {
		text, hint = m.text, m.hint
	} else if e := api.AsError(err); e != nil {
		text, hint = e.Text, e.Hint
	}
	fmt.Fprintln(w, "ciranda: error:", oneLine(text))
	if hint != "" {
		fmt.Fprintln(w, "ciranda: hint:", oneLine(hint))
	}
}
