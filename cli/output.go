package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// A format is how data is printed: text for people, json for programs.
type format string

func (f *format) String() string {
	if *f == "" {
		return "text"
	}
	return string(*f)
}

// Set implements pflag.Value.
func (f *format) Set(text string) error {
	if text != "text" && text != "json" {
		return fmt.Errorf("found %q; expected text or json", text)
	}
	*f = format(text)
	return nil
}

// Type implements pflag.Value.
func (f *format) Type() string { return "format" }

// wantsJSON says whether a command is to print JSON.
func wantsJSON(cmd *cobra.Command) bool { return cmd.Flag("output").Value.String() == "json" }

// show prints a value: as one JSON object, or as text does.
func show(cmd *cobra.Command, value any, text func(io.Writer)) error {
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), value)
	}
	text(cmd.OutOrStdout())
	return nil
}

// printJSON prints a value as one line.
func printJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(value)
}

// output is standard output. It remembers the first error, for most who print do not ask.
type output struct {
	io.Writer
	failed error
}

func (o *output) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	if err != nil && o.failed == nil {
		o.failed = fmt.Errorf("standard output: %w", reason(err))
	}
	return n, err
}

// onTerminal says whether somebody looks at the output and types.
func onTerminal() bool {
	return term.IsTerminal(int(os.Stdout.Fd())) && term.IsTerminal(int(os.Stdin.Fd()))
}
