package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"time"

	"ciranda.dev/cluster"
)

// commandTime is how long the engine may take for one command.
const commandTime = time.Minute

// command has the engine do something, and gives what it prints. What was begun is finished even if ctx ends meanwhile,
// so that nothing is made which nobody knows of.
func command(ctx context.Context, input io.Reader, args ...string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	inTime, cancel := context.WithTimeout(context.WithoutCancel(ctx), commandTime)
	defer cancel()
	out, problem, err := execute(inTime, input, args)
	what := words(args)
	switch said := complaint(problem); {
	case err == nil:
		return out, nil
	case inTime.Err() != nil:
		return "", fmt.Errorf("docker %s: the engine has not answered in %s", what, commandTime)
	case said != "":
		return "", fmt.Errorf("docker %s: %s", what, said)
	default:
		return "", fmt.Errorf("docker %s: %w", what, err)
	}
}

// execute runs the command docker to its end.
func execute(ctx context.Context, input io.Reader, args []string) (out, problem string, err error) {
	var o, p bytes.Buffer
	c := exec.CommandContext(ctx, "docker", args...)
	cluster.Detach(c) // a Ctrl-C is for the run alone, which cleans up then
	c.Stdin, c.Stdout, c.Stderr = input, &o, &p
	c.WaitDelay = time.Second
	err = c.Run()
	return strings.TrimSpace(o.String()), strings.TrimSpace(p.String()), err
}

// words are the arguments that come before the first flag.
func words(args []string) string {
	if i := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "-") }); i >= 0 {
		args = args[:i]
	}
	return strings.Join(args, " ")
}

// complaint is the line of what the command printed that says what is wrong: what the engine answered, else the last.
func complaint(text string) string {
	const answered = "Error response from daemon: "
	lines := strings.Split(text, "\n")
	for _, line := range lines {
		if _, said, found := strings.Cut(line, answered); found {
			return said
		}
	}
	return lines[len(lines)-1]
}

// platform is what the engine's containers run on, such as linux/amd64. It fails if there is no engine.
func platform(ctx context.Context) (string, error) {
	is, err := command(ctx, nil, "version", "--format", "{{.Server.Os}}/{{.Server.Arch}}")
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", errors.New("--on docker needs a Docker engine: the command docker is not there")
	case err != nil && ctx.Err() == nil:
		return "", fmt.Errorf("--on docker needs a Docker engine: %w", err)
	}
	return is, err
}

// labelled are all things of a kind, such as volume, that have the label of a run.
func labelled(ctx context.Context, run string, list ...string) ([]string, error) {
	out, err := command(ctx, nil, append(list, "--quiet", "--filter", "label="+label+"="+run)...)
	return strings.Fields(out), err
}

// lastWords are what a program has logged as the reason of its end; empty if it has not.
func lastWords(ctx context.Context, container string) string {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	_, log, _ := execute(ctx, nil, []string{"logs", "--tail", "200", container})
	for _, line := range slices.Backward(strings.Split(log, "\n")) {
		if text, ok := strings.CutPrefix(line, "ciranda: error: "); ok || strings.HasPrefix(line, "panic: ") {
			return text
		}
	}
	return ""
}
