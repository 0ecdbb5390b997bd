package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
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
	var out, problem bytes.Buffer
	c := exec.CommandContext(inTime, "docker", args...)
	cluster.Detach(c) // a Ctrl-C is for the run alone, which cleans up then
	c.Stdin, c.Stdout, c.Stderr = input, &out, &problem
	c.WaitDelay = time.Second
	err := c.Run()
	if err == nil {
		return strings.TrimSpace(out.String()), nil
	}
	what := strings.Join(args[:min(len(args), 4)], " ")
	switch said := lastLine(problem.String()); {
	case inTime.Err() != nil:
		return "", fmt.Errorf("docker %s: the engine has not answered in %s", what, commandTime)
	case said != "":
		return "", fmt.Errorf("docker %s: %s", what, said)
	default:
		return "", fmt.Errorf("docker %s: %w", what, err)
	}
}

// lastLine is what the command says last, without what all its errors begin with.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	text = strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
	return strings.TrimPrefix(text, "Error response from daemon: ")
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
