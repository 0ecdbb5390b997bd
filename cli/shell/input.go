package shell

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"

	"ciranda.dev/api"
)

// An input is where lines come from: a keyboard or a pipe.
type input interface {
	// ask shows a question and gives the answer, in one line. Its error is io.EOF if there will be no further one,
	// errGivenUp if the question was given up.
	ask(q question) (string, error)
	// confirm asks whether something is meant. Who wrote it into a file means it.
	confirm(text string) (bool, error)
	// run runs something that ends when the user gives it up, or when ctx ends.
	run(ctx context.Context, do func(context.Context) error) error
}

// A question is what is asked for on a line of its own.
type question struct {
	prompt   string
	keep     bool                                 // the answer, for the arrow keys
	complete func(words []string) (next []string) // how the line could go on: the words that fit behind these
}

var errGivenUp = errors.New("given up")

// maxLine is how long a line may be, in bytes.
const maxLine = 4096

// A pipe gives its lines without a question.
type pipe struct{ lines *bufio.Scanner }

func newPipe(r io.Reader) *pipe {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	return &pipe{lines}
}

func (p *pipe) ask(question) (string, error) {
	if p.lines.Scan() {
		return strings.TrimSpace(p.lines.Text()), nil
	}
	switch err := p.lines.Err(); {
	case err == nil:
		return "", io.EOF
	case errors.Is(err, bufio.ErrTooLong):
		return "", api.Wrong("", "a line is too long; expected at most %d bytes", maxLine)
	default:
		return "", err
	}
}

func (*pipe) confirm(string) (bool, error) { return true, nil }

func (*pipe) run(ctx context.Context, do func(context.Context) error) error { return do(ctx) }
