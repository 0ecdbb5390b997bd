package shell

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"ciranda.dev/api"
)

// A style is how a line looks on a terminal: one of its own colours, so that it suits the background.
type style string

const (
	plain style = ""
	bold  style = "1"
	faint style = "2"
	bad   style = "31"
	good  style = "32"
)

// A printer prints lines. What others have written cannot command the terminal: see clean.
type printer struct {
	out     io.Writer
	errors  io.Writer // for errors and notes; the same on a terminal
	colours bool
	prefix  string // of notes and errors: who speaks, where others may speak too
}

// say prints a line of what was asked for.
func (p *printer) say(format string, args ...any) { p.line(p.out, plain, format, args...) }

// sayAs prints such a line in a style.
func (p *printer) sayAs(s style, format string, args ...any) { p.line(p.out, s, format, args...) }

// note prints a line about how things go.
func (p *printer) note(format string, args ...any) {
	p.line(p.errors, faint, p.prefix+format, args...)
}

// failed prints an error, and what to do about it. Off a terminal these are lines as those of the other commands.
func (p *printer) failed(err error) {
	text, hint := err.Error(), ""
	if e := api.AsError(err); e != nil {
		text, hint = e.Text, e.Hint
	}
	p.line(p.errors, bad, p.prefix+"error: %s", text)
	if hint != "" {
		p.line(p.errors, faint, p.prefix+"hint: %s", hint)
	}
}

func (p *printer) line(w io.Writer, s style, format string, args ...any) {
	for i, a := range args {
		switch a := a.(type) {
		case string:
			args[i] = clean(a)
		case error:
			args[i] = clean(a.Error())
		}
	}
	text := fmt.Sprintf(format, args...)
	if p.colours && s != plain {
		text = "\x1b[" + string(s) + "m" + text + "\x1b[0m"
	}
	io.WriteString(w, text+"\n") // as one write: a terminal that shows a prompt puts it above
}

// table prints rows of cells in columns.
func (p *printer) table(rows ...[]string) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = clean(cell)
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	w.Flush()
	for line := range strings.Lines(b.String()) {
		p.say("%s", strings.TrimRight(line, " \n"))
	}
}

// clean makes one line of a text, and takes out of it whatever a terminal would not simply show: control characters,
// and those that turn the direction of writing or are not to be seen.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsPrint(r):
			return r
		default:
			return -1
		}
	}, strings.ToValidUTF8(text, "\uFFFD"))
}
