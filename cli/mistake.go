package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A mistake is an error of the user: exit status 2.
type mistake struct{ text, hint string }

func (m mistake) Error() string { return m.text }

// oneLine keeps an error on its line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// unknownCommand refuses what follows a command that only holds others.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	kind := "command"
	if cmd.HasParent() {
		kind = cmd.Name() + " command"
	}
	return mistake{fmt.Sprintf("unknown %s %q", kind, args[0]), didYouMean(args[0], names, cmd.CommandPath()+" --help lists them")}
}

// unknownFlag explains an error of the flags.
func unknownFlag(cmd *cobra.Command, err error) error {
	hint := cmd.CommandPath() + " --help lists the flags"
	var value *pflag.InvalidValueError
	if errors.As(err, &value) {
		return mistake{fmt.Sprintf("found --%s %q; expected %s", value.GetFlag().Name, value.GetValue(), expected(value.GetFlag())), hint}
	}
	if typed, ok := strings.CutPrefix(err.Error(), "unknown flag: --"); ok {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
		hint = didYouMean("--"+typed, names, hint)
	}
	return mistake{err.Error(), hint}
}

// expected says what the value of a flag may be.
func expected(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "int":
		return "a whole number"
	case "uint", "uint64":
		return "a whole number from 0"
	case "uint16":
		return "a whole number from 0 to 65535"
	case "duration":
		return "a time such as 500ms, 2s or 1m"
	case "bool":
		return "true or false"
	case "format":
		return "text or json"
	default:
		return "a " + f.Value.Type()
	}
}

// behindFlags puts a word such as -5s behind all flags of a fault or a transfer, where it is taken for what it is: an
// amount.
func behindFlags(root *cobra.Command, args []string) []string {
	cmd, _, err := root.Find(args)
	if err != nil || !cmd.HasParent() || slices.Contains(args, "--") {
		return args
	}
	if cmd.Parent().Name() != "fault" && cmd.Name() != "transfer" {
		return args
	}
	amount := func(word string) bool {
		return len(word) > 1 && word[0] == '-' && strings.ContainsRune("0123456789.", rune(word[1]))
	}
	i := slices.IndexFunc(args, amount)
	if i < 0 {
		return args
	}
	return append(slices.Delete(slices.Clone(args), i, i+1), "--", args[i])
}

// arguments checks their number, and says what was expected.
func arguments(least, most int, expected string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			return mistake{fmt.Sprintf("%s: found %d arguments; expected %s", cmd.CommandPath(), len(args), expected),
				"for example:" + firstLine(cmd.Example)}
		}
		return nil
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return " " + strings.TrimSpace(line)
}

// didYouMean is a hint at the word that is nearest to what was typed, or another hint if none is near.
func didYouMean(typed string, words []string, otherwise string) string {
	best, least := "", 1+len(typed)/3
	for _, w := range words {
		if d := distance(typed, w); d <= least {
			best, least = w, d-1
		}
	}
	if best == "" {
		return otherwise
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// distance counts the letters to insert, delete, replace or swap with their neighbour to make b of a (the restricted
// Damerau-Levenshtein distance).
func distance(a, b string) int {
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			same := 1
			if a[i] == b[j] {
				same = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+same)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
