package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"ciranda.dev/api"
	"ciranda.dev/cluster"
)

// A target is the cluster that a command is for.
type target struct {
	address, name, tokenFile string

	endpoint cluster.Endpoint // if it was found by its name
}

// flags lets a command say which cluster it is for.
func (t *target) flags(cmd *cobra.Command) {
	t.nameFlag(cmd)
	cmd.Flags().StringVar(&t.address, "addr", "", "the gRPC port of a supervisor or node, HOST:PORT; else $CIRANDA_ADDR, else that of --name")
	cmd.Flags().StringVar(&t.tokenFile, "token-file", "", "the cluster's token, for --addr; else $CIRANDA_TOKEN_FILE, else that of --name")
}

func (t *target) nameFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.name, "name", cluster.DefaultName, "the cluster among those of this machine")
}

// connect makes a client: of --addr, else of $CIRANDA_ADDR, else of the cluster of that name on this machine.
func (t *target) connect() (*api.Client, error) {
	if t.address == "" {
		t.address = os.Getenv("CIRANDA_ADDR")
	}
	if t.address == "" {
		c, e, err := cluster.Connect(t.name)
		t.endpoint = e
		return c, err
	}
	if _, port, err := net.SplitHostPort(t.address); err != nil || port == "" {
		return nil, mistake{fmt.Sprintf("found the address %q; expected HOST:PORT", t.address), ""}
	}
	if t.tokenFile == "" {
		t.tokenFile = os.Getenv("CIRANDA_TOKEN_FILE")
	}
	if t.tokenFile == "" {
		dir, err := cluster.Dir(t.name)
		if err != nil {
			return nil, err
		}
		t.tokenFile = filepath.Join(dir, "token")
	}
	token, err := api.ReadToken(t.tokenFile)
	if err != nil {
		return nil, mistake{err.Error(), "--token-file says where the cluster's token is"}
	}
	return api.Dial(t.address, api.Access{Token: token})
}

// with calls a function with a client of the cluster.
func (t *target) with(ctx context.Context, do func(context.Context, *api.Client) error) error {
	c, err := t.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	return t.explain(do(ctx, c))
}

// explain says of a cluster that cannot be reached what that probably means.
func (t *target) explain(err error) error {
	e := api.AsError(err)
	if err == nil || e == nil || e.Code != codes.Unavailable || errors.As(err, new(*api.Error)) {
		return err
	}
	if t.address != "" {
		return &api.Error{Code: e.Code, Text: "nothing answers at " + t.address, Hint: "is it the gRPC port, and is the cluster up?"}
	}
	if t.endpoint.Listens() {
		return &api.Error{Code: e.Code, Text: fmt.Sprintf("the supervisor of %s is there but does not answer", t.name),
			Hint: fmt.Sprintf("is its process, %d, paused or the machine too busy?", t.endpoint.PID)}
	}
	return &api.Error{Code: e.Code, Text: "the cluster " + t.name + " does not answer: its supervisor has ended", Hint: "ciranda up starts it again"}
}
