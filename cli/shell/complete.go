package shell

import (
	"io"
	"slices"
	"strings"
)

// completer answers the tab key: it goes on with the line as far as only one way is open, or else names the ways.
func completer(next func(words []string) []string, screen io.Writer) func(string, int, rune) (string, int, bool) {
	return func(line string, pos int, key rune) (string, int, bool) {
		if key != tab {
			return "", 0, false
		}
		begun, rest := line[:pos], line[pos:]
		words, part := split(begun)
		fits := fitting(next(words), part)
		if len(fits) == 0 {
			return line, pos, true // the key has no other meaning
		}
		more := common(fits)[len(part):]
		switch {
		case len(fits) == 1 && !strings.HasPrefix(rest, " "):
			more += " "
		case len(fits) > 1 && more == "":
			io.WriteString(screen, strings.Join(fits, "  ")+"\n")
		}
		return begun + more + rest, pos + len(more), true
	}
}

// split takes a line apart: the words that are whole, and the one that has only begun.
func split(line string) (words []string, part string) {
	words = strings.Fields(line)
	if len(words) > 0 && !strings.HasSuffix(line, " ") {
		return words[:len(words)-1], words[len(words)-1]
	}
	return words, ""
}

func fitting(words []string, part string) []string {
	var fits []string
	for _, w := range words {
		if strings.HasPrefix(w, part) && !slices.Contains(fits, w) {
			fits = append(fits, w)
		}
	}
	return fits
}

// common is what all of some words begin with.
func common(words []string) string {
	first := words[0]
	for _, w := range words[1:] {
		for !strings.HasPrefix(w, first) {
			first = first[:len(first)-1]
		}
	}
	return first
}
